//! Telling which of our calls an echo is of, where the answer of the call never came (channels.md §7.13).

use serde_json::Value;
use switchboard_proto::channel_gateway::v1::InboundMessage;
use switchboard_proto::common::v1::{attachment, content_part::Content};

use super::call::MESSAGES;
use super::wire::comment_key;
use crate::domain::call::Call;

/// Tells whether a message says what a call of ours said: the same text, files of the same kinds, or the same comment
/// in the same thread.
pub fn says(call: &Call, message: &InboundMessage) -> bool {
    if let Some(text) = call.params.get("message").and_then(Value::as_str) {
        let thread = call.method.strip_prefix("POST /");
        let thread = thread.and_then(|path| path.strip_suffix("/replies"));
        let origin = message.origin.as_ref();
        return thread.zip(origin).is_some_and(|(thread, origin)| {
            origin.parent_key == comment_key(thread) && texts(message) == [text.trim()]
        });
    }
    if call.method != MESSAGES {
        return false;
    }
    let Some(content) = call.params.get("message") else {
        return false;
    };
    if let Some(text) = content.get("text").and_then(Value::as_str) {
        return kinds(message).is_empty() && texts(message) == [text.trim()];
    }
    let sent: Vec<&str> = match (content.get("attachments"), content.get("attachment")) {
        (Some(Value::Array(files)), _) => files.iter().filter_map(kind).collect(),
        (_, Some(file)) => kind(file).into_iter().collect(),
        _ => return false,
    };
    !sent.is_empty() && texts(message).is_empty() && kinds(message) == sent
}

fn kind(file: &Value) -> Option<&str> {
    file.get("type").and_then(Value::as_str)
}

fn texts(message: &InboundMessage) -> Vec<&str> {
    let texts = message.parts.iter().filter_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(text.text.trim()),
        _ => None,
    });
    texts.collect()
}

/// The kinds of a message's files, in the words of calls.
fn kinds(message: &InboundMessage) -> Vec<&'static str> {
    let kinds = message.parts.iter().filter_map(|part| match &part.content {
        Some(Content::Attachment(file)) => Some(match file.kind() {
            attachment::Kind::Photo | attachment::Kind::Animation => "image",
            attachment::Kind::Video | attachment::Kind::VideoNote => "video",
            attachment::Kind::Voice | attachment::Kind::Audio => "audio",
            attachment::Kind::Document | attachment::Kind::Unspecified => "file",
        }),
        _ => None,
    });
    kinds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::Line;
    use crate::domain::instagram::normalise;
    use serde_json::json;
    use switchboard_proto::channel_gateway::v1::inbound_event::Kind;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn own(entry: &Value) -> InboundMessage {
        let line = Line {
            account: "acme",
            channel: Uuid::nil(),
            provider_account: "178",
        };
        let mut entry = entry.clone();
        entry["id"] = json!("178");
        let body = json!({ "object": "instagram", "entry": [entry] });
        let raw = body.to_string().into_bytes().into();
        match normalise(line, &raw, OffsetDateTime::UNIX_EPOCH)
            .remove(0)
            .kind
        {
            Some(Kind::OwnAppMessage(own)) => own.message.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn echo(message: &Value) -> InboundMessage {
        let mut message = message.clone();
        message["mid"] = json!("m9");
        message["is_echo"] = json!(true);
        own(
            &json!({ "messaging": [{ "sender": { "id": "178" }, "recipient": { "id": "77" },
            "timestamp": 1_790_764_802_450_i64, "message": message }] }),
        )
    }

    fn comment(text: &str, parent: &str) -> InboundMessage {
        own(
            &json!({ "changes": [{ "field": "comments", "value": { "id": "19", "text": text,
            "parent_id": parent, "from": { "id": "178", "username": "shop" }, "media": { "id": "181" } } }] }),
        )
    }

    #[test]
    fn pitfall_13_an_echo_is_of_the_call_that_says_the_same() {
        let direct = |message: Value| Call {
            method: MESSAGES.to_owned(),
            params: json!({ "message": message }),
        };
        let reply = Call {
            method: "POST /17/replies".to_owned(),
            params: json!({ "message": "Є!" }),
        };
        let (text, image) = (
            direct(json!({ "text": "Є! " })),
            json!({ "type": "image", "payload": { "url": { "$file": "a" } } }),
        );
        let (one, two) = (
            direct(json!({ "attachment": image })),
            direct(json!({ "attachments": [image, image] })),
        );
        let file = |kind: &str| json!({ "type": kind, "payload": { "url": "https://lookaside.fbsbx.com/x" } });
        let written = echo(&json!({ "text": "Є!" }));
        let single = echo(&json!({ "attachments": [file("image")] }));
        let double = echo(&json!({ "attachments": [file("image"), file("image")] }));
        let video = echo(&json!({ "attachments": [file("video")] }));
        for (name, call, message, expected) in [
            ("the same text", &text, &written, true),
            (
                "another text",
                &text,
                &echo(&json!({ "text": "Є?" })),
                false,
            ),
            ("a picture for a text", &text, &single, false),
            ("one picture", &one, &single, true),
            ("two for one", &one, &double, false),
            ("two pictures", &two, &double, true),
            ("a film for a picture", &one, &video, false),
            ("the same comment", &reply, &comment("Є!", "17"), true),
            ("in another thread", &reply, &comment("Є!", "18"), false),
            ("another comment", &reply, &comment("Ні", "17"), false),
            ("a message for a comment", &reply, &written, false),
            (
                "a reaction",
                &Call {
                    method: MESSAGES.to_owned(),
                    params: json!({ "sender_action": "react" }),
                },
                &written,
                false,
            ),
        ] {
            assert_eq!(says(call, message), expected, "{name}");
        }
    }
}
