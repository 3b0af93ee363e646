//! What is done now and then: what was parked too long, and what of the activity log and of bots is kept no longer, is swept, counts
//! of chats are brought up to date, and files of quick replies and bots are kept on.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Lifecycle;
use chassis::outbox::Waker;
use sqlx::PgPool;

use crate::app::bots::keep;
use crate::app::bots::round::{self, Backlog, Calls};
use crate::app::quick_replies::QuickReplies;
use crate::app::working_hours::Hours;
use crate::app::{
    activity, auto_reply, images, internal_chat, response_time, search_words, snooze, sweep,
};
use crate::config::{Activity, Bots, Parked};
use crate::store::counts;

/// How often counts are brought up to date: so long do changes stand beside them, which whoever counts adds up.
const COUNTED_EVERY: Duration = Duration::from_secs(2);

/// How often is looked which files of quick replies the gateway is to be told of.
const HOLDS_EVERY: Duration = Duration::from_hours(1);

/// How often old notifications of internal messages are forgotten.
const FORGOTTEN_EVERY: Duration = Duration::from_hours(1);

/// How often is looked whether a wait exceeds its limit, or a conversation is to be answered: it is told of within a second.
const LOOKED_EVERY: Duration = Duration::from_millis(250);

/// How often some of what was there before the search is filled in.
const FILLED_EVERY: Duration = Duration::from_millis(100);

/// How long is waited after that has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

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

/// Keeps the counts of chats up to date until the service stops.
pub fn count(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("counts of chats", async move {
        while tokio::time::timeout(COUNTED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            if let Err(error) = counts::fold(&pool).await {
                tracing::warn!(%error, "counts of chats could not be brought up to date");
            }
        }
        Ok(())
    });
}

/// Has files of quick replies and bots, and images of chats, kept on until the service stops.
pub fn spawn_holds(lifecycle: &Lifecycle, replies: QuickReplies) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("quick reply files", async move {
        while tokio::time::timeout(HOLDS_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            match replies.hold_on(chassis::clock::now()).await {
                Ok(0) => {}
                Ok(told) => tracing::info!(told, "files of quick replies are kept on"),
                Err(error) => tracing::warn!(%error, "files of quick replies are not kept on yet"),
            }
            match keep::hold_on(&replies.pool, &*replies.files, chassis::clock::now()).await {
                Ok(0) => {}
                Ok(told) => tracing::info!(told, "files of bots are kept on"),
                Err(error) => tracing::warn!(%error, "files of bots are not kept on yet"),
            }
            match images::hold_on(&replies.pool, &*replies.files, chassis::clock::now()).await {
                Ok(0) => {}
                Ok(told) => tracing::info!(told, "images of chats are kept on"),
                Err(error) => tracing::warn!(%error, "images of chats are not kept on yet"),
            }
        }
        Ok(())
    });
}

/// Has waits told of that exceed their channels' limits, and conversations answered by itself, until the service stops.
pub fn spawn_rules(lifecycle: &Lifecycle, pool: PgPool, waker: Waker, hours: Arc<dyn Hours>) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("rules of channels", async move {
        let mut pause = LOOKED_EVERY;
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            let now = chassis::clock::now();
            let timed = response_time::round(&pool, &waker, &*hours, now).await;
            let answered = auto_reply::round(&pool, &waker, &*hours, now).await;
            let woken = snooze::round(&pool, &waker, now).await;
            pause = match (&timed, &answered, &woken) {
                (Ok(false), Ok(false), Ok(false)) => LOOKED_EVERY,
                (Ok(_), Ok(_), Ok(_)) => Duration::ZERO,
                _ => AFTER_FAILURE,
            };
            if let Err(error) = woken {
                tracing::warn!(%error, "snoozed chats are not woken yet");
            }
            if let Err(error) = timed {
                tracing::warn!(%error, "waits of clients are not timed yet");
            }
            if let Err(error) = answered {
                tracing::warn!(%error, "clients are not answered by itself yet");
            }
        }
        Ok(())
    });
}

/// Moves runs of bots on until the service stops, and beside it asks other services for what they wait for.
pub fn spawn_bots(
    lifecycle: &Lifecycle,
    pool: PgPool,
    waker: Waker,
    (calls, backlog): (Arc<dyn Calls>, Arc<dyn Backlog>),
) {
    spawn_calls(lifecycle, pool.clone(), waker.clone(), calls);
    let stop = lifecycle.stop_token();
    lifecycle.spawn("bots", async move {
        let mut pause = LOOKED_EVERY;
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            let now = chassis::clock::now();
            let moved = round::round(&pool, &waker, &*backlog, now).await;
            let begun = round::start(&pool, &waker, now).await;
            pause = match (&moved, &begun) {
                (Ok(false), Ok(false)) => LOOKED_EVERY,
                (Ok(_), Ok(_)) => Duration::ZERO,
                _ => AFTER_FAILURE,
            };
            for failed in [moved.err(), begun.err()].into_iter().flatten() {
                tracing::warn!(error = %failed, "bots do not go on yet");
            }
        }
        Ok(())
    });
}

fn spawn_calls(lifecycle: &Lifecycle, pool: PgPool, waker: Waker, calls: Arc<dyn Calls>) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("calls of bots", async move {
        let mut pause = LOOKED_EVERY;
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            let now = chassis::clock::now();
            pause = match round::calls(&pool, &waker, &*calls, now).await {
                Ok(false) => LOOKED_EVERY,
                Ok(true) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "bots do not call other services yet");
                    AFTER_FAILURE
                }
            };
        }
        Ok(())
    });
}

/// Forgets old notifications of internal messages until the service stops.
pub fn spawn_internal(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("internal notification sweep", async move {
        while tokio::time::timeout(FORGOTTEN_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            match internal_chat::sweep(&pool, chassis::clock::now()).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "old internal notifications swept"),
                Err(error) => tracing::warn!(%error, "old internal notifications were not swept"),
            }
        }
        Ok(())
    });
}

/// Fills in by what messages and chats from before the search are found, some at a time, until all is.
pub fn fill_search(lifecycle: &Lifecycle, pool: PgPool) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("words of what was there", async move {
        let mut pause = FILLED_EVERY;
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            pause = match search_words::fill(&pool, chassis::clock::now()).await {
                Ok(true) => FILLED_EVERY,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "words for the search could not be filled in");
                    AFTER_FAILURE
                }
            };
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

/// Runs the sweep of what bots have done until the service stops.
pub fn spawn_ended_bots(lifecycle: &Lifecycle, pool: PgPool, config: &Bots) {
    let (stop, config) = (lifecycle.stop_token(), config.clone());
    lifecycle.spawn("bots sweep", async move {
        while tokio::time::timeout(config.sweep, stop.cancelled())
            .await
            .is_err()
        {
            match keep::sweep(&pool, config.kept, chassis::clock::now()).await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "old runs of bots swept"),
                Err(error) => tracing::warn!(%error, "old runs of bots were not swept"),
            }
        }
        Ok(())
    });
}
