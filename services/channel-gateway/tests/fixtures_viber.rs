//! Real inputs of Viber (`SWITCHBOARD_FIXTURES`): each is normalised or kept raw, none is lost, nothing panics.
//! Our own cases stand in `tests/cases/viber.json`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::viber::call::{BODY_MAX, CAPTION_MAX, TEXT_MAX};
use channel_gateway::domain::viber::{normalise, signature};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, inbound_event::Kind, inbound_receipt,
};
use switchboard_proto::common::v1::{Attachment, attachment, content_part::Content};
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "pa:75346594275468546724",
};

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("viber");
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

/// The records of one direction, with what their files hold.
fn records(folder: &Path, direction: &str) -> Vec<(String, Value, Vec<u8>)> {
    let Value::Array(index) = json_of(&folder.join("index.json")) else {
        panic!("the index is a list")
    };
    let wanted = index
        .into_iter()
        .filter(|record| record["direction"] == direction);
    wanted
        .map(|record| {
            let name = record["file"].as_str().unwrap().to_owned();
            let held = std::fs::read(folder.join(&name)).unwrap();
            (name, record, held)
        })
        .collect()
}

fn one(raw: &[u8]) -> InboundEvent {
    let raw = Bytes::copy_from_slice(raw);
    let received_at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(21_000);
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

fn kind_of(file: &Attachment) -> String {
    let kind = attachment::Kind::try_from(file.kind).unwrap().as_str_name();
    kind.trim_start_matches("KIND_").to_lowercase()
}

fn extension(file: &Attachment) -> Value {
    serde_json::from_slice(&file.extension).expect("a file's reference is JSON")
}

/// A part in a short form that a case can be read by.
fn short(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "text": text.text }),
        Content::Attachment(file) => json!({
            "file": kind_of(file), "at": extension(file), "name": file.file_name, "size": file.size,
            "ms": file.duration_ms,
        }),
        Content::Location(place) => {
            json!({ "place": [place.latitude, place.longitude], "address": place.address })
        }
        Content::Contact(contact) => {
            json!({ "contact": contact.name, "phone": contact.phone, "own": contact.own })
        }
        Content::Sticker(sticker) => {
            json!({ "sticker": sticker.attachment.as_ref().map(extension) })
        }
        Content::Button(button) => json!({ "button": button.title, "data": button.data }),
        Content::Link(link) => json!({ "link": link.url, "title": link.title }),
        Content::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
    }
}

fn short_parts(message: &InboundMessage) -> Vec<Value> {
    let parts = message.parts.iter();
    parts
        .map(|part| short(part.content.as_ref().unwrap()))
        .collect()
}

fn short_event(event: &InboundEvent) -> Value {
    match event.kind.as_ref().unwrap() {
        Kind::Message(message) => {
            json!({ "message": { "key": message.provider_key, "parts": short_parts(message) } })
        }
        Kind::Start(start) => json!({ "start": start.payload }),
        Kind::Block(block) => json!({ "blocked": block.blocked }),
        Kind::Receipt(receipt) => {
            let kind = inbound_receipt::Kind::try_from(receipt.kind).unwrap();
            let kind = kind.as_str_name().trim_start_matches("KIND_");
            json!({ "receipt": [
                kind.to_lowercase(), receipt.provider_keys, receipt.up_to, receipt.reason, receipt.detail,
            ] })
        }
        Kind::ProviderState(state) => json!({ "state": state.kind }),
        Kind::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
        other => panic!("Viber has no {other:?}"),
    }
}

fn cases() -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/viber.json");
    let Value::Array(cases) = json_of(&path) else {
        panic!("a list of cases")
    };
    let named = cases.into_iter();
    named
        .map(|case| (case["name"].as_str().unwrap().to_owned(), case))
        .collect()
}

#[test]
fn callbacks_read_as_the_cases_say() {
    for (name, case) in cases() {
        let event = one(case["callback"].to_string().as_bytes());
        assert_eq!(short_event(&event), case["expected"], "{name}");
        if let Some(expected) = case.get("time") {
            assert_eq!(
                json!(event.provider_time.unwrap().seconds),
                *expected,
                "{name}"
            );
        }
        if let Some(expected) = case.get("key") {
            assert_eq!(json!(event.event_key), *expected, "{name}");
        }
        if let Some(expected) = case.get("client") {
            let client = event.client.as_ref().unwrap();
            assert_eq!(
                json!([client.user_id, client.name, client.language]),
                *expected,
                "{name}"
            );
            assert_eq!(
                event.chat_key, client.user_id,
                "{name}: the person is the chat"
            );
        }
    }
}

/// Compares an event with what the fixtures' own script read out of the payload.
fn compare(name: &str, event: &InboundEvent, reading: &Value) {
    let text = |key: &str| reading.get(key).and_then(Value::as_str);
    let client = event.client.as_ref();
    if let Some(user) = text("user_id") {
        assert_eq!(client.unwrap().user_id, user, "{name}");
        assert_eq!(event.chat_key, user, "{name}");
    }
    if let Some(user) = text("user_name") {
        assert_eq!(client.unwrap().name, user, "{name}");
    }
    if let (Some(event_name), Some(token)) = (text("event"), text("message_token")) {
        let key = format!("{event_name}:{token}");
        assert_eq!(event.event_key, key, "{name}");
    }
    if let Some(context) = text("context") {
        assert_eq!(short_event(event), json!({ "start": context }), "{name}");
    }
    if let Some(time) = reading.get("timestamp_ms").and_then(Value::as_i64) {
        let read = event.provider_time.as_ref().unwrap();
        let read = read.seconds * 1_000 + i64::from(read.nanos) / 1_000_000;
        assert_eq!(read, time, "{name}");
    }
    let Some(kind) = text("message_type") else {
        return;
    };
    let Some(Kind::Message(message)) = &event.kind else {
        panic!("{name}: a message was taken for {:?}", event.kind)
    };
    assert_eq!(Some(message.provider_key.as_str()), text("message_token"));
    let parts = short_parts(message);
    let first = &parts[0];
    let media = reading.get("media").unwrap_or(&Value::Null);
    match kind {
        "text" => assert_eq!(*first, json!({ "text": reading["text"] }), "{name}"),
        "picture" | "video" | "file" => {
            assert_eq!(first["at"], json!({ "url": media }), "{name}");
            let expected = match kind {
                "picture" => "photo",
                "file" => "document",
                other => other,
            };
            assert_eq!(first["file"], json!(expected), "{name}");
            for key in ["size", "file_name"] {
                if let Some(expected) = reading.get(key) {
                    let read = &first[key.trim_start_matches("file_")];
                    assert_eq!(read, expected, "{name}: {key}");
                }
            }
            if let Some(seconds) = reading.get("duration").and_then(Value::as_i64) {
                assert_eq!(first["ms"], json!(seconds * 1_000), "{name}");
            }
            if let Some(caption) = text("text") {
                assert_eq!(parts[1], json!({ "text": caption }), "{name}");
            }
        }
        "url" => assert_eq!(first["link"], *media, "{name}"),
        "contact" => assert_eq!(
            (&first["contact"], &first["phone"]),
            (
                &reading["contact"]["name"],
                &reading["contact"]["phone_number"]
            ),
            "{name}"
        ),
        // The source's place lies 1234 degrees north: that is nowhere, and it is shown by its kind.
        "location" if reading["location"]["lat"] == json!(1234) => {
            assert_eq!(*first, json!({ "unsupported": "location" }), "{name}");
        }
        "location" => assert_eq!(
            first["place"],
            json!([reading["location"]["lat"], reading["location"]["lon"]]),
            "{name}"
        ),
        // Without an address of its picture: only that there was one.
        "sticker" => assert_eq!(*first, json!({ "sticker": null }), "{name}"),
        // Shown by their kind: cards of businesses, and kinds without a file that Viber does not document.
        other => assert_eq!(*first, json!({ "unsupported": other }), "{name}"),
    }
}

#[test]
fn f002_every_real_input_is_normalised_or_kept_raw() {
    let Some(folder) = fixtures() else { return };
    let (mut read, mut kept) = (0, 0);
    let inbound = records(&folder, "inbound");
    for (name, record, raw) in &inbound {
        let event = one(raw);
        if record["form"] == "callback" {
            compare(name, &event, &record["expected"]["reading"]);
        }
        if matches!(event.kind, Some(Kind::Unsupported(_))) {
            kept += 1;
        } else {
            read += 1;
        }
    }
    println!("{read} normalised, {kept} kept raw");
    assert_eq!(read + kept, inbound.len(), "none is lost");
    assert!(read > 0, "nothing is understood any more");
}

#[test]
fn signatures_that_other_clients_believe_hold() {
    let Some(folder) = fixtures() else { return };
    let vectors = json_of(&folder.join("bottender/signature-vectors.json"));
    for vector in vectors.as_array().unwrap() {
        let bytes = |key: &str| vector[key].as_str().unwrap().as_bytes();
        let believed = signature::verify(
            bytes("auth_token"),
            bytes("raw_body"),
            bytes("x_viber_content_signature"),
        );
        assert_eq!(json!(believed), vector["valid"], "{vector}");
    }
}

/// What other clients send, held against the limits that our own calls keep.
#[test]
fn bodies_that_other_clients_send_are_within_our_limits() {
    let Some(folder) = fixtures() else { return };
    let mut kinds = std::collections::BTreeSet::new();
    for (name, _, raw) in records(&folder, "outbound") {
        let body: Value = serde_json::from_slice(&raw).unwrap();
        assert!(body.to_string().len() <= BODY_MAX, "{name}");
        let Some(kind) = body["type"].as_str() else {
            continue;
        };
        kinds.insert(kind.to_owned());
        let length = |text: &Value| text.as_str().map_or(0, |text| text.encode_utf16().count());
        let most = if kind == "picture" {
            CAPTION_MAX
        } else {
            TEXT_MAX
        };
        assert!(length(&body["text"]) <= most as usize, "{name}");
        match kind {
            "picture" => assert!(
                body["media"].is_string() && body["text"].is_string(),
                "{name}"
            ),
            "video" | "file" => {
                assert!(body["media"].is_string() && body["size"].is_u64(), "{name}");
            }
            "contact" => assert!(body["contact"]["phone_number"].is_string(), "{name}"),
            _ => {}
        }
    }
    for kind in [
        "text", "picture", "video", "file", "contact", "location", "sticker", "url",
    ] {
        assert!(kinds.contains(kind), "no source sends {kind}");
    }
}

#[test]
fn whatever_stands_in_place_of_a_value_nothing_panics() {
    let mut inputs: Vec<Value> = cases()
        .into_iter()
        .map(|(_, case)| case["callback"].clone())
        .collect();
    if let Some(folder) = fixtures() {
        let inbound = records(&folder, "inbound").into_iter();
        inputs.extend(inbound.map(|(_, _, raw)| serde_json::from_slice::<Value>(&raw).unwrap()));
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

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "https://[a-z]{1,8}\\.example/.{0,8}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("media".to_owned()),
        Just("text".to_owned()),
        Just("type".to_owned()),
        Just("contact".to_owned()),
        Just("location".to_owned()),
        Just("id".to_owned()),
        ".{0,6}",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_an_event(raw in prop::collection::vec(any::<u8>(), 0..256)) {
        one(&raw);
    }

    #[test]
    fn any_callback_gives_an_event_that_says_nothing_of_a_files_address(
        event in prop_oneof![
            Just("message"), Just("conversation_started"), Just("subscribed"), Just("unsubscribed"), Just("delivered"),
            Just("seen"), Just("failed"), Just("webhook"), Just("other"),
        ],
        kind in prop_oneof![
            Just("text"), Just("picture"), Just("video"), Just("file"), Just("sticker"), Just("contact"),
            Just("location"), Just("voice"),
        ],
        fields in any_json(),
        token in any::<u64>(),
        silent in any_json(),
    ) {
        let mut message = json!({ "type": kind, "media": "https://dl.viber.example/secret-of-a-file" });
        if let Value::Object(fields) = &fields {
            message.as_object_mut().unwrap().extend(fields.clone());
            message["type"] = json!(kind);
            message["media"] = json!("https://dl.viber.example/secret-of-a-file");
        }
        let callback = json!({
            "event": event, "message_token": token, "timestamp": fields, "sender": { "id": "a==", "name": fields },
            "user": fields, "user_id": fields, "message": message, "silent": silent, "context": fields,
        });
        let mut read = one(callback.to_string().as_bytes());
        read.raw = Bytes::new();
        if let Some(Kind::Message(message)) = &mut read.kind {
            prop_assert!(!message.parts.is_empty());
            for part in &mut message.parts {
                match &mut part.content {
                    Some(Content::Attachment(file)) => file.extension = Bytes::new(),
                    Some(Content::Sticker(sticker)) => sticker.attachment = None,
                    _ => {}
                }
            }
        }
        let shown = format!("{read:?}");
        prop_assert!(!shown.contains("secret-of-a-file"));
    }
}
