//! Which channel has a line. A proven line is one channel's in the whole installation; one that was only entered is
//! nobody's yet, and inside its account one channel's nevertheless.
//!
//! A mailbox's line is its server and login: of other accounts' mailboxes nobody is told before the password was proven.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::channels::ChannelRow;
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::MailLine;

/// A line as credentials tell of it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Kind.
    pub kind: ChannelKind,
    /// The provider's own id of it.
    pub provider_account: &'a str,
    /// Hash of a token that does not tell whose it is.
    pub token_hash: Option<&'a str>,
    /// Of a mailbox what is read; there the provider's id is its address.
    pub mail: Option<&'a MailLine>,
}

impl<'a> Line<'a> {
    /// Of a mailbox the server, for the columns.
    pub fn mail_host(&self) -> Option<&'a str> {
        self.mail.map(|mail| mail.host.as_str())
    }

    /// Of a mailbox the login, for the columns.
    pub fn mail_login(&self) -> Option<&'a str> {
        self.mail.map(|mail| mail.login.as_str())
    }
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

/// Tells whether another channel has a line: one of the same account, or one that has it proven. Of a mailbox only the
/// account's own channels are told: whether others have it is answered when it is proven, by a violated constraint.
pub async fn is_taken(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: Uuid,
    line: Line<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select 1 from channel
               where kind = $3 and id <> $2 and released_at is null
                 and case when $6::text is null
                     then (account = $1 or proven_at is not null) and (provider_account = $4 or token_hash = $5)
                     else account = $1
                          and ((mail_host = $6 and (mail_login = $7 or provider_account = $4))
                               or (mail_host is null and provider_account = $4))
                     end) as "taken!""#,
        account.as_str(),
        channel,
        line.kind.as_str(),
        line.provider_account,
        line.token_hash,
        line.mail_host(),
        line.mail_login(),
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
             proven_at = coalesce(proven_at, $5), mail_host = $6, mail_login = $7, changed_at = now()
         where id = $1 returning *",
        id,
        line.provider_account,
        line.token_hash,
        provider_name,
        now,
        line.mail_host(),
        line.mail_login(),
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
             proven_at = coalesce(case when released_at is null and provider_account = $2
                                            and (mail_host, mail_login) is not distinct from ($6::text, $7::text)
                                       then proven_at end, $5),
             mail_host = $6, mail_login = $7,
             released_at = null, state = case state when 'disconnected' then 'disabled' else state end, changed_at = now()
         where id = $1 returning *",
        id,
        new.line.provider_account,
        new.line.token_hash,
        new.token_sealed,
        new.proven_at,
        new.line.mail_host(),
        new.line.mail_login(),
    )
    .fetch_one(connection)
    .await
}

/// A mailbox of which is not written yet what it is told apart by.
#[derive(Debug, Clone)]
pub struct Unfilled {
    /// Id of the channel.
    pub id: Uuid,
    /// Counts changes of credentials.
    pub credentials: i64,
    /// The sealed credentials.
    pub token_sealed: Vec<u8>,
}

/// Returns such mailboxes beyond an id, `limit` at most, by id.
pub async fn unfilled(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Unfilled>, sqlx::Error> {
    sqlx::query_as!(
        Unfilled,
        "select id, credentials, token_sealed from channel
         where kind = 'email' and mail_host is null and released_at is null and id > $1
         order by id limit $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Writes what mailboxes are told apart by, unless they have other credentials by now; returns those that were written. Of
/// several that are the same one that was proven has it, else the first, and none where another channel has.
pub async fn fill(
    connection: &mut PgConnection,
    known: &[(Unfilled, MailLine)],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = known.iter().map(|(row, _)| row.id).collect();
    let numbers: Vec<i64> = known.iter().map(|(row, _)| row.credentials).collect();
    let hosts: Vec<String> = known.iter().map(|(_, line)| line.host.clone()).collect();
    let logins: Vec<String> = known.iter().map(|(_, line)| line.login.clone()).collect();
    sqlx::query_scalar!(
        "with told as (
             select distinct on (t.host, t.login) t.*
             from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) as t (id, number, host, login)
             join channel c on c.id = t.id
             order by t.host, t.login, c.proven_at is null, t.id
         )
         update channel c set mail_host = told.host, mail_login = told.login
         from told
         where c.id = told.id and c.credentials = told.number and c.mail_host is null
           and not exists (
               select 1 from channel o
               where o.id <> c.id and o.released_at is null and o.mail_host = told.host
                 and ((o.mail_login = told.login and (o.proven_at is not null or o.account = c.account))
                      or (o.account = c.account and o.provider_account = c.provider_account)))
         returning c.id",
        &ids,
        &numbers,
        &hosts,
        &logins,
    )
    .fetch_all(connection)
    .await
}
