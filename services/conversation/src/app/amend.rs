//! Edits, deletions and reactions of clients: applied to their messages, or parked until those come (X08).

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::ContentPart;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::{self, Cause};
use super::inbound::{Amendment, Change};
use crate::domain::chat::Chat;
use crate::domain::words::MessageKind;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::figures;
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
    let client = Actor::Client(chat.client.uuid());
    // Of what was written in the provider's own app nobody tells who changed it.
    let actor = (message.kind == MessageKind::Client).then(|| client.clone());
    let cause = Cause {
        actor,
        ..amendment.cause.clone()
    };
    match &amendment.change {
        Change::Edit {
            message: edit,
            own_app,
        } => {
            if !may_be_edited(message, *own_app) || !edit_parts(message, amendment, &edit.parts)? {
                return Ok(None);
            }
            let event = edited(chat, message, false)?;
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        Change::Deletion => {
            if !was_written_outside(message) || !delete(message, amendment)? {
                return Ok(None);
            }
            // Of an album one item is gone: the message is still there.
            let Some(deleted_at) = message.deleted_at else {
                let event = edited(chat, message, false)?;
                return Ok(Some(announce::about_chat(chat, &event, &cause)));
            };
            let event = pb::MessageDeleted {
                message_id: message.id.to_string(),
                chat_id: chat.id.to_string(),
                time: Some(chassis::grpc::timestamp(deleted_at)),
            };
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
        Change::Reaction(emojis) => {
            let actor = client.to_string();
            if !message.reactions.set(&actor, &amendment.moment, emojis) {
                return Ok(None);
            }
            let event = pb::MessageReacted {
                message_id: message.id.to_string(),
                chat_id: chat.id.to_string(),
                reactions: message.reactions.out(),
            };
            let cause = amendment.cause.by(client);
            Ok(Some(announce::about_chat(chat, &event, &cause)))
        }
    }
}

/// `message.edited`
pub(super) fn edited(
    chat: &Chat,
    message: &Stored,
    album_grew: bool,
) -> Result<pb::MessageEdited, Error> {
    Ok(pb::MessageEdited {
        message: Some(announce::carried(wire::message(message)?)),
        channel_id: chat.channel.to_string(),
        album_grew,
    })
}

/// Tells whether a message came from the provider: a client's, or ours by the provider's own app.
fn was_written_outside(message: &Stored) -> bool {
    message.kind == MessageKind::Client
        || (message.kind == MessageKind::Agent && message.delivery.is_none())
}

/// Each side edits its own messages.
fn may_be_edited(message: &Stored, own_app: bool) -> bool {
    was_written_outside(message) && (message.kind == MessageKind::Agent) == own_app
}

/// Gives a message, or the item of the album that the key names, other content; tells whether that was newer. What is
/// deleted stays so.
fn edit_parts(
    message: &mut Stored,
    amendment: &Amendment,
    parts: &[ContentPart],
) -> Result<bool, Error> {
    let mut content = wire::content(message)?;
    let mut album = wire::album(&content);
    if album.items().is_empty() {
        let newer = message
            .edited
            .as_ref()
            .is_none_or(|edited| *edited < amendment.moment);
        if !newer || message.deleted_at.is_some() {
            return Ok(false);
        }
        content.parts = parts.to_vec();
        message.edited = Some(amendment.moment.clone());
    } else {
        if !album.edit(&amendment.key.1, &amendment.moment, parts) {
            return Ok(false);
        }
        wire::set_album(&mut content, &album);
        message.edited = album.edited();
    }
    message.body = wire::body(&content);
    Ok(true)
}

/// Empties a message, or the item of the album that the key names; tells whether that was new.
fn delete(message: &mut Stored, amendment: &Amendment) -> Result<bool, Error> {
    if message.deleted_at.is_some() {
        return Ok(false);
    }
    let at = amendment.moment.time;
    let mut content = wire::content(message)?;
    let mut album = wire::album(&content);
    if album.items().is_empty() {
        wire::erase(&mut content);
        message.deleted_at = Some(at);
    } else {
        if !album.delete(&amendment.key.1, at) {
            return Ok(false);
        }
        wire::set_album(&mut content, &album);
        message.deleted_at = album.deleted_at();
    }
    message.body = wire::body(&content);
    Ok(true)
}

/// Renews the chat's line where it shows this message; tells whether it changed.
pub(super) fn refresh(chat: &mut Chat, message: &Stored) -> Result<bool, Error> {
    let Some(preview) = chat
        .preview
        .as_mut()
        .filter(|shown| shown.message == message.id)
    else {
        return Ok(false);
    };
    let content = wire::content(message)?;
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
    figures::PARKED.increment(rows.len() as u64);
    store::parked::park(connection, &rows, now).await?;
    Ok(())
}
