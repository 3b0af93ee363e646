//! Real inputs of Telegram (`SWITCHBOARD_FIXTURES`): each is normalised or kept raw, none is lost, nothing panics.
//! Our own cases stand in `tests/cases`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::refusal::Class;
use channel_gateway::domain::telegram::errors::{ApiError, classify};
use channel_gateway::domain::telegram::normalise;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::{Attachment, attachment, content_part::Content};
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "7001",
};

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("telegram");
    if folder.join("index.json").is_file() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no fixtures in {}",
        folder.display()
    );
    println!("skipped: no fixtures");
    None
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn one(raw: &[u8]) -> InboundEvent {
    let raw = Bytes::copy_from_slice(raw);
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
    let mut events = normalise(LINE, &raw, received_at);
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    assert_eq!(event.raw, raw, "the raw item travels along");
    assert!(!event.event_key.is_empty() && event.kind.is_some());
    assert_eq!(
        event,
        normalise(LINE, &raw, received_at).remove(0),
        "a repeat reads the same"
    );
    event
}

fn message_of(event: &InboundEvent) -> Option<&InboundMessage> {
    match event.kind.as_ref()? {
        Kind::Message(message) => Some(message),
        Kind::Edit(edit) => edit.message.as_ref(),
        _ => None,
    }
}

fn text_of(message: &InboundMessage) -> Option<&str> {
    message
        .parts
        .iter()
        .find_map(|part| match part.content.as_ref()? {
            Content::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
}

fn file_of(message: &InboundMessage) -> Option<(&Attachment, String)> {
    message
        .parts
        .iter()
        .find_map(|part| match part.content.as_ref()? {
            Content::Attachment(file) => {
                let kind = attachment::Kind::try_from(file.kind).ok()?.as_str_name();
                Some((file, kind.trim_start_matches("KIND_").to_lowercase()))
            }
            Content::Sticker(sticker) => Some((sticker.attachment.as_ref()?, "sticker".to_owned())),
            _ => None,
        })
}

/// Compares an event with what the fixtures' own script read out of the payload.
fn compare(name: &str, event: &InboundEvent, reading: &Value) {
    let text = |key: &str| reading.get(key).and_then(Value::as_str);
    let id = |key: &str| {
        reading
            .get(key)
            .filter(|id| !id.is_null())
            .map(|id| id.to_string().trim_matches('"').to_owned())
    };
    let group = text("chat_type").is_some_and(|kind| kind != "private");
    let Some(message) = message_of(event) else {
        let written = ["text", "caption", "location"]
            .iter()
            .any(|key| reading.get(key).is_some());
        let known = reading
            .get("files")
            .and_then(Value::as_array)
            .is_some_and(|files| !files.is_empty());
        assert!(
            group || !(written || known),
            "{name}: a message was taken for {:?}",
            event.kind
        );
        return;
    };
    assert!(!group, "{name}: a group opens no chat");
    assert_eq!(Some(event.chat_key.clone()), id("chat_id"), "{name}");
    if let Some(number) = id("message_id") {
        assert_eq!(
            message.provider_key,
            format!("{}:{number}", event.chat_key),
            "{name}"
        );
    }
    let client = event.client.as_ref().expect("a message has a client");
    if let Some(user) = id("from_id") {
        assert_eq!(
            (client.scope.as_str(), client.user_id.as_str()),
            ("telegram", user.as_str()),
            "{name}"
        );
    }
    for (key, read) in [
        ("from_name", &client.name),
        ("from_username", &client.username),
    ] {
        if let Some(expected) = text(key) {
            assert_eq!(read, expected, "{name}: {key}");
        }
    }
    if let Some(expected) = text("text").or_else(|| text("caption")) {
        assert_eq!(text_of(message), Some(expected), "{name}");
    }
    if let Some(expected) = reading.get("files").and_then(|files| files.get(0)) {
        let (file, kind) = file_of(message).unwrap_or_else(|| panic!("{name}: no file"));
        assert_eq!(
            file.extension,
            expected["file_id"].as_str().unwrap().as_bytes(),
            "{name}"
        );
        assert_eq!(Some(kind.as_str()), expected["kind"].as_str(), "{name}");
        for (key, read) in [
            ("file_name", &file.file_name),
            ("mime_type", &file.media_type),
        ] {
            if let Some(expected) = expected.get(key).and_then(Value::as_str) {
                assert_eq!(read, expected, "{name}: {key}");
            }
        }
        if let Some(size) = expected.get("file_size").and_then(Value::as_i64) {
            assert_eq!(file.size, size, "{name}");
        }
    }
    if reading.get("location").is_some() {
        let place = message
            .parts
            .iter()
            .any(|part| matches!(part.content, Some(Content::Location(_))));
        assert!(place, "{name}: no place");
    }
    if let Some(date) = text("date_utc").filter(|date| !date.starts_with("1970")) {
        let read = event.provider_time.as_ref().unwrap().seconds;
        let expected =
            OffsetDateTime::parse(date, &time::format_description::well_known::Rfc3339).unwrap();
        assert_eq!(read, expected.unix_timestamp(), "{name}");
    }
}

#[test]
fn f002_every_real_input_is_normalised_or_kept_raw() {
    let Some(folder) = fixtures() else { return };
    let index = json_of(&folder.join("index.json"));
    let (mut read, mut kept) = (0, 0);
    for record in index.as_array().unwrap() {
        if record["direction"] != "inbound" {
            continue;
        }
        let name = record["file"].as_str().unwrap();
        let object = json_of(&folder.join(name));
        let reading = record.pointer("/expected/reading").unwrap_or(&Value::Null);
        let event = match record["form"].as_str().unwrap() {
            "update" => {
                let event = one(&std::fs::read(folder.join(name)).unwrap());
                for field in ["message", "edited_message"] {
                    if let Some(reading) = reading.get(field) {
                        compare(name, &event, reading);
                    }
                }
                event
            }
            "message-object" => {
                let update = json!({ "update_id": 1, "message": object });
                let event = one(update.to_string().as_bytes());
                compare(
                    name,
                    &event,
                    reading.get("bare_message").unwrap_or(&Value::Null),
                );
                event
            }
            _ => {
                let event = one(object.to_string().as_bytes());
                assert!(matches!(event.kind, Some(Kind::Unsupported(_))), "{name}");
                event
            }
        };
        if matches!(event.kind, Some(Kind::Unsupported(_))) {
            kept += 1;
        } else {
            read += 1;
        }
    }
    println!("{read} normalised, {kept} kept raw");
    let inbound = index
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["direction"] == "inbound");
    assert_eq!(read + kept, inbound.count(), "none is lost");
    assert!(read > 0, "nothing is understood any more");
}

#[test]
fn whatever_stands_in_place_of_a_value_nothing_panics() {
    let mut inputs: Vec<Value> = cases()
        .into_iter()
        .map(|(_, case)| case["update"].clone())
        .collect();
    if let Some(folder) = fixtures() {
        let index = json_of(&folder.join("index.json"));
        let updates = index
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["form"] == "update");
        inputs
            .extend(updates.map(|record| json_of(&folder.join(record["file"].as_str().unwrap()))));
    }
    for input in &inputs {
        let mut paths = Vec::new();
        pointers(input, String::new(), &mut paths);
        for path in paths {
            for value in [
                json!(null),
                json!(-1),
                json!(1e300),
                json!("\u{0}"),
                json!([[]]),
                json!({"id": {}}),
                json!(true),
            ] {
                let mut changed = input.clone();
                *changed.pointer_mut(&path).unwrap() = value;
                one(changed.to_string().as_bytes());
            }
        }
        let bytes = input.to_string().into_bytes();
        for cut in (0..bytes.len()).step_by(7) {
            one(&bytes[..cut]);
        }
    }
    one(b"");
    one(&[0xff, 0xfe, 0]);
    one("[".repeat(100_000).as_bytes());
}

fn pointers(value: &Value, path: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                pointers(
                    field,
                    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")),
                    into,
                );
            }
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                pointers(entry, format!("{path}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(path);
}

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|file| {
            let path = file.unwrap().path();
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
        Content::Attachment(file) => json!({
            "file": kind(file), "id": String::from_utf8_lossy(&file.extension), "name": file.file_name,
            "type": file.media_type, "size": file.size, "measure": [file.width, file.height], "ms": file.duration_ms,
        }),
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
        Content::Link(link) => json!({ "link": link.url }),
        Content::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
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

#[test]
fn f003_updates_read_as_the_cases_say() {
    for (name, case) in cases() {
        let event = one(case["update"].to_string().as_bytes());
        let read = match event.kind.as_ref().unwrap() {
            Kind::Message(message) => json!({ "message": short_message(message) }),
            Kind::Edit(edit) => json!({ "edit": short_message(edit.message.as_ref().unwrap()) }),
            Kind::Reaction(reaction) => {
                json!({ "reaction": [reaction.provider_key, reaction.emojis] })
            }
            Kind::Block(block) => json!({ "blocked": block.blocked }),
            Kind::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
            Kind::Deletion(deletion) => json!({ "deletion": deletion.provider_keys }),
        };
        assert_eq!(read, case["expected"], "{name}");
        if let Some(expected) = case.get("time") {
            assert_eq!(
                json!(event.provider_time.unwrap().seconds),
                *expected,
                "{name}"
            );
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

#[test]
fn refusals_that_the_real_bot_api_words_are_told_apart() {
    let Some(folder) = fixtures() else { return };
    let list = json_of(&folder.join("teloxide-core/bot-api-error-descriptions.json"));
    for entry in list.as_array().unwrap() {
        let (meaning, description) = (
            entry["meaning"].as_str().unwrap(),
            entry["description"].as_str().unwrap(),
        );
        let code = if description.starts_with("Forbidden") {
            403
        } else if description.starts_with("Unauthorized") {
            401
        } else if description.starts_with("Request Entity") {
            413
        } else {
            400
        };
        let class = classify(&ApiError {
            code,
            description: description.into(),
            ..ApiError::default()
        });
        let reason = match &class {
            Class::Refused(refusal) | Class::Disconnected(refusal) => refusal.reason,
            Class::WithoutReply => "without reply",
            Class::AlreadySo => "already so",
            other => panic!("{description}: {other:?}"),
        };
        let expected = match meaning {
            "BotBlocked" => "CLIENT_BLOCKED_CHANNEL",
            "InvalidToken" => "CREDENTIALS_REFUSED",
            "MessageToReplyNotFound" => "without reply",
            "ChatDescriptionIsNotModified" => "already so",
            "ChatNotFound" | "UserNotFound" => "CHAT_NOT_FOUND",
            "UserDeactivated" => "CLIENT_DELETED",
            "CantInitiateConversation" => "CLIENT_NEVER_STARTED",
            "CantTalkWithBots" => "CLIENT_IS_BOT",
            "BotKicked" | "BotKickedFromSupergroup" | "BotKickedFromChannel" => "CHAT_LEFT",
            "GroupDeactivated" => "CHAT_GONE",
            "MessageIsTooLong" | "EditedMessageIsTooLong" => "MESSAGE_TOO_LONG",
            "MessageTextIsEmpty" => "MESSAGE_EMPTY",
            "MessageCantBeEdited" => "MESSAGE_NOT_EDITABLE",
            "MessageCantBeDeleted" => "MESSAGE_NOT_DELETABLE",
            "MessageToEditNotFound" | "MessageToDeleteNotFound" | "MessageIdInvalid" => {
                "MESSAGE_NOT_FOUND"
            }
            "RequestEntityTooLarge" => "FILE_TOO_LARGE",
            "ImageProcessFailed" => "PHOTO_REFUSED",
            "WebhookRequireHttps" | "BadWebhookPort" | "UnknownHost" => "WEBHOOK_REFUSED",
            meaning if meaning.starts_with("NotEnoughRights") => "RIGHTS_MISSING",
            _ => "MESSAGE_REFUSED",
        };
        assert_eq!(reason, expected, "{meaning}: {description}");
    }
}
