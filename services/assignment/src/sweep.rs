//! What time alone brings about: waiting chats are looked at again, and overdue decisions are not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::clock;
use chassis::lifecycle::Lifecycle;
use chassis::nats::Nats;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::app::App;
use crate::app::purge::Purged;
use crate::config::{Distribution, Retention};
use crate::figures;
use crate::store::chats;

/// How far behind the newest event of a batch may be before the consumer counts as lagging.
const LAG_MS: i64 = 2_000;

/// How long quiet must last until the consumer counts as having caught up, since it handled something old or
/// since the broker was away.
const QUIET_MS: i64 = 5_000;

/// How often what waits is measured.
const MEASURED_EVERY: Duration = Duration::from_secs(10);

/// How often what is too old is purged.
const PURGED_EVERY: Duration = Duration::from_hours(1);

/// How far the consumer of this process has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// When something old was handled last, or the broker was away, in milliseconds of Unix time.
    behind_at: AtomicI64,
}

impl Progress {
    /// Notes the newest event of a batch that is being handled.
    pub fn handled(&self, newest: OffsetDateTime, now: OffsetDateTime) {
        if millis(now) - millis(newest) > LAG_MS {
            self.fell_behind(now);
        }
    }

    fn fell_behind(&self, now: OffsetDateTime) {
        self.behind_at.fetch_max(millis(now), Ordering::Relaxed);
    }

    fn has_caught_up(&self, now: OffsetDateTime) -> bool {
        millis(now) - self.behind_at.load(Ordering::Relaxed) > QUIET_MS
    }
}

fn millis(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Starts the sweeps.
pub fn spawn(
    lifecycle: &Lifecycle,
    app: App,
    config: &Distribution,
    nats: Nats,
    progress: Arc<Progress>,
) {
    let (stop, drained, every) = (lifecycle.stop_token(), app.clone(), config.sweep);
    lifecycle.spawn("waiting chats", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = drained.more_wait.notified() => {}
                () = tokio::time::sleep(every) => {}
            }
            if let Err(error) = drained.release_pending(clock::now()).await {
                tracing::warn!(%error, "chats of agents without access could not be taken back");
            }
            if let Err(error) = drained.drain(None, clock::now()).await {
                tracing::warn!(%error, "waiting chats could not be looked at");
            }
        }
        Ok(())
    });
    let (stop, offering) = (lifecycle.stop_token(), app.clone());
    lifecycle.spawn("offers", async move {
        while tokio::time::timeout(Duration::from_secs(1), stop.cancelled())
            .await
            .is_err()
        {
            if let Err(error) = offering.pass_offers(clock::now()).await {
                tracing::warn!(%error, "offers that have ended could not be looked at");
            }
        }
        Ok(())
    });
    let stop = lifecycle.stop_token();
    // What stands in the stream has not been heard of yet: the beginning counts as being behind.
    progress.fell_behind(clock::now());
    lifecycle.spawn("overdue decisions", async move {
        while tokio::time::timeout(Duration::from_secs(1), stop.cancelled())
            .await
            .is_err()
        {
            let now = clock::now();
            if !nats.is_connected() {
                progress.fell_behind(now);
            }
            if !progress.has_caught_up(now) {
                continue;
            }
            match app.choose_overdue(now).await {
                Ok(0) => {}
                Ok(overdue) => {
                    tracing::warn!(overdue, "decisions are overdue: chats are given without");
                }
                Err(error) => tracing::warn!(%error, "overdue decisions could not be looked for"),
            }
        }
        Ok(())
    });
}

/// Starts measuring what waits.
pub fn measure(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("figures", async move {
        while tokio::time::timeout(MEASURED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            let Ok(mut connection) = pool.acquire().await else {
                continue;
            };
            match chats::all_waiting(&mut connection).await {
                Ok(waiting) => {
                    let longest = waiting
                        .oldest
                        .map_or(0.0, |oldest| (clock::now() - oldest).as_seconds_f64());
                    figures::WAITING.set(waiting.count);
                    figures::WAITING_OLDEST.set(longest);
                }
                Err(error) => tracing::debug!(%error, "waiting chats were not counted"),
            }
        }
        Ok(())
    });
}

/// Starts purging what is too old.
pub fn spawn_purge(lifecycle: &Lifecycle, app: App, config: &Retention) {
    let (stop, days) = (lifecycle.stop_token(), config.choices_days);
    lifecycle.spawn("choices purge", async move {
        while tokio::time::timeout(PURGED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            match app.purge_choices(days, clock::now()).await {
                Ok(purged) if purged == Purged::default() => {}
                Ok(Purged { choices, looks }) => {
                    tracing::info!(choices, looks, "old choices purged");
                }
                Err(error) => tracing::warn!(%error, "old choices were not purged"),
            }
            if let Err(error) = app.forget_entities(clock::now()).await {
                tracing::warn!(%error, "what was told of entities long ago was not forgotten");
            }
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_handles_old_events_lags_until_it_is_quiet_for_a_while() {
        let start = time::macros::datetime!(2026-01-01 12:00:00 UTC);
        let second = time::Duration::SECOND;
        let progress = Progress::default();
        assert!(progress.has_caught_up(start));
        progress.handled(start - second, start);
        assert!(progress.has_caught_up(start), "a second is no lag");
        progress.handled(start - 60 * second, start);
        assert!(!progress.has_caught_up(start + 4 * second));
        assert!(progress.has_caught_up(start + 6 * second));
    }
}
