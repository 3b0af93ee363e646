//! Real inputs: each is normalised or kept raw, none is lost, nothing panics.

use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::{Attachment, attachment, content_part::Content};
use time::OffsetDateTime;

use crate::cases::cases;
use crate::{file_id, fixtures, json_of, one};

fn message_of(event: &InboundEvent) -> Option<&InboundMessage> {
    match event.kind.as_ref()? {
        Kind::Message(message) => Some(message),
        Kind::Edit(edit) => edit.message.as_ref(),
        Kind::OwnAppMessage(own) => own.message.as_ref(),
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
            Some(file_id(file).as_str()),
            expected["file_id"].as_str(),
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

/// Compares an event with what the test says that the input is taken from.
fn agrees(name: &str, event: &InboundEvent, says: &str) {
    if says.contains("no conversation") || says.contains("ignored") {
        assert!(
            matches!(event.kind, Some(Kind::Unsupported(_))),
            "{name}: {says}"
        );
        return;
    }
    let message = message_of(event).unwrap_or_else(|| panic!("{name}: {says}"));
    let mut compared = 0;
    if let Some(wanted) = says.strip_prefix("one attachment of type ") {
        let kind = file_of(message).map(|(_, kind)| kind).unwrap_or_default();
        let kind = match kind.as_str() {
            "photo" | "sticker" => "image",
            "voice" => "audio",
            "document" => "file",
            other => other,
        };
        assert_eq!(kind, wanted, "{name}");
        compared += 1;
    }
    for clause in says.split(',') {
        let Some(quoted) = clause.split('"').nth(1) else {
            continue;
        };
        if clause.contains("contact") {
            assert_eq!(event.client.as_ref().unwrap().name, quoted, "{name}");
        } else {
            assert_eq!(text_of(message), Some(quoted), "{name}");
        }
        compared += 1;
    }
    assert!(compared > 0, "{name}: nothing was understood of {says:?}");
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
        if let Some(says) = record.pointer("/expected/source_asserts") {
            agrees(name, &event, says.as_str().unwrap());
        }
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
