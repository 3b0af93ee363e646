//! Calls the registered webhook as Viber does: signed, each callback by itself and in no promised order, repeated with
//! growing pauses until a 200, and then no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;

use super::state::{Bot, State, now_ms};

/// Attempts before a callback is lost: about an hour of Viber's pauses.
const ATTEMPTS: u32 = 8;
/// Events that come whatever the webhook asked for.
const ALWAYS: [&str; 4] = ["message", "subscribed", "unsubscribed", "webhook"];

/// How a callback got through.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    /// The callback's token.
    pub message_token: u64,
    /// HTTP statuses of all attempts in order; 0 where there was no answer.
    pub statuses: Vec<u16>,
    /// Time of the last attempt's answer, milliseconds.
    pub answer_ms: f64,
    /// What the webhook answered at last: a welcome message, where the callback was `conversation_started`.
    pub body: String,
}

/// Why a callback did not get through.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The token has not Viber's form.
    #[error("the token has not the form of three times 16 hexadecimal digits")]
    BadToken,
    /// There is no webhook: what happens meanwhile is lost.
    #[error("the bot has no webhook")]
    NoWebhook,
    /// The webhook did not ask for this event.
    #[error("the webhook's event_types leave out {0}")]
    NotAsked(String),
    /// It was refused until it was lost, or the stand-in stopped.
    #[error("the callback was lost after the attempts {0:?}")]
    Lost(Vec<u16>),
}

/// Makes a callback and waits until the webhook accepted it (and, with `repeats`, that many times again).
pub(super) async fn deliver(
    state: &Arc<State>,
    bot: &Arc<Bot>,
    mut callback: Value,
    repeats: u32,
) -> Result<Delivered, DeliveryError> {
    let webhook = bot.webhook().ok_or(DeliveryError::NoWebhook)?;
    let event = callback["event"].as_str().unwrap_or_default();
    let asked = |asked: &String| asked == event;
    if !ALWAYS.contains(&event) && !webhook.event_types.iter().any(asked) {
        return Err(DeliveryError::NotAsked(event.to_owned()));
    }
    if let Some(fields) = callback.as_object_mut() {
        fields.entry("timestamp").or_insert_with(|| now_ms().into());
        fields
            .entry("message_token")
            .or_insert_with(|| bot.next_token().into());
    }
    let (state, bot) = (Arc::clone(state), Arc::clone(bot));
    // Viber goes on calling, whoever asked for it and went away.
    let called = tokio::spawn(async move {
        tokio::select! {
            called = run(&state, &bot, &webhook.url, &callback, repeats) => called,
            () = state.stop.cancelled() => Err(DeliveryError::Lost(Vec::new())),
        }
    });
    called
        .await
        .unwrap_or_else(|_| Err(DeliveryError::Lost(Vec::new())))
}

async fn run(
    state: &State,
    bot: &Bot,
    url: &str,
    callback: &Value,
    repeats: u32,
) -> Result<Delivered, DeliveryError> {
    let (mut statuses, mut accepted, mut failed) = (Vec::new(), 0, 0);
    while failed < ATTEMPTS {
        let begun = Instant::now();
        let (status, body) = attempt(state, bot, url, callback).await;
        statuses.push(status);
        if status == 200 {
            accepted += 1;
            if accepted > repeats {
                return Ok(Delivered {
                    message_token: callback["message_token"].as_u64().unwrap_or_default(),
                    statuses,
                    answer_ms: begun.elapsed().as_secs_f64() * 1_000.0,
                    body,
                });
            }
            continue;
        }
        tokio::time::sleep(pause(state.options.retry_unit, failed)).await;
        failed += 1;
    }
    Err(DeliveryError::Lost(statuses))
}

/// The pause after the n-th failure, counted from 0: 1, 2, 4 … units.
fn pause(unit: Duration, failed: u32) -> Duration {
    unit * 2_u32.saturating_pow(failed)
}

/// One call: its HTTP status, 0 where there was no answer, and what was answered.
pub(super) async fn attempt(
    state: &State,
    bot: &Bot,
    url: &str,
    callback: &Value,
) -> (u16, String) {
    let raw = callback.to_string();
    let request = state
        .http
        .post(url)
        .header("content-type", "application/json")
        .header("x-viber-content-signature", signature(&bot.token, &raw))
        .body(raw);
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            (status, response.text().await.unwrap_or_default())
        }
        Err(_) => (0, String::new()),
    }
}

/// Lower-case hexadecimal HMAC-SHA256 of the body, keyed by the bot's token.
fn signature(token: &str, raw: &str) -> String {
    Hmac::<Sha256>::new_from_slice(token.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(raw.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        },
    )
}
