//! The control API of the local stand-in for Telegram's Bot API: what a customer does and what was sent to them.

use std::error::Error as _;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::Telegram;
use crate::error::CliError;

/// Delivering may take the stand-in a few repeats while a service starts.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A bot at the stand-in.
pub(crate) struct StandIn {
    base: String,
    http: reqwest::Client,
}

/// How an update got through.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivered {
    /// The message id inside, when there is one.
    pub message_id: Option<i64>,
    /// HTTP statuses of all attempts in order; 0 where there was no answer.
    pub statuses: Vec<u16>,
    /// Time of the last attempt's answer, milliseconds.
    pub answer_ms: f64,
}

impl Delivered {
    /// How the webhook answered, for a transcript.
    pub fn told(&self) -> String {
        let last = self.statuses.last().copied().unwrap_or_default();
        match self.statuses.len() {
            0 | 1 => format!("webhook answered {last} in {:.1} ms", self.answer_ms),
            tries => format!(
                "webhook answered {last} in {:.1} ms, at attempt {tries}",
                self.answer_ms
            ),
        }
    }
}

/// An outgoing call that the bot made.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    /// 1 for the first call accepted.
    pub ordinal: u64,
    /// Method, for example `sendMessage`.
    pub method: String,
    /// The chat it went to.
    pub chat_id: i64,
    /// Message ids that the answer gave.
    #[serde(default)]
    pub message_ids: Vec<i64>,
    /// All parameters.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
}

impl Sent {
    /// The text, or the caption.
    pub fn text(&self) -> &str {
        ["text", "caption"]
            .iter()
            .find_map(|key| self.params.get(*key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The message that this one answers.
    pub fn replies_to(&self) -> Option<i64> {
        let parameters = self.params.get("reply_parameters")?;
        // Form posts carry objects as JSON text.
        let parsed = parameters
            .as_str()
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        parsed
            .as_ref()
            .unwrap_or(parameters)
            .get("message_id")?
            .as_i64()
    }
}

#[derive(Deserialize)]
struct SentPage {
    total: u64,
    sent: Vec<Sent>,
}

impl StandIn {
    /// Speaks to the stand-in that the context names.
    pub fn new(telegram: &Telegram) -> Result<Self, CliError> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(3))
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| CliError::failed(format!("cannot prepare HTTP: {error}"), ""))?;
        Ok(Self {
            base: format!(
                "{}/control/bots/{}",
                telegram.control.trim_end_matches('/'),
                telegram.bot_token
            ),
            http,
        })
    }

    /// Names a customer.
    pub async fn name(&self, customer: i64, name: &str) -> Result<(), CliError> {
        let body = json!({ "first_name": name, "username": format!("{}_{customer}", name.to_lowercase()), "language_code": "uk" });
        let request = self
            .http
            .put(format!("{}/customers/{customer}", self.base))
            .json(&body);
        self.answer(request).await.map(|_| ())
    }

    /// Tells whether a webhook is registered. The stand-in forgets it when it stops.
    pub async fn has_webhook(&self) -> Result<bool, CliError> {
        let info: Value = self
            .json(self.http.get(format!("{}/webhook", self.base)))
            .await?;
        Ok(info
            .get("url")
            .and_then(Value::as_str)
            .is_some_and(|url| !url.is_empty()))
    }

    /// Says something as a customer; `content` is `{"text": …}` or any other content of a Telegram message.
    pub async fn say(&self, customer: i64, content: &Value) -> Result<Delivered, CliError> {
        self.json(
            self.http
                .post(format!("{}/customers/{customer}/say", self.base))
                .json(content),
        )
        .await
    }

    /// Edits a text as a customer.
    pub async fn edit(
        &self,
        customer: i64,
        name: &str,
        message_id: i64,
        text: &str,
    ) -> Result<Delivered, CliError> {
        let now = crate::clock::now().unix_timestamp();
        let update = json!({ "edited_message": {
            "message_id": message_id,
            "from": { "id": customer, "is_bot": false, "first_name": name },
            "chat": { "id": customer, "type": "private", "first_name": name },
            "date": now, "edit_date": now, "text": text,
        } });
        self.json(
            self.http
                .post(format!("{}/updates", self.base))
                .json(&json!({ "update": update })),
        )
        .await
    }

    /// How many calls the bot made so far.
    pub async fn sent_total(&self) -> Result<u64, CliError> {
        let page: SentPage = self
            .json(self.http.get(format!("{}/sent?limit=0", self.base)))
            .await?;
        Ok(page.total)
    }

    /// What was sent to a customer after an ordinal.
    pub async fn sent_to(&self, customer: i64, after: u64) -> Result<Vec<Sent>, CliError> {
        let page: SentPage = self
            .json(self.http.get(format!("{}/sent?after={after}", self.base)))
            .await?;
        Ok(page
            .sent
            .into_iter()
            .filter(|sent| sent.chat_id == customer)
            .collect())
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, CliError> {
        let text = self.answer(request).await?;
        serde_json::from_str(&text).map_err(|error| {
            CliError::failed(
                format!("the stand-in for the Bot API answered something else: {error}"),
                "is telegram.control right?",
            )
        })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<String, CliError> {
        let away = |error: reqwest::Error| {
            // The address holds the bot's token: it stays out of the text.
            let error = error.without_url();
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            CliError::failed(
                format!("the stand-in for the Bot API cannot be reached: {error} {cause}")
                    .trim_end()
                    .to_owned(),
                "start the local system with scripts/start",
            )
        };
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let text = response.text().await.map_err(away)?;
        if status.is_success() {
            return Ok(text);
        }
        let reason = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
        Err(CliError::failed(
            format!(
                "the stand-in for the Bot API refused: {}",
                reason.unwrap_or_else(|| status.to_string())
            ),
            "is the channel enabled? `switchboardctl channel list`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_found_in_both_forms_of_a_call() {
        for (parameters, expected) in [
            (json!({ "message_id": 7 }), Some(7)),
            (json!("{\"message_id\":7}"), Some(7)),
            (json!("7"), None),
            (json!(null), None),
        ] {
            let sent: Sent = serde_json::from_value(json!({
                "ordinal": 1, "method": "sendMessage", "chat_id": 5, "params": { "text": "hi", "reply_parameters": parameters },
            }))
            .unwrap();
            assert_eq!(
                (sent.replies_to(), sent.text()),
                (expected, "hi"),
                "{parameters}"
            );
        }
    }
}
