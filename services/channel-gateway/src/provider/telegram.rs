//! The Bot API over HTTP. Tokens stand in its URLs: neither they nor anything that holds them leaves this module.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::config;
use crate::domain::telegram::call::ALLOWED_UPDATES;
use crate::domain::telegram::errors::ApiError;

/// An answer is read up to this size.
const ANSWER_MAX: usize = 256 * 1024;

/// The Bot API. Clones share connections.
#[derive(Clone)]
pub struct BotApi {
    http: reqwest::Client,
    base: String,
    max_connections: u8,
    call_timeout: Duration,
}

/// How a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The provider answered: no.
    #[error("{}: {}", .0.code, .0.description)]
    Refused(ApiError),
    /// It was not reached: the call was not carried out.
    #[error("the provider was not reached")]
    NotReached,
    /// It was reached, and nobody knows whether the call was carried out.
    #[error("{0}")]
    Unknown(&'static str),
}

impl BotApi {
    /// Makes a client for the configured server.
    pub fn new(config: &config::Telegram) -> anyhow::Result<Self> {
        let base = config.api_url.trim_end_matches('/').to_owned();
        anyhow::ensure!(
            base.starts_with("https://") || base.starts_with("http://"),
            "telegram.api_url: must be an http(s) address"
        );
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.call_timeout)
            .pool_idle_timeout(Duration::from_secs(50))
            // The only server that is ever called is the configured one.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("HTTP client")?;
        Ok(Self {
            http,
            base,
            max_connections: config.max_connections,
            call_timeout: config.call_timeout,
        })
    }

    /// Returns how long a call takes at most.
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Returns the bot's user name.
    pub async fn get_me(&self, token: &SecretString) -> Result<String, CallError> {
        let me = self.call(token, "getMe", &json!({})).await?;
        Ok(me
            .get("username")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    }

    /// Registers the webhook.
    pub async fn set_webhook(
        &self,
        token: &SecretString,
        url: &str,
        secret: &str,
    ) -> Result<(), CallError> {
        let body = json!({
            "url": url,
            "secret_token": secret,
            "allowed_updates": ALLOWED_UPDATES,
            "max_connections": self.max_connections,
        });
        self.call(token, "setWebhook", &body).await.map(drop)
    }

    /// Takes the webhook back; what waits at Telegram stays there.
    pub async fn delete_webhook(&self, token: &SecretString) -> Result<(), CallError> {
        self.call(
            token,
            "deleteWebhook",
            &json!({ "drop_pending_updates": false }),
        )
        .await
        .map(drop)
    }

    /// Calls a method and returns its result.
    pub async fn call(
        &self,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let url = format!("{}/bot{}/{method}", self.base, token.expose_secret());
        let sent = self.http.post(url).json(body).send().await;
        // The error's text holds the URL, and the URL the token: only its kind is looked at.
        let answer = sent.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                CallError::NotReached
            } else if error.is_timeout() {
                CallError::Unknown("Telegram did not answer in time.")
            } else {
                CallError::Unknown("The connection to Telegram broke before it answered.")
            }
        })?;
        let status = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let body = read(answer).await;
        match body {
            Some(mut body) if body.get("ok") == Some(&Value::Bool(true)) => {
                Ok(body["result"].take())
            }
            Some(body) if body.get("ok") == Some(&Value::Bool(false)) => Err(CallError::Refused(
                ApiError::read(status, &body, retry_after),
            )),
            _ if (200..300).contains(&status) => {
                Err(CallError::Unknown("Telegram's answer could not be read."))
            }
            _ => Err(CallError::Refused(ApiError::between(status, retry_after))),
        }
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
