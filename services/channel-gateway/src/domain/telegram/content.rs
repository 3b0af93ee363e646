//! The content of a Telegram message as parts, in the order in which a reader sees them.

use serde_json::Value;
use switchboard_proto::common::v1::{
    ContentPart, Location, SharedContact, Sticker, Text, TextEntity, Unsupported, attachment,
    content_part::Content, text_entity,
};
use uuid::Uuid;

use super::file;
use crate::domain::value::{filled, flag, id, int, list, object, size, text};

/// Content that a client can send and Switchboard shows by its kind only.
const SHOWN_BY_KIND: [&str; 11] = [
    "poll",
    "dice",
    "game",
    "invoice",
    "paid_media",
    "web_app_data",
    "story",
    "checklist",
    "giveaway",
    "gift",
    "unique_gift",
];

/// Fields of a message that are not its content.
const FRAME: [&str; 33] = [
    "message_id",
    "message_thread_id",
    "from",
    "sender_chat",
    "sender_boost_count",
    "sender_business_bot",
    "date",
    "business_connection_id",
    "chat",
    "forward_origin",
    "forward_from",
    "forward_from_chat",
    "forward_date",
    "forward_signature",
    "forward_sender_name",
    "forward_from_message_id",
    "is_topic_message",
    "is_automatic_forward",
    "reply_to_message",
    "external_reply",
    "quote",
    "reply_to_story",
    "via_bot",
    "edit_date",
    "has_protected_content",
    "is_from_offline",
    "media_group_id",
    "author_signature",
    "entities",
    "link_preview_options",
    "effect_id",
    "has_media_spoiler",
    "reply_markup",
];

/// Returns the parts of a message; none where it holds nothing that a client could have written.
pub fn parts(channel: Uuid, message: &Value) -> Vec<ContentPart> {
    let mut parts = Vec::new();
    if let Some(text) = filled(message, "text") {
        parts.push(Content::Text(Text {
            text,
            entities: entities(message, "entities"),
        }));
    }
    let caption = filled(message, "caption").map(|text| {
        Content::Text(Text {
            text,
            entities: entities(message, "caption_entities"),
        })
    });
    let media = media(channel, message);
    if flag(message, "show_caption_above_media") {
        parts.extend(caption);
        parts.extend(media);
    } else {
        parts.extend(media);
        parts.extend(caption);
    }
    if parts.is_empty() {
        let kind = SHOWN_BY_KIND
            .iter()
            .find(|kind| message.get(**kind).is_some());
        parts.extend(kind.map(|kind| {
            Content::Unsupported(Unsupported {
                kind: (*kind).to_owned(),
            })
        }));
    }
    parts
        .into_iter()
        .map(|content| ContentPart {
            content: Some(content),
        })
        .collect()
}

/// Names what an empty message holds: its first field that is none of the frame's.
pub fn kind_of(message: &Value) -> Option<&str> {
    let fields = message.as_object()?;
    fields
        .keys()
        .map(String::as_str)
        .find(|field| !FRAME.contains(field))
}

/// Returns the number that a contact part vouches for as the sender's own, in E.164.
pub fn own_phone(parts: &[ContentPart]) -> Option<String> {
    parts.iter().find_map(|part| match &part.content {
        Some(Content::Contact(contact)) if contact.own && contact.phone.starts_with('+') => {
            Some(contact.phone.clone())
        }
        _ => None,
    })
}

fn media(channel: Uuid, message: &Value) -> Option<Content> {
    use attachment::Kind;
    // An animation comes with a duplicate document, a venue with a duplicate location: the narrower one is asked first.
    if let Some(file) = object(message, "animation") {
        return file_part(channel, file, Kind::Animation);
    }
    // Sizes ascend, but nobody promises it.
    let photo = list(message, "photo").iter().max_by_key(|photo| {
        (
            i64::from(size(photo, "width")) * i64::from(size(photo, "height")),
            int(photo, "file_size"),
        )
    });
    if let Some(Content::Attachment(mut photo)) =
        photo.and_then(|photo| file_part(channel, photo, Kind::Photo))
    {
        // The Bot API stores every photo as JPEG and does not say so.
        "image/jpeg".clone_into(&mut photo.media_type);
        return Some(Content::Attachment(photo));
    }
    for (field, kind) in [
        ("document", Kind::Document),
        ("voice", Kind::Voice),
        ("audio", Kind::Audio),
        ("video", Kind::Video),
        ("video_note", Kind::VideoNote),
    ] {
        if let Some(part) = object(message, field).and_then(|file| file_part(channel, file, kind)) {
            return Some(part);
        }
    }
    if let Some(sticker) = object(message, "sticker") {
        return sticker_part(channel, sticker);
    }
    if let Some(venue) = object(message, "venue") {
        let place = object(venue, "location").or_else(|| object(message, "location"));
        return place.map(|place| location(place, Some(venue)));
    }
    if let Some(place) = object(message, "location") {
        return Some(location(place, None));
    }
    object(message, "contact").map(|contact| shared_contact(message, contact))
}

fn file_part(channel: Uuid, holder: &Value, kind: attachment::Kind) -> Option<Content> {
    file::read(channel, holder, kind).map(Content::Attachment)
}

fn sticker_part(channel: Uuid, sticker: &Value) -> Option<Content> {
    let mut picture = file::read(channel, sticker, attachment::Kind::Photo)?;
    let media_type = if flag(sticker, "is_video") {
        "video/webm"
    } else if flag(sticker, "is_animated") {
        "application/x-tgsticker"
    } else {
        "image/webp"
    };
    media_type.clone_into(&mut picture.media_type);
    Some(Content::Sticker(Sticker {
        attachment: Some(picture),
        emoji: text(sticker, "emoji").unwrap_or_default(),
        set_name: text(sticker, "set_name").unwrap_or_default(),
    }))
}

fn location(place: &Value, venue: Option<&Value>) -> Content {
    let degrees = |key: &str| place.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let named = |key: &str| venue.and_then(|venue| text(venue, key)).unwrap_or_default();
    Content::Location(Location {
        latitude: degrees("latitude"),
        longitude: degrees("longitude"),
        title: named("title"),
        address: named("address"),
        live: int(place, "live_period").is_some_and(|period| period > 0),
    })
}

fn shared_contact(message: &Value, contact: &Value) -> Content {
    let sender = object(message, "from").and_then(|from| id(from, "id"));
    let own = sender.is_some() && sender == id(contact, "user_id");
    let phone = id(contact, "phone_number").unwrap_or_default();
    // Telegram knows its users' own numbers in international form and may leave the plus out.
    let international = own && !phone.is_empty() && phone.bytes().all(|byte| byte.is_ascii_digit());
    Content::Contact(SharedContact {
        name: full_name(contact),
        phone: if international {
            format!("+{phone}")
        } else {
            phone
        },
        own,
    })
}

/// Joins first and last name.
pub fn full_name(person: &Value) -> String {
    let names = ["first_name", "last_name"].map(|key| text(person, key).unwrap_or_default());
    names.join(" ").trim().to_owned()
}

fn entities(message: &Value, field: &str) -> Vec<TextEntity> {
    let mut entities: Vec<TextEntity> = list(message, field).iter().filter_map(entity).collect();
    entities.sort_by_key(|entity| (entity.offset, entity.length));
    entities
}

fn entity(entity: &Value) -> Option<TextEntity> {
    use text_entity::Kind;
    let kind = match entity.get("type")?.as_str()? {
        "bold" => Kind::Bold,
        "italic" => Kind::Italic,
        "underline" => Kind::Underline,
        "strikethrough" => Kind::Strikethrough,
        "spoiler" => Kind::Spoiler,
        "blockquote" | "expandable_blockquote" => Kind::Blockquote,
        "code" => Kind::Code,
        "pre" => Kind::Pre,
        "text_link" => Kind::TextLink,
        "url" => Kind::Url,
        "email" => Kind::Email,
        "phone_number" => Kind::PhoneNumber,
        "mention" | "text_mention" => Kind::Mention,
        "hashtag" | "cashtag" => Kind::Hashtag,
        "bot_command" => Kind::BotCommand,
        "custom_emoji" => Kind::CustomEmoji,
        _ => return None,
    };
    Some(TextEntity {
        kind: kind.into(),
        offset: u32::try_from(int(entity, "offset")?).ok()?,
        length: u32::try_from(int(entity, "length")?)
            .ok()
            .filter(|length| *length > 0)?,
        url: text(entity, "url").unwrap_or_default(),
        language: text(entity, "language").unwrap_or_default(),
    })
}
