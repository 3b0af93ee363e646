//! Our own cases: an update each, and what it reads as.

use std::path::Path;

use channel_gateway::domain::telegram::business::Connection;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::{Attachment, attachment, content_part::Content, origin};

use crate::{file_id, json_of, one};

pub fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("telegram")
        })
        .flat_map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let Value::Array(cases) = json_of(&path) else {
                panic!("{name}: a list of cases")
            };
            cases
                .into_iter()
                .map(move |case| (format!("{name}: {}", case["name"]), case))
        })
        .collect();
    cases.sort_by(|left, right| left.0.cmp(&right.0));
    cases
}

/// A part in a short form that a case can be read by.
fn short(content: &Content) -> Value {
    let kind = |file: &Attachment| {
        attachment::Kind::try_from(file.kind)
            .unwrap()
            .as_str_name()
            .trim_start_matches("KIND_")
            .to_lowercase()
    };
    match content {
        Content::Text(text) if text.entities.is_empty() => json!({ "text": text.text }),
        Content::Text(text) => {
            let entities = text.entities.iter().map(|entity| {
                let kind = entity
                    .kind()
                    .as_str_name()
                    .trim_start_matches("KIND_")
                    .to_lowercase();
                json!([
                    kind,
                    entity.offset,
                    entity.length,
                    format!("{}{}", entity.url, entity.language)
                ])
            });
            json!({ "text": text.text, "entities": entities.collect::<Vec<_>>() })
        }
        Content::Attachment(file) => {
            let mut short = json!({
                "file": kind(file), "id": file_id(file), "name": file.file_name, "type": file.media_type,
                "size": file.size, "measure": [file.width, file.height], "ms": file.duration_ms,
            });
            if file.state() == attachment::State::Failed {
                short["lost"] = json!(file.reason);
            }
            short
        }
        Content::Location(place) => json!({
            "place": [place.latitude, place.longitude], "title": place.title, "address": place.address, "live": place.live,
        }),
        Content::Contact(contact) => {
            json!({ "contact": contact.name, "phone": contact.phone, "own": contact.own })
        }
        Content::Sticker(sticker) => json!({
            "sticker": sticker.emoji, "set": sticker.set_name,
            "type": sticker.attachment.as_ref().unwrap().media_type,
        }),
        Content::Button(button) => json!({ "button": button.title, "data": button.data }),
        Content::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
        Content::Link(link) => json!({ "link": link.url, "title": link.title }),
    }
}

fn short_message(message: &InboundMessage) -> Value {
    let parts: Vec<Value> = message
        .parts
        .iter()
        .map(|part| short(part.content.as_ref().unwrap()))
        .collect();
    let mut short = json!({ "key": message.provider_key, "parts": parts });
    if let Some(reply) = &message.reply {
        short["reply"] = json!([reply.provider_key, reply.quote]);
    }
    let origin = message.origin.as_ref().unwrap();
    if origin.kind() == origin::Kind::Story {
        short["story"] = json!(origin.link);
    }
    for (name, value) in [
        ("start", &message.start_payload),
        ("album", &message.album_key),
    ] {
        if !value.is_empty() {
            short[name] = json!(value);
        }
    }
    short
}

// pitfall 07: every kind has its case
#[test]
fn f003_updates_read_as_the_cases_say() {
    for (name, case) in cases() {
        let event = one(case["update"].to_string().as_bytes());
        let read = match event.kind.as_ref().unwrap() {
            Kind::Message(message) => json!({ "message": short_message(message) }),
            Kind::Edit(edit) => {
                let message = short_message(edit.message.as_ref().unwrap());
                if event.chat_key.starts_with("business:") {
                    json!({ "edit": message, "own": edit.own_app })
                } else {
                    json!({ "edit": message })
                }
            }
            Kind::OwnAppMessage(own) => json!({
                "own": short_message(own.message.as_ref().unwrap()), "automatic": own.automatic,
            }),
            Kind::ProviderState(state) => {
                assert_eq!(state.kind, "business_connection", "{name}");
                json!({ "state": Connection::of_extension(&state.extension).unwrap() })
            }
            Kind::Reaction(reaction) => {
                json!({ "reaction": [reaction.provider_key, reaction.emojis] })
            }
            Kind::Block(block) => json!({ "blocked": block.blocked }),
            Kind::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
            Kind::Deletion(deletion) => json!({ "deletion": deletion.provider_keys }),
            other => panic!("{name}: Telegram has no {other:?}"),
        };
        assert_eq!(read, case["expected"], "{name}");
        if let Some(expected) = case.get("time") {
            assert_eq!(
                json!(event.provider_time.unwrap().seconds),
                *expected,
                "{name}"
            );
        }
        if let Some(expected) = case.get("chat") {
            assert_eq!(json!(event.chat_key), *expected, "{name}");
        }
        if let Some(expected) = case.get("client") {
            let client = event.client.as_ref().unwrap();
            assert_eq!(
                json!([client.user_id, client.name, client.username, client.phone]),
                *expected,
                "{name}"
            );
        }
    }
}
