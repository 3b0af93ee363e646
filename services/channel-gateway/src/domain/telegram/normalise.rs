//! From an update to inbound events: pure and total. What is not understood is kept raw, never refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::{
    InboundBlock, InboundDeletion, InboundEdit, InboundEvent, InboundMessage, InboundOwnAppMessage,
    InboundProviderState, InboundReaction, inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    ButtonPress, ChannelKind, ClientIdentity, ContentPart, ReplyReference, content_part::Content,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::business::{self, Connection};
use super::chat::Chat;
use super::content::{kind_of, own_phone, parts};
use super::person::{button_title, origin, person, reply, start_payload};
use crate::domain::inbound::{Line, credible, frame, hashed_key, unsupported};
use crate::domain::value::{filled, id, int, list, object, text, time};

const KIND: ChannelKind = ChannelKind::TelegramBot;

/// What was read of an update that was understood.
struct Reading {
    /// None where the update is about no chat.
    chat: Option<(Chat, ClientIdentity)>,
    /// None where the provider does not tell.
    time: Option<OffsetDateTime>,
    kind: Kind,
}

/// The provider's word for something that is not understood.
type Unknown = String;

/// Reads an update. There is always at least one event, and every one carries the update as it came.
///
/// Groups and channels open no chat: their updates are unsupported (as `message/group`), as is every kind that is not
/// known yet (channels.md §2.2). That a group became a supergroup (`migrate_to_chat_id`) is told there and so kept raw too:
/// a chat that we write into has its new key from the refusal of the first call to the old one.
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
            if let Some((chat, client)) = reading.chat {
                event.chat_key = chat.key();
                event.client = Some(client);
            }
            event.provider_time = Some(timestamp(credible(reading.time, received_at)));
            let mut kind = reading.kind;
            if let Kind::Edit(edit) = &mut kind {
                // What is not known by then stands where it was sent.
                let sent_at = edit.sent_at.as_ref();
                let sent_at =
                    sent_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at.seconds).ok());
                edit.sent_at = sent_at.map(|at| timestamp(credible(Some(at), received_at)));
            }
            event.kind = Some(kind);
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
    for field in ["message", "business_message"] {
        if let Some(message) = update.get(field) {
            return read_message(channel, field, message, event_key);
        }
    }
    for field in ["edited_message", "edited_business_message"] {
        if let Some(message) = update.get(field) {
            return read_edit(channel, field, message, event_key);
        }
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
    if let Some(deletion) = update.get("deleted_business_messages") {
        return read_deletion(deletion);
    }
    if let Some(connection) = update.get(business::CONNECTION) {
        return read_connection(connection);
    }
    let kind = update
        .as_object()
        .and_then(|fields| fields.keys().find(|field| *field != "update_id"));
    Err(kind.map_or_else(|| "malformed".to_owned(), Clone::clone))
}

fn read_message(
    channel: Uuid,
    field: &str,
    message: &Value,
    event_key: &str,
) -> Result<Reading, Unknown> {
    let read = written(channel, field, message, event_key)?;
    let kind = if read.own {
        Kind::OwnAppMessage(InboundOwnAppMessage {
            message: Some(read.message),
            automatic: business::is_automatic(message),
        })
    } else {
        Kind::Message(read.message)
    };
    Ok(Reading {
        chat: Some((read.chat, read.client)),
        time: time(message, "date"),
        kind,
    })
}

fn read_edit(
    channel: Uuid,
    field: &str,
    message: &Value,
    event_key: &str,
) -> Result<Reading, Unknown> {
    let read = written(channel, field, message, event_key)?;
    let sent_at = time(message, "date");
    let edit = InboundEdit {
        provider_key: read.message.provider_key.clone(),
        message: Some(read.message),
        sent_at: sent_at.map(timestamp),
        own_app: read.own,
    };
    Ok(Reading {
        chat: Some((read.chat, read.client)),
        time: time(message, "edit_date").or(sent_at),
        kind: Kind::Edit(edit),
    })
}

/// What message and edit have in common.
struct Written {
    chat: Chat,
    client: ClientIdentity,
    message: InboundMessage,
    /// The owner of a business account wrote it, not the client.
    own: bool,
}

fn written(
    channel: Uuid,
    field: &str,
    message: &Value,
    event_key: &str,
) -> Result<Written, Unknown> {
    let chat = private_chat(field, message)?;
    let parts = parts(channel, message);
    if parts.is_empty() {
        return Err(kind_of(message).unwrap_or(field).to_owned());
    }
    let own = chat.connection.is_some() && business::is_own(message, &chat.id);
    // What the owner writes goes to the person whose chat it is.
    let writer = object(message, "from").filter(|_| !own);
    let mut client = person(writer, message);
    if !own {
        client.phone = own_phone(&parts).unwrap_or_default();
    }
    let number = id(message, "message_id");
    let message = InboundMessage {
        // Without a number the event is the only thing that is unique.
        provider_key: chat.message_key(number.as_deref().unwrap_or(event_key)),
        provider_number: int(message, "message_id").unwrap_or(0),
        reply: reply(message, &chat),
        origin: Some(origin(message)),
        start_payload: start_payload(message),
        album_key: id(message, "media_group_id").unwrap_or_default(),
        parts,
        ..InboundMessage::default()
    };
    Ok(Written {
        chat,
        client,
        message,
        own,
    })
}

/// A press of a button is a message of its own, in answer to the message under which the button stands.
fn read_press(query: &Value, event_key: &str) -> Result<Reading, Unknown> {
    let message = object(query, "message").ok_or("callback_query")?;
    let chat = private_chat("callback_query", message)?;
    if chat.connection.is_some() && business::is_own(query, &chat.id) {
        // The owner sees the buttons too; the press says nothing of the client.
        return Err("callback_query/own".to_owned());
    }
    let data = text(query, "data").unwrap_or_default();
    let button = ButtonPress {
        title: button_title(message, &data),
        data,
    };
    let key = id(query, "id");
    let press = InboundMessage {
        provider_key: chat.press_key(key.as_deref().unwrap_or(event_key)),
        parts: vec![ContentPart {
            content: Some(Content::Button(button)),
        }],
        reply: id(message, "message_id").map(|number| ReplyReference {
            provider_key: chat.message_key(&number),
            ..ReplyReference::default()
        }),
        origin: Some(origin(message)),
        ..InboundMessage::default()
    };
    // `from` of the message is the bot itself; and Telegram does not tell when the button was pressed.
    let client = person(object(query, "from"), message);
    Ok(Reading {
        chat: Some((chat, client)),
        time: None,
        kind: Kind::Message(press),
    })
}

fn read_reaction(change: &Value) -> Result<Reading, Unknown> {
    let chat = private_chat("message_reaction", change)?;
    let number = id(change, "message_id").ok_or("message_reaction")?;
    let emojis = list(change, "new_reaction").iter().filter_map(|reaction| {
        // A paid reaction has no emoji of its own: clients show a star.
        filled(reaction, "emoji")
            .or_else(|| id(reaction, "custom_emoji_id"))
            .or_else(|| (reaction.get("type")?.as_str()? == "paid").then(|| "⭐".to_owned()))
    });
    let reaction = InboundReaction {
        provider_key: chat.message_key(&number),
        emojis: emojis.collect(),
    };
    let client = person(object(change, "user"), change);
    Ok(Reading {
        chat: Some((chat, client)),
        time: time(change, "date"),
        kind: Kind::Reaction(reaction),
    })
}

fn read_block(change: &Value) -> Result<Reading, Unknown> {
    let chat = private_chat("my_chat_member", change)?;
    let status = object(change, "new_chat_member").and_then(|member| member.get("status"));
    let blocked = match status.and_then(Value::as_str) {
        Some("kicked" | "left" | "banned") => true,
        Some("member" | "administrator" | "creator" | "restricted") => false,
        _ => return Err("my_chat_member".to_owned()),
    };
    let client = person(object(change, "from"), change);
    Ok(Reading {
        chat: Some((chat, client)),
        time: time(change, "date"),
        kind: Kind::Block(InboundBlock { blocked }),
    })
}

/// Both sides can delete for both, and Telegram tells neither who did nor when.
fn read_deletion(deletion: &Value) -> Result<Reading, Unknown> {
    const FIELD: &str = "deleted_business_messages";
    let chat = private_chat(FIELD, deletion)?;
    let numbers = business::deleted(deletion);
    if chat.connection.is_none() || numbers.is_empty() {
        return Err(FIELD.to_owned());
    }
    let provider_keys = numbers
        .iter()
        .map(|number| chat.message_key(number))
        .collect();
    let client = person(None, deletion);
    Ok(Reading {
        chat: Some((chat, client)),
        time: None,
        kind: Kind::Deletion(InboundDeletion { provider_keys }),
    })
}

fn read_connection(connection: &Value) -> Result<Reading, Unknown> {
    let state = Connection::read(connection).ok_or(business::CONNECTION)?;
    Ok(Reading {
        chat: None,
        time: time(connection, "date"),
        kind: Kind::ProviderState(InboundProviderState {
            kind: business::CONNECTION.to_owned(),
            extension: state.extension().into(),
        }),
    })
}

/// Returns the chat that an object names, where it is one with a person.
fn private_chat(field: &str, holder: &Value) -> Result<Chat, Unknown> {
    let chat = object(holder, "chat").ok_or(field)?;
    let key = id(chat, "id").ok_or(field)?;
    match chat.get("type").and_then(Value::as_str) {
        Some("private") => {}
        // Groups are negative; a chat that does not say what it is may be a person's.
        None if !key.starts_with('-') => {}
        kind => return Err(format!("{field}/{}", kind.unwrap_or("group"))),
    }
    Ok(Chat {
        connection: id(holder, "business_connection_id"),
        id: key,
    })
}
