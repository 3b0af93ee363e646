//! Delivers updates to the registered webhook as Telegram does: one at a time and in order per chat, other kinds in
//! queues of their own, repeated until a 2xx (at once, then after 2, 4, 8 … units, 60 at most).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use super::state::{Bot, State, Webhook, lock};

/// Updates waiting per bot before new ones are refused.
const KEEP_PENDING: usize = 100_000;
/// Attempts before an update expires (a day of Telegram's pauses).
const ATTEMPTS: u32 = 1_500;

/// How an update got through.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    /// The update's id.
    pub update_id: i64,
    /// The message id inside, when there is one.
    pub message_id: Option<i64>,
    /// HTTP statuses of all attempts in order; 0 where there was no answer.
    pub statuses: Vec<u16>,
    /// Time of the last attempt's answer, milliseconds.
    pub answer_ms: f64,
    /// What the webhook answered at last (empty, or Telegram would execute it).
    pub body: String,
}

/// Why an update did not get through.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The token has not Telegram's form.
    #[error("the token has not the form bot_id:35 characters")]
    BadToken,
    /// The webhook did not ask for this kind.
    #[error("the webhook's allowed_updates leave out {0}")]
    NotAllowed(String),
    /// Too many updates wait already.
    #[error("too many updates are waiting for the webhook")]
    Full,
    /// The bot has no such business connection.
    #[error("the bot has no such business connection")]
    NotConnected,
    /// It was refused until it expired, or the stand-in stopped.
    #[error("the update expired before the webhook accepted it")]
    Expired,
}

/// Kind of update and chat: what Telegram keeps in order.
type Lane = (&'static str, i64);

struct Job {
    update: Value,
    repeats: u32,
    done: oneshot::Sender<Delivered>,
}

/// Updates of one bot waiting for their turn.
#[derive(Default)]
pub(super) struct Queue {
    lanes: HashMap<Lane, VecDeque<Job>>,
    pending: usize,
}

impl Queue {
    pub fn pending(&self) -> usize {
        self.pending
    }
}

/// The member of an update that says what it is, with its content.
pub(super) fn kind_of(update: &Value) -> Option<(&str, &Value)> {
    update
        .as_object()?
        .iter()
        .find(|(key, _)| *key != "update_id")
        .map(|(key, value)| (key.as_str(), value))
}

fn lane_of(update: &Value) -> Lane {
    let Some((kind, content)) = kind_of(update) else {
        return ("other", 0);
    };
    let id_at = |path| content.pointer(path).and_then(Value::as_i64);
    let chat = id_at("/chat/id")
        .or_else(|| id_at("/message/chat/id"))
        .or_else(|| id_at("/from/id"))
        .unwrap_or(0);
    let lane = match kind {
        "message" | "edited_message" => "message",
        "business_message" | "edited_business_message" => "business",
        "callback_query" => "callback",
        "message_reaction" => "reaction",
        _ => "other",
    };
    (lane, chat)
}

/// Queues an update and waits until the webhook accepted it (and, with `repeats`, that many times again).
pub(super) async fn deliver(
    state: &Arc<State>,
    bot: &Arc<Bot>,
    update: Value,
    repeats: u32,
) -> Result<Delivered, DeliveryError> {
    enqueue(state, bot, update, repeats)?
        .await
        .map_err(|_| DeliveryError::Expired)
}

/// Queues an update; the receiver tells when it was accepted.
pub(super) fn enqueue(
    state: &Arc<State>,
    bot: &Arc<Bot>,
    mut update: Value,
    repeats: u32,
) -> Result<oneshot::Receiver<Delivered>, DeliveryError> {
    if update.get("update_id").and_then(Value::as_i64).is_none()
        && let Some(fields) = update.as_object_mut()
    {
        fields.insert("update_id".to_owned(), bot.next_update_id().into());
    }
    if let Some((kind, content)) = kind_of(&update) {
        let webhook = bot.webhook.borrow();
        if let Some(webhook) = webhook.as_ref()
            && !webhook.allowed_updates.is_empty()
            && !webhook
                .allowed_updates
                .iter()
                .any(|allowed| allowed == kind)
        {
            return Err(DeliveryError::NotAllowed(kind.to_owned()));
        }
        if let Some(message_id) = content.get("message_id").and_then(Value::as_i64) {
            bot.raise_message_id(message_id);
        }
        if kind == "callback_query"
            && let Some(query) = content.get("id").and_then(Value::as_str)
        {
            bot.note_press(query);
        }
    }
    let lane = lane_of(&update);
    if lane.1 > 0 {
        bot.customer(lane.1);
    }
    let (done, accepted) = oneshot::channel();
    let mut queue = lock(&bot.queue);
    if queue.pending >= KEEP_PENDING {
        return Err(DeliveryError::Full);
    }
    queue.pending += 1;
    let job = Job {
        update,
        repeats,
        done,
    };
    if let Some(waiting) = queue.lanes.get_mut(&lane) {
        waiting.push_back(job);
    } else {
        queue.lanes.insert(lane, VecDeque::from([job]));
        tokio::spawn(run_lane(Arc::clone(state), Arc::clone(bot), lane));
    }
    Ok(accepted)
}

/// Delivers what one lane holds, in order, and ends when it is empty.
async fn run_lane(state: Arc<State>, bot: Arc<Bot>, lane: Lane) {
    loop {
        let job = {
            let mut queue = lock(&bot.queue);
            let Some(job) = queue.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else {
                queue.lanes.remove(&lane);
                return;
            };
            job
        };
        tokio::select! {
            () = run_job(&state, &bot, job) => {}
            () = state.stop.cancelled() => return,
        }
        lock(&bot.queue).pending -= 1;
    }
}

async fn run_job(state: &State, bot: &Bot, job: Job) {
    let mut statuses = Vec::new();
    let mut accepted = 0;
    let mut failed = 0;
    while failed < ATTEMPTS {
        let attempt = attempt(state, bot, &job.update).await;
        statuses.push(attempt.status);
        if (200..300).contains(&attempt.status) {
            failed = 0;
            accepted += 1;
            if accepted > job.repeats {
                let message_id = kind_of(&job.update)
                    .and_then(|(_, content)| content.get("message_id")?.as_i64());
                // Nobody may be waiting: the caller may have asked not to.
                let _ = job.done.send(Delivered {
                    update_id: job.update["update_id"].as_i64().unwrap_or_default(),
                    message_id,
                    statuses,
                    answer_ms: attempt.took.as_secs_f64() * 1_000.0,
                    body: attempt.body,
                });
                return;
            }
            continue;
        }
        bot.note_webhook_error(attempt.body);
        failed += 1;
        if statuses.len() > 1_000 {
            statuses.drain(..500);
        }
        tokio::time::sleep(pause(state.options.retry_unit, failed, attempt.retry_after)).await;
    }
}

/// The pause after the n-th failure: none, then 2, 4, 8 … units up to 60; what the receiver asked for, if longer.
fn pause(unit: Duration, failed: u32, retry_after: Option<u32>) -> Duration {
    let own = if failed <= 1 {
        0
    } else {
        2_u32.saturating_pow(failed - 1).min(60)
    };
    unit * own.max(retry_after.unwrap_or(0).min(3_600))
}

struct Attempt {
    status: u16,
    took: Duration,
    body: String,
    retry_after: Option<u32>,
}

async fn attempt(state: &State, bot: &Bot, update: &Value) -> Attempt {
    let webhook = current_webhook(bot).await;
    let _permit = bot.connections.acquire().await;
    let mut request = state.http.post(&webhook.url).json(update);
    if let Some(secret) = &webhook.secret {
        request = request.header("x-telegram-bot-api-secret-token", secret);
    }
    let begun = Instant::now();
    match request.send().await {
        Ok(response) => {
            let status = response.status();
            let retry_after = response
                .headers()
                .get("retry-after")
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.parse().ok());
            let body = response.text().await.unwrap_or_default();
            let body = if status.is_success() {
                body
            } else {
                format!("Wrong response from the webhook: {status}")
            };
            Attempt {
                status: status.as_u16(),
                took: begun.elapsed(),
                body,
                retry_after,
            }
        }
        Err(error) => {
            let body = if error.is_timeout() {
                "Read timeout expired"
            } else {
                "Connection refused"
            }
            .to_owned();
            Attempt {
                status: 0,
                took: begun.elapsed(),
                body,
                retry_after: None,
            }
        }
    }
}

/// The registered webhook; waits while there is none, as updates wait at Telegram.
async fn current_webhook(bot: &Bot) -> Webhook {
    let mut changes = bot.webhook.subscribe();
    loop {
        if let Some(webhook) = changes.borrow_and_update().clone() {
            return webhook;
        }
        if changes.changed().await.is_err() {
            // The sender lives in the bot, which is borrowed here.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_repeat_comes_at_once_then_2_4_8_up_to_60() {
        let second = Duration::from_secs(1);
        let pauses: Vec<u64> = (1..9)
            .map(|failed| pause(second, failed, None).as_secs())
            .collect();
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(second, 1, Some(7)).as_secs(), 7);
    }
}
