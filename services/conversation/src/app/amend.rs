//! Edits, deletions and reactions of clients: applied to their messages, or parked until those come (X08).

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::outbox::Outgoing;
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce;
use super::inbound::{Amendment, Change};
use crate::domain::chat::Chat;
use crate::domain::words::MessageKind;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::store::message::{Key, Known, Stored};
use crate::store::{self, parked::Parked};
use crate::wire;

/// Applies amendments to messages of locked chats, in the order in which they were made; returns the chats whose
/// line in the list changed.
pub async fn apply(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    known: &BTreeMap<Key, Known>,
    mut amendments: Vec<Amendment>,
    events: &mut Vec<Outgoing>,
) -> Result<BTreeSet<ChatId>, Error> {
    let mut shown = BTreeSet::new();
    if amendments.is_empty() {
        return Ok(shown);
    }
    amendments.sort_by(|one, other| one.moment.cmp(&other.moment));
    let ids: BTreeSet<MessageId> = amendments
        .iter()
        .filter_map(|amendment| known.get(&amendment.key))
        .map(|known| known.message)
        .collect();
    let ids: Vec<MessageId> = ids.into_iter().collect();
    let mut messages = store::message::lock(connection, &ids).await?;
    let mut changed = BTreeSet::new();
    for amendment in &amendments {
        let target = known.get(&amendment.key);
        let Some(message) = target.and_then(|known| messages.get_mut(&known.message)) else {
            continue;
        };
        let Some(chat) = chats.get_mut(&message.chat) else {
            continue;
        };
        if chat.account != amendment.account {
            continue;
        }
        let before = message.clone();
        if let Some(event) = amend(chat, message, amendment)? {
            events.push(event);
        }
        if *message != before {
            changed.insert(message.id);
        }
        if refresh(chat, message)? {
            shown.insert(chat.id);
        }
    }
    let changed: Vec<&Stored> = messages
        .values()
        .filter(|message| changed.contains(&message.id))
        .collect();
    store::message::amend(connection, &changed).await?;
    Ok(shown)
}

/// Applies one amendment; the event says what became of it. What is not newer changes nothing.
fn amend(
    chat: &Chat,
    message: &mut Stored,
    amendment: &Amendment,
) -> Result<Option<Outgoing>, Error> {
    let actor = Actor::Client(chat.client.uuid());
    let cause = amendment.cause.by(actor.clone());
    let channel_id = chat.channel.to_string();
    match &amendment.change {
        Change::Edit(edit) => {
            let newer = message
                .edited
                .as_ref()
                .is_none_or(|edited| *edited < amendment.moment);
            // Clients edit their own messages; what is deleted stays so.
            if !newer || message.kind != MessageKind::Client || message.deleted_at.is_some() {
                return Ok(None);
            }
            let mut content = pb::Message::decode(message.body.as_slice())?;
            content.parts.clone_from(&edit.parts);
            message.body = wire::body(&content);
            message.edited = Some(amendment.moment.clone());
            let event = pb::MessageEdited {
                message: Some(wire::message(message)?),
                channel_id,
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        Change::Deletion => {
            if message.kind != MessageKind::Client || message.deleted_at.is_some() {
                return Ok(None);
            }
            let mut content = pb::Message::decode(message.body.as_slice())?;
            content.parts.clear();
            message.body = wire::body(&content);
            message.deleted_at = Some(amendment.moment.time);
            let event = pb::MessageDeleted {
                message_id: message.id.to_string(),
                chat_id: chat.id.to_string(),
                time: Some(chassis::grpc::timestamp(amendment.moment.time)),
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        Change::Reaction(emojis) => {
            let actor = actor.to_string();
            if !message.reactions.set(&actor, &amendment.moment, emojis) {
                return Ok(None);
            }
            let event = pb::MessageReacted {
                message_id: message.id.to_string(),
                chat_id: chat.id.to_string(),
                reactions: message.reactions.out(),
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
    }
}

/// Renews the chat's line where it shows this message; tells whether it changed.
fn refresh(chat: &mut Chat, message: &Stored) -> Result<bool, Error> {
    let Some(preview) = chat
        .preview
        .as_mut()
        .filter(|shown| shown.message == message.id)
    else {
        return Ok(false);
    };
    let content = pb::Message::decode(message.body.as_slice())?;
    let text = wire::preview_text(&content.parts);
    let changed = preview.text != text;
    preview.text = text;
    Ok(changed)
}

/// Parks amendments whose message is not known: of each key and kind the newest.
pub async fn park(
    connection: &mut PgConnection,
    amendments: Vec<Amendment>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut newest = BTreeMap::<(Key, String), Amendment>::new();
    for amendment in amendments {
        let Parked { kind, .. } = amendment.parked();
        let place = (amendment.key.clone(), kind);
        match newest.get(&place) {
            Some(kept) if kept.moment >= amendment.moment => {}
            _ => {
                newest.insert(place, amendment);
            }
        }
    }
    let rows: Vec<Parked> = newest.values().map(Amendment::parked).collect();
    metrics::counter!("conversation_parked_total").increment(rows.len() as u64);
    store::parked::park(connection, &rows, now).await?;
    Ok(())
}
