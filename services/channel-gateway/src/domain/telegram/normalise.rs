//! From an update to inbound events: pure and total. What is not understood is kept raw, never refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::{
    InboundBlock, InboundEdit, InboundEvent, InboundMessage, InboundReaction, inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    ButtonPress, ChannelKind, ClientIdentity, ContentPart, Origin, ReplyReference,
    content_part::Content, origin,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::content::{full_name, kind_of, own_phone, parts};
use crate::domain::inbound::{Line, frame, hashed_key, unsupported};
use crate::domain::value::{filled, id, int, list, object, text, time};

const KIND: ChannelKind = ChannelKind::TelegramBot;

/// What was read of an update that was understood.
struct Reading {
    chat_key: String,
    client: ClientIdentity,
    /// None where the provider does not tell.
    time: Option<OffsetDateTime>,
    kind: Kind,
}

/// The provider's word for something that is not understood.
type Unknown = String;

/// Reads an update. There is always at least one event, and every one carries the update as it came.
///
/// Groups and channels open no chat: their updates are unsupported (as `message/group`), as are Telegram Business
/// and every kind that is not known yet (channels.md §2.2).
pub fn normalise(line: Line<'_>, raw: &Bytes, received_at: OffsetDateTime) -> Vec<InboundEvent> {
    let update = serde_json::from_slice::<Value>(raw).ok();
    let event_key = event_key(update.as_ref(), raw);
    let read = update.as_ref().map_or_else(
        || Err("malformed".to_owned()),
        |update| read(line.channel, update, &event_key),
    );
    let mut event = frame(line, KIND, raw, received_at, event_key);
    match read {
        Ok(reading) => {
            event.chat_key = reading.chat_key;
            event.client = Some(reading.client);
            event.provider_time = Some(timestamp(reading.time.unwrap_or(received_at)));
            event.kind = Some(reading.kind);
        }
        Err(kind) => event.kind = Some(unsupported(&kind)),
    }
    vec![event]
}

/// Keeps an item raw, as unsupported of this kind, without reading more of it than its key.
pub fn kept_raw(
    line: Line<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
    kind: &str,
) -> InboundEvent {
    let update = serde_json::from_slice::<Value>(raw).ok();
    let event_key = event_key(update.as_ref(), raw);
    InboundEvent {
        kind: Some(unsupported(kind)),
        ..frame(line, KIND, raw, received_at, event_key)
    }
}

/// The key by which a repeat is known: the update's id, or, where there is none, the hash of the bytes.
fn event_key(update: Option<&Value>, raw: &[u8]) -> String {
    update
        .and_then(|update| id(update, "update_id"))
        .map_or_else(|| hashed_key(raw), |id| format!("upd:{id}"))
}

fn read(channel: Uuid, update: &Value, event_key: &str) -> Result<Reading, Unknown> {
    if let Some(message) = update.get("message") {
        return read_message(channel, message, event_key);
    }
    if let Some(message) = update.get("edited_message") {
        return read_edit(channel, message, event_key);
    }
    if let Some(query) = update.get("callback_query") {
        return read_press(query, event_key);
    }
    if let Some(change) = update.get("message_reaction") {
        return read_reaction(change);
    }
    if let Some(change) = update.get("my_chat_member") {
        return read_block(change);
    }
    let kind = update
        .as_object()
        .and_then(|fields| fields.keys().find(|field| *field != "update_id"));
    Err(kind.map_or_else(|| "malformed".to_owned(), Clone::clone))
}

fn read_message(channel: Uuid, message: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let (chat_key, client, written) = written(channel, "message", message, event_key)?;
    Ok(Reading {
        chat_key,
        client,
        time: time(message, "date"),
        kind: Kind::Message(written),
    })
}

fn read_edit(channel: Uuid, message: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let (chat_key, client, written) = written(channel, "edited_message", message, event_key)?;
    let sent_at = time(message, "date");
    let edit = InboundEdit {
        provider_key: written.provider_key.clone(),
        message: Some(written),
        sent_at: sent_at.map(timestamp),
        own_app: false,
    };
    Ok(Reading {
        chat_key,
        client,
        time: time(message, "edit_date").or(sent_at),
        kind: Kind::Edit(edit),
    })
}

/// What message and edit have in common.
fn written(
    channel: Uuid,
    field: &str,
    message: &Value,
    event_key: &str,
) -> Result<(String, ClientIdentity, InboundMessage), Unknown> {
    let chat_key = private_chat(field, message)?;
    let parts = parts(channel, message);
    if parts.is_empty() {
        return Err(kind_of(message).unwrap_or(field).to_owned());
    }
    let mut client = person(object(message, "from"), message);
    client.phone = own_phone(&parts).unwrap_or_default();
    let number = id(message, "message_id");
    let written = InboundMessage {
        // Without a number the event is the only thing that is unique.
        provider_key: format!("{chat_key}:{}", number.as_deref().unwrap_or(event_key)),
        provider_number: int(message, "message_id").unwrap_or(0),
        reply: reply(message, &chat_key),
        origin: Some(origin(message)),
        start_payload: start_payload(message),
        album_key: id(message, "media_group_id").unwrap_or_default(),
        parts,
        ..InboundMessage::default()
    };
    Ok((chat_key, client, written))
}

/// A press of a button is a message of its own, in answer to the message under which the button stands.
fn read_press(query: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let message = object(query, "message").ok_or("callback_query")?;
    let chat_key = private_chat("callback_query", message)?;
    let data = text(query, "data").unwrap_or_default();
    let button = ButtonPress {
        title: button_title(message, &data),
        data,
    };
    let key = id(query, "id");
    let press = InboundMessage {
        provider_key: format!("{chat_key}:cb:{}", key.as_deref().unwrap_or(event_key)),
        provider_number: 0,
        parts: vec![ContentPart {
            content: Some(Content::Button(button)),
        }],
        reply: id(message, "message_id").map(|number| ReplyReference {
            message_id: String::new(),
            provider_key: format!("{chat_key}:{number}"),
            quote: String::new(),
        }),
        origin: Some(origin(message)),
        ..InboundMessage::default()
    };
    // `from` of the message is the bot itself; and Telegram does not tell when the button was pressed.
    Ok(Reading {
        chat_key,
        client: person(object(query, "from"), message),
        time: None,
        kind: Kind::Message(press),
    })
}

fn read_reaction(change: &Value) -> Result<Reading, Unknown> {
    let chat_key = private_chat("message_reaction", change)?;
    let number = id(change, "message_id").ok_or("message_reaction")?;
    let emojis = list(change, "new_reaction").iter().filter_map(|reaction| {
        // A paid reaction has no emoji of its own: clients show a star.
        filled(reaction, "emoji")
            .or_else(|| id(reaction, "custom_emoji_id"))
            .or_else(|| (reaction.get("type")?.as_str()? == "paid").then(|| "⭐".to_owned()))
    });
    let reaction = InboundReaction {
        provider_key: format!("{chat_key}:{number}"),
        emojis: emojis.collect(),
    };
    let client = person(object(change, "user"), change);
    Ok(Reading {
        chat_key,
        client,
        time: time(change, "date"),
        kind: Kind::Reaction(reaction),
    })
}

fn read_block(change: &Value) -> Result<Reading, Unknown> {
    let chat_key = private_chat("my_chat_member", change)?;
    let status = object(change, "new_chat_member").and_then(|member| member.get("status"));
    let blocked = match status.and_then(Value::as_str) {
        Some("kicked" | "left" | "banned") => true,
        Some("member" | "administrator" | "creator" | "restricted") => false,
        _ => return Err("my_chat_member".to_owned()),
    };
    let client = person(object(change, "from"), change);
    Ok(Reading {
        chat_key,
        client,
        time: time(change, "date"),
        kind: Kind::Block(InboundBlock { blocked }),
    })
}

/// Returns the key of the chat that an object names, where it is one with a person.
fn private_chat(field: &str, holder: &Value) -> Result<String, Unknown> {
    let chat = object(holder, "chat").ok_or(field)?;
    let key = id(chat, "id").ok_or(field)?;
    match chat.get("type").and_then(Value::as_str) {
        Some("private") => Ok(key),
        // Groups are negative; a chat that does not say what it is may be a person's.
        None if !key.starts_with('-') => Ok(key),
        kind => Err(format!("{field}/{}", kind.unwrap_or("group"))),
    }
}

/// The person who acted; in a private chat the chat itself tells who that is, should `from` be missing.
fn person(from: Option<&Value>, holder: &Value) -> ClientIdentity {
    let chat = holder.get("chat").unwrap_or(&Value::Null);
    let person = from.filter(|from| id(from, "id").is_some()).unwrap_or(chat);
    ClientIdentity {
        scope: "telegram".to_owned(),
        user_id: id(person, "id").unwrap_or_default(),
        name: full_name(person),
        username: text(person, "username").unwrap_or_default(),
        phone: String::new(),
        email: String::new(),
        language: text(person, "language_code").unwrap_or_default(),
    }
}

fn reply(message: &Value, chat_key: &str) -> Option<ReplyReference> {
    let quote = object(message, "quote")
        .and_then(|quote| text(quote, "text"))
        .unwrap_or_default();
    let target = object(message, "reply_to_message").and_then(|target| {
        let chat = object(target, "chat").and_then(|chat| id(chat, "id"));
        let number = id(target, "message_id")?;
        Some(format!("{}:{number}", chat.as_deref().unwrap_or(chat_key)))
    });
    // A quote may come from another chat, whose messages we do not have.
    if target.is_none() && quote.is_empty() {
        return None;
    }
    Some(ReplyReference {
        message_id: String::new(),
        provider_key: target.unwrap_or_default(),
        quote,
    })
}

fn origin(message: &Value) -> Origin {
    let kind = if object(message, "reply_to_story").is_some() {
        origin::Kind::Story
    } else {
        origin::Kind::Direct
    };
    Origin {
        kind: kind.into(),
        link: String::new(),
        parent_key: String::new(),
    }
}

/// The payload of a deep link: `/start lead_77` (D30).
fn start_payload(message: &Value) -> String {
    let text = text(message, "text").unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let command = words.next().unwrap_or_default();
    let start = command == "/start" || command.starts_with("/start@");
    let payload = words.next().filter(|payload| start && payload.len() <= 64);
    payload.unwrap_or_default().to_owned()
}

fn button_title(message: &Value, data: &str) -> String {
    let rows =
        object(message, "reply_markup").map_or(&[][..], |markup| list(markup, "inline_keyboard"));
    let mut buttons = rows.iter().filter_map(Value::as_array).flatten();
    let pressed = buttons
        .find(|button| !data.is_empty() && text(button, "callback_data").as_deref() == Some(data));
    pressed
        .and_then(|button| text(button, "text"))
        .unwrap_or_default()
}
