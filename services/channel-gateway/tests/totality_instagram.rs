//! Whatever comes, reading Instagram's bodies ends with an event, and planning a text never makes one too long.

use bytes::Bytes;
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::instagram::call::{How, TEXT_MAX, plan};
use channel_gateway::domain::instagram::{items, kept_raw, normalise};
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::inbound_event::Kind;
use switchboard_proto::common::v1::{
    ContentPart, Text, TextEntity, content_part::Content, text_entity,
};
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "17",
};

/// The names that Meta uses: values under them are read.
const NAMES: [&str; 36] = [
    "id",
    "time",
    "entry",
    "messaging",
    "standby",
    "changes",
    "field",
    "value",
    "sender",
    "recipient",
    "timestamp",
    "message",
    "mid",
    "text",
    "attachments",
    "type",
    "payload",
    "url",
    "reply_to",
    "story",
    "quick_reply",
    "referral",
    "ref",
    "is_echo",
    "is_self",
    "is_deleted",
    "is_unsupported",
    "reaction",
    "action",
    "read",
    "message_edit",
    "postback",
    "from",
    "media",
    "parent_id",
    "comment_id",
];

/// The words that mean something.
const WORDS: [&str; 16] = [
    "17",
    "77",
    "0",
    "image",
    "share",
    "ig_post",
    "like_heart",
    "ephemeral",
    "fallback",
    "comments",
    "mentions",
    "messages",
    "react",
    "https://a.example/1",
    "\u{0}",
    "1790764802450",
];

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        let fields =
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| {
                fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

/// Bodies in whose places anything stands.
fn bodies() -> impl Strategy<Value = Value> {
    let item = (values(), values()).prop_map(|(mut item, message)| {
        if let Some(fields) = item.as_object_mut() {
            fields.insert("sender".to_owned(), json!({ "id": "77" }));
            fields.insert("recipient".to_owned(), json!({ "id": "17" }));
            fields.entry("message").or_insert(message);
        }
        item
    });
    let change = values().prop_map(|value| json!({ "field": "comments", "value": value }));
    let items = (
        prop::collection::vec(item, 0..3),
        prop::collection::vec(change, 0..2),
    );
    let regular = items.prop_map(|(messaging, changes)| {
        json!({ "object": "instagram", "entry": [{ "id": "17", "time": 1, "messaging": messaging, "changes": changes }] })
    });
    prop_oneof![3 => regular, 1 => values()]
}

fn read(raw: &Bytes) {
    let events = normalise(LINE, raw, OffsetDateTime::UNIX_EPOCH);
    assert!(!events.is_empty());
    for event in &events {
        assert!(!event.event_key.is_empty() && !event.event_key.contains('\0'));
        assert!(!event.chat_key.contains('\0'));
        if let Some(Kind::Message(message)) = &event.kind {
            assert!(!message.parts.is_empty() && !message.provider_key.is_empty());
            assert!(!event.chat_key.is_empty() && event.chat_key != LINE.provider_account);
        }
    }
    let kept = kept_raw(LINE, raw, OffsetDateTime::UNIX_EPOCH, "disabled");
    assert!(kept.iter().all(|event| !event.event_key.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_body_gives_events_and_every_item_reads_alone(body in bodies()) {
        let raw = Bytes::from(body.to_string());
        read(&raw);
        for item in items(&raw) {
            read(&item.raw);
            let again = items(&item.raw);
            prop_assert_eq!(again.len(), 1);
        }
    }

    #[test]
    fn bytes_of_any_kind_are_kept(raw in prop::collection::vec(any::<u8>(), 0..64)) {
        read(&Bytes::from(raw));
    }

    #[test]
    fn a_text_is_sent_whole_in_pieces_that_fit(words in "\\PC{0,40}( |\n|\\PC){0,1500}", offset in 0u32..2000, length in any::<u32>()) {
        let link = TextEntity {
            kind: text_entity::Kind::TextLink.into(),
            offset,
            length,
            url: "https://a.example/".into(),
            ..TextEntity::default()
        };
        let text = Text { text: words.clone(), entities: vec![link] };
        let command = OutboundCommand {
            action: Action::Send.into(),
            parts: vec![ContentPart { content: Some(Content::Text(text)) }],
            ..OutboundCommand::default()
        };
        let calls = plan(&command, How::default()).unwrap();
        let mut sent = String::new();
        for call in &calls {
            let piece = call.params["message"]["text"].as_str().unwrap();
            prop_assert!(!piece.is_empty() && piece.len() <= TEXT_MAX as usize);
            sent.push_str(piece);
        }
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let sent = letters(&sent).replacen("(https://a.example/)", "", 1);
        prop_assert_eq!(sent, letters(&words));
    }
}

#[test]
fn nesting_without_end_is_kept_raw() {
    for raw in [
        "[".repeat(10_000),
        format!(
            r#"{{"entry":[{{"id":"17","messaging":[{}1{}]}}]}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        ),
        r#"{"entry":"#.repeat(10_000),
    ] {
        let raw = Bytes::from(raw);
        read(&raw);
        assert_eq!(items(&raw)[0].raw, raw);
    }
}
