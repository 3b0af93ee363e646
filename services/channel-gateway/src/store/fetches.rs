//! Table `attachment`, as the fetch worker claims and settles it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attachments::AttachmentRow;

/// A file that was claimed to be fetched.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Id.
    pub id: Uuid,
    /// The channel.
    pub channel_id: Uuid,
    /// The lease's number.
    pub fence: i64,
    /// This try, from 1.
    pub tries: i32,
    /// The provider's reference, sealed.
    pub reference: Vec<u8>,
    /// Where its bytes are to be.
    pub object_key: String,
    /// Media type, as the provider tells it.
    pub media_type: String,
    /// Bytes, as the provider tells them; 0 where it does not.
    pub size: i64,
}

/// Claims due files, so many of each channel at once, and the oldest of all channels first.
///
/// A claimed file is due again when its lease ends: what a replica that died left behind is taken up by another.
pub async fn claim(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    per_channel: i64,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    // Channels by skipping from one to the next: a long queue of one costs the others nothing.
    sqlx::query_as!(
        Claimed,
        r#"with recursive waiting as (
             (select channel_id from attachment where due_at is not null and channel_id is not null order by channel_id limit 1)
             union all
             select (select a.channel_id from attachment a where a.due_at is not null and a.channel_id > w.channel_id
                     order by a.channel_id limit 1)
             from waiting w where w.channel_id is not null
         ), due as (
             select picked.id, picked.due_at
             from waiting w
             cross join lateral (
                 select a.id, a.due_at from attachment a
                 where a.channel_id = w.channel_id and a.due_at <= $1 and a.reference is not null
                 order by a.due_at
                 limit greatest(0, $3 - (select count(*) from attachment busy
                                         where busy.channel_id = w.channel_id and busy.lease_until > $1))
                 for update skip locked
             ) picked
             where w.channel_id is not null
             order by picked.due_at limit $4
         )
         update attachment a
         set lease_until = $2, due_at = $2, fence = a.fence + 1, tries = a.tries + 1
         from due where a.id = due.id
         returning a.id, a.channel_id as "channel_id!", a.fence, a.tries, a.reference as "reference!", a.object_key,
                   a.media_type, a.size"#,
        now,
        lease_until,
        per_channel,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What a fetched file is.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// Bytes.
    pub size: i64,
    /// Their hash.
    pub sha256: &'a [u8],
    /// Media type.
    pub media_type: &'a str,
}

/// Writes that a file is in the store, under the lease's number; returns it where that is still the current one.
pub async fn stored(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
    fetched: Fetched<'_>,
) -> Result<Option<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "update attachment
         set state = 'stored', reason = '', size = $3, sha256 = $4, media_type = $5, due_at = null, lease_until = null
         where id = $1 and fence = $2 and state = 'pending'
         returning id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                   duration_ms, object_key, provider_keys, cause, trace",
        id,
        fence,
        fetched.size,
        fetched.sha256,
        fetched.media_type,
    )
    .fetch_optional(connection)
    .await
}

/// Writes that a file cannot be had, under the lease's number; returns it where that is still the current one.
pub async fn failed(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
    reason: &str,
) -> Result<Option<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "update attachment set state = 'failed', reason = $3, due_at = null, lease_until = null
         where id = $1 and fence = $2 and state = 'pending'
         returning id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                   duration_ms, object_key, provider_keys, cause, trace",
        id,
        fence,
        reason,
    )
    .fetch_optional(connection)
    .await
}

/// Gives a claimed file back, due at a time; a try that was none is not counted.
pub async fn later(
    connection: &mut PgConnection,
    id: Uuid,
    fence: i64,
    due_at: OffsetDateTime,
    counts: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update attachment set due_at = $3, lease_until = null, tries = case when $4 then tries else greatest(0, tries - 1) end
         where id = $1 and fence = $2 and state = 'pending'",
        id,
        fence,
        due_at,
        counts,
    )
    .execute(connection)
    .await
    .map(drop)
}
