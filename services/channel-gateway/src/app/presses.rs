//! Answering presses of Telegram's buttons: until that, the client's button shows that it waits (channels.md §2.2).

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::App;
use super::book::Found;
use crate::domain::channel::ChannelState;
use crate::domain::credentials::Credentials;
use crate::figures;

/// Answers under way at most; what comes beyond is left: the press itself is a message and not lost.
const AT_ONCE: usize = 32;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Telegram forgets a press after so long.
const LIVES: time::Duration = time::Duration::seconds(150);

/// Presses that are remembered.
const REMEMBERED: u64 = 20_000;

/// Which presses this process has answered. Clones share it.
#[derive(Debug, Clone)]
pub struct Presses {
    slots: Arc<Semaphore>,
    answered: Cache<(Uuid, String), ()>,
}

impl Default for Presses {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            answered: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(Duration::from_mins(5))
                .build(),
        }
    }
}

/// Answers a press that was accepted, once and best effort: a repeat of its batch answers nothing, and an error is
/// none of the message's. Does not wait for it.
pub fn answer(
    app: &App,
    channel: Uuid,
    query: &str,
    received_at: OffsetDateTime,
    now: OffsetDateTime,
) {
    if now - received_at > LIVES {
        return;
    }
    let Ok(permit) = Arc::clone(&app.presses.slots).try_acquire_owned() else {
        figures::PRESSES_LEFT.increment(1);
        return;
    };
    let (app, query) = (app.clone(), query.to_owned());
    tokio::spawn(async move {
        let _permit = permit;
        // Of two at once one is fresh: `or_insert` looks first and inserts then, and both would be.
        let entry = app.presses.answered.entry((channel, query.clone()));
        if !entry.or_insert_with(async {}).await.is_fresh() {
            return;
        }
        let Found::Known(known) = app.book.find(channel).await else {
            return;
        };
        let Credentials::Telegram(token) = &known.access else {
            return;
        };
        if known.state != ChannelState::Enabled {
            return;
        }
        let answered = app.bots.answer_callback_query(token, &query, None);
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, channel.id = %channel, "a press was not answered");
            }
            Err(_) => tracing::debug!(channel.id = %channel, "a press was not answered in time"),
        }
    });
}
