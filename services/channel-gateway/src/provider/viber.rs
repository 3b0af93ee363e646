//! Viber's REST Bot API over HTTP. The token stands in a header: it never leaves this module.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Answer, CallError, answer, client};
use crate::config;
use crate::domain::value;
use crate::domain::viber::errors::{ApiError, INVALID_TOKEN};

/// The header that carries the bot's token.
const TOKEN: &str = "X-Viber-Auth-Token";

/// The events that a webhook is registered for, beside those that always come: `message`, `subscribed`, `unsubscribed`.
/// Always sent whole.
pub const EVENT_TYPES: [&str; 6] = [
    "delivered",
    "seen",
    "failed",
    "subscribed",
    "unsubscribed",
    "conversation_started",
];

/// What Viber tells about a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountInfo {
    /// The bot's id, as `pa:75346594275468546724`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address within Viber, as `viber://pa?chatURI=…` takes it.
    pub uri: String,
    /// The webhook that is set; empty where there is none.
    pub webhook: String,
    /// The events that the webhook is registered for.
    pub event_types: Vec<String>,
}

/// The REST Bot API. Clones share connections.
#[derive(Clone)]
pub struct ViberApi {
    http: reqwest::Client,
    base: String,
    call_timeout: Duration,
}

impl ViberApi {
    /// Makes a client for the configured server.
    pub fn new(config: &config::Viber) -> anyhow::Result<Self> {
        let base = config.api_url.trim_end_matches('/').to_owned();
        anyhow::ensure!(
            base.starts_with("https://") || base.starts_with("http://"),
            "viber.api_url: must be an http(s) address"
        );
        let http = client(config.connect_timeout, config.call_timeout)?;
        Ok(Self {
            http,
            base,
            call_timeout: config.call_timeout,
        })
    }

    /// Returns how long a call takes at most.
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Registers the webhook. Before this returns, Viber calls it: the token must be stored and the route open.
    pub async fn set_webhook(
        &self,
        token: &SecretString,
        url: &str,
    ) -> Result<(), CallError<ApiError>> {
        let body = json!({
            "url": url,
            "event_types": EVENT_TYPES,
            "send_name": true,
            "send_photo": true,
        });
        self.call(token, "set_webhook", &body).await.map(drop)
    }

    /// Takes the webhook back. That also closes the bot's chats for its clients.
    pub async fn remove_webhook(&self, token: &SecretString) -> Result<(), CallError<ApiError>> {
        let body = json!({ "url": "" });
        self.call(token, "set_webhook", &body).await.map(drop)
    }

    /// Returns what Viber tells about the bot: also whether the token is believed and the webhook is still ours.
    pub async fn account_info(
        &self,
        token: &SecretString,
    ) -> Result<AccountInfo, CallError<ApiError>> {
        let info = self.call(token, "get_account_info", &json!({})).await?;
        let text = |key: &str| value::text(&info, key).unwrap_or_default();
        let events = value::list(&info, "event_types").iter();
        Ok(AccountInfo {
            id: value::id(&info, "id").unwrap_or_default(),
            name: text("name"),
            uri: text("uri"),
            webhook: text("webhook"),
            event_types: events
                .filter_map(|event| event.as_str().map(ToOwned::to_owned))
                .collect(),
        })
    }

    /// Calls a method and returns its answer. HTTP says 200 for refusals too: the `status` within decides.
    pub async fn call(
        &self,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, CallError<ApiError>> {
        // What no header can carry is no token.
        let Ok(mut header) = HeaderValue::from_str(token.expose_secret()) else {
            return Err(CallError::Refused(ApiError {
                status: Some(INVALID_TOKEN),
                message: "the token has not Viber's form".to_owned(),
                retry_after: None,
            }));
        };
        header.set_sensitive(true);
        let request = self.http.post(format!("{}/{method}", self.base));
        let Answer {
            status,
            retry_after,
            body,
        } = answer("Viber", request.header(TOKEN, header).json(body)).await?;
        match body {
            Some(body) if value::int(&body, "status") == Some(0) => Ok(body),
            Some(body) if value::int(&body, "status").is_some() => {
                Err(CallError::Refused(ApiError::read(&body, retry_after)))
            }
            _ if (200..300).contains(&status) => Err(CallError::Unknown(
                "Viber's answer could not be read.".into(),
            )),
            _ => Err(CallError::Refused(ApiError::between(status, retry_after))),
        }
    }
}
