//! What Viber takes in a message, and what it answers where it does not (channels.md §3.3).

use serde_json::{Map, Value};

/// A refusal: Viber's status and its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub u64, pub &'static str);

pub(super) const INVALID_URL: Refusal = Refusal(1, "invalidUrl");
pub(super) const INVALID_TOKEN: Refusal = Refusal(2, "invalidAuthToken");
pub(super) const BAD_DATA: Refusal = Refusal(3, "badData");
pub(super) const MISSING_DATA: Refusal = Refusal(4, "missingData");
pub(super) const NOT_REGISTERED: Refusal = Refusal(5, "receiverNotRegistered");
pub(super) const NOT_SUBSCRIBED: Refusal = Refusal(6, "receiverNotSubscribed");
pub(super) const WEBHOOK_NOT_SET: Refusal = Refusal(10, "webhookNotSet");
pub(super) const TOO_MANY: Refusal = Refusal(12, "tooManyRequests");

const MEGABYTE: u64 = 1024 * 1024;

type Fields = Map<String, Value>;

/// Checks a message's sender and content.
pub(super) fn message(fields: &Fields) -> Result<(), Refusal> {
    let sender = fields.get("sender").ok_or(MISSING_DATA)?;
    length(sender.get("name"), 1, 28)?;
    if let Some(data) = fields.get("tracking_data") {
        length(Some(data), 0, 4_000)?;
    }
    match fields.get("type").ok_or(MISSING_DATA)?.as_str() {
        Some("text") => length(fields.get("text"), 1, 7_000),
        Some("picture") => {
            address(fields, &[".jpeg", ".jpg", ".png", ".gif"])?;
            length(fields.get("text"), 0, 512)
        }
        Some("video") => {
            address(fields, &[".mp4"])?;
            size(fields, 26 * MEGABYTE)?;
            let duration = fields.get("duration").map_or(Some(0), Value::as_u64);
            truth(duration.is_some_and(|seconds| seconds <= 180))
        }
        Some("file") => {
            address(fields, &[])?;
            size(fields, 50 * MEGABYTE)?;
            length(fields.get("file_name"), 3, 256)?;
            let name = fields.get("file_name").and_then(Value::as_str);
            let ending = name.and_then(|name| name.rsplit_once('.'));
            truth(ending.is_some_and(|(_, ending)| !ending.is_empty() && ending != "exe"))
        }
        Some("url") => address(fields, &[]),
        Some("contact") => {
            let contact = fields.get("contact").ok_or(MISSING_DATA)?;
            length(contact.get("name"), 1, 28)?;
            length(contact.get("phone_number"), 1, 18)
        }
        Some("location") => {
            let place = fields.get("location").ok_or(MISSING_DATA)?;
            degrees(place.get("lat"), 90.0)?;
            degrees(place.get("lon"), 180.0)
        }
        Some("sticker") => {
            let number = fields.get("sticker_id").ok_or(MISSING_DATA)?;
            truth(number.is_u64())
        }
        Some("rich_media") => {
            let version = fields.get("min_api_version").and_then(Value::as_u64);
            truth(version >= Some(2) && fields.get("rich_media").is_some_and(Value::is_object))
        }
        _ => Err(BAD_DATA),
    }
}

fn truth(holds: bool) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(BAD_DATA) }
}

fn length(text: Option<&Value>, least: usize, most: usize) -> Result<(), Refusal> {
    let text = text.ok_or(MISSING_DATA)?.as_str().ok_or(BAD_DATA)?;
    let count = text.chars().count();
    if count < least {
        return Err(MISSING_DATA);
    }
    truth(count <= most)
}

fn size(fields: &Fields, most: u64) -> Result<(), Refusal> {
    let size = fields.get("size").ok_or(MISSING_DATA)?;
    truth(size.as_u64().is_some_and(|size| (1..=most).contains(&size)))
}

fn address(fields: &Fields, endings: &[&str]) -> Result<(), Refusal> {
    length(fields.get("media"), 1, 2_000)?;
    let media = fields
        .get("media")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let path = media
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let fits = endings.is_empty() || endings.iter().any(|ending| path.ends_with(ending));
    truth(fits && (media.starts_with("http://") || media.starts_with("https://")))
}

fn degrees(value: Option<&Value>, most: f64) -> Result<(), Refusal> {
    let number = match value.ok_or(MISSING_DATA)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    };
    truth(number.is_some_and(|number| (-most..=most).contains(&number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_held_against_vibers_limits() {
        let media = "https://a.example/a";
        for (message, status) in [
            (json!({"type": "text", "text": "a"}), 0),
            (json!({"type": "text", "text": ""}), 4),
            (json!({"type": "text", "text": "ї".repeat(7_001)}), 3),
            (
                json!({"type": "picture", "text": "", "media": format!("{media}.jpg?s=1")}),
                0,
            ),
            (
                json!({"type": "picture", "text": "", "media": format!("{media}.webp")}),
                3,
            ),
            (
                json!({"type": "picture", "media": format!("{media}.jpg")}),
                4,
            ),
            (
                json!({"type": "picture", "text": "", "media": {"$file": "x"}}),
                3,
            ),
            (
                json!({"type": "video", "media": format!("{media}.mp4"), "size": 9}),
                0,
            ),
            (json!({"type": "video", "media": format!("{media}.mp4")}), 4),
            (
                json!({"type": "video", "media": format!("{media}.mp4"), "size": 9, "duration": 181}),
                3,
            ),
            (
                json!({"type": "file", "media": media, "size": 9, "file_name": "a.pdf"}),
                0,
            ),
            (
                json!({"type": "file", "media": media, "size": 9, "file_name": "abc"}),
                3,
            ),
            (
                json!({"type": "contact", "contact": {"name": "a", "phone_number": "+1"}}),
                0,
            ),
            (
                json!({"type": "contact", "contact": {"name": "a", "phone_number": "1".repeat(19)}}),
                3,
            ),
            (
                json!({"type": "location", "location": {"lat": "50", "lon": 30.5}}),
                0,
            ),
            (
                json!({"type": "location", "location": {"lat": 91, "lon": 30.5}}),
                3,
            ),
            (json!({"type": "sticker", "sticker_id": 46105}), 0),
            (json!({"type": "sticker", "sticker_id": "46105"}), 3),
            (json!({"type": "gif"}), 3),
            (json!({}), 4),
        ] {
            let Value::Object(mut fields) = message else {
                panic!("an object")
            };
            fields.insert("sender".into(), json!({"name": "Shop"}));
            let read = super::message(&fields).map_or_else(|refusal| refusal.0, |()| 0);
            assert_eq!(read, status, "{fields:?}");
        }
    }
}
