//! Table `attachment`, as requests and events read and write it; `fetches.rs` has what the fetch worker does.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A file.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachmentRow {
    /// Id.
    pub id: Uuid,
    /// Slug of the account.
    pub account: String,
    /// The channel; none of an upload that was not sent yet.
    pub channel_id: Option<Uuid>,
    /// `inbound` or `upload`.
    pub source: String,
    /// Who uploads it.
    pub agent: Option<Uuid>,
    /// The kind, as the contract numbers it.
    pub kind: i32,
    /// State, as stored.
    pub state: String,
    /// Why it failed.
    pub reason: String,
    /// Name.
    pub file_name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Milliseconds.
    pub duration_ms: i64,
    /// Where its bytes are.
    pub object_key: String,
    /// The messages that hold it.
    pub provider_keys: Vec<String>,
    /// The item that brought it.
    pub cause: Option<Uuid>,
    /// The trace of that item.
    pub trace: String,
}

/// A file that an inbound item names.
#[derive(Debug, Clone)]
pub struct Named {
    /// Id.
    pub id: Uuid,
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The kind, as the contract numbers it.
    pub kind: i32,
    /// It is in the store already.
    pub stored: bool,
    /// Name.
    pub file_name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Milliseconds.
    pub duration_ms: i64,
    /// Where its bytes are to be.
    pub object_key: String,
    /// The provider's reference, sealed; none of what is stored.
    pub reference: Option<Vec<u8>>,
    /// The messages that hold it.
    pub provider_keys: Vec<String>,
    /// The item that names it.
    pub cause: Uuid,
    /// Its trace.
    pub trace: String,
}

/// Keeps files that are not known yet; returns the ids of those. Each id once, sorted.
pub async fn insert_named(
    connection: &mut PgConnection,
    named: &[Named],
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = named.iter().map(|file| file.id).collect();
    let accounts: Vec<String> = named.iter().map(|file| file.account.clone()).collect();
    let channels: Vec<Uuid> = named.iter().map(|file| file.channel_id).collect();
    let kinds: Vec<i32> = named.iter().map(|file| file.kind).collect();
    let stored: Vec<bool> = named.iter().map(|file| file.stored).collect();
    let file_names: Vec<String> = named.iter().map(|file| file.file_name.clone()).collect();
    let types: Vec<String> = named.iter().map(|file| file.media_type.clone()).collect();
    let sizes: Vec<i64> = named.iter().map(|file| file.size).collect();
    let widths: Vec<i32> = named.iter().map(|file| file.width).collect();
    let heights: Vec<i32> = named.iter().map(|file| file.height).collect();
    let durations: Vec<i64> = named.iter().map(|file| file.duration_ms).collect();
    let objects: Vec<String> = named.iter().map(|file| file.object_key.clone()).collect();
    let references: Vec<Option<Vec<u8>>> =
        named.iter().map(|file| file.reference.clone()).collect();
    let causes: Vec<Uuid> = named.iter().map(|file| file.cause).collect();
    let traces: Vec<String> = named.iter().map(|file| file.trace.clone()).collect();
    let (holders, keys) = holders(named);
    sqlx::query_scalar!(
        "insert into attachment (id, account, source, channel_id, kind, state, file_name, media_type, size, width, height,
                                 duration_ms, object_key, reference, cause, trace, provider_keys, due_at, created_at)
         select t.id, t.account, 'inbound', t.channel_id, t.kind, case when t.stored then 'stored' else 'pending' end,
                t.file_name, t.media_type, t.size, t.width, t.height, t.duration_ms, t.object_key, t.reference, t.cause,
                t.trace, array(select held.key from unnest($16::uuid[], $17::text[]) as held (id, key) where held.id = t.id),
                case when t.stored then null else $18::timestamptz end, $18
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::integer[], $5::boolean[], $6::text[], $7::text[], $8::bigint[],
                     $9::integer[], $10::integer[], $11::bigint[], $12::text[], $13::bytea[], $14::uuid[], $15::text[])
              as t (id, account, channel_id, kind, stored, file_name, media_type, size, width, height, duration_ms,
                    object_key, reference, cause, trace)
         order by t.id
         on conflict (id) do nothing
         returning id",
        &ids,
        &accounts,
        &channels,
        &kinds,
        &stored,
        &file_names,
        &types,
        &sizes,
        &widths,
        &heights,
        &durations,
        &objects,
        &references as &[Option<Vec<u8>>],
        &causes,
        &traces,
        &holders,
        &keys,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Notes that further messages hold files that are known: one that failed is tried anew by its newest reference.
/// Returns the files that something was noted of.
pub async fn note_named(
    connection: &mut PgConnection,
    named: &[&Named],
    now: OffsetDateTime,
) -> Result<Vec<AttachmentRow>, sqlx::Error> {
    let ids: Vec<Uuid> = named.iter().map(|file| file.id).collect();
    let accounts: Vec<String> = named.iter().map(|file| file.account.clone()).collect();
    let references: Vec<Option<Vec<u8>>> =
        named.iter().map(|file| file.reference.clone()).collect();
    let (holders, keys) = holders(named.iter().copied());
    // Whoever notes the same files takes them in the same order.
    sqlx::query!(
        "select id from attachment where id = any($1) order by id for update",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query_as!(
        AttachmentRow,
        "with told as (
             select t.id, t.account, t.reference,
                    array(select held.key from unnest($4::uuid[], $5::text[]) as held (id, key) where held.id = t.id) as keys
             from unnest($1::uuid[], $2::text[], $3::bytea[]) as t (id, account, reference)
         ), noted as (
             select told.id, told.reference, a.state = 'failed' and told.reference is not null as anew,
                    a.provider_keys || array(select key from unnest(told.keys) as key where key <> all (a.provider_keys)) as keys
             from told join attachment a on a.id = told.id and a.account = told.account and a.source = 'inbound'
             where not told.keys <@ a.provider_keys
         )
         update attachment a
         set provider_keys = noted.keys[greatest(1, cardinality(noted.keys) - 99):],
             reference = case when a.state = 'stored' then a.reference else coalesce(noted.reference, a.reference) end,
             state = case when noted.anew then 'pending' else a.state end,
             reason = case when noted.anew then '' else a.reason end,
             due_at = case when noted.anew then $6 else a.due_at end,
             tries = case when noted.anew then 0 else a.tries end
         from noted where a.id = noted.id
         returning a.id, a.account, a.channel_id, a.source, a.agent, a.kind, a.state, a.reason, a.file_name, a.media_type,
                   a.size, a.width, a.height, a.duration_ms, a.object_key, a.provider_keys, a.cause, a.trace",
        &ids,
        &accounts,
        &references as &[Option<Vec<u8>>],
        &holders,
        &keys,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Which file is held by which message, flat.
fn holders<'n>(named: impl IntoIterator<Item = &'n Named>) -> (Vec<Uuid>, Vec<String>) {
    named
        .into_iter()
        .flat_map(|file| file.provider_keys.iter().map(|key| (file.id, key.clone())))
        .unzip()
}

/// Returns a file of an account.
pub async fn find(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: Uuid,
) -> Result<Option<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "select id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                duration_ms, object_key, provider_keys, cause, trace
         from attachment where account = $1 and id = $2",
        account.as_str(),
        id
    )
    .fetch_optional(connection)
    .await
}

/// Returns a file that is in the store, whatever its account: who asks was authorised by a link.
pub async fn find_stored(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "select id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                duration_ms, object_key, provider_keys, cause, trace
         from attachment where id = $1 and state = 'stored'",
        id
    )
    .fetch_optional(connection)
    .await
}

/// Returns files by id, whatever their account.
pub async fn load(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "select id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                duration_ms, object_key, provider_keys, cause, trace
         from attachment where id = any($1)",
        ids
    )
    .fetch_all(connection)
    .await
}

/// Makes a failed file of a client due again; returns false where it was not failed.
pub async fn refetch(
    connection: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update attachment set state = 'pending', reason = '', due_at = $2, tries = 0
         where id = $1 and source = 'inbound' and state = 'failed' and reference is not null",
        id,
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}
