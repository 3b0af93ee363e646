//! Calls to the Bot API as values: what a part of a message becomes, and how a call is amended after a refusal.

use crate::domain::call::{Amendment, Call};
use crate::domain::value;
use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::{
    Location, ReplyReference, SharedContact, Text, TextEntity, text_entity,
};

/// Characters of a text message at most. Counted in UTF-16 code units, which are never fewer than Telegram's own.
pub const TEXT_MAX: u32 = 4_096;

/// The updates that a webhook is registered for. Always sent whole: leaving it out keeps what was there before.
pub const ALLOWED_UPDATES: [&str; 9] = [
    "message",
    "edited_message",
    "callback_query",
    "my_chat_member",
    "message_reaction",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
];

impl Call {
    /// Sends a text.
    pub fn text(text: &Text) -> Self {
        let mut params = Map::new();
        params.insert("text".into(), json!(text.text));
        let entities: Vec<Value> = text.entities.iter().filter_map(entity).collect();
        if !entities.is_empty() {
            params.insert("entities".into(), Value::Array(entities));
        }
        Self {
            method: "sendMessage".into(),
            params: Value::Object(params),
        }
    }

    /// Sends a place.
    pub fn location(place: &Location) -> Self {
        let mut params = json!({ "latitude": place.latitude, "longitude": place.longitude });
        let venue = !place.title.is_empty();
        if venue {
            params["title"] = json!(place.title);
            params["address"] = json!(place.address);
        }
        Self {
            method: if venue { "sendVenue" } else { "sendLocation" }.into(),
            params,
        }
    }

    /// Sends contact data.
    pub fn contact(contact: &SharedContact) -> Self {
        let params = json!({ "phone_number": contact.phone, "first_name": contact.name });
        Self {
            method: "sendContact".into(),
            params,
        }
    }

    /// Makes the call an answer to a message, where that message is one of Telegram's.
    #[must_use]
    pub fn in_reply_to(mut self, reply: &ReplyReference) -> Self {
        let number = reply
            .provider_key
            .rsplit_once(':')
            .and_then(|(_, number)| number.parse::<i64>().ok());
        if let Some(number) = number {
            let mut parameters =
                json!({ "message_id": number, "allow_sending_without_reply": true });
            if !reply.quote.is_empty() {
                parameters["quote"] = json!(reply.quote);
            }
            self.params["reply_parameters"] = parameters;
        }
        self
    }

    /// Returns the body to send to this chat.
    pub fn body(&self, chat_key: &str) -> Value {
        let mut body = self.params.clone();
        // A number where it is one: that is what Telegram documents.
        body["chat_id"] = chat_key
            .parse::<i64>()
            .map_or_else(|_| json!(chat_key), |number| json!(number));
        body
    }

    /// Amends the call. None where there is nothing to take away: then trying again would be refused again.
    pub fn amended(&self, amendment: Amendment) -> Option<Self> {
        let field = match amendment {
            Amendment::WithoutReply => "reply_parameters",
            Amendment::Plain => "entities",
        };
        let mut amended = self.clone();
        amended.params.as_object_mut()?.remove(field)?;
        Some(amended)
    }
}

/// Returns the provider key of a sent message: `{chat.id}:{message_id}`.
pub fn provider_key(result: &Value, chat_key: &str) -> Option<String> {
    let number = value::id(result, "message_id")?;
    let chat = value::object(result, "chat").and_then(|chat| value::id(chat, "id"));
    Some(format!("{}:{number}", chat.as_deref().unwrap_or(chat_key)))
}

fn entity(entity: &TextEntity) -> Option<Value> {
    use text_entity::Kind;
    let kind = match entity.kind() {
        Kind::Bold => "bold",
        Kind::Italic => "italic",
        Kind::Underline => "underline",
        Kind::Strikethrough => "strikethrough",
        Kind::Spoiler => "spoiler",
        Kind::Blockquote => "blockquote",
        Kind::Code => "code",
        Kind::Pre => "pre",
        Kind::TextLink if !entity.url.is_empty() => "text_link",
        // Telegram finds addresses, mentions and commands by itself; a custom emoji needs an id that we do not have.
        _ => return None,
    };
    let mut value = json!({ "type": kind, "offset": entity.offset, "length": entity.length });
    if kind == "text_link" {
        value["url"] = json!(entity.url);
    }
    if kind == "pre" && !entity.language.is_empty() {
        value["language"] = json!(entity.language);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_formatting_and_its_reply() {
        let bold = TextEntity {
            kind: text_entity::Kind::Bold.into(),
            offset: 2,
            length: 2,
            ..TextEntity::default()
        };
        let call = Call::text(&Text {
            text: "Є 42".into(),
            entities: vec![bold],
        });
        let reply = ReplyReference {
            provider_key: "5540012873:3051".into(),
            ..ReplyReference::default()
        };
        let call = call.in_reply_to(&reply);
        assert_eq!(
            call.body("5540012873"),
            json!({
                "chat_id": 5_540_012_873_i64,
                "text": "Є 42",
                "entities": [{"type": "bold", "offset": 2, "length": 2}],
                "reply_parameters": {"message_id": 3051, "allow_sending_without_reply": true},
            })
        );
        let plain = call.amended(Amendment::Plain).unwrap();
        assert!(
            plain.params.get("entities").is_none() && plain.amended(Amendment::Plain).is_none()
        );
        assert!(
            plain
                .amended(Amendment::WithoutReply)
                .unwrap()
                .params
                .get("reply_parameters")
                .is_none()
        );
    }

    #[test]
    fn the_key_of_a_sent_message_names_the_chat_that_telegram_names() {
        let result = json!({ "message_id": 3061, "chat": { "id": -100 } });
        assert_eq!(provider_key(&result, "5").as_deref(), Some("-100:3061"));
        assert_eq!(
            provider_key(&json!({ "message_id": 3061 }), "5").as_deref(),
            Some("5:3061")
        );
        assert_eq!(provider_key(&json!(true), "5"), None);
    }
}
