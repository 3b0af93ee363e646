//! What is done now and then: parked responsibles whose conversations never came are forgotten, and counts of cards are
//! brought up to date.

use std::time::Duration;

use chassis::clock;
use chassis::lifecycle::Lifecycle;
use sqlx::PgPool;

use crate::figures;
use crate::store::{counts, parked, parked_sync};

/// As long as EVENTS keeps what could still bring the conversation.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);

/// How often counts are brought up to date: so long do changes stand beside them, which whoever counts adds up.
const COUNTED_EVERY: Duration = Duration::from_secs(2);

/// Starts the sweeps.
pub fn spawn(lifecycle: &Lifecycle, pool: PgPool) {
    count(lifecycle, pool.clone());
    let stop = lifecycle.stop_token();
    lifecycle.spawn("sweep", async move {
        while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
            match parked::drop_older(&pool, clock::now() - KEPT).await {
                Ok(0) => {}
                Ok(dropped) => {
                    figures::PARKED_DROPPED.increment(dropped);
                    tracing::warn!(
                        dropped,
                        "parked responsibles dropped: their conversations never came"
                    );
                }
                Err(error) => tracing::warn!(%error, "parked responsibles could not be swept"),
            }
            match parked_sync::drop_older(&pool, clock::now() - KEPT).await {
                Ok(0) => {}
                Ok(dropped) => tracing::warn!(
                    dropped,
                    "responsibles for entities dropped: their conversations never came"
                ),
                Err(error) => tracing::warn!(%error, "parked responsibles could not be swept"),
            }
        }
        Ok(())
    });
}

fn count(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("counts of cards", async move {
        while tokio::time::timeout(COUNTED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            if let Err(error) = counts::fold(&pool).await {
                tracing::warn!(%error, "counts of cards could not be brought up to date");
            }
        }
        Ok(())
    });
}
