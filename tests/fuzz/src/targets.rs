//! What must hold whatever comes. A target panics where it does not.

use bytes::Bytes;
use channel_gateway::domain::email::{self, Fetched, Folder, Ours};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::range::{Asked, asked};
use channel_gateway::domain::{instagram, links, split, telegram, viber};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use sha2::Sha256;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use switchboard_proto::common::v1::{Text, TextEntity, text_entity};
use time::OffsetDateTime;
use uuid::Uuid;

// Named, as this file is a module of two crates.
#[path = "targets/replies.rs"]
mod replies;

pub use replies::{imap_answer, provider_error, smtp_reply, status_code};

/// What is given any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its program in `fuzz_targets` as well.
pub const TARGETS: [(&str, Target); 17] = [
    ("telegram_update", telegram_update),
    ("viber_callback", viber_callback),
    ("viber_signature", viber_signature),
    ("instagram_body", instagram_body),
    ("instagram_signature", instagram_signature),
    ("mail", mail),
    ("mail_visible_text", mail_visible_text),
    ("mail_html", mail_html),
    ("mail_address", mail_address),
    ("text_split", text_split),
    ("short_links", short_links),
    ("range_header", range_header),
    ("inbound_event", inbound_event),
    ("imap_answer", imap_answer),
    ("smtp_reply", smtp_reply),
    ("status_code", status_code),
    ("provider_error", provider_error),
];

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "17",
};

const OURS: Ours<'static> = Ours {
    address: "sales@shop.example",
    domain: "gw.shop.example",
    aliases: &[],
    gateway_id: "gw-1",
};

/// A time at which everything here was received.
fn received() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000)
}

/// What is authentic is normalised or kept raw: there is always an event, it says what it is, and it can be published
/// and read again.
fn total(events: &[InboundEvent]) {
    assert!(!events.is_empty(), "lost");
    for event in events {
        assert!(event.kind.is_some(), "an event without a kind");
        assert!(!event.event_key.is_empty(), "an event without a key");
        let read = InboundEvent::decode(event.encode_to_vec().as_slice());
        assert_eq!(read.as_ref(), Ok(event), "another event came back");
    }
}

/// An update of the Bot API.
pub fn telegram_update(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    let events = telegram::normalise(LINE, &raw, received());
    total(&events);
    assert_eq!(
        events,
        telegram::normalise(LINE, &raw, received()),
        "a repeat reads otherwise"
    );
}

/// A callback of Viber.
pub fn viber_callback(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    let events = viber::normalise(LINE, &raw, received());
    total(&events);
    assert_eq!(
        events,
        viber::normalise(LINE, &raw, received()),
        "a repeat reads otherwise"
    );
}

/// A body of Meta's webhook: taken apart, and each item read alone.
pub fn instagram_body(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    let items = instagram::items(&raw);
    assert!(!items.is_empty(), "lost");
    for item in items.iter().take(20) {
        total(&instagram::normalise(LINE, &item.raw, received()));
    }
}

/// Cuts what comes into a signature and a body.
fn cut(data: &[u8]) -> (&[u8], &[u8]) {
    let length = data.first().map_or(0, |length| usize::from(*length) % 96);
    let rest = data.get(1..).unwrap_or_default();
    rest.split_at(length.min(rest.len()))
}

fn hash(key: &[u8], raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(raw);
    hex::encode(mac.finalize().into_bytes())
}

/// Only the hash of the very bytes is believed.
pub fn viber_signature(data: &[u8]) {
    const TOKEN: &[u8] = b"4453b6ac12345678-e02c5f12174805f9";
    let (header, raw) = cut(data);
    let right = hash(TOKEN, raw);
    let is_right = header.eq_ignore_ascii_case(right.as_bytes());
    assert_eq!(viber::signature::verify(TOKEN, raw, header), is_right);
    assert!(viber::signature::verify(TOKEN, raw, right.as_bytes()));
    assert!(!viber::signature::verify(TOKEN, header, right.as_bytes()) || header == raw);
    assert!(!viber::signature::verify(b"", raw, header));
}

/// Only the hash of the very bytes under one of the app's secrets is believed.
pub fn instagram_signature(data: &[u8]) {
    const SECRETS: [&[u8]; 2] = [b"new", b"old"];
    let (header, raw) = cut(data);
    let header = String::from_utf8_lossy(header);
    for secret in SECRETS {
        let right = format!("sha256={}", hash(secret, raw));
        assert!(instagram::signature::verify(&SECRETS, raw, &right));
        let is_right = header.eq_ignore_ascii_case(&right);
        let believed = instagram::signature::verify(&[secret], raw, &header);
        assert!(!believed || is_right, "{header:?} is believed");
    }
    assert!(!instagram::signature::verify(&[], raw, &header));
}

/// A mail, as it came and as one that we sent.
pub fn mail(data: &[u8]) {
    let raw = Bytes::copy_from_slice(data);
    for folder in [Folder::Inbox, Folder::Sent] {
        let meta = Fetched {
            raw_ref: "raw/1",
            size: data.len() as u64,
            internal_date: received(),
            folder,
            uid_key: "sales@shop.example:1:2",
        };
        let (events, files) = email::normalise(LINE, &OURS, &meta, &raw, received());
        total(&events);
        let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        // Nothing that is decoded grows; a quoted line's end may.
        assert!(
            bytes <= data.len() * 4 + 1_024,
            "{bytes} bytes of files from {}",
            data.len()
        );
    }
}

/// Text, page and subject of a mail, apart.
fn thirds(data: &[u8]) -> (String, String, String) {
    let mut parts = data
        .splitn(3, |byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

/// What is shown of a mail: never nothing where there was something, never more than there was.
pub fn mail_visible_text(data: &[u8]) {
    let (first, second, subject) = thirds(data);
    for (plain, page) in [
        (Some(&*first), None),
        (None, Some(&*first)),
        (Some(&*first), Some(&*second)),
    ] {
        let visible = email::visible::visible_text(plain, page, &subject);
        assert!(
            !visible.cut || !visible.text.trim().is_empty(),
            "nothing is left of {plain:?} {page:?}"
        );
        assert!(visible.cut || visible.full.is_empty(), "full without a cut");
    }
}

/// A page made safe stays safe, and made safe again stays as it is.
pub fn mail_html(data: &[u8]) {
    let page = String::from_utf8_lossy(data);
    let safe = email::html::sanitised(&page);
    let lower = safe.to_ascii_lowercase();
    for never in [
        "<script", "<iframe", "<object", "<embed", "<style", "<link", "<meta", "<form",
    ] {
        assert!(!lower.contains(never), "{never} in {safe}");
    }
    let _ = email::html::to_text(&page);
    let _ = email::html::content_ids(&page);
}

/// An address: what is ours is told by the mailbox's address alone.
pub fn mail_address(data: &[u8]) {
    let address = String::from_utf8_lossy(data);
    if let Some(tag) = OURS.tag_of(&address) {
        assert!(
            address.to_lowercase().contains("sales"),
            "{address} is taken for ours, tag {tag}"
        );
    }
}

/// A longer text is refused before anything is done with it.
const TEXT_MAX: usize = 20_000;

/// A text with entities anywhere, inside it or beyond.
fn formatted(data: &[u8]) -> (u8, Text) {
    let (numbers, text) = data.split_at(data.len().min(9));
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    let number = |index: usize| numbers.get(index).copied().unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    let entities = (0..2)
        .map(|entity| TextEntity {
            kind: i32::from(number(1 + 4 * entity) % 20),
            offset: u32::from(number(2 + 4 * entity)),
            length: u32::from(number(3 + 4 * entity)),
            url: if number(4 + 4 * entity) % 2 == 0 {
                String::new()
            } else {
                "https://shop.example/x".to_owned()
            },
            ..TextEntity::default()
        })
        .collect();
    (number(0), Text { text, entities })
}

/// Pieces of a text are within the limit, none is empty, and nothing but white space is lost between them.
pub fn text_split(data: &[u8]) {
    let (max, text) = formatted(data);
    let max = u32::from(max % 200) + 2;
    let pieces = split::split(&text, max);
    let bare = |text: &str| {
        text.chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
    };
    let joined: String = pieces.iter().map(|piece| bare(&piece.text)).collect();
    assert_eq!(joined, bare(&text.text), "text is lost or doubled");
    for piece in &pieces {
        assert!(split::units(&piece.text) <= max, "a piece is too long");
    }
}

/// Links are replaced where they stand, and what is replaced is a link's address (F191).
pub fn short_links(data: &[u8]) {
    let (_, text) = formatted(data);
    let kept = links::shorten(&text, |_| None);
    assert_eq!(kept.text, text.text, "nothing was to be replaced");
    let shortened = links::shorten(&text, |link| {
        assert!(link.starts_with("http"), "{link} is no link");
        Some("https://l.example/l/abc".to_owned())
    });
    let units = split::units(&shortened.text);
    for entity in &shortened.entities {
        let known = text
            .entities
            .iter()
            .any(|before| before.offset.saturating_add(before.length) > split::units(&text.text));
        assert!(
            known || entity.offset + entity.length <= units,
            "an entity ends beyond the text"
        );
        let _ = text_entity::Kind::try_from(entity.kind);
    }
}

/// A part of a file that is asked for lies within the file.
pub fn range_header(data: &[u8]) {
    let (size, header) = data.split_at(data.len().min(8));
    let size = size
        .iter()
        .fold(0, |size, byte| size << 8 | u64::from(*byte));
    let header = String::from_utf8_lossy(header);
    for header in [header.as_ref(), &format!("bytes={header}")] {
        if let Asked::Part(part) = asked(Some(header), size) {
            assert!(
                part.start < part.end && part.end <= size,
                "{part:?} of {size}"
            );
        }
    }
}

/// An event of the stream, as any service reads it.
pub fn inbound_event(data: &[u8]) {
    if let Ok(event) = InboundEvent::decode(data) {
        let again = InboundEvent::decode(event.encode_to_vec().as_slice());
        assert_eq!(again, Ok(event.clone()));
        let _ = matches!(event.kind, Some(Kind::Message(_)));
    }
}
