//! The control API of the local stand-in for Telegram's Bot API: what a customer does and what was sent to them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{Control, Delivered};
use crate::context::Telegram;
use crate::error::CliError;

/// A bot at the stand-in.
pub(crate) struct StandIn {
    control: Control,
    bot: String,
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
        Ok(Self {
            control: Control::new("the Bot API", "telegram", &telegram.control)?,
            bot: telegram.bot_token.clone(),
        })
    }

    /// Names a customer.
    pub async fn name(&self, customer: i64, name: &str) -> Result<(), CliError> {
        let body = json!({ "first_name": name, "username": format!("{}_{customer}", name.to_lowercase()), "language_code": "uk" });
        let customer = customer.to_string();
        let path = ["bots", &self.bot, "customers", &customer];
        self.control.put(&path, &body).await
    }

    /// Tells whether a webhook is registered. The stand-in forgets it when it stops.
    pub async fn has_webhook(&self) -> Result<bool, CliError> {
        let info: Value = self
            .control
            .get(&["bots", &self.bot, "webhook"], &[])
            .await?;
        Ok(info
            .get("url")
            .and_then(Value::as_str)
            .is_some_and(|url| !url.is_empty()))
    }

    /// Says something as a customer; `content` is `{"text": …}` or any other content of a Telegram message.
    pub async fn say(&self, customer: i64, content: &Value) -> Result<Delivered, CliError> {
        let customer = customer.to_string();
        let path = ["bots", &self.bot, "customers", &customer, "say"];
        self.control.post(&path, content).await
    }

    /// Sends an album as a customer: one update an item, as Telegram does.
    pub async fn album(&self, customer: i64, items: &[Value]) -> Result<(), CliError> {
        let customer = customer.to_string();
        let path = ["bots", &self.bot, "customers", &customer, "album"];
        let body = json!({ "items": items });
        self.control.post::<Value>(&path, &body).await.map(drop)
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
        let path = ["bots", &self.bot, "updates"];
        self.control.post(&path, &json!({ "update": update })).await
    }

    /// How many calls the bot made so far.
    pub async fn sent_total(&self) -> Result<u64, CliError> {
        let page = self.sent(&[("limit", 0)]).await?;
        Ok(page.total)
    }

    /// What was sent to a customer after an ordinal.
    pub async fn sent_to(&self, customer: i64, after: u64) -> Result<Vec<Sent>, CliError> {
        let page = self.sent(&[("after", after)]).await?;
        Ok(page
            .sent
            .into_iter()
            .filter(|sent| sent.chat_id == customer)
            .collect())
    }

    async fn sent(&self, query: &[(&str, u64)]) -> Result<SentPage, CliError> {
        let path = ["bots", &self.bot, "sent"];
        self.control.get(&path, query).await
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
