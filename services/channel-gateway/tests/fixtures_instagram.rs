//! Real inputs of Instagram (`SWITCHBOARD_FIXTURES`), and Messenger's, whose envelope is the same: each is normalised or
//! kept raw, none is lost. Our own cases stand in `tests/cases`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use channel_gateway::domain::inbound::{Line, credible};
use channel_gateway::domain::instagram::errors::{ApiError, classify};
use channel_gateway::domain::instagram::{call, items, normalise, normalise_as};
use channel_gateway::domain::refusal::Class;
use serde_json::{Map, Value, json};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, inbound_event::Kind, inbound_receipt,
};
use switchboard_proto::common::v1::{attachment, content_part::Content, origin};
use time::OffsetDateTime;
use uuid::Uuid;

const ACCOUNT: &str = "17841400008460056";

/// Inputs that are kept raw, and why that is right.
const KEPT_RAW: [(&str, &str); 15] = [
    ("account_linking", "Messenger only"),
    ("app_roles", "Messenger only"),
    ("checkout_update", "Messenger only"),
    (
        "delivery",
        "Messenger only: Instagram tells nothing of delivery",
    ),
    ("optin", "Messenger only"),
    ("payment", "Messenger only"),
    ("policy-enforcement", "for the page, of no customer"),
    (
        "pass_thread_control",
        "between apps, of no customer's words",
    ),
    (
        "request_thread_control",
        "between apps, of no customer's words",
    ),
    (
        "take_thread_control",
        "between apps, of no customer's words",
    ),
    ("comments", "an old sample that does not tell who wrote"),
    (
        "live_comments",
        "an old sample that does not tell who wrote",
    ),
    ("mentions", "tells neither who wrote nor what"),
    ("postback", "of a visitor of a site, who has no id yet"),
    ("story_insights", "numbers, of no customer"),
];

fn line(account: &str) -> Line<'_> {
    Line {
        account: "acme",
        channel: Uuid::from_u128(7),
        provider_account: account,
    }
}

fn received_at() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::days(21_000)
}

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("instagram");
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

fn one(account: &str, raw: &Bytes) -> InboundEvent {
    let mut events = normalise_as(line(account), Some("the.shop"), raw, received_at());
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    assert_eq!(&event.raw, raw, "the item travels along as it came");
    assert!(!event.event_key.is_empty() && event.kind.is_some());
    let again = normalise_as(line(account), Some("the.shop"), raw, received_at()).remove(0);
    assert_eq!(event, again, "a repeat reads the same");
    event
}

fn text_of(message: &InboundMessage) -> Option<&str> {
    let mut texts = message
        .parts
        .iter()
        .filter_map(|part| match part.content.as_ref()? {
            Content::Text(text) => Some(text.text.as_str()),
            Content::Button(button) => Some(button.title.as_str()),
            _ => None,
        });
    texts.next()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Compares an event of Direct with what the fixtures' own script read out of the payload.
fn compare(name: &str, event: &InboundEvent, reading: &Value) {
    let word = reading["kinds"][0].as_str().unwrap();
    if let Some(Kind::Unsupported(unsupported)) = &event.kind {
        let known = KEPT_RAW.iter().any(|(kind, _)| *kind == unsupported.kind);
        assert!(
            known,
            "{name}: {} is kept raw for no reason",
            unsupported.kind
        );
        return;
    }
    let flag = |key: &str| reading.get(key) == Some(&json!(true));
    let mid = reading.get("mid").and_then(Value::as_str);
    match (word, event.kind.as_ref().unwrap()) {
        ("message", Kind::Deletion(deletion)) => {
            assert!(flag("is_deleted"), "{name}");
            assert_eq!(Some(deletion.provider_keys[0].as_str()), mid, "{name}");
        }
        ("message", Kind::Message(message)) => {
            assert!(!flag("is_echo") && !flag("is_deleted"), "{name}");
            compare_message(name, message, reading);
        }
        ("message", Kind::OwnAppMessage(own)) => {
            assert!(flag("is_echo"), "{name}");
            compare_message(name, own.message.as_ref().unwrap(), reading);
        }
        ("postback", Kind::Message(message)) => {
            let Some(Content::Button(button)) = &message.parts[0].content else {
                panic!("{name}: {message:?}")
            };
            assert_eq!(button.data, reading["postback"]["payload"], "{name}");
        }
        ("reaction", Kind::Reaction(reaction)) => {
            assert_eq!(reaction.provider_key, reading["reaction"]["mid"], "{name}");
            let emoji = reading["reaction"].get("emoji");
            assert_eq!(
                reaction.emojis.first().map(|emoji| json!(emoji)).as_ref(),
                emoji,
                "{name}"
            );
        }
        ("read", Kind::Receipt(receipt)) => {
            assert!(
                receipt.up_to && receipt.kind() == inbound_receipt::Kind::Read,
                "{name}"
            );
            let mid = reading["read"].get("mid");
            assert_eq!(
                receipt.provider_keys.first().map(|mid| json!(mid)).as_ref(),
                mid,
                "{name}"
            );
        }
        ("referral", Kind::Start(start)) => {
            assert_eq!(start.payload, reading["referral"]["ref"], "{name}");
        }
        ("message_edit", Kind::Edit(_)) => {}
        (word, kind) => panic!("{name}: {word} was taken for {kind:?}"),
    }
    let client = event.client.as_ref().unwrap();
    let parties = ["sender_id", "recipient_id"].map(|party| scalar(&reading[party]));
    assert!(parties.contains(&Some(client.user_id.clone())), "{name}");
    if let Some(time) = reading.get("timestamp").and_then(Value::as_i64)
        && word != "read"
    {
        let told = event.provider_time.as_ref().unwrap();
        let expected = if time > 100_000_000_000 {
            time / 1_000
        } else {
            time
        };
        let expected = OffsetDateTime::from_unix_timestamp(expected).ok();
        let expected = credible(expected, received_at()).unix_timestamp();
        assert_eq!(told.seconds, expected, "{name}");
    }
}

fn compare_message(name: &str, message: &InboundMessage, reading: &Value) {
    assert_eq!(message.provider_key, reading["mid"], "{name}");
    if let Some(text) = reading.get("text").and_then(Value::as_str) {
        assert_eq!(text_of(message), Some(text), "{name}");
    }
    let attachments = reading["attachments"].as_array().map_or(0, Vec::len);
    assert!(
        message.parts.len() >= attachments,
        "{name}: an attachment is missing"
    );
    match reading.get("reply_to") {
        Some(Value::String(story)) if story == "story" => {
            let kind = message.origin.as_ref().unwrap().kind();
            assert_eq!(kind, origin::Kind::Story, "{name}");
        }
        Some(_) => assert!(message.reply.is_some(), "{name}"),
        None => {}
    }
}

/// What the source's own tests say of values that an event carries, by the name of their getter.
fn asserted(record: &Value) -> Vec<String> {
    const CARRIED: [&str; 11] = [
        "getText",
        "getMid",
        "getUsername",
        "getParentId",
        "getMediaProductType",
        "getRef",
        "getEmoji",
        "getMedia",
        "getFrom",
        "getTitle",
        "getPayload",
    ];
    let lines = record
        .pointer("/expected/source_asserts")
        .and_then(Value::as_array);
    let lines = lines.into_iter().flatten().filter_map(Value::as_str);
    let values = lines.filter_map(|line| {
        let (literal, getter) = line.strip_prefix("assertEquals(\"")?.split_once("\", ")?;
        let carried = CARRIED
            .iter()
            .any(|name| getter.contains(&format!("{name}()")));
        // Templates and legacy attachments are shown by their kind only.
        let of_attachment = getter.starts_with("attachment")
            || getter.starts_with("button")
            || getter.starts_with("element");
        (carried && !of_attachment && !literal.contains('\\')).then(|| literal.to_owned())
    });
    values.collect()
}

#[test]
fn f089_every_real_input_is_normalised_or_kept_raw() {
    let Some(folder) = fixtures() else { return };
    let index = json_of(&folder.join("index.json"));
    let (mut read, mut kept, mut tests, mut inputs, mut checked) = (0, 0, 0, 0, 0);
    for record in index.as_array().unwrap() {
        if record["direction"] != "inbound" {
            continue;
        }
        let name = record["file"].as_str().unwrap();
        let mut raw = Bytes::from(std::fs::read(folder.join(name)).unwrap());
        let mut found = items(&raw);
        if found[0].test {
            tests += 1;
            let event = one(ACCOUNT, &raw);
            assert!(matches!(event.kind, Some(Kind::ProviderState(_))), "{name}");
            // Samples of the documentation are for nobody, as the dashboard's tests: what would they be for somebody?
            let mut body: Value = serde_json::from_slice(&raw).unwrap();
            body["entry"][0]["id"] = json!(ACCOUNT);
            raw = body.to_string().into();
            found = items(&raw);
        }
        assert_eq!(found.len(), 1, "{name}");
        let item = &found[0];
        inputs += 1;
        if item.test {
            // A form of the past: it is a test, whomever it is for.
            continue;
        }
        let account = item
            .accounts
            .first()
            .unwrap_or_else(|| panic!("{name}: for nobody"));
        let event = one(account, &item.raw);
        let reading = record
            .pointer("/expected/reading/events/0")
            .unwrap_or(&Value::Null);
        if reading["kinds"].is_array() {
            compare(name, &event, reading);
        }
        if let Some(Kind::Unsupported(unsupported)) = &event.kind {
            let known = KEPT_RAW.iter().any(|(kind, _)| *kind == unsupported.kind);
            assert!(known, "{name}: {}", unsupported.kind);
            kept += 1;
            continue;
        }
        read += 1;
        let shown = format!(
            "{:?}",
            InboundEvent {
                raw: Bytes::new(),
                ..event
            }
        );
        for value in asserted(record) {
            assert!(shown.contains(&value), "{name}: {value} is not in {shown}");
            checked += 1;
        }
    }
    println!(
        "{inputs} inputs: {read} normalised, {kept} kept raw, {tests} tests; {checked} values"
    );
    assert!(read > 40 && checked > 20, "nothing is understood any more");
}

#[test]
fn answers_of_the_graph_api_are_understood() {
    let Some(folder) = fixtures() else { return };
    let index = json_of(&folder.join("index.json"));
    let sent = call::private_reply("a", "1");
    let mut errors = 0;
    for record in index.as_array().unwrap() {
        if record["direction"] != "api-response" {
            continue;
        }
        let name = record["file"].as_str().unwrap();
        let answer = json_of(&folder.join(name));
        if let Some(mid) = answer.get("message_id").and_then(Value::as_str) {
            assert_eq!(
                call::provider_key(&sent, &answer).as_deref(),
                Some(mid),
                "{name}"
            );
        }
        if answer.get("error").is_none() && answer.get("error_type").is_none() {
            continue;
        }
        errors += 1;
        let error = ApiError::read(400, &answer, None);
        let class = classify(&error);
        let reason = match &class {
            Class::Refused(refusal) | Class::Disconnected(refusal) => refusal.reason,
            Class::Outage => "outage",
            other => panic!("{name}: {other:?}"),
        };
        let expected = match error.code {
            Some(190) => "CREDENTIALS_REFUSED",
            Some(1) => "outage",
            _ => "MESSAGE_REFUSED",
        };
        assert_eq!(reason, expected, "{name}");
        assert!(!error.message.is_empty(), "{name}");
    }
    assert!(errors >= 5, "no errors any more");
}

fn short(content: &Content) -> Value {
    let url = |extension: &Bytes| {
        let known: Value = serde_json::from_slice(extension).unwrap_or_default();
        known["url"].clone()
    };
    match content {
        Content::Text(text) => {
            assert!(text.entities.is_empty());
            json!({ "text": text.text })
        }
        Content::Attachment(file) => {
            let kind = file
                .kind()
                .as_str_name()
                .trim_start_matches("KIND_")
                .to_lowercase();
            if file.state() == attachment::State::Failed {
                return json!({ "file": kind, "failed": file.reason });
            }
            json!({ "file": kind, "url": url(&file.extension) })
        }
        Content::Sticker(sticker) => match &sticker.attachment {
            Some(file) => json!({ "sticker": sticker.emoji, "url": url(&file.extension) }),
            None => json!({ "sticker": sticker.emoji }),
        },
        Content::Button(button) => json!({ "button": button.title, "data": button.data }),
        Content::Link(link) => json!({ "link": link.url, "title": link.title }),
        Content::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
        other => panic!("{other:?}"),
    }
}

fn short_message(message: &InboundMessage) -> Value {
    let parts = message
        .parts
        .iter()
        .map(|part| short(part.content.as_ref().unwrap()));
    let key = &message.provider_key;
    let key = if key.starts_with("sha:") { "sha" } else { key };
    let mut short = json!({ "key": key, "parts": parts.collect::<Vec<_>>() });
    let origin = message.origin.as_ref().unwrap();
    let place = origin
        .kind()
        .as_str_name()
        .trim_start_matches("KIND_")
        .to_lowercase();
    let reply = message
        .reply
        .as_ref()
        .map_or("", |reply| &reply.provider_key);
    for (name, value) in [
        ("origin", if place == "direct" { "" } else { &place }),
        ("link", &origin.link),
        ("parent", &origin.parent_key),
        ("reply", reply),
        ("start", &message.start_payload),
    ] {
        if !value.is_empty() {
            short[name] = json!(value);
        }
    }
    if !message.extension.is_empty() {
        short["extension"] = serde_json::from_slice(&message.extension).unwrap();
    }
    short
}

fn short_event(event: &InboundEvent) -> Value {
    let message = |message: &Option<InboundMessage>| short_message(message.as_ref().unwrap());
    match event.kind.as_ref().unwrap() {
        Kind::Message(it) => json!({ "message": short_message(it) }),
        Kind::OwnAppMessage(own) => json!({ "own": message(&own.message) }),
        Kind::Edit(edit) if edit.own_app => json!({ "own_edit": message(&edit.message) }),
        Kind::Edit(edit) => json!({ "edit": message(&edit.message) }),
        Kind::Deletion(deletion) => json!({ "deletion": deletion.provider_keys }),
        Kind::Reaction(reaction) => json!({ "reaction": [reaction.provider_key, reaction.emojis] }),
        Kind::Receipt(receipt) => json!({ "read": receipt.provider_keys, "up_to": receipt.up_to }),
        Kind::Start(start) => json!({ "start": start.payload }),
        Kind::ProviderState(state) => json!({ "state": state.kind }),
        Kind::Unsupported(unsupported) => json!({ "unsupported": unsupported.kind }),
        Kind::Block(block) => panic!("{block:?}"),
    }
}

fn cases() -> Vec<Map<String, Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/instagram.json");
    serde_json::from_value(json_of(&path)).unwrap()
}

#[test]
fn f089_bodies_read_as_the_cases_say() {
    for case in cases() {
        let name = &case["name"];
        let event = one(ACCOUNT, &case["body"].to_string().into());
        assert_eq!(short_event(&event), case["expected"], "{name}");
        let client = event.client.clone().unwrap_or_default();
        assert_eq!(
            event.chat_key, client.user_id,
            "{name}: one chat for Direct and comments"
        );
        if !client.user_id.is_empty() {
            assert_eq!(client.scope, format!("instagram:{ACCOUNT}"), "{name}");
        }
        let key = event.event_key.as_str();
        let key = if key.starts_with("sha:") { "sha" } else { key };
        let seconds = event.provider_time.unwrap().seconds;
        for (field, value) in [
            ("event", json!(key)),
            ("time", json!(seconds)),
            ("client", json!(client.user_id)),
            ("username", json!(client.username)),
        ] {
            if let Some(expected) = case.get(field) {
                assert_eq!(&value, expected, "{name}: {field}");
            }
        }
    }
}

#[test]
fn b07_a_batch_gives_each_line_its_own_and_loses_nothing() {
    let bodies = cases().into_iter().map(|case| case["body"].clone());
    let entries: Vec<Value> = bodies
        .flat_map(|body| body["entry"].as_array().cloned().unwrap_or_default())
        .collect();
    let raw = Bytes::from(json!({ "object": "instagram", "entry": entries }).to_string());
    let found = items(&raw);
    assert_eq!(found.len(), entries.len());
    let events = normalise(line(ACCOUNT), &raw, received_at());
    let alone: Vec<InboundEvent> = found
        .iter()
        .filter(|item| item.test || item.accounts.iter().any(|account| account == ACCOUNT))
        .flat_map(|item| normalise(line(ACCOUNT), &item.raw, received_at()))
        .collect();
    assert_eq!(
        events, alone,
        "an item reads in its batch as it reads alone"
    );
    let other = normalise(line("1"), &raw, received_at());
    let messages = other
        .iter()
        .filter(|event| matches!(event.kind, Some(Kind::Message(_))));
    assert_eq!(messages.count(), 1, "the other account has one message");
}
