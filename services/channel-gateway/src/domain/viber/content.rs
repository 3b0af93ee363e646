//! The content of a Viber message as parts, in the order in which a reader sees them (channels.md §3.2).

use bytes::Bytes;
use serde_json::{Value, json};
use switchboard_proto::common::v1::{
    Attachment, ButtonPress, ContentPart, Location, SharedContact, SharedLink, Sticker, Text,
    Unsupported, attachment, content_part::Content,
};
use uuid::Uuid;

use crate::domain::value::{filled, id, int, object, size, text};

/// Characters of a file's address at most; Viber's own stay far below.
const ADDRESS_MAX: usize = 4_096;

/// The field of [`Attachment::extension`] that holds the signed address of a file.
pub const URL: &str = "url";
/// The field of [`Attachment::extension`] that holds the number of a sticker.
pub const STICKER_ID: &str = "sticker_id";

/// Returns the parts of a message; none where it does not say what it is.
///
/// `key` is the message's own: a file is known by it and its place, for its address is signed anew each time. A message
/// of a kind that is not understood is a file where it has one (a voice message may be such), else shown by its kind.
pub fn parts(channel: Uuid, key: &str, message: &Value, silent: bool) -> Vec<ContentPart> {
    use attachment::Kind;
    let Some(kind) = filled(message, "type") else {
        return Vec::new();
    };
    let file = |kind| attachment(channel, key, message, kind).map(Content::Attachment);
    let caption = filled(message, "text");
    let content = match kind.as_str() {
        "text" => {
            return one(match caption {
                // A silent button sends its data as a text that the client does not see.
                Some(data) if silent => Content::Button(ButtonPress {
                    title: String::new(),
                    data,
                }),
                Some(text) => plain(text),
                None => shown_by_kind(&kind),
            });
        }
        "picture" => file(Kind::Photo),
        "video" => file(Kind::Video),
        "sticker" => Some(sticker(channel, key, message)),
        "contact" => shared_contact(message),
        "location" => location(message),
        "url" => return one(link(message, caption).unwrap_or_else(|| shown_by_kind(&kind))),
        // Cards with buttons, which businesses send: the words that stand for them where they cannot be shown.
        "rich_media" => {
            let mut parts = one(shown_by_kind(&kind));
            parts.extend(filled(message, "alt_text").map(plain).map(part));
            return parts;
        }
        _ => file(Kind::Document),
    };
    let mut parts = one(content.unwrap_or_else(|| shown_by_kind(&kind)));
    parts.extend(caption.map(plain).map(part));
    parts
}

fn part(content: Content) -> ContentPart {
    ContentPart {
        content: Some(content),
    }
}

fn one(content: Content) -> Vec<ContentPart> {
    vec![part(content)]
}

fn plain(text: String) -> Content {
    Content::Text(Text {
        text,
        entities: Vec::new(),
    })
}

fn shown_by_kind(kind: &str) -> Content {
    let kind = kind.chars().filter(|c| !c.is_control()).take(64).collect();
    Content::Unsupported(Unsupported { kind })
}

/// Returns an address that a browser may open.
fn address(message: &Value, key: &str) -> Option<String> {
    let address = filled(message, key)?.trim().to_owned();
    let web = ["https://", "http://"].iter().any(|scheme| {
        address
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let odd = address.len() > ADDRESS_MAX || address.chars().any(char::is_control);
    (web && !odd).then_some(address)
}

fn attachment(
    channel: Uuid,
    key: &str,
    message: &Value,
    kind: attachment::Kind,
) -> Option<Attachment> {
    let address = address(message, "media")?;
    // The name of a picture says nothing: it is made up by the app.
    let named = kind != attachment::Kind::Photo;
    let bytes = int(message, "file_size").or_else(|| int(message, "size"));
    Some(Attachment {
        // A message has one file at most; its place is written all the same, should there be more one day.
        attachment_id: chassis::id::v5("attachment", &[&channel.to_string(), key, "0"]).to_string(),
        kind: kind.into(),
        state: attachment::State::Pending.into(),
        reason: String::new(),
        file_name: text(message, "file_name")
            .filter(|_| named)
            .unwrap_or_default(),
        media_type: String::new(),
        size: bytes.unwrap_or(0).max(0),
        width: 0,
        height: 0,
        duration_ms: i64::from(size(message, "duration")) * 1_000,
        extension: Bytes::from(json!({ (URL): address }).to_string()),
    })
}

/// A sticker; without an address, as some apps send it, only that there was one can be shown.
fn sticker(channel: Uuid, key: &str, message: &Value) -> Content {
    let picture = attachment(channel, key, message, attachment::Kind::Photo).map(|mut picture| {
        let mut extension = json!({ (URL): address(message, "media") });
        if let Some(number) = id(message, STICKER_ID) {
            extension[STICKER_ID] = json!(number);
        }
        picture.extension = Bytes::from(extension.to_string());
        picture
    });
    Content::Sticker(Sticker {
        attachment: picture,
        emoji: String::new(),
        set_name: String::new(),
    })
}

/// Contact data; after a button that shares the phone it is the sender's own, but the callback does not say so.
fn shared_contact(message: &Value) -> Option<Content> {
    let contact = object(message, "contact")?;
    let name = filled(contact, "name").unwrap_or_default();
    let phone = id(contact, "phone_number").unwrap_or_default();
    (!name.is_empty() || !phone.is_empty()).then_some(Content::Contact(SharedContact {
        name,
        phone,
        own: false,
    }))
}

/// A place on Earth; anything else is shown by its kind.
fn location(message: &Value) -> Option<Content> {
    let place = object(message, "location")?;
    let degrees = |key: &str, most: f64| {
        let number = match place.get(key)? {
            Value::String(text) => text.trim().parse().ok()?,
            value => value.as_f64()?,
        };
        (-most..=most).contains(&number).then_some(number)
    };
    Some(Content::Location(Location {
        latitude: degrees("lat", 90.0)?,
        longitude: degrees("lon", 180.0)?,
        title: String::new(),
        address: text(place, "address").unwrap_or_default(),
        live: false,
    }))
}

/// A link that the client shared: their own words, not an address of Viber's. What no browser should open is text.
fn link(message: &Value, title: Option<String>) -> Option<Content> {
    if let Some(url) = address(message, "media") {
        return Some(Content::Link(SharedLink {
            url,
            title: title.unwrap_or_default(),
        }));
    }
    filled(message, "media").or(title).map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Uuid = Uuid::from_u128(7);

    fn contents(message: &Value) -> Vec<Content> {
        let parts = parts(CHANNEL, "5", message, false);
        parts.into_iter().filter_map(|part| part.content).collect()
    }

    #[test]
    fn a_file_is_known_by_its_message_and_its_address_stays_with_the_gateway() {
        let url = "https://dl-media.viber.com/1?Signature=secret";
        let file = |key: &str, url: &str| {
            let message = json!({"type": "file", "media": url, "file_name": "a.pdf", "size": "7"});
            match parts(CHANNEL, key, &message, false).remove(0).content {
                Some(Content::Attachment(file)) => file,
                other => panic!("{other:?}"),
            }
        };
        let read = file("5", url);
        let extension: Value = serde_json::from_slice(&read.extension).unwrap();
        assert_eq!(extension, json!({ "url": url }));
        assert_eq!((read.file_name.as_str(), read.size), ("a.pdf", 7));
        let kept = Attachment {
            extension: Bytes::new(),
            ..read.clone()
        };
        assert!(!format!("{kept:?}").contains("viber.com"));
        assert_eq!(
            read.attachment_id,
            file("5", "https://dl-media.viber.com/1?Signature=new").attachment_id
        );
        assert_ne!(read.attachment_id, file("6", url).attachment_id);
    }

    #[test]
    fn places_come_as_numbers_or_strings_and_lie_on_earth() {
        for (lat, lon, expected) in [
            (json!(49.8397), json!(24.0297), Some((49.8397, 24.0297))),
            (json!("49.8397"), json!(" 24"), Some((49.8397, 24.0))),
            (json!(-90), json!(180), Some((-90.0, 180.0))),
            (json!(1234), json!(24), None),
            (json!("NaN"), json!(24), None),
            (json!("inf"), json!(24), None),
            (json!(null), json!(24), None),
        ] {
            let message = json!({"type": "location", "location": {"lat": lat, "lon": lon}});
            let read = match &contents(&message)[0] {
                Content::Location(place) => Some((place.latitude, place.longitude)),
                Content::Unsupported(_) => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(read, expected, "{message}");
        }
    }

    #[test]
    fn only_addresses_of_the_web_are_links_and_files() {
        for (media, link) in [
            ("https://shop.example/p/17", true),
            ("HTTP://shop.example", true),
            ("javascript:alert(1)", false),
            ("file:///etc/passwd", false),
            ("https://a.example/\u{7}", false),
        ] {
            let shared = contents(&json!({"type": "url", "media": media}));
            assert_eq!(matches!(shared[0], Content::Link(_)), link, "{media}");
            let file = contents(&json!({"type": "file", "media": media}));
            assert_eq!(matches!(file[0], Content::Attachment(_)), link, "{media}");
        }
        let long = format!("https://a.example/{}", "a".repeat(ADDRESS_MAX));
        assert!(matches!(
            contents(&json!({"type": "file", "media": long}))[0],
            Content::Unsupported(_)
        ));
    }
}
