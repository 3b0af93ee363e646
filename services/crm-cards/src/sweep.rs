//! Forgets parked responsibles whose conversations never came.

use std::time::Duration;

use chassis::clock;
use chassis::lifecycle::Lifecycle;
use sqlx::PgPool;

use crate::store::parked;

/// As long as EVENTS keeps what could still bring the conversation.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);

/// Starts the sweep.
pub fn spawn(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("sweep", async move {
        while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
            match parked::drop_older(&pool, clock::now() - KEPT).await {
                Ok(0) => {}
                Ok(dropped) => {
                    metrics::counter!("crm_parked_responsibles_dropped_total").increment(dropped);
                    tracing::warn!(
                        dropped,
                        "parked responsibles dropped: their conversations never came"
                    );
                }
                Err(error) => tracing::warn!(%error, "parked responsibles could not be swept"),
            }
        }
        Ok(())
    });
}
