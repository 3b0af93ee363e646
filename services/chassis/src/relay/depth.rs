//! How much stands in the outbox and since when, looked at apart from the relay: so it is true while the relay stands, or
//! another replica's is active.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{clock, figures};

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Depth {
    /// Events of the oldest ten thousand rows.
    pub events: f64,
    /// When the oldest row was written.
    pub oldest: Option<OffsetDateTime>,
}

impl Depth {
    /// Looks.
    pub async fn look(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let row = sqlx::query!(
            r#"select coalesce(sum(event_count), 0)::float8 as "events!", min(created_at) as oldest
               from (select event_count, created_at from chassis.outbox order by id limit 10000) as oldest"#
        )
        .fetch_one(pool)
        .await?;
        Ok(Self {
            events: row.events,
            oldest: row.oldest,
        })
    }

    /// Sets the gauges.
    pub fn tell(&self, now: OffsetDateTime) {
        let age = self
            .oldest
            .map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        figures::OUTBOX_OLDEST.set(age);
        figures::OUTBOX_EVENTS.set(self.events);
    }
}

/// Looks until the service stops.
pub(super) async fn watch(pool: PgPool, stop: CancellationToken) {
    let mut seen = Depth::default();
    while !stop.is_cancelled() {
        match tokio::time::timeout(EVERY, Depth::look(&pool)).await {
            Ok(Ok(found)) => seen = found,
            // What was seen last goes on: nobody publishes what cannot be read.
            Ok(Err(error)) => tracing::debug!(%error, "the outbox could not be looked at"),
            Err(_) => tracing::debug!("the outbox could not be looked at: no answer"),
        }
        seen.tell(clock::now());
        let _ = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}
