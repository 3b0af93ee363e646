//! The Bot API over HTTP. Tokens stand in its URLs: neither they nor anything that holds them leaves this module.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Answer, CallError, answer, client};
use crate::config;
use crate::domain::photo::Said;
use crate::domain::telegram::call::ALLOWED_UPDATES;
use crate::domain::telegram::errors::ApiError;
use crate::domain::telegram::health::WebhookInfo;
use crate::domain::telegram::photo;

mod files;

pub use files::{Download, DownloadError, FilePath, Upload};

/// The Bot API. Clones share connections.
#[derive(Clone)]
pub struct BotApi {
    http: reqwest::Client,
    base: String,
    max_connections: u8,
    call_timeout: Duration,
}

impl BotApi {
    /// Makes a client for the configured server.
    pub fn new(config: &config::Telegram) -> anyhow::Result<Self> {
        let base = config.api_url.trim_end_matches('/').to_owned();
        anyhow::ensure!(
            base.starts_with("https://") || base.starts_with("http://"),
            "telegram.api_url: must be an http(s) address"
        );
        let http = client(config.connect_timeout, config.call_timeout)?;
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
    pub async fn get_me(&self, token: &SecretString) -> Result<String, CallError<ApiError>> {
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
    ) -> Result<(), CallError<ApiError>> {
        let body = json!({
            "url": url,
            "secret_token": secret,
            "allowed_updates": ALLOWED_UPDATES,
            "max_connections": self.max_connections,
        });
        self.call(token, "setWebhook", &body).await.map(drop)
    }

    /// Takes the webhook back; what waits at Telegram stays there.
    pub async fn delete_webhook(&self, token: &SecretString) -> Result<(), CallError<ApiError>> {
        self.call(
            token,
            "deleteWebhook",
            &json!({ "drop_pending_updates": false }),
        )
        .await
        .map(drop)
    }

    /// Asks what Telegram knows of the webhook (B10).
    pub async fn get_webhook_info(
        &self,
        token: &SecretString,
    ) -> Result<WebhookInfo, CallError<ApiError>> {
        let info = self.call(token, "getWebhookInfo", &json!({})).await?;
        Ok(WebhookInfo::read(&info))
    }

    /// Answers a press of a button, or its client waits in vain; a text is shown for a moment.
    pub async fn answer_callback_query(
        &self,
        token: &SecretString,
        query: &str,
        text: Option<&str>,
    ) -> Result<(), CallError<ApiError>> {
        let mut body = json!({ "callback_query_id": query });
        if let Some(text) = text {
            body["text"] = json!(text);
        }
        self.call(token, "answerCallbackQuery", &body)
            .await
            .map(drop)
    }

    /// Asks for the photo that a person shows, as `getUserProfilePhotos` answers it (`domain::telegram::photo`); none where they
    /// have none, or hide it from bots.
    pub async fn profile_photo(
        &self,
        token: &SecretString,
        user_id: i64,
    ) -> Result<Option<Said>, CallError<ApiError>> {
        let body = json!({ "user_id": user_id, "offset": 0, "limit": 1 });
        let answer = self.call(token, "getUserProfilePhotos", &body).await?;
        Ok(photo::shown(&answer))
    }

    /// Calls a method and returns its result.
    pub async fn call(
        &self,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, CallError<ApiError>> {
        let request = self.http.post(self.method_url(token, method));
        judged(answer("Telegram", request.json(body)).await?)
    }

    fn method_url(&self, token: &SecretString, method: &str) -> String {
        format!("{}/bot{}/{method}", self.base, token.expose_secret())
    }
}

/// Tells a result from a refusal, and both from what is no answer of the Bot API.
fn judged(answer: Answer) -> Result<Value, CallError<ApiError>> {
    let (status, retry_after) = (answer.status, answer.retry_after);
    match answer.body {
        Some(mut body) if body.get("ok") == Some(&Value::Bool(true)) => Ok(body["result"].take()),
        Some(body) if body.get("ok") == Some(&Value::Bool(false)) => Err(CallError::Refused(
            ApiError::read(status, &body, retry_after),
        )),
        _ if (200..300).contains(&status) => Err(CallError::Unknown(
            "Telegram's answer could not be read.".into(),
        )),
        _ => Err(CallError::Refused(ApiError::between(status, retry_after))),
    }
}
