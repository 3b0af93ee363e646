//! Table `channel`.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::lines::Line;
use crate::domain::channel::{ChannelKind, ChannelState};

/// A row of `channel`.
#[derive(Clone)]
pub struct ChannelRow {
    /// Id.
    pub id: Uuid,
    /// Slug of the account.
    pub account: String,
    /// Kind.
    pub kind: String,
    /// Name inside the account.
    pub name: String,
    /// State, as stored.
    pub state: String,
    /// The provider's own id of the line.
    pub provider_account: String,
    /// The provider's own name of the line.
    pub provider_name: String,
    /// Why it is disconnected.
    pub problem: String,
    /// The sealed credentials.
    pub token_sealed: Vec<u8>,
    /// The sealed secret of its webhook.
    pub secret_sealed: Vec<u8>,
    /// Counts changes of credentials.
    pub credentials: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When the row was changed.
    pub changed_at: OffsetDateTime,
    /// Last accepted inbound item.
    pub last_inbound_at: Option<OffsetDateTime>,
    /// Last successful delivery.
    pub last_outbound_at: Option<OffsetDateTime>,
    /// Links in what goes out are replaced by short ones.
    pub shorten_links: bool,
    /// When an administrator disconnected it; its line may be another channel's by now.
    pub released_at: Option<OffsetDateTime>,
    /// Since when the provider vouches that the line is its own.
    pub proven_at: Option<OffsetDateTime>,
    /// Hash of its token, where that does not tell whose line it is.
    pub token_hash: Option<String>,
    /// Of a mailbox the server that it is read from.
    pub mail_host: Option<String>,
    /// Of a mailbox who signs in.
    pub mail_login: Option<String>,
}

impl ChannelRow {
    /// Returns the state.
    pub fn state(&self) -> Result<ChannelState, sqlx::Error> {
        ChannelState::try_from(self.state.as_str()).map_err(super::unreadable)
    }

    /// Returns the kind.
    pub fn kind(&self) -> Result<ChannelKind, sqlx::Error> {
        ChannelKind::try_from(self.kind.as_str()).map_err(super::unreadable)
    }

    /// Returns the account.
    pub fn account(&self) -> Result<AccountSlug, sqlx::Error> {
        AccountSlug::parse(&self.account).map_err(super::unreadable)
    }
}

/// A channel to be stored.
pub struct NewChannel<'a> {
    /// Id.
    pub id: Uuid,
    /// The account.
    pub account: &'a AccountSlug,
    /// Name.
    pub name: &'a str,
    /// The line, unproven.
    pub line: Line<'a>,
    /// The sealed credentials.
    pub token_sealed: &'a [u8],
    /// The sealed secret of its webhook.
    pub secret_sealed: &'a [u8],
}

/// Inserts a channel, disabled. A taken id, or a line that the account has on another channel, is a violated constraint.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewChannel<'_>,
    now: OffsetDateTime,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "insert into channel (id, account, kind, name, state, provider_account, token_hash, token_sealed, secret_sealed,
             created_at, mail_host, mail_login)
         values ($1, $2, $3, $4, 'disabled', $5, $6, $7, $8, $9, $10, $11)
         returning *",
        new.id,
        new.account.as_str(),
        new.line.kind.as_str(),
        new.name,
        new.line.provider_account,
        new.line.token_hash,
        new.token_sealed,
        new.secret_sealed,
        now,
        new.line.mail_host(),
        new.line.mail_login(),
    )
    .fetch_one(connection)
    .await
}

/// Returns a channel of an account.
pub async fn find(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: Uuid,
) -> Result<Option<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "select * from channel where account = $1 and id = $2",
        account.as_str(),
        id
    )
    .fetch_optional(connection)
    .await
}

/// Returns a channel of an account and locks it.
pub async fn find_locked(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: Uuid,
) -> Result<Option<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "select * from channel where account = $1 and id = $2 for update",
        account.as_str(),
        id
    )
    .fetch_optional(connection)
    .await
}

/// Returns channels by id, whatever their account: for webhooks and deliveries.
pub async fn load(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(ChannelRow, "select * from channel where id = any($1)", ids)
        .fetch_all(connection)
        .await
}

/// Returns channels that changed during the last `seconds`, by the database's clock; all of them for none.
pub async fn changed_within(
    connection: &mut PgConnection,
    seconds: Option<f64>,
) -> Result<Vec<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "select * from channel
         where $1::float8 is null or changed_at > now() - make_interval(secs => $1)",
        seconds
    )
    .fetch_all(connection)
    .await
}

/// Returns a page of an account's channels by name, of the granted ones where a grant is given.
pub async fn page(
    connection: &mut PgConnection,
    account: &AccountSlug,
    granted: Option<&[Uuid]>,
    after: Option<(&str, Uuid)>,
    limit: i64,
) -> Result<Vec<ChannelRow>, sqlx::Error> {
    let (name, id) = after.unzip();
    sqlx::query_as!(
        ChannelRow,
        "select * from channel
         where account = $1 and ($2::uuid[] is null or id = any($2))
           and ($3::text is null or (name, id) > ($3, $4::uuid))
         order by name, id limit $5",
        account.as_str(),
        granted,
        name,
        id,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Disables a channel, with what is wrong with it still.
pub async fn disable(
    connection: &mut PgConnection,
    id: Uuid,
    problem: &str,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set state = 'disabled', problem = $2, changed_at = now() where id = $1 returning *",
        id,
        problem,
    )
    .fetch_one(connection)
    .await
}

/// Disables a channel that is still enabled with these credentials; returns it if so.
pub async fn take_back(
    connection: &mut PgConnection,
    id: Uuid,
    credentials: i64,
) -> Result<Option<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set state = 'disabled', changed_at = now()
         where id = $1 and state = 'enabled' and credentials = $2 returning *",
        id,
        credentials,
    )
    .fetch_optional(connection)
    .await
}

/// Sets the name.
pub async fn rename(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set name = $2, changed_at = now() where id = $1 returning *",
        id,
        name,
    )
    .fetch_one(connection)
    .await
}

/// Sets whether links are shortened.
pub async fn set_shorten_links(
    connection: &mut PgConnection,
    id: Uuid,
    shorten_links: bool,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set shorten_links = $2, changed_at = now() where id = $1 returning *",
        id,
        shorten_links,
    )
    .fetch_one(connection)
    .await
}

/// Replaces what is sealed of credentials that stay the same ones, as when a refresh token is rotated; returns the
/// channel unless it has others by now.
pub async fn reseal(
    connection: &mut PgConnection,
    id: Uuid,
    credentials: i64,
    token_sealed: &[u8],
) -> Result<Option<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set token_sealed = $3, changed_at = now() where id = $1 and credentials = $2 returning *",
        id,
        credentials,
        token_sealed,
    )
    .fetch_optional(connection)
    .await
}

/// Marks enabled channels as disconnected whose very credentials were refused; returns those that changed.
pub async fn disconnect(
    connection: &mut PgConnection,
    ids: &[Uuid],
    credentials: &[i64],
    problems: &[String],
) -> Result<Vec<ChannelRow>, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set state = 'disconnected', problem = refused.problem, changed_at = now()
         from unnest($1::uuid[], $2::bigint[], $3::text[]) as refused (channel_id, number, problem)
         where channel.id = refused.channel_id and channel.credentials = refused.number and state = 'enabled'
         returning channel.*",
        ids,
        credentials,
        problems,
    )
    .fetch_all(connection)
    .await
}

/// Notes when channels were last heard; a row is written every ten seconds at most.
pub async fn heard(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update channel set last_inbound_at = $2
         where id in (select id from channel
                      where id = any($1) and (last_inbound_at is null or last_inbound_at < $2::timestamptz - interval '10 seconds')
                      order by id for update skip locked)",
        ids,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes when channels last delivered; a row is written every ten seconds at most.
pub async fn spoke(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update channel set last_outbound_at = $2
         where id in (select id from channel
                      where id = any($1) and (last_outbound_at is null or last_outbound_at < $2::timestamptz - interval '10 seconds')
                      order by id for update skip locked)",
        ids,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
