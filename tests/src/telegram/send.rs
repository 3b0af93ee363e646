//! The methods that send: texts, files, albums, places, contacts.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::answer::{Answer, Refusal};
use super::business::{self, Via};
use super::files::{self, Named};
use super::kept::Sent;
use super::params::Params;
use super::state::{Bot, State};

const TEXT_LIMIT: usize = 4_096;
const CAPTION_LIMIT: usize = 1_024;

type Content = fn(&Bot, &Params) -> Answer;

/// Carries out a method that sends; none where it is no such method.
pub(super) fn perform(state: &State, bot: &Bot, method: &str, params: Params) -> Option<Answer> {
    let (name, content): (&str, Content) = match method {
        "sendmessage" => ("sendMessage", text),
        "sendphoto" => ("sendPhoto", |bot, params| file(bot, params, "photo")),
        "senddocument" => ("sendDocument", |bot, params| file(bot, params, "document")),
        "sendvideo" => ("sendVideo", |bot, params| file(bot, params, "video")),
        "sendanimation" => ("sendAnimation", |bot, params| {
            file(bot, params, "animation")
        }),
        "sendaudio" => ("sendAudio", |bot, params| file(bot, params, "audio")),
        "sendvoice" => ("sendVoice", |bot, params| file(bot, params, "voice")),
        "sendvideonote" => ("sendVideoNote", |bot, params| {
            file(bot, params, "video_note")
        }),
        "sendsticker" => ("sendSticker", |bot, params| file(bot, params, "sticker")),
        "sendlocation" => ("sendLocation", |_, params| {
            Ok(json!({ "location": location(params)? }))
        }),
        "sendvenue" => ("sendVenue", venue),
        "sendcontact" => ("sendContact", contact),
        "sendmediagroup" => return Some(album(state, bot, params)),
        _ => return None,
    };
    Some(send(state, bot, name, params, content))
}

/// The chat a call is for, and the business account in whose name it goes; refused as Telegram refuses unknown and
/// blocked ones.
pub(super) fn chat_of(
    state: &State,
    bot: &Bot,
    params: &Params,
) -> Result<(i64, Option<Via>), Refusal> {
    let chat = params
        .integer("chat_id")
        .ok_or_else(|| Refusal::bad("chat_id is empty"))?;
    if let Some(via) = business::via(bot, params, chat)? {
        return Ok((chat, Some(via)));
    }
    match bot.known_customer(chat) {
        Some(customer) if customer.blocked => {
            Err(Refusal::new(403, "Forbidden: bot was blocked by the user"))
        }
        None if state.options.strict_chats => Err(Refusal::bad("chat not found")),
        _ => Ok((chat, None)),
    }
}

fn check_reply(bot: &Bot, params: &Params) -> Result<(), Refusal> {
    let Some(reply) = params.structured("reply_parameters") else {
        return Ok(());
    };
    let known = reply["message_id"]
        .as_i64()
        .is_some_and(|id| bot.knows_message(id));
    if known || reply["allow_sending_without_reply"] == json!(true) {
        Ok(())
    } else {
        Err(Refusal::bad("message to be replied not found"))
    }
}

fn send(state: &State, bot: &Bot, method: &str, params: Params, content: Content) -> Answer {
    let (chat, via) = chat_of(state, bot, &params)?;
    check_reply(bot, &params)?;
    let content = content(bot, &params)?;
    let message = outgoing(
        bot,
        chat,
        via.as_ref(),
        bot.next_message_id(),
        content.clone(),
    );
    let id = message["message_id"].as_i64().unwrap_or_default();
    let kept = if method == "sendMessage" {
        vec![]
    } else {
        vec![content]
    };
    record(bot, method, chat, vec![id], params, kept);
    Ok(message)
}

/// A message of the bot as Telegram answers it.
pub(super) fn outgoing(
    bot: &Bot,
    chat: i64,
    via: Option<&Via>,
    message_id: i64,
    content: Value,
) -> Value {
    let customer = bot.known_customer(chat).unwrap_or_default();
    let first_name = customer
        .first_name
        .unwrap_or_else(|| format!("Customer {chat}"));
    let mut message = json!({
        "message_id": message_id, "from": bot.user(), "date": OffsetDateTime::now_utc().unix_timestamp(),
        "chat": { "id": chat, "type": "private", "first_name": first_name },
    });
    if let Some(via) = via {
        message["business_connection_id"] = json!(via.connection);
        message["from"] = via.owner.clone();
        message["sender_business_bot"] = bot.user();
    }
    if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
        message.extend(content);
    }
    message
}

/// Keeps an accepted call; `media` is what its messages hold, where that is not told by the parameters.
pub(super) fn record(
    bot: &Bot,
    method: &str,
    chat_id: i64,
    message_ids: Vec<i64>,
    params: Params,
    media: Vec<Value>,
) {
    let at_ms = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)
        .unwrap_or_default();
    let Params { values, files } = params;
    bot.keep_sent(Sent {
        ordinal: 0,
        at_ms,
        method: method.to_owned(),
        chat_id,
        message_ids,
        params: values,
        files: files.into_iter().map(|file| file.file).collect(),
        media,
    });
}

/// A text that Telegram takes, with the ranges of its formatting that lie within it.
pub(super) fn text(_: &Bot, params: &Params) -> Answer {
    let text = params.text("text").unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Refusal::bad("message text is empty"));
    }
    if text.encode_utf16().count() > TEXT_LIMIT {
        return Err(Refusal::bad("message is too long"));
    }
    let mut content = json!({ "text": text });
    add_entities(
        &mut content,
        text,
        params.structured("entities"),
        "entities",
    );
    Ok(content)
}

fn add_entities(content: &mut Value, text: &str, entities: Option<Value>, field: &str) {
    let Some(Value::Array(entities)) = entities else {
        return;
    };
    let length = u64::try_from(text.encode_utf16().count()).unwrap_or(u64::MAX);
    let within = |entity: &Value| {
        let (offset, size) = (entity["offset"].as_u64(), entity["length"].as_u64());
        offset
            .zip(size)
            .is_some_and(|(offset, size)| size > 0 && offset.saturating_add(size) <= length)
    };
    let entities: Vec<Value> = entities.into_iter().filter(within).collect();
    if !entities.is_empty() {
        content[field] = json!(entities);
    }
}

/// Adds the text that stands with a file, as a call or an album's item gives it.
pub(super) fn add_caption(content: &mut Value, given: &Map<String, Value>) -> Result<(), Refusal> {
    let caption = given
        .get("caption")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if caption.encode_utf16().count() > CAPTION_LIMIT {
        return Err(Refusal::bad("message caption is too long"));
    }
    if caption.is_empty() {
        return Ok(());
    }
    content["caption"] = json!(caption);
    let entities = match given.get("caption_entities") {
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        other => other.cloned(),
    };
    add_entities(content, caption, entities, "caption_entities");
    let above = given.get("show_caption_above_media");
    if above.is_some_and(|above| *above == json!(true) || *above == json!("true")) {
        content["show_caption_above_media"] = json!(true);
    }
    Ok(())
}

fn file(bot: &Bot, params: &Params, kind: &str) -> Answer {
    let named = files::named(bot, params, kind, kind, params.text(kind))?;
    let mut content = content_of(kind, &named, &params.values);
    if !matches!(kind, "sticker" | "video_note") {
        add_caption(&mut content, &params.values)?;
    }
    Ok(content)
}

/// What a message with a file holds.
fn content_of(kind: &str, named: &Named, given: &Map<String, Value>) -> Value {
    let number = |key: &str, otherwise: u64| match given.get(key) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(otherwise),
        Some(Value::String(text)) => text.parse().unwrap_or(otherwise),
        _ => otherwise,
    };
    let mut object = named.object();
    let (width, height) = named.measures.unwrap_or((90, 67));
    match kind {
        "photo" => {
            object["width"] = json!(width);
            object["height"] = json!(height);
            return json!({ "photo": [object] });
        }
        "video" | "animation" => {
            object["width"] = json!(number("width", 320));
            object["height"] = json!(number("height", 240));
            object["duration"] = json!(number("duration", 1));
        }
        "voice" | "audio" => object["duration"] = json!(number("duration", 1)),
        "video_note" => {
            object["length"] = json!(number("length", 240));
            object["duration"] = json!(number("duration", 1));
        }
        "sticker" => {
            object["width"] = json!(512);
            object["height"] = json!(512);
            object["type"] = json!("regular");
            object["is_animated"] = json!(false);
            object["is_video"] = json!(false);
        }
        _ => {}
    }
    if matches!(kind, "document" | "video" | "audio" | "animation") {
        if let Some(name) = &named.name {
            object["file_name"] = json!(name);
        }
    }
    if let Some(mime) = named
        .mime
        .as_ref()
        .filter(|_| !matches!(kind, "sticker" | "video_note"))
    {
        object["mime_type"] = json!(mime);
    }
    let mut content = json!({ kind: object });
    if kind == "animation" {
        // Telegram repeats it for those who know documents only.
        content["document"] = named.object();
    }
    content
}

fn album(state: &State, bot: &Bot, params: Params) -> Answer {
    let (chat, via) = chat_of(state, bot, &params)?;
    check_reply(bot, &params)?;
    let Some(Value::Array(items)) = params.structured("media") else {
        return Err(Refusal::bad("media must be an array"));
    };
    if items.len() > 10 {
        return Err(Refusal::bad("too much messages to send as an album"));
    }
    if items.len() < 2 {
        return Err(Refusal::bad("wrong number of items in the media group"));
    }
    let mut kinds: Vec<&str> = items
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    if kinds.len() < items.len()
        || kinds
            .iter()
            .any(|kind| !matches!(*kind, "photo" | "video" | "document" | "audio"))
    {
        return Err(Refusal::bad(
            "can't parse InputMedia: wrong type of an album's item",
        ));
    }
    kinds.dedup();
    if kinds.len() > 1
        && kinds
            .iter()
            .any(|kind| matches!(*kind, "document" | "audio"))
    {
        return Err(Refusal::bad(
            "documents and audio can't be mixed with other media types",
        ));
    }
    let group = uuid::Uuid::new_v4().as_u64_pair().0.to_string();
    let mut contents = Vec::with_capacity(items.len());
    for item in &items {
        let (Some(given), Some(kind)) = (item.as_object(), item["type"].as_str()) else {
            return Err(Refusal::bad("can't parse InputMedia"));
        };
        // Within an album a file goes along under a name, never under the field's own.
        let named = files::named(bot, &params, kind, "", item["media"].as_str())?;
        let mut content = content_of(kind, &named, given);
        add_caption(&mut content, given)?;
        content["media_group_id"] = json!(group);
        contents.push(content);
    }
    let messages: Vec<Value> = contents
        .iter()
        .map(|content| {
            outgoing(
                bot,
                chat,
                via.as_ref(),
                bot.next_message_id(),
                content.clone(),
            )
        })
        .collect();
    let ids = messages
        .iter()
        .filter_map(|message| message["message_id"].as_i64())
        .collect();
    record(bot, "sendMediaGroup", chat, ids, params, contents);
    Ok(Value::Array(messages))
}

fn location(params: &Params) -> Answer {
    let degrees = |key: &str, most: f64| {
        let number = match params.values.get(key) {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| number.abs() <= most)
    };
    match (degrees("latitude", 90.0), degrees("longitude", 180.0)) {
        (Some(latitude), Some(longitude)) => {
            Ok(json!({ "latitude": latitude, "longitude": longitude }))
        }
        _ => Err(Refusal::bad("latitude or longitude is invalid")),
    }
}

/// A parameter that must not be empty.
fn filled<'p>(params: &'p Params, key: &str) -> Result<&'p str, Refusal> {
    params
        .text(key)
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Refusal::bad(&format!("{key} is empty")))
}

fn venue(_: &Bot, params: &Params) -> Answer {
    let place = location(params)?;
    let (title, address) = (filled(params, "title")?, filled(params, "address")?);
    Ok(json!({
        "location": place, "venue": { "location": place, "title": title, "address": address },
    }))
}

fn contact(_: &Bot, params: &Params) -> Answer {
    let mut contact = json!({
        "phone_number": filled(params, "phone_number")?, "first_name": filled(params, "first_name")?,
    });
    if let Some(name) = params.text("last_name") {
        contact["last_name"] = json!(name);
    }
    Ok(json!({ "contact": contact }))
}
