//! Tables `mailbox`, `mailbox_folder` and `mailbox_failure`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::mailbox::health::Followed;
use crate::domain::mailbox::{Cursor, Folder, Remembered};

/// A mailbox that this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The channel.
    pub channel_id: Uuid,
    /// The number under which it is held.
    pub fence: i64,
}

/// A mailbox that is to be followed.
#[derive(Debug, Clone)]
pub struct Free {
    /// The channel.
    pub channel_id: Uuid,
    /// Slug of its account.
    pub account: String,
    /// The number of its credentials.
    pub credentials: i64,
}

/// Takes mailboxes that nobody holds, `limit` at most and in no order that others have too; none whose credentials were
/// refused for good. `seconds` is how long they are held unless the lease is renewed.
pub async fn claim(
    connection: &mut PgConnection,
    owner: Uuid,
    free: &[Free],
    seconds: f64,
    limit: i64,
) -> Result<Vec<Held>, sqlx::Error> {
    let channels: Vec<Uuid> = free.iter().map(|free| free.channel_id).collect();
    let accounts: Vec<String> = free.iter().map(|free| free.account.clone()).collect();
    let numbers: Vec<i64> = free.iter().map(|free| free.credentials).collect();
    sqlx::query_as!(
        Held,
        "with free as (
             select w.channel_id, w.account
             from unnest($2::uuid[], $3::text[], $6::bigint[]) as w (channel_id, account, credentials)
             left join mailbox m on m.channel_id = w.channel_id
             where m.channel_id is null
                or (m.lease_until <= now() and m.refused_credentials is distinct from w.credentials)
             order by random() limit $5)
         insert into mailbox as m (channel_id, account, owner, fence, lease_until)
         select channel_id, account, $1::uuid, 1, now() + make_interval(secs => $4) from free order by channel_id
         on conflict (channel_id) do update
         set owner = excluded.owner, fence = m.fence + 1, lease_until = excluded.lease_until
         where m.lease_until <= now()
         returning m.channel_id, m.fence",
        owner,
        &channels,
        &accounts,
        seconds,
        limit,
        &numbers,
    )
    .fetch_all(connection)
    .await
}

/// Keeps mailboxes for another `seconds`; returns those that are still held under their number.
pub async fn renew(
    connection: &mut PgConnection,
    held: &[Held],
    seconds: f64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let (channels, fences) = columns(held);
    sqlx::query_scalar!(
        "with mine as (
             select m.channel_id from mailbox m
             join unnest($1::uuid[], $2::bigint[]) as h (channel_id, fence)
                 on h.channel_id = m.channel_id and h.fence = m.fence
             order by m.channel_id for update of m)
         update mailbox m set lease_until = now() + make_interval(secs => $3)
         from mine where mine.channel_id = m.channel_id
         returning m.channel_id",
        &channels,
        &fences,
        seconds,
    )
    .fetch_all(connection)
    .await
}

/// Gives mailboxes back, so that another replica need not wait.
pub async fn release(connection: &mut PgConnection, held: &[Held]) -> Result<(), sqlx::Error> {
    let (channels, fences) = columns(held);
    sqlx::query!(
        "update mailbox m set lease_until = now()
         from unnest($1::uuid[], $2::bigint[]) as h (channel_id, fence)
         where h.channel_id = m.channel_id and h.fence = m.fence",
        &channels,
        &fences,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes that a mailbox cannot be read, since when and why; nothing where it is no longer held under that number.
pub async fn failing(
    connection: &mut PgConnection,
    held: Held,
    problem: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mailbox set failing_since = coalesce(failing_since, $3), problem = $4
         where channel_id = $1 and fence = $2",
        held.channel_id,
        held.fence,
        now,
        problem,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes that the server refused the credentials for good; nothing where the mailbox is no longer held under that number.
pub async fn refused(
    connection: &mut PgConnection,
    held: Held,
    credentials: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mailbox set refused_credentials = $3 where channel_id = $1 and fence = $2",
        held.channel_id,
        held.fence,
        credentials,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets what was refused: the credentials were proven just now.
pub async fn proven(connection: &mut PgConnection, channel: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with login as (delete from submission_refusal where channel_id = $1)
         update mailbox set refused_credentials = null where channel_id = $1 and refused_credentials is not null",
        channel,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Counts a refusal of the login by the server that takes mails; returns how many there were, one after the other and each
/// at least `apart` seconds after the one before, with these credentials.
pub async fn submission_refused(
    connection: &mut PgConnection,
    channel: Uuid,
    credentials: i64,
    apart: f64,
    now: OffsetDateTime,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into submission_refusal as r (channel_id, credentials, refusals, refused_at) values ($1, $2, 1, $4)
         on conflict (channel_id) do update
         set refusals = case when r.credentials <> excluded.credentials then 1
                             when r.refused_at + make_interval(secs => $3) > excluded.refused_at then r.refusals
                             else r.refusals + 1 end,
             refused_at = case when r.credentials = excluded.credentials
                                and r.refused_at + make_interval(secs => $3) > excluded.refused_at then r.refused_at
                               else excluded.refused_at end,
             credentials = excluded.credentials
         returning refusals",
        channel,
        credentials,
        apart,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Forgets such refusals: the server took a mail.
pub async fn submission_taken(
    connection: &mut PgConnection,
    channel: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from submission_refusal where channel_id = $1",
        channel
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes that a mailbox was read.
pub async fn well(connection: &mut PgConnection, held: Held) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mailbox set failing_since = null, problem = ''
         where channel_id = $1 and fence = $2 and failing_since is not null",
        held.channel_id,
        held.fence,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns how a mailbox is followed; none before anybody did.
pub async fn followed(
    connection: &mut PgConnection,
    channel: Uuid,
) -> Result<Option<Followed>, sqlx::Error> {
    sqlx::query_as!(
        Followed,
        "select lease_until, failing_since, problem from mailbox where channel_id = $1",
        channel,
    )
    .fetch_optional(connection)
    .await
}

fn columns(held: &[Held]) -> (Vec<Uuid>, Vec<i64>) {
    held.iter()
        .map(|held| (held.channel_id, held.fence))
        .unzip()
}

/// Returns up to where a folder was read.
pub async fn remembered(
    connection: &mut PgConnection,
    channel: Uuid,
    folder: Folder,
) -> Result<Option<Remembered>, sqlx::Error> {
    let row = sqlx::query!(
        "select uidvalidity, last_uid, since, last_good_at from mailbox_folder
         where channel_id = $1 and folder = $2",
        channel,
        folder.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let number = |stored: i64| u32::try_from(stored).map_err(super::unreadable);
        Ok(Remembered {
            cursor: Cursor {
                uidvalidity: number(row.uidvalidity)?,
                last_uid: number(row.last_uid)?,
                since: row.since,
            },
            last_good_at: row.last_good_at,
        })
    })
    .transpose()
}

/// Writes up to where a folder was read, and forgets the failures of what is done; `good` says since when all that it
/// held is known to be read. False where the mailbox is no longer held under that number. The mailbox stays locked
/// meanwhile: nobody else can take it in between.
pub async fn advance(
    connection: &mut PgConnection,
    held: Held,
    folder: Folder,
    cursor: Cursor,
    good: Option<OffsetDateTime>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query_scalar!(
        r#"with held as (select channel_id from mailbox where channel_id = $1 and fence = $2 for update),
              failed as (delete from mailbox_failure f using held
                         where f.channel_id = held.channel_id and f.folder = $3 and f.quarantined_at is null
                           and (f.uidvalidity <> $4 or f.uid <= $5))
         insert into mailbox_folder (channel_id, folder, uidvalidity, last_uid, since, last_good_at)
         select channel_id, $3::text, $4::bigint, $5::bigint, $6::date, coalesce($7::timestamptz, now()) from held
         on conflict (channel_id, folder) do update
         set uidvalidity = excluded.uidvalidity, last_uid = excluded.last_uid, since = excluded.since,
             last_good_at = coalesce($7, mailbox_folder.last_good_at)
         returning true as "done!""#,
        held.channel_id,
        held.fence,
        folder.as_str(),
        i64::from(cursor.uidvalidity),
        i64::from(cursor.last_uid),
        cursor.since,
        good,
    )
    .fetch_optional(connection)
    .await?;
    Ok(done.unwrap_or(false))
}

/// A mail that could not be fetched.
#[derive(Debug, Clone)]
pub struct Failed<'a> {
    /// The folder.
    pub folder: Folder,
    /// The life of the folder.
    pub uidvalidity: u32,
    /// The mail.
    pub uid: u32,
    /// Why.
    pub problem: &'a str,
}

/// Counts a failure to fetch a mail; returns how many there were. None where the mailbox is no longer held.
pub async fn failed(
    connection: &mut PgConnection,
    held: Held,
    failed: &Failed<'_>,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into mailbox_failure as f (channel_id, folder, uidvalidity, uid, tries, problem)
         select channel_id, $3::text, $4::bigint, $5::bigint, 1, $6::text from mailbox where channel_id = $1 and fence = $2 for update
         on conflict (channel_id, folder, uidvalidity, uid) do update
         set tries = f.tries + 1, problem = excluded.problem
         returning tries",
        held.channel_id,
        held.fence,
        failed.folder.as_str(),
        i64::from(failed.uidvalidity),
        i64::from(failed.uid),
        failed.problem,
    )
    .fetch_optional(connection)
    .await
}

/// Returns how often a mail could not be fetched.
pub async fn tries(
    connection: &mut PgConnection,
    channel: Uuid,
    folder: Folder,
    uidvalidity: u32,
    uid: u32,
) -> Result<i32, sqlx::Error> {
    let tries = sqlx::query_scalar!(
        "select tries from mailbox_failure
         where channel_id = $1 and folder = $2 and uidvalidity = $3 and uid = $4",
        channel,
        folder.as_str(),
        i64::from(uidvalidity),
        i64::from(uid),
    )
    .fetch_optional(connection)
    .await?;
    Ok(tries.unwrap_or_default())
}

/// Notes that a mail was set aside.
pub async fn quarantine(
    connection: &mut PgConnection,
    held: Held,
    failed: &Failed<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mailbox_failure set quarantined_at = $5
         where channel_id = $1 and folder = $2 and uidvalidity = $3 and uid = $4",
        held.channel_id,
        failed.folder.as_str(),
        i64::from(failed.uidvalidity),
        i64::from(failed.uid),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
