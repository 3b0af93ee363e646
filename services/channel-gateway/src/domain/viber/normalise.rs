//! From a callback to inbound events: pure and total. What is not understood is kept raw, never refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::{
    InboundBlock, InboundEvent, InboundMessage, InboundProviderState, InboundReceipt, InboundStart,
    inbound_event::Kind, inbound_receipt,
};
use switchboard_proto::common::v1::{ChannelKind, ClientIdentity, Origin, origin};
use time::OffsetDateTime;
use uuid::Uuid;

use super::content::parts;
use crate::domain::inbound::{Line, credible, frame, hashed_key, unsupported};
use crate::domain::name::shown;
use crate::domain::photo::address_reference;
use crate::domain::value::{filled, flag, id, int, object, text, time};

const KIND: ChannelKind = ChannelKind::ViberBot;

/// Characters that are kept of a deep link's context, and of the provider's words for a failure.
const CONTEXT_MAX: usize = 512;

/// What was read of a callback that was understood.
struct Reading {
    /// None where the callback speaks of nobody.
    client: Option<ClientIdentity>,
    kind: Kind,
}

/// The provider's word for something that is not understood.
type Unknown = String;

/// Reads a callback. There is always at least one event, and every one carries the callback as it came
/// (channels.md §3.2).
///
/// A chat is opened by `conversation_started`, which is a start; `subscribed` and `unsubscribed` tell whether the bot may
/// write: unblocked and blocked. `seen` holds for everything sent before it.
pub fn normalise(line: Line<'_>, raw: &Bytes, received_at: OffsetDateTime) -> Vec<InboundEvent> {
    let callback = serde_json::from_slice::<Value>(raw).ok();
    let event_key = event_key(callback.as_ref(), raw);
    let read = callback.as_ref().map_or_else(
        || Err("malformed".to_owned()),
        |callback| read(line.channel, callback, &event_key),
    );
    let mut event = frame(line, KIND, raw, received_at, event_key);
    match read {
        Ok(reading) => {
            let told = callback
                .as_ref()
                .and_then(|callback| time(callback, "timestamp"));
            event.provider_time = Some(timestamp(credible(told, received_at)));
            // The person is the chat: bots have no other.
            event.chat_key = reading
                .client
                .as_ref()
                .map_or_else(String::new, |client| client.user_id.clone());
            event.client = reading.client;
            // Only with what a client does: other items may be kept for a while.
            if let (Kind::Message(_) | Kind::Start(_), Some(callback)) = (&reading.kind, &callback)
            {
                event.client_photo = photo(callback);
            }
            event.kind = Some(reading.kind);
        }
        Err(kind) => event.kind = Some(unsupported(&kind)),
    }
    vec![event]
}

/// Keeps an item raw, as unsupported of this kind, without reading more of it than its key.
pub fn kept_raw(
    line: Line<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
    kind: &str,
) -> InboundEvent {
    let callback = serde_json::from_slice::<Value>(raw).ok();
    let event_key = event_key(callback.as_ref(), raw);
    InboundEvent {
        kind: Some(unsupported(kind)),
        ..frame(line, KIND, raw, received_at, event_key)
    }
}

/// The key by which a repeat is known: event and token, and the user where it is named beside them, for receipts bear
/// the token of the message. Without a token it is the hash of the bytes.
fn event_key(callback: Option<&Value>, raw: &[u8]) -> String {
    let key = callback.and_then(|callback| {
        let event = filled(callback, "event").filter(|event| event.len() <= 64)?;
        let token = id(callback, "message_token")?;
        let user = id(callback, "user_id").map_or_else(String::new, |user| format!(":{user}"));
        Some(format!("{event}:{token}{user}"))
    });
    key.unwrap_or_else(|| hashed_key(raw))
}

fn read(channel: Uuid, callback: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let event = filled(callback, "event").ok_or("malformed")?;
    match event.as_str() {
        "message" => read_message(channel, callback, event_key),
        "conversation_started" => {
            let context = text(callback, "context").unwrap_or_default();
            let start = InboundStart {
                payload: bounded(&context),
            };
            of_somebody(channel, callback, &event, Kind::Start(start))
        }
        "subscribed" | "unsubscribed" => {
            let blocked = event == "unsubscribed";
            let block = Kind::Block(InboundBlock { blocked });
            of_somebody(channel, callback, &event, block)
        }
        "delivered" => receipt(channel, callback, inbound_receipt::Kind::Delivered).ok_or(event),
        "seen" => receipt(channel, callback, inbound_receipt::Kind::Read).ok_or(event),
        "failed" => receipt(channel, callback, inbound_receipt::Kind::Failed).ok_or(event),
        // The question whether the webhook answers, asked while it is set: between Viber and the gateway alone.
        "webhook" => Ok(Reading {
            client: None,
            kind: Kind::ProviderState(InboundProviderState {
                kind: event,
                extension: Bytes::new(),
            }),
        }),
        _ => Err(event),
    }
}

fn of_somebody(
    channel: Uuid,
    callback: &Value,
    event: &str,
    kind: Kind,
) -> Result<Reading, Unknown> {
    Ok(Reading {
        client: Some(person(channel, callback).ok_or(event)?),
        kind,
    })
}

fn read_message(channel: Uuid, callback: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let client = person(channel, callback).ok_or("message")?;
    let message = object(callback, "message").ok_or("message")?;
    // Without a token the event is the only thing that is unique.
    let key = id(callback, "message_token").unwrap_or_else(|| event_key.to_owned());
    let parts = parts(channel, &key, message, flag(callback, "silent"));
    if parts.is_empty() {
        return Err("message".to_owned());
    }
    let written = InboundMessage {
        // Half of all tokens do not fit: those tie by nothing but time.
        provider_number: int(callback, "message_token").unwrap_or(0),
        provider_key: key,
        parts,
        origin: Some(Origin {
            kind: origin::Kind::Direct.into(),
            link: String::new(),
            parent_key: String::new(),
            post_key: String::new(),
        }),
        ..InboundMessage::default()
    };
    Ok(Reading {
        client: Some(client),
        kind: Kind::Message(written),
    })
}

/// A receipt of one of our messages, or of the client's own: the token tells, and who books it knows ours.
fn receipt(channel: Uuid, callback: &Value, kind: inbound_receipt::Kind) -> Option<Reading> {
    let token = id(callback, "message_token")?;
    let client = person(channel, callback);
    let failed = kind == inbound_receipt::Kind::Failed;
    let told = filled(callback, "desc").filter(|_| failed);
    let receipt = InboundReceipt {
        kind: kind.into(),
        provider_keys: vec![token],
        // Sent once for all that was unread; without a chat it can speak for one message only.
        up_to: kind == inbound_receipt::Kind::Read && client.is_some(),
        reason: if failed { "MESSAGE_REFUSED" } else { "" }.to_owned(),
        detail: told.map_or_else(String::new, |told| bounded(&told)),
        ..InboundReceipt::default()
    };
    Some(Reading {
        client,
        kind: Kind::Receipt(receipt),
    })
}

/// The person who acted: `sender` of a message, `user` of a start, and only `user_id` of anything else.
fn person(channel: Uuid, callback: &Value) -> Option<ClientIdentity> {
    let person = object(callback, "sender").or_else(|| object(callback, "user"));
    let told = person.unwrap_or(&Value::Null);
    let user_id = id(told, "id").or_else(|| id(callback, "user_id"))?;
    Some(ClientIdentity {
        // A person has another id towards each bot (B07).
        scope: format!("viber:{channel}"),
        // What only names the id, as a receipt does, tells no name.
        name: shown(text(told, "name").as_deref(), "", &user_id),
        user_id,
        username: String::new(),
        phone: String::new(),
        email: String::new(),
        language: text(told, "language").unwrap_or_default(),
    })
}

/// Where the photo of the person who acted is: `avatar` of `sender` and of `user` (channels.md §3.2). It is left out where the
/// person has none. Its address is open to whoever knows it, and so a secret as those of files are (developers.viber.com,
/// REST Bot API, "Receive message from user" and "Conversation started").
fn photo(callback: &Value) -> Bytes {
    let person = object(callback, "sender").or_else(|| object(callback, "user"));
    person
        .and_then(|person| filled(person, "avatar"))
        .and_then(|address| address_reference(&address))
        .map_or_else(Bytes::new, Bytes::from)
}

fn bounded(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(CONTEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(callback: &Value) -> InboundEvent {
        let line = Line {
            account: "acme",
            channel: Uuid::from_u128(7),
            provider_account: "pa:1",
        };
        let raw = Bytes::from(callback.to_string());
        normalise(line, &raw, OffsetDateTime::UNIX_EPOCH).remove(0)
    }

    // pitfall 11: tokens do not fit into a double
    #[test]
    fn tokens_keep_all_digits_and_those_that_fit_break_ties() {
        for (token, key, number) in [
            (
                json!(5_741_311_803_571_721_087_u64),
                "5741311803571721087",
                5_741_311_803_571_721_087,
            ),
            (
                json!(18_446_744_073_709_551_615_u64),
                "18446744073709551615",
                0,
            ),
            (json!("18446744073709551614"), "18446744073709551614", 0),
        ] {
            let event = one(&json!({
                "event": "message", "message_token": token, "sender": {"id": "a=="}, "message": {"type": "text", "text": "a"},
            }));
            let Some(Kind::Message(message)) = event.kind else {
                panic!("{:?}", event.kind)
            };
            assert_eq!(
                (message.provider_key.as_str(), message.provider_number),
                (key, number)
            );
            assert_eq!(event.event_key, format!("message:{key}"));
        }
    }

    // pitfall 08: duplicates are known by their token
    #[test]
    fn repeats_are_known_by_event_and_token_and_receipts_by_their_user_too() {
        for (callback, expected) in [
            (json!({"event": "message", "message_token": 5}), "message:5"),
            (
                json!({"event": "delivered", "message_token": 5, "user_id": "a=="}),
                "delivered:5:a==",
            ),
            (
                json!({"event": "seen", "message_token": "5", "user_id": "a=="}),
                "seen:5:a==",
            ),
        ] {
            assert_eq!(one(&callback).event_key, expected);
        }
        for callback in [
            json!({"event": "message"}),
            json!({"message_token": 5}),
            json!([1]),
        ] {
            assert!(one(&callback).event_key.starts_with("sha:"), "{callback}");
        }
    }

    #[test]
    fn f067_the_address_of_a_photo_comes_with_messages_and_starts() {
        let person = json!({"id": "a==", "avatar": "https://a.example/1?dlid=x"});
        let none = json!({"id": "a==", "avatar": ""});
        let text = json!({"type": "text", "text": "a"});
        for (callback, expected) in [
            (
                json!({"event": "message", "sender": person, "message": text}),
                true,
            ),
            (
                json!({"event": "conversation_started", "user": person}),
                true,
            ),
            (
                json!({"event": "message", "sender": none, "message": text}),
                false,
            ),
            (
                json!({"event": "message", "sender": {"id": "a=="}, "message": text}),
                false,
            ),
            (
                json!({"event": "delivered", "message_token": 5, "user_id": "a==", "user": person}),
                false,
            ),
        ] {
            let told = one(&callback).client_photo;
            let expected = expected.then_some(r#"{"url":"https://a.example/1?dlid=x"}"#);
            assert_eq!(told, expected.unwrap_or_default(), "{callback}");
        }
    }

    #[test]
    fn b07_a_person_is_known_per_bot() {
        let callback = json!({"event": "subscribed", "message_token": 5, "user": {"id": "a==", "name": "Ігор", "language": "uk"}});
        let client = one(&callback).client.unwrap();
        assert_eq!(client.scope, format!("viber:{}", Uuid::from_u128(7)));
        assert_eq!(
            (
                client.user_id.as_str(),
                client.name.as_str(),
                client.language.as_str()
            ),
            ("a==", "Ігор", "uk")
        );
    }
}
