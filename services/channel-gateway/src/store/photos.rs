//! Table `client_photo`: whose photos are looked for, and which are shown; the photos are files of `attachment`.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::fetches::Fetched;

/// Whose photo is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Id of the chat.
    pub chat_id: Uuid,
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Slug of the account.
    pub account: String,
    /// The provider's id of the client.
    pub user_id: String,
    /// Where the provider told that it is, sealed.
    pub reference: Option<Vec<u8>>,
    /// Hash of that.
    pub told: Option<Vec<u8>>,
}

/// Since when who was looked at is left alone.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// Whatever is told.
    pub looked_at: OffsetDateTime,
    /// Where another photo is told.
    pub changed: OffsetDateTime,
}

/// Notes whose photos are to be looked for, each chat once, sorted. Who was looked at lately is left alone; while one waits to be
/// looked at, the newest word on where it is counts. One that comes in the midst of a look is none yet: it is another one when the
/// client writes again.
pub async fn note(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    since: Since,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let chats: Vec<Uuid> = wanted.iter().map(|it| it.chat_id).collect();
    let channels: Vec<Uuid> = wanted.iter().map(|it| it.channel_id).collect();
    let keys: Vec<String> = wanted.iter().map(|it| it.chat_key.clone()).collect();
    let accounts: Vec<String> = wanted.iter().map(|it| it.account.clone()).collect();
    let users: Vec<String> = wanted.iter().map(|it| it.user_id.clone()).collect();
    let references: Vec<Option<Vec<u8>>> = wanted.iter().map(|it| it.reference.clone()).collect();
    let told: Vec<Option<Vec<u8>>> = wanted.iter().map(|it| it.told.clone()).collect();
    sqlx::query!(
        "insert into client_photo as known
             (chat_id, channel_id, chat_key, account, user_id, reference, told, due_at, asked_at)
         select *, $8::timestamptz, $8::timestamptz
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
              as t (chat_id, channel_id, chat_key, account, user_id, reference, told)
         order by t.chat_id
         on conflict (chat_id) do update
         set user_id = excluded.user_id, reference = excluded.reference, told = excluded.told,
             due_at = coalesce(known.due_at, excluded.due_at),
             asked_at = case when known.due_at is null then excluded.asked_at else known.asked_at end,
             tries = case when known.due_at is null then 0 else known.tries end
         where case when known.due_at is null
                    then known.asked_at < $9 or (known.told is distinct from excluded.told and known.asked_at < $10)
                    else known.told is distinct from excluded.told
                         and (known.lease_until is null or known.lease_until <= $8) end",
        &chats,
        &channels,
        &keys,
        &accounts,
        &users,
        &references as &[Option<Vec<u8>>],
        &told as &[Option<Vec<u8>>],
        now,
        since.looked_at,
        since.changed,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whose photo was claimed to be looked for.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Id of the chat.
    pub chat_id: Uuid,
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Slug of the account.
    pub account: AccountSlug,
    /// The provider's id of the client.
    pub user_id: String,
    /// Where the provider told that it is, sealed.
    pub reference: Option<Vec<u8>>,
    /// Hash of what the provider calls the one that was looked at last.
    pub version: Option<Vec<u8>>,
    /// The one that is shown.
    pub attachment_id: Option<Uuid>,
    /// The lease's number.
    pub fence: i64,
    /// This try, from 1.
    pub tries: i32,
}

/// Claims what is due, so much of each channel at once, and the oldest of all channels first. It is due again when the lease ends.
pub async fn claim(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    per_channel: i64,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    // Channels by skipping from one to the next, as with files.
    sqlx::query_as!(
        Claimed,
        r#"with recursive waiting as (
             (select channel_id from client_photo where due_at is not null order by channel_id limit 1)
             union all
             select (select p.channel_id from client_photo p where p.due_at is not null and p.channel_id > w.channel_id
                     order by p.channel_id limit 1)
             from waiting w where w.channel_id is not null
         ), due as (
             select picked.chat_id
             from waiting w
             cross join lateral (
                 select p.chat_id, p.due_at from client_photo p
                 where p.channel_id = w.channel_id and p.due_at <= $1
                 order by p.due_at
                 limit greatest(0, $3 - (select count(*) from client_photo busy
                                         where busy.channel_id = w.channel_id and busy.lease_until > $1))
                 for update skip locked
             ) picked
             where w.channel_id is not null
             order by picked.due_at limit $4
         )
         update client_photo p set lease_until = $2, due_at = $2, fence = p.fence + 1, tries = p.tries + 1
         from due where p.chat_id = due.chat_id
         returning p.chat_id, p.channel_id, p.chat_key, p.account as "account: AccountSlug", p.user_id, p.reference, p.version,
                   p.attachment_id, p.fence, p.tries"#,
        now,
        lease_until,
        per_channel,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Gives a claimed one back, due at a time or not before the client writes again; a try that was none is not counted.
pub async fn later(
    connection: &mut PgConnection,
    claimed: &Claimed,
    due_at: Option<OffsetDateTime>,
    counts: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update client_photo
         set due_at = $3, lease_until = null, tries = case when $4 then tries else greatest(0, tries - 1) end,
             reference = case when $3::timestamptz is null then null else reference end
         where chat_id = $1 and fence = $2",
        claimed.chat_id,
        claimed.fence,
        due_at,
        counts,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes what is shown from now on, under the lease's number; returns whether that was still the current one.
pub async fn settle(
    connection: &mut PgConnection,
    claimed: &Claimed,
    version: Option<&[u8]>,
    attachment_id: Option<Uuid>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update client_photo
         set version = $3, attachment_id = $4, due_at = null, lease_until = null, reference = null
         where chat_id = $1 and fence = $2",
        claimed.chat_id,
        claimed.fence,
        version,
        attachment_id,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A photo whose bytes are to come.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Id.
    pub id: Uuid,
    /// The account.
    pub account: &'a AccountSlug,
    /// The channel.
    pub channel_id: Uuid,
    /// The kind, as the contract numbers it.
    pub kind: i32,
    /// Name.
    pub file_name: &'a str,
    /// Where its bytes are to be.
    pub object_key: &'a str,
    /// What stands for its reason while nobody shows it.
    pub reason: &'a str,
}

/// Notes that bytes are to come under a key: whatever happens, they go at this time, unless the photo is shown by then.
pub async fn expect(
    connection: &mut PgConnection,
    expected: Expected<'_>,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into attachment (id, account, source, channel_id, kind, state, reason, file_name, media_type, size, object_key,
                                 withdrawn_at, created_at)
         values ($1, $2, 'inbound', $3, $4, 'failed', $5, $6, '', 0, $7, $8, $9)",
        expected.id,
        expected.account.as_str(),
        expected.channel_id,
        expected.kind,
        expected.reason,
        expected.file_name,
        expected.object_key,
        until,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Has a photo shown whose bytes came; returns false where its time was over.
pub async fn show(
    connection: &mut PgConnection,
    id: Uuid,
    fetched: Fetched<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update attachment
         set state = 'stored', reason = '', size = $2, sha256 = $3, media_type = $4, withdrawn_at = null
         where id = $1 and state = 'failed' and withdrawn_at > $5",
        id,
        fetched.size,
        fetched.sha256,
        fetched.media_type,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Tells whether a photo that is in the store has these bytes.
pub async fn has_bytes(
    connection: &mut PgConnection,
    id: Uuid,
    sha256: &[u8],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from attachment where id = $1 and state = 'stored' and sha256 = $2) as "has!""#,
        id,
        sha256,
    )
    .fetch_one(connection)
    .await
}

/// Forgets photos that nobody shows and whose bytes are gone, by what stands for their reason.
pub async fn remove(
    connection: &mut PgConnection,
    ids: &[Uuid],
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from attachment where id = any($1) and source = 'inbound' and state = 'failed' and reason = $2",
        ids,
        reason
    )
    .execute(connection)
    .await
    .map(drop)
}
