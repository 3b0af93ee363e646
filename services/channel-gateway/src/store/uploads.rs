//! Table `attachment`, as far as it holds agents' uploads.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::fetches::Fetched;

/// An upload that is announced.
#[derive(Debug, Clone)]
pub struct NewUpload<'a> {
    /// Id.
    pub id: Uuid,
    /// The account.
    pub account: &'a AccountSlug,
    /// Who uploads; none where a service does.
    pub agent: Option<Uuid>,
    /// The kind, as the contract numbers it.
    pub kind: i32,
    /// Name.
    pub file_name: &'a str,
    /// Media type.
    pub media_type: &'a str,
    /// Bytes.
    pub size: i64,
    /// Where its bytes are to be.
    pub object_key: &'a str,
}

/// Keeps an announced upload.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewUpload<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into attachment (id, account, source, agent, kind, state, file_name, media_type, size, object_key, created_at)
         values ($1, $2, 'upload', $3, $4, 'pending', $5, $6, $7, $8, $9)",
        new.id,
        new.account.as_str(),
        new.agent,
        new.kind,
        new.file_name,
        new.media_type,
        new.size,
        new.object_key,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// An upload whose bytes are expected.
#[derive(Debug, Clone)]
pub struct Expected {
    /// State, as stored.
    pub state: String,
    /// Bytes.
    pub size: i64,
    /// Media type, as announced.
    pub media_type: String,
    /// Where its bytes are to be.
    pub object_key: String,
    /// The lease's number, where this call got it.
    pub fence: Option<i64>,
}

/// Claims an upload for whoever sends its bytes; only one at a time gets a lease.
pub async fn claim(
    connection: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
) -> Result<Option<Expected>, sqlx::Error> {
    sqlx::query_as!(
        Expected,
        r#"with claimed as (
             update attachment set lease_until = $3, fence = fence + 1
             where id = $1 and source = 'upload' and state = 'pending' and (lease_until is null or lease_until <= $2)
             returning id, fence
         )
         select a.state, a.size, a.media_type, a.object_key, c.fence as "fence?"
         from attachment a left join claimed c using (id)
         where a.id = $1 and a.source = 'upload'"#,
        id,
        now,
        lease_until,
    )
    .fetch_optional(connection)
    .await
}

/// Renews a lease; returns whether it is still the current one.
pub async fn renew(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
    lease_until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update attachment set lease_until = $3
         where id = $1 and fence = $2 and source = 'upload' and state = 'pending'",
        id,
        fence,
        lease_until,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes that an upload is in the store, under the lease's number; returns whether that is still the current one.
pub async fn stored(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
    fetched: Fetched<'_>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update attachment set state = 'stored', size = $3, sha256 = $4, media_type = $5, lease_until = null
         where id = $1 and fence = $2 and source = 'upload' and state = 'pending'",
        id,
        fence,
        fetched.size,
        fetched.sha256,
        fetched.media_type,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives an upload's lease back, so that its sender may try again.
pub async fn release(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update attachment set lease_until = null where id = $1 and fence = $2 and state = 'pending'",
        id,
        fence
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes that uploads of an account were sent through a channel: they stay, and who may see the channel may see them.
/// One that was never put is not sent: it is swept as any other that nobody put.
pub async fn used(
    connection: &mut PgConnection,
    sent: &[(Uuid, String, Uuid)],
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = sent.iter().map(|(id, ..)| *id).collect();
    let accounts: Vec<String> = sent.iter().map(|(_, account, _)| account.clone()).collect();
    let channels: Vec<Uuid> = sent.iter().map(|(.., channel)| *channel).collect();
    sqlx::query_scalar!(
        "with sent as (
             select a.id, t.channel_id
             from unnest($1::uuid[], $2::text[], $3::uuid[]) as t (id, account, channel_id)
             join attachment a on a.id = t.id and a.account = t.account and a.source = 'upload' and a.used_at is null
              and a.state = 'stored'
             order by a.id for update of a
         )
         update attachment a set used_at = $4, channel_id = sent.channel_id from sent where a.id = sent.id
         returning a.id",
        &ids,
        &accounts,
        &channels,
        now,
    )
    .fetch_all(connection)
    .await
}

/// For whom uploads are held.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The account.
    pub account: &'a AccountSlug,
    /// The agent; none for the account itself.
    pub agent: Option<Uuid>,
    /// The channels that the agent is granted; none for all.
    pub channels: Option<&'a [Uuid]>,
}

/// Holds stored uploads until a time, or longer where somebody said so; returns those that are held.
pub async fn hold(
    connection: &mut PgConnection,
    holder: &Holder<'_>,
    ids: &[Uuid],
    until: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "with kept as (
             -- In one order, as those who send them.
             select id from attachment
             where id = any($1) and account = $2 and source = 'upload' and state = 'stored'
               and ($3::uuid is null or agent = $3 or held_until is not null
                    or (channel_id is not null and ($4::uuid[] is null or channel_id = any($4))))
             order by id for update
         )
         update attachment a set held_until = greatest(a.held_until, $5) from kept where a.id = kept.id
         returning a.id",
        ids,
        holder.account.as_str(),
        holder.agent,
        holder.channels,
        until,
    )
    .fetch_all(connection)
    .await
}

/// Returns those that are held.
pub async fn held(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from attachment where id = any($1) and held_until is not null",
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Lets go of uploads that were held until now; returns how many those were.
pub async fn let_go(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update attachment set held_until = null
         where id in (select id from attachment where held_until <= $1
                      order by held_until limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Withdraws uploads that nobody sent, and those whose address has ended before anybody put their bytes; returns them
/// with what was withdrawn before and is not removed yet.
pub async fn withdraw_unused(
    connection: &mut PgConnection,
    unsent_since: OffsetDateTime,
    announced_before: OffsetDateTime,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "update attachment set state = 'failed', reason = 'UNUSED'
         where id in (select id from attachment
                      where source = 'upload' and used_at is null and held_until is null
                        and created_at < greatest($1::timestamptz, $2::timestamptz)
                        and (created_at < $1 or state = 'failed'
                             or (state = 'pending' and (lease_until is null or lease_until <= $3)))
                      order by created_at limit $4 for update skip locked)
         returning id, object_key",
        unsent_since,
        announced_before,
        now,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.object_key))
        .collect())
}

/// Removes withdrawn uploads whose bytes are gone, and gives what they took back to their accounts.
pub async fn remove(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with gone as (
             delete from attachment where id = any($1) and source = 'upload' and used_at is null returning account, size
         ), given as (
             select account, sum(size)::bigint as bytes from gone group by account
         ), locked as (
             -- In one order, so that two who remove at the same time wait for each other only one way.
             select u.account, given.bytes from upload_usage u join given using (account) order by u.account for update of u
         )
         update upload_usage u set bytes = greatest(u.bytes - locked.bytes, 0) from locked where u.account = locked.account",
        ids
    )
    .execute(connection)
    .await
    .map(drop)
}
