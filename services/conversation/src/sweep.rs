//! The tasks that sweep: what was parked too long, and what of the activity log is kept no longer.

use chassis::lifecycle::Lifecycle;
use chassis::outbox::Waker;
use sqlx::PgPool;

use crate::app::{activity, sweep};
use crate::config::{Activity, Parked};

/// Runs the sweep until the service stops.
pub fn spawn(lifecycle: &Lifecycle, pool: PgPool, waker: Waker, config: &Parked) {
    let (stop, config) = (lifecycle.stop_token(), config.clone());
    lifecycle.spawn("parked sweep", async move {
        while tokio::time::timeout(config.sweep, stop.cancelled())
            .await
            .is_err()
        {
            match sweep::sweep(&pool, &waker, config.wait, chassis::clock::now()).await {
                Ok(swept) if swept == sweep::Swept::default() => {}
                Ok(swept) => {
                    tracing::info!(
                        edits = swept.edits,
                        reactions = swept.reactions,
                        "parked items swept"
                    );
                }
                Err(error) => tracing::warn!(%error, "parked items were not swept"),
            }
        }
        Ok(())
    });
}

/// Runs the sweep of the activity log until the service stops.
pub fn spawn_activity(lifecycle: &Lifecycle, pool: PgPool, config: &Activity) {
    let (stop, config) = (lifecycle.stop_token(), config.clone());
    lifecycle.spawn("activity sweep", async move {
        while tokio::time::timeout(config.sweep, stop.cancelled())
            .await
            .is_err()
        {
            match activity::sweep(&pool, config.kept, chassis::clock::now()).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "old activity swept"),
                Err(error) => tracing::warn!(%error, "old activity was not swept"),
            }
        }
        Ok(())
    });
}
