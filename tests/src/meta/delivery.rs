//! Delivers items to the webhook as Meta does: in batches for several accounts, signed, with everything beyond ASCII
//! escaped, and repeated until a 200 (at once, then after growing pauses).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::oneshot;

use super::faults::FaultKind;
use super::state::{State, now_ms};
use super::wording::Item;

/// Attempts before an item is dropped.
const ATTEMPTS: u32 = 500;

/// How a batch got through.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Delivered {
    /// Ids of the messages and comments in it, in order.
    pub keys: Vec<String>,
    /// HTTP statuses of all attempts in order; 0 where there was no answer.
    pub statuses: Vec<u16>,
    /// Time of the last attempt's answer, milliseconds.
    pub answer_ms: f64,
}

/// Why a batch did not get through.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The token is nobody's.
    #[error("the token is of no account")]
    BadToken,
    /// No webhook was set.
    #[error("there is no webhook")]
    NoWebhook,
    /// The account is not subscribed to this.
    #[error("the account is not subscribed to {0}")]
    NotSubscribed(&'static str),
    /// The webhook did not prove itself, or did not answer.
    #[error("the webhook: {0}")]
    Webhook(String),
    /// It was refused until it was dropped, or the stand-in stopped.
    #[error("the batch was dropped before the webhook accepted it")]
    Dropped,
}

/// Asks the webhook for the challenge, as Meta does when its address is entered.
pub(super) async fn verify(state: &State, url: &str) -> Result<(), DeliveryError> {
    let challenge = state.next_number().to_string();
    let separator = if url.contains('?') { '&' } else { '?' };
    let token = &state.options.verify_token;
    let asked = format!(
        "{url}{separator}hub.mode=subscribe&hub.verify_token={token}&hub.challenge={challenge}"
    );
    let failed = |error: reqwest::Error| DeliveryError::Webhook(error.without_url().to_string());
    let answer = state.http.get(asked).send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.text().await.map_err(failed)?;
    if status.is_success() && body == challenge {
        return Ok(());
    }
    Err(DeliveryError::Webhook(format!(
        "{status} without the challenge"
    )))
}

/// Delivers items in one batch; the receiver tells when it was accepted.
pub(super) fn enqueue(
    state: &Arc<State>,
    items: Vec<Item>,
) -> Result<oneshot::Receiver<Delivered>, DeliveryError> {
    let url = state.webhook().ok_or(DeliveryError::NoWebhook)?;
    for item in &items {
        let account = state
            .account_by_id(&item.account)
            .ok_or(DeliveryError::BadToken)?;
        // A page's fields have other names, and any of them brings everything.
        let subscribed = match account.page {
            Some(_) => !account.fields.is_empty(),
            None => account.fields.iter().any(|field| field == item.word),
        };
        if !subscribed {
            return Err(DeliveryError::NotSubscribed(item.word));
        }
    }
    let (done, accepted) = oneshot::channel();
    let state = Arc::clone(state);
    tokio::spawn(async move {
        tokio::select! {
            () = run(&state, &url, items, done) => {}
            () = state.stop.cancelled() => {}
        }
    });
    Ok(accepted)
}

/// Delivers items in one batch and waits until it was accepted.
pub(super) async fn deliver(
    state: &Arc<State>,
    items: Vec<Item>,
) -> Result<Delivered, DeliveryError> {
    let accepted = enqueue(state, items)?;
    accepted.await.map_err(|_| DeliveryError::Dropped)
}

async fn run(state: &State, url: &str, mut items: Vec<Item>, done: oneshot::Sender<Delivered>) {
    let mut repeats = 0;
    items.retain(|item| match state.meet_fault(true, item.word) {
        Some(FaultKind::Never) => false,
        Some(FaultKind::Twice) => {
            repeats = 1;
            true
        }
        _ => true,
    });
    let mut delivered = Delivered {
        keys: items.iter().filter_map(|item| item.key.clone()).collect(),
        ..Delivered::default()
    };
    if items.is_empty() {
        // Nobody may be waiting, here as below: the caller may have asked not to.
        let _ = done.send(delivered);
        return;
    }
    let body = escaped(&body(&items).to_string());
    let signature = sign(&state.options.app_secret, body.as_bytes());
    let mut failed = 0;
    while failed < ATTEMPTS {
        let begun = Instant::now();
        let request = state
            .http
            .post(url)
            .header("x-hub-signature-256", &signature);
        let request = request
            .header("content-type", "application/json")
            .body(body.clone());
        let status = request
            .send()
            .await
            .map_or(0, |answer| answer.status().as_u16());
        delivered.answer_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        delivered.statuses.push(status);
        if (200..300).contains(&status) {
            if repeats == 0 {
                let _ = done.send(delivered);
                return;
            }
            repeats -= 1;
        } else {
            tokio::time::sleep(pause(state.options.retry_unit, failed)).await;
            failed += 1;
        }
    }
}

/// The pause after the n-th failure: none, then growing up to sixty units.
fn pause(unit: Duration, failed: u32) -> Duration {
    unit * if failed == 0 {
        0
    } else {
        2_u32.saturating_pow(failed).min(60)
    }
}

/// Items in a row of one account and kind share an entry.
fn body(items: &[Item]) -> Value {
    let groups =
        items.chunk_by(|left, right| left.account == right.account && left.place == right.place);
    let entries = groups.filter_map(|group| {
        let first = group.first()?;
        let values: Vec<&Value> = group.iter().map(|item| &item.value).collect();
        // Changes have their time in seconds.
        let time = if first.place == "changes" {
            now_ms() / 1_000
        } else {
            now_ms()
        };
        Some(json!({ "id": first.account, "time": time, first.place: values }))
    });
    json!({ "object": "instagram", "entry": entries.collect::<Vec<_>>() })
}

/// Escapes everything beyond ASCII, in which Meta's bodies are written.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// The `X-Hub-Signature-256` header of a body.
pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    let tag = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| mac.chain_update(body).finalize().into_bytes());
    format!("sha256={}", tag.map(hex::encode).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_ascii_and_mean_the_same() {
        let body = json!({ "text": "Ціна? 😀", "nick": "olena" });
        let written = escaped(&body.to_string());
        assert!(
            written.is_ascii() && written.contains("\\u0426") && written.contains("\\ud83d\\ude00")
        );
        assert_eq!(serde_json::from_str::<Value>(&written).ok(), Some(body));
    }

    #[test]
    fn the_first_repeat_comes_at_once_and_the_pauses_grow() {
        let second = Duration::from_secs(1);
        let pauses: Vec<u64> = (0..8)
            .map(|failed| pause(second, failed).as_secs())
            .collect();
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 60, 60]);
    }
}
