//! Which channel has a line. A proven line is one channel's in the whole installation; one that was only entered is
//! nobody's yet, and inside its account one channel's nevertheless.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::channels::ChannelRow;
use crate::domain::channel::ChannelKind;

/// A line as credentials tell of it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Kind.
    pub kind: ChannelKind,
    /// The provider's own id of it.
    pub provider_account: &'a str,
    /// Hash of a token that does not tell whose it is.
    pub token_hash: Option<&'a str>,
}

/// Returns the channel that has a line proven, whatever its account: for webhooks that name the provider's own id.
pub async fn find(
    connection: &mut PgConnection,
    kind: ChannelKind,
    provider_account: &str,
) -> Result<Option<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "select * from channel
         where kind = $1 and provider_account = $2 and proven_at is not null and released_at is null",
        kind.as_str(),
        provider_account
    )
    .fetch_optional(connection)
    .await
}

/// Tells whether another channel has a line: one of the same account, or one that has it proven.
pub async fn is_taken(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: Uuid,
    line: Line<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select 1 from channel
               where kind = $3 and id <> $2 and released_at is null and (account = $1 or proven_at is not null)
                 and (provider_account = $4 or token_hash = $5)) as "taken!""#,
        account.as_str(),
        channel,
        line.kind.as_str(),
        line.provider_account,
        line.token_hash,
    )
    .fetch_one(connection)
    .await
}

/// Enables a channel whose credentials were proven just now. A line that another channel has proven is a violated
/// constraint.
pub async fn enable(
    connection: &mut PgConnection,
    id: Uuid,
    line: Line<'_>,
    provider_name: &str,
    now: OffsetDateTime,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set state = 'enabled', provider_account = $2, token_hash = $3, provider_name = $4, problem = '',
             proven_at = coalesce(proven_at, $5), changed_at = now()
         where id = $1 returning *",
        id,
        line.provider_account,
        line.token_hash,
        provider_name,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Credentials to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewCredentials<'a> {
    /// Their line.
    pub line: Line<'a>,
    /// The credentials, sealed.
    pub token_sealed: &'a [u8],
    /// When they were proven, where they were.
    pub proven_at: Option<OffsetDateTime>,
}

/// Sets the credentials; a disconnected channel becomes disabled by it. Whether it has its line proven stays as it was
/// where these are unproven: but one that was given up by an administrator, or is another than before, is not taken by
/// them. A line that another channel has is a violated constraint.
pub async fn set_credentials(
    connection: &mut PgConnection,
    id: Uuid,
    new: &NewCredentials<'_>,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set provider_account = $2, token_hash = $3, token_sealed = $4, credentials = credentials + 1,
             problem = '',
             proven_at = coalesce(case when released_at is null and provider_account = $2 then proven_at end, $5),
             released_at = null, state = case state when 'disconnected' then 'disabled' else state end, changed_at = now()
         where id = $1 returning *",
        id,
        new.line.provider_account,
        new.line.token_hash,
        new.token_sealed,
        new.proven_at,
    )
    .fetch_one(connection)
    .await
}
