//! Speaking to providers: I/O that application calls, as it calls the store.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;

use crate::figures;

pub mod imap;
pub mod instagram;
pub mod oauth;
pub mod outward;
pub mod smtp;
pub mod telegram;
pub mod viber;
pub mod wire;

/// An answer is read up to this size.
const ANSWER_MAX: usize = 256 * 1024;

/// How a call did not succeed; `E` is the provider's own refusal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError<E: std::fmt::Debug> {
    /// The provider answered: no.
    #[error("{0:?}")]
    Refused(E),
    /// It was not reached: the call was not carried out.
    #[error("the provider was not reached")]
    NotReached,
    /// It was reached, and nobody knows whether the call was carried out.
    #[error("{0}")]
    Unknown(String),
}

/// What came back of a call.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
    /// The body; none where it is no JSON object or too large.
    pub body: Option<Value>,
}

/// Makes a client that follows nobody elsewhere: the only server that is called is the configured one.
pub fn client(
    connect_timeout: Duration,
    call_timeout: Duration,
) -> anyhow::Result<reqwest::Client> {
    builder(connect_timeout, call_timeout)
        .build()
        .context("HTTP client")
}

fn builder(connect_timeout: Duration, call_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .timeout(call_timeout)
        .pool_idle_timeout(Duration::from_secs(50))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}

/// Sends a request to a provider, named for those who read the error, and reads the answer.
///
/// The error holds nothing of the request: its URL may carry a token.
pub async fn answer<E: std::fmt::Debug>(
    provider: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<Answer, CallError<E>> {
    let began = Instant::now();
    let sent = request.send().await;
    figures::PROVIDER_SECONDS
        .of([word(provider), class(&sent)])
        .record(began.elapsed().as_secs_f64());
    let answer = sent.map_err(|error| {
        if error.is_connect() || error.is_builder() {
            CallError::NotReached
        } else if error.is_timeout() {
            CallError::Unknown(format!("{provider} did not answer in time."))
        } else {
            CallError::Unknown(format!(
                "The connection to {provider} broke before it answered."
            ))
        }
    })?;
    Ok(Answer {
        status: answer.status().as_u16(),
        retry_after: answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok()),
        body: read(answer).await,
    })
}

/// A provider as it is counted: as its channels' kind.
fn word(provider: &str) -> &'static str {
    match provider {
        "Telegram" => "telegram-bot",
        "Viber" => "viber-bot",
        "Instagram" => "instagram",
        _ => "token-endpoint",
    }
}

/// How a call ended, as it is counted.
fn class(sent: &Result<reqwest::Response, reqwest::Error>) -> &'static str {
    match sent {
        Ok(answer) => match answer.status().as_u16() {
            200..=399 => "ok",
            429 => "limited",
            400..=499 => "refused",
            _ => "failed",
        },
        Err(error) if error.is_connect() || error.is_builder() => "unreached",
        Err(error) if error.is_timeout() => "timed-out",
        Err(_) => "broken",
    }
}

/// Reads an answer of bounded size; none where it is no JSON object.
async fn read(mut answer: reqwest::Response) -> Option<Value> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if bytes.len() + chunk.len() > ANSWER_MAX {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice::<Value>(&bytes)
        .ok()
        .filter(Value::is_object)
}
