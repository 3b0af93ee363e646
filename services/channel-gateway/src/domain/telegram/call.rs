//! Calls to the Bot API as values: how content is worded, how a call is addressed, how it is amended after a refusal, and
//! what its answer names.

use serde_json::{Map, Value, json};
use switchboard_proto::common::v1::{
    Location, ReplyReference, SharedContact, Text, TextEntity, text_entity,
};

use super::chat::{Chat, number};
use super::layout::{Media, Piece};
use super::media::Medium;
use crate::domain::call::{Amendment, Call};
use crate::domain::value;

/// Formatted ranges that Telegram shows of one text.
const ENTITIES_MAX: usize = 100;

/// Deletes messages of a business account; it alone is addressed by the connection and not by the chat.
pub(super) const DELETE_BUSINESS: &str = "deleteBusinessMessages";

/// The updates that a webhook is registered for. Always sent whole: leaving it out keeps what was there before.
pub const ALLOWED_UPDATES: [&str; 9] = [
    "message",
    "edited_message",
    "callback_query",
    "my_chat_member",
    "message_reaction",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
];

/// Makes a call from a method and its parameters.
pub(super) fn call(method: &str, params: Value) -> Call {
    Call {
        method: method.to_owned(),
        params,
    }
}

/// Sends a piece.
pub fn send(piece: &Piece) -> Call {
    match piece {
        Piece::Text(piece) => call("sendMessage", Value::Object(text(piece))),
        Piece::Media(piece) => media(piece),
        Piece::Place(place) => location(place),
        Piece::Contact(person) => contact(person),
    }
}

/// Returns the parameters of a text.
pub(super) fn text(text: &Text) -> Map<String, Value> {
    worded("text", "entities", text)
}

/// Returns the parameters of a text that stands with files.
pub(super) fn caption(media: &Media) -> Map<String, Value> {
    let mut params = match &media.caption {
        Some(text) => worded("caption", "caption_entities", text),
        None => Map::new(),
    };
    if media.above {
        params.insert("show_caption_above_media".into(), json!(true));
    }
    params
}

fn worded(field: &str, entities_field: &str, text: &Text) -> Map<String, Value> {
    let mut params = Map::new();
    params.insert(field.into(), json!(text.text));
    let entities = text.entities.iter().filter_map(entity).take(ENTITIES_MAX);
    let entities: Vec<Value> = entities.collect();
    if !entities.is_empty() {
        params.insert(entities_field.into(), Value::Array(entities));
    }
    params
}

/// Sends files: one by its own method, several as an album whose text stands with the first.
fn media(media: &Media) -> Call {
    if let [one] = media.items.as_slice() {
        let mut params = caption(media);
        params.insert(one.sort.field().into(), one.file());
        one.describe(&mut params);
        return call(one.sort.method(), Value::Object(params));
    }
    let items = media.items.iter().enumerate();
    let items = items.map(|(index, item)| album_item(media, index, item));
    call(
        "sendMediaGroup",
        json!({ "media": items.collect::<Vec<_>>() }),
    )
}

fn album_item(media: &Media, index: usize, item: &Medium) -> Value {
    let mut params = Map::new();
    if index == 0 {
        params.extend(caption(media));
    } else if media.above {
        params.insert("show_caption_above_media".into(), json!(true));
    }
    params.insert("type".into(), json!(item.sort.field()));
    params.insert("media".into(), item.file());
    item.describe(&mut params);
    Value::Object(params)
}

/// Sends a place. One with a name or an address has both at Telegram.
fn location(place: &Location) -> Call {
    let mut params = json!({ "latitude": place.latitude, "longitude": place.longitude });
    let named = [&place.title, &place.address].map(|word| word.trim());
    let method = match named {
        ["", ""] => "sendLocation",
        [title, address] => {
            params["title"] = json!(if title.is_empty() { address } else { title });
            params["address"] = json!(if address.is_empty() { title } else { address });
            "sendVenue"
        }
    };
    call(method, params)
}

/// Sends contact data. Somebody without a name is shown by the number.
fn contact(contact: &SharedContact) -> Call {
    let name = contact.name.trim();
    let name = if name.is_empty() {
        &contact.phone
    } else {
        name
    };
    let params = json!({ "phone_number": contact.phone, "first_name": name });
    call("sendContact", params)
}

/// Makes a call an answer to a message, where that message is one of Telegram's.
#[must_use]
pub fn in_reply_to(mut call: Call, reply: &ReplyReference) -> Call {
    if let Some(number) = number(&reply.provider_key) {
        let mut parameters = json!({ "message_id": number, "allow_sending_without_reply": true });
        if !reply.quote.is_empty() {
            parameters["quote"] = json!(reply.quote);
        }
        call.params["reply_parameters"] = parameters;
    }
    call
}

/// Returns the body to send to this chat; files stand in it as they stand in the call.
pub fn body(call: &Call, chat_key: &str) -> Value {
    let chat = Chat::parse(chat_key);
    let mut body = call.params.clone();
    if call.method != DELETE_BUSINESS {
        // A number where it is one: that is what Telegram documents.
        body["chat_id"] = chat
            .id
            .parse::<i64>()
            .map_or_else(|_| json!(chat.id), |number| json!(number));
    }
    if let Some(connection) = chat.connection {
        body["business_connection_id"] = json!(connection);
    }
    body
}

/// Amends a call. None where there is nothing to change: then trying again would be refused again.
pub fn amended(call: &Call, amendment: Amendment) -> Option<Call> {
    let mut amended = call.clone();
    let params = amended.params.as_object_mut()?;
    match amendment {
        Amendment::WithoutReply => {
            params.remove("reply_parameters")?;
        }
        Amendment::Plain => {
            let mut found = unformatted(params);
            for item in album(params) {
                found |= unformatted(item);
            }
            found.then_some(())?;
        }
        Amendment::AsDocument if call.method == "sendMediaGroup" => {
            // Documents stand with documents only: the whole album becomes one of them.
            let photo = json!("photo");
            let with_photo = album(params).any(|item| item.get("type") == Some(&photo));
            with_photo.then_some(())?;
            for item in album(params) {
                item.insert("type".into(), json!("document"));
                as_document(item);
            }
        }
        Amendment::AsDocument => {
            let photo = params.remove("photo")?;
            params.insert("document".into(), photo);
            as_document(params);
            "sendDocument".clone_into(&mut amended.method);
        }
    }
    Some(amended)
}

fn unformatted(params: &mut Map<String, Value>) -> bool {
    let fields = ["entities", "caption_entities"];
    fields.map(|field| params.remove(field).is_some()) != [false, false]
}

fn as_document(params: &mut Map<String, Value>) {
    for field in [
        "show_caption_above_media",
        "width",
        "height",
        "duration",
        "supports_streaming",
    ] {
        params.remove(field);
    }
    params.insert("disable_content_type_detection".into(), json!(true));
}

fn album(params: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = params.get_mut("media").and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Returns the provider keys of the messages that an answer names, in order: an album's answer names one for each of its
/// files, a deletion's none.
pub fn provider_keys(result: &Value, chat_key: &str) -> Vec<String> {
    let chat = Chat::parse(chat_key);
    let messages = match result {
        Value::Array(messages) => messages.as_slice(),
        message => std::slice::from_ref(message),
    };
    let keys = messages.iter().filter_map(|message| {
        let number = value::id(message, "message_id")?;
        let told = value::object(message, "chat").and_then(|chat| value::id(chat, "id"));
        let chat = Chat {
            id: told.unwrap_or_else(|| chat.id.clone()),
            ..chat.clone()
        };
        Some(chat.message_key(&number))
    });
    keys.collect()
}

fn entity(entity: &TextEntity) -> Option<Value> {
    use text_entity::Kind;
    let kind = match entity.kind() {
        Kind::Bold => "bold",
        Kind::Italic => "italic",
        Kind::Underline => "underline",
        Kind::Strikethrough => "strikethrough",
        Kind::Spoiler => "spoiler",
        Kind::Blockquote => "blockquote",
        Kind::Code => "code",
        Kind::Pre => "pre",
        Kind::TextLink if !entity.url.is_empty() => "text_link",
        // Telegram finds addresses, mentions and commands by itself; a custom emoji needs an id that we do not have.
        _ => return None,
    };
    let mut value = json!({ "type": kind, "offset": entity.offset, "length": entity.length });
    if kind == "text_link" {
        value["url"] = json!(entity.url);
    }
    if kind == "pre" && !entity.language.is_empty() {
        value["language"] = json!(entity.language);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f129_a_text_keeps_its_formatting_and_its_reply() {
        let bold = TextEntity {
            kind: text_entity::Kind::Bold.into(),
            offset: 2,
            length: 2,
            ..TextEntity::default()
        };
        let call = send(&Piece::Text(Text {
            text: "Є 42".into(),
            entities: vec![bold],
        }));
        let reply = ReplyReference {
            provider_key: "5540012873:3051".into(),
            ..ReplyReference::default()
        };
        let call = in_reply_to(call, &reply);
        assert_eq!(
            body(&call, "5540012873"),
            json!({
                "chat_id": 5_540_012_873_i64,
                "text": "Є 42",
                "entities": [{"type": "bold", "offset": 2, "length": 2}],
                "reply_parameters": {"message_id": 3051, "allow_sending_without_reply": true},
            })
        );
        let business = body(&call, "business:bc_7Yh2:55");
        assert_eq!(
            (&business["chat_id"], &business["business_connection_id"]),
            (&json!(55), &json!("bc_7Yh2"))
        );
        let plain = amended(&call, Amendment::Plain).unwrap();
        assert!(plain.params.get("entities").is_none());
        assert_eq!(amended(&plain, Amendment::Plain), None);
        let alone = amended(&plain, Amendment::WithoutReply).unwrap();
        assert_eq!(alone.params, json!({"text": "Є 42"}));
        assert_eq!(amended(&alone, Amendment::AsDocument), None);
    }

    #[test]
    fn a_refused_picture_becomes_a_document_and_an_album_with_one_becomes_documents() {
        let photo = call(
            "sendPhoto",
            json!({"photo": {"$file": "a"}, "caption": "x", "show_caption_above_media": true}),
        );
        let document = amended(&photo, Amendment::AsDocument).unwrap();
        assert_eq!(document.method, "sendDocument");
        assert_eq!(
            document.params,
            json!({"document": {"$file": "a"}, "caption": "x", "disable_content_type_detection": true})
        );
        assert_eq!(amended(&document, Amendment::AsDocument), None);
        let album = call(
            "sendMediaGroup",
            json!({"media": [
                {"type": "photo", "media": {"$file": "a"}, "caption": "x", "caption_entities": []},
                {"type": "video", "media": {"$file": "b"}, "width": 3, "supports_streaming": true},
            ]}),
        );
        let plain = amended(&album, Amendment::Plain).unwrap();
        let documents = amended(&plain, Amendment::AsDocument).unwrap();
        assert_eq!(
            documents.params,
            json!({"media": [
                {"type": "document", "media": {"$file": "a"}, "caption": "x", "disable_content_type_detection": true},
                {"type": "document", "media": {"$file": "b"}, "disable_content_type_detection": true},
            ]})
        );
        assert_eq!(amended(&documents, Amendment::AsDocument), None);
    }

    #[test]
    fn the_keys_of_sent_messages_name_the_chat_that_telegram_names() {
        for (result, chat, expected) in [
            (
                json!({"message_id": 3061, "chat": {"id": -100}}),
                "5",
                vec!["-100:3061"],
            ),
            (json!({"message_id": 3061}), "5", vec!["5:3061"]),
            (
                json!([{"message_id": 1}, {"message_id": 2, "chat": {"id": 5}}]),
                "5",
                vec!["5:1", "5:2"],
            ),
            (
                json!({"message_id": 9, "chat": {"id": 55}}),
                "business:bc:55",
                vec!["bc:55:9"],
            ),
            (json!(true), "5", vec![]),
            (json!([]), "5", vec![]),
            (json!([null, 7, {}]), "5", vec![]),
        ] {
            assert_eq!(provider_keys(&result, chat), expected, "{result}");
        }
    }
}
