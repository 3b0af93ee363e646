//! Table `attachment`: files of messages that clients took back.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attachments::AttachmentRow;

/// Takes clients' files away, as failed for this reason: nobody reads or fetches them from now on. Returns those that
/// were there.
pub async fn withdraw(
    connection: &mut PgConnection,
    ids: &[Uuid],
    reason: &str,
    now: OffsetDateTime,
) -> Result<Vec<AttachmentRow>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // A fetch under way writes nothing under its old number.
    sqlx::query_as!(
        AttachmentRow,
        "update attachment set state = 'failed', reason = $2, reference = null, due_at = null, fence = fence + 1,
                withdrawn_at = greatest($3, coalesce(lease_until, $3))
         where id = any($1) and source = 'inbound' and reason <> $2
         returning id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                   duration_ms, object_key, provider_keys, cause, trace",
        ids,
        reason,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Returns files whose bytes are to go, with where these are.
pub async fn due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, object_key from attachment where withdrawn_at <= $1 order by withdrawn_at limit $2",
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.object_key))
        .collect())
}

/// Notes that the bytes of these are gone.
pub async fn done(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update attachment set withdrawn_at = null where id = any($1)",
        ids
    )
    .execute(connection)
    .await
    .map(drop)
}
