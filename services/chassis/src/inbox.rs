//! The inbox: which events a consumer has handled, for handlers without a natural key.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock;
use crate::lifecycle::Lifecycle;

/// How long an event is remembered. Providers and replays repeat for less.
pub const KEPT: Duration = Duration::from_hours(7 * 24);

/// Rows deleted by one statement, so that no purge holds locks for long.
const PURGED_AT_ONCE: i64 = 5_000;

/// How often what is too old is purged.
const PURGED_EVERY: Duration = Duration::from_hours(1);

/// Marks events as handled by a consumer and returns those that were not marked before, sorted.
///
/// Call it in the transaction that handles them. A replica that has the same event at the same time waits here
/// until the other has committed, and then gets nothing.
pub async fn unseen(
    connection: &mut PgConnection,
    consumer: &str,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sqlx::query_scalar!(
        "insert into chassis.inbox (consumer, event_id)
         select $1, * from unnest($2::uuid[])
         on conflict do nothing
         returning event_id",
        consumer,
        &sorted,
    )
    .fetch_all(connection)
    .await
}

/// Forgets what was handled more than seven days ago; returns how many rows that were.
pub async fn purge(pool: &PgPool, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let mut purged = 0;
    loop {
        let some = sqlx::query!(
            "delete from chassis.inbox where ctid = any(array(
                 select ctid from chassis.inbox where seen_at < $1 limit $2))",
            now - KEPT,
            PURGED_AT_ONCE,
        )
        .execute(pool)
        .await?
        .rows_affected();
        purged += some;
        if some < PURGED_AT_ONCE.cast_unsigned() {
            return Ok(purged);
        }
    }
}

/// Runs [`purge`] every hour until the service stops.
pub fn spawn_purge(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("inbox purge", async move {
        while tokio::time::timeout(PURGED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            match purge(&pool, clock::now()).await {
                Ok(0) => {}
                Ok(purged) => tracing::info!(purged, "inbox purged"),
                Err(error) => tracing::warn!(%error, "the inbox was not purged"),
            }
        }
        Ok(())
    });
}
