//! Lines of the features that all channels share, each over one table.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use bytes::Bytes;
use channel_gateway::domain::channel::ChannelKind;
use channel_gateway::domain::email::{Fetched, Folder, Ours};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::{email, instagram, telegram, viber};
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use time::OffsetDateTime;
use uuid::Uuid;

const RECEIVED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn line(channel: u128, provider_account: &str) -> Line<'_> {
    Line {
        account: "acme",
        channel: Uuid::from_u128(channel),
        provider_account,
    }
}

fn bytes(value: &Value) -> Bytes {
    value.to_string().into_bytes().into()
}

fn telegram(channel: u128, text: &str) -> InboundEvent {
    let command = text.split(' ').next().unwrap_or_default();
    let update = json!({ "update_id": 1, "message": { "message_id": 5, "date": 1_790_764_802,
        "from": { "id": 55, "is_bot": false, "first_name": "O" }, "chat": { "id": 55, "type": "private" },
        "text": text, "entities": [{ "type": "bot_command", "offset": 0, "length": command.len() }] } });
    telegram::normalise(line(channel, "7001"), &bytes(&update), RECEIVED).remove(0)
}

fn viber(channel: u128, callback: &Value) -> InboundEvent {
    viber::normalise(line(channel, "pa:1"), &bytes(callback), RECEIVED).remove(0)
}

fn viber_message(channel: u128, message: &Value) -> InboundEvent {
    let callback = json!({ "event": "message", "message_token": 5, "timestamp": 1_790_764_802_113_i64,
        "sender": { "id": "a==", "name": "Ігор" }, "message": message });
    viber(channel, &callback)
}

fn instagram(own: &str, item: &Value) -> InboundEvent {
    let mut item = item.clone();
    item["sender"] = json!({ "id": "77" });
    item["recipient"] = json!({ "id": own });
    item["timestamp"] = json!(1_790_764_802_450_i64);
    let body = json!({ "object": "instagram", "entry": [{ "id": own, "messaging": [item] }] });
    instagram::normalise(line(1, own), &bytes(&body), RECEIVED).remove(0)
}

fn mail(address: &str, fields: &str) -> InboundEvent {
    let raw = Bytes::from(format!("{fields}\r\n\r\nДень добрий\r\n"));
    let ours = Ours {
        address,
        domain: "shop.example",
        aliases: &[],
        gateway_id: "gw-1",
    };
    let meta = Fetched {
        raw_ref: "raw/1",
        size: u64::try_from(raw.len()).unwrap(),
        internal_date: RECEIVED,
        folder: Folder::Inbox,
        uid_key: "inbox:1:2",
    };
    email::normalise(line(1, address), &ours, &meta, &raw, RECEIVED)
        .0
        .remove(0)
}

fn message(event: &InboundEvent) -> &InboundMessage {
    match &event.kind {
        Some(Kind::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn identity(event: &InboundEvent) -> (String, String) {
    let client = event.client.as_ref().unwrap();
    (client.scope.clone(), client.user_id.clone())
}

#[test]
fn b07_d27_the_same_person_is_the_same_only_as_far_as_the_messenger_says_so() {
    let words = json!({ "type": "text", "text": "a" });
    let written = json!({ "message": { "mid": "m1", "text": "a" } });
    for (name, one, other, same) in [
        (
            "telegram: two bots",
            telegram(1, "a"),
            telegram(2, "a"),
            true,
        ),
        (
            "viber: two bots",
            viber_message(1, &words),
            viber_message(2, &words),
            false,
        ),
        (
            "viber: one bot",
            viber_message(1, &words),
            viber_message(1, &words),
            true,
        ),
        (
            "instagram: two accounts",
            instagram("178", &written),
            instagram("179", &written),
            false,
        ),
        (
            "instagram: one account",
            instagram("178", &written),
            instagram("178", &written),
            true,
        ),
        (
            "email: two mailboxes, and two ways to write one address",
            mail(
                "sales@shop.example",
                "From: Olena <Olena@Client.example>\r\nTo: sales@shop.example\r\nMessage-ID: <1@c>",
            ),
            mail(
                "info@shop.example",
                "From: olena@client.EXAMPLE\r\nTo: info@shop.example\r\nMessage-ID: <2@c>",
            ),
            true,
        ),
        (
            "email: a part of an address is none",
            mail(
                "sales@shop.example",
                "From: olena@client.example\r\nTo: sales@shop.example\r\nMessage-ID: <1@c>",
            ),
            mail(
                "sales@shop.example",
                "From: olena@client.example.org\r\nTo: sales@shop.example\r\nMessage-ID: <2@c>",
            ),
            false,
        ),
    ] {
        assert_eq!(identity(&one) == identity(&other), same, "{name}");
    }
}

#[test]
fn d30_the_payload_of_a_link_comes_with_the_first_word_of_every_channel() {
    let started = viber(
        1,
        &json!({ "event": "conversation_started", "message_token": 5, "context": "ad_autumn", "type": "open",
            "user": { "id": "a==", "name": "Ігор" } }),
    );
    let referred = instagram(
        "178",
        &json!({ "referral": { "ref": "promo7", "type": "OPEN_THREAD" } }),
    );
    for (name, event, expected) in [
        ("telegram", telegram(1, "/start lead_77"), "lead_77"),
        ("telegram, without", telegram(1, "/start"), ""),
        ("viber", started, "ad_autumn"),
        ("instagram, not written yet", referred, "promo7"),
        (
            "instagram",
            instagram(
                "178",
                &json!({ "message": { "mid": "m1", "text": "a", "referral": { "ref": "promo7" } } }),
            ),
            "promo7",
        ),
        (
            "instagram, a button",
            instagram(
                "178",
                &json!({ "postback": { "mid": "m1", "title": "Go", "payload": "GO", "referral": { "ref": "promo7" } } }),
            ),
            "promo7",
        ),
        (
            "email",
            mail(
                "sales@shop.example",
                "From: a@b.example\r\nTo: sales+promo7@shop.example\r\nMessage-ID: <1@c>",
            ),
            "promo7",
        ),
    ] {
        let payload = match &event.kind {
            Some(Kind::Start(start)) => &start.payload,
            Some(Kind::Message(message)) => &message.start_payload,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(payload, expected, "{name}");
    }
}

#[test]
fn d23_threads_of_one_person_are_one_chat_and_each_keeps_what_it_answers() {
    let fields = "From: a@b.example\r\nTo: sales@shop.example\r\n";
    let first = mail(
        "sales@shop.example",
        &format!("{fields}Subject: Order\r\nMessage-ID: <1@c>"),
    );
    let other = mail(
        "sales@shop.example",
        &format!(
            "{fields}Subject: Re: Invoice\r\nMessage-ID: <2@c>\r\nIn-Reply-To: <i2@x> <i1@x>\r\nReferences: <i0@x> <i1@x>"
        ),
    );
    assert_eq!(first.chat_key, other.chat_key);
    assert!(message(&first).references.is_empty());
    // pitfall 31: several ids in one field are several ids.
    let references = &message(&other).references;
    for id in ["<i0@x>", "<i1@x>", "<i2@x>"] {
        assert!(references.iter().any(|known| known == id), "{references:?}");
    }
}

#[test]
fn d31_the_external_services_are_these_four() {
    for word in ["telegram-bot", "viber-bot", "instagram", "email"] {
        let kind = ChannelKind::try_from(word).unwrap();
        assert_eq!(kind.as_str(), word);
    }
    assert!(ChannelKind::try_from("vk").is_err());
}

#[test]
fn pitfall_12_what_no_one_knows_has_its_file_all_the_same() {
    for message in [
        json!({ "type": "file", "media": "https://dl-media.viber.com/a", "file_name": "накладна.pdf", "file_size": 71_022 }),
        json!({ "type": "hologram", "media": "https://dl-media.viber.com/a" }),
        json!({ "type": "voice", "media": "https://dl-media.viber.com/a.m4a", "duration": 3 }),
    ] {
        let event = viber_message(1, &message);
        let parts = &self::message(&event).parts;
        let files = channel_gateway::domain::attachments::named(&event);
        assert_eq!(files.len(), 1, "{message}: {parts:?}");
    }
}

#[test]
fn pitfall_19_everything_that_a_customer_does_in_direct_opens_the_window() {
    let video =
        json!({ "type": "story_mention", "payload": { "url": "https://lookaside.fbsbx.com/x" } });
    for (name, item, opens) in [
        (
            "a text",
            json!({ "message": { "mid": "m1", "text": "a" } }),
            true,
        ),
        (
            "a story mention",
            json!({ "message": { "mid": "m1", "attachments": [video] } }),
            true,
        ),
        (
            "a story reply",
            json!({ "message": { "mid": "m1", "text": "a", "reply_to": { "story": { "id": "1", "url": "https://lookaside.fbsbx.com/s" } } } }),
            true,
        ),
        (
            "a press",
            json!({ "postback": { "mid": "m1", "title": "Go", "payload": "GO" } }),
            true,
        ),
        (
            "a quick reply",
            json!({ "message": { "mid": "m1", "text": "a", "quick_reply": { "payload": "A" } } }),
            true,
        ),
        (
            "what Meta does not show",
            json!({ "message": { "mid": "m1", "is_unsupported": true } }),
            true,
        ),
        ("what was read", json!({ "read": { "mid": "m1" } }), false),
        (
            "a reaction",
            json!({ "reaction": { "mid": "m1", "action": "react", "emoji": "x" } }),
            false,
        ),
        (
            "what was taken back",
            json!({ "message": { "mid": "m1", "is_deleted": true } }),
            false,
        ),
    ] {
        let event = instagram("178", &item);
        let (client, _) = channel_gateway::app::around::noted(Uuid::nil(), &event, RECEIVED);
        assert_eq!(client.is_some(), opens, "{name}: {:?}", event.kind);
    }
}

#[test]
fn pitfall_22_all_that_is_read_is_subscribed_at_both_levels() {
    use channel_gateway::provider::instagram::{INSTAGRAM_FIELDS, PAGE_FIELDS};
    let fields = |list: &str, wanted: &[&str]| {
        let list: Vec<&str> = list.split(',').collect();
        wanted.iter().all(|field| list.contains(field))
    };
    assert!(fields(
        INSTAGRAM_FIELDS,
        &[
            "messages",
            "message_echoes",
            "message_reactions",
            "message_edit",
            "messaging_postbacks",
            "messaging_referral",
            "messaging_seen",
            "comments",
            "live_comments"
        ],
    ));
    assert!(fields(
        PAGE_FIELDS,
        &[
            "messages",
            "message_echoes",
            "message_reads",
            "messaging_referrals"
        ]
    ));
    // One unknown name would have the whole list refused.
    assert!(!fields(PAGE_FIELDS, &["comments"]));
}

#[test]
fn pitfall_32_a_mail_without_an_id_has_one_that_stays() {
    let read = |subject: &str| {
        let fields = format!("From: a@b.example\r\nTo: sales@shop.example\r\nSubject: {subject}");
        message(&mail("sales@shop.example", &fields))
            .provider_key
            .clone()
    };
    assert!(
        read("one").ends_with("@missing.sales@shop.example>"),
        "{}",
        read("one")
    );
    assert_eq!(read("one"), read("one"));
    assert_ne!(read("one"), read("two"));
}
