//! What working hours, ends and leases bring about as time passes. Every replica looks; what one does the others find
//! done.

use chassis::clock;
use chassis::lifecycle::Lifecycle;
use time::OffsetDateTime;

use crate::app::App;
use crate::config::Availability;

/// Starts looking.
pub fn spawn(lifecycle: &Lifecycle, app: App, config: &Availability) {
    let (stop, every) = (lifecycle.stop_token(), config.sweep);
    lifecycle.spawn("working hours and presence", async move {
        while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
            if let Err(error) = look(&app, clock::now()).await {
                tracing::warn!(%error, "working hours and presence could not be looked at");
            }
        }
        Ok(())
    });
}

/// Does what is due at a moment.
pub async fn look(app: &App, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let opened = app.turn_calendars(now).await?;
    app.settle_all(now).await?;
    app.give_back_left(now).await?;
    app.forget_streams(now).await?;
    app.drain_soon(&opened, now).await;
    Ok(())
}
