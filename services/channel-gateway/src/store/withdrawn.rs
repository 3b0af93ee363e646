//! Table `attachment`: files of messages that clients took back, and sent ones whose time has come.

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

/// Takes sent files away that were first sent before this: nobody reads them from now on. Returns those.
pub async fn expire_sent(
    connection: &mut PgConnection,
    sent_before: OffsetDateTime,
    reason: &str,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<AttachmentRow>, sqlx::Error> {
    sqlx::query_as!(
        AttachmentRow,
        "update attachment set state = 'failed', reason = $2, withdrawn_at = $3
         where id in (select id from attachment
                      where source = 'upload' and used_at is not null and state = 'stored' and held_until is null
                        and used_at < $1
                      order by used_at limit $4 for update skip locked)
         returning id, account, channel_id, source, agent, kind, state, reason, file_name, media_type, size, width, height,
                   duration_ms, object_key, provider_keys, cause, trace",
        sent_before,
        reason,
        now,
        limit,
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

/// Notes that the bytes of these are gone, and gives what uploads among them took back to their accounts.
pub async fn done(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with gone as (
             update attachment set withdrawn_at = null where id = any($1) and withdrawn_at is not null
             returning account, source, size
         ), given as (
             select account, sum(size)::bigint as bytes from gone where source = 'upload' group by account
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
