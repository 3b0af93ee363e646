//! The task that sweeps what was parked too long.

use chassis::lifecycle::Lifecycle;
use chassis::outbox::Waker;
use sqlx::PgPool;

use crate::app::sweep;
use crate::config::Parked;

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
