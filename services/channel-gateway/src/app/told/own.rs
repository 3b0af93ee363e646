//! What left by the provider's own app: echoes of attempts whose answer never came, messages of others of ours, and
//! comments that belong to no chat.

use std::collections::{BTreeMap, BTreeSet};

use chassis::grpc::timestamp;
use chassis::id;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, OwnAppMessageReceived, inbound_event::Kind,
};
use switchboard_proto::common::v1::ClientIdentity;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Told;
use crate::app::accept::{self, Intake};
use crate::app::announce::{self, Note};
use crate::app::book::{Book, Found};
use crate::domain::attachments::for_each_mut;
use crate::domain::call::Call;
use crate::domain::echo;
use crate::domain::inbound::unsupported;
use crate::domain::instagram::call::pictures;
use crate::domain::instagram::comments::{Comment, names_other};
use crate::error::Error;
use crate::figures;
use crate::store::attempts;
use crate::store::echoes::{self, Open};
use crate::store::notes;
use crate::store::told::{self, SentKey};

/// As what a comment of ours is kept that belongs to no chat.
pub(super) const WITHOUT_CHAT: &str = "own-comment-without-chat";

/// Stands before the keys of what was kept: what was kept was not announced, and may be once its chat is known.
const KEPT: &str = "kept:";

/// An attempt without an outcome is looked for among those of so long.
const LOOKED_BACK: time::Duration = time::Duration::days(2);

/// Gives comments of ours the chat of the comment that they answer, where that is known: a comment does not tell whom
/// it is for (F092).
pub(super) async fn home(
    connection: &mut PgConnection,
    book: &Book,
    told: &mut [Told],
) -> Result<(), Error> {
    let homeless = told.iter().filter(|it| it.is_homeless());
    let (channels, keys): (Vec<Uuid>, Vec<String>) = homeless
        .filter_map(|it| Some((it.channel, thread(it)?.to_owned())))
        .unzip();
    if keys.is_empty() {
        return Ok(());
    }
    let notes = notes::messages(connection, &channels, &keys).await?;
    let notes: BTreeMap<(Uuid, String), (String, Vec<u8>)> = notes
        .into_iter()
        .map(|note| {
            (
                (note.channel_id, note.provider_key),
                (note.chat_key, note.note),
            )
        })
        .collect();
    for it in told.iter_mut().filter(|it| it.is_homeless()) {
        let Some(thread) = thread(it) else { continue };
        let Some((chat_key, note)) = notes.get(&(it.channel, thread.to_owned())) else {
            continue;
        };
        // In one thread several customers are answered: the nick tells whom.
        let begun_by = Comment::of(note).unwrap_or_default().username;
        let other = message(it).is_some_and(|message| names_other(message, &begun_by));
        let Some(known) = book.get(it.channel).filter(|_| !other) else {
            continue;
        };
        it.item.client = Some(ClientIdentity {
            scope: format!("instagram:{}", known.provider_account),
            user_id: chat_key.clone(),
            ..ClientIdentity::default()
        });
        it.item.chat_key.clone_from(chat_key);
        it.item.raw = bytes::Bytes::new();
    }
    Ok(())
}

/// The comment in whose thread a comment of ours stands.
fn thread(told: &Told) -> Option<&str> {
    let origin = message(told)?.origin.as_ref()?;
    Some(origin.parent_key.as_str()).filter(|key| !key.is_empty())
}

fn message(told: &Told) -> Option<&InboundMessage> {
    match &told.item.kind {
        Some(Kind::OwnAppMessage(own)) => own.message.as_ref(),
        _ => None,
    }
}

/// Finds attempts without an outcome of which these are the echoes, and turns them into sent ones; what is no echo is
/// left in the list.
pub(super) async fn settle_echoes(
    connection: &mut PgConnection,
    foreign: &mut Vec<&Told>,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let chats: BTreeSet<(Uuid, String)> = foreign
        .iter()
        .filter(|it| !it.is_homeless())
        .map(|it| (it.channel, it.item.chat_key.clone()))
        .collect();
    if chats.is_empty() {
        return Ok(Vec::new());
    }
    let (channels, keys): (Vec<Uuid>, Vec<String>) = chats.into_iter().unzip();
    let mut open = echoes::open(connection, &channels, &keys, now - LOOKED_BACK).await?;
    let mut found: Vec<(Open, String)> = Vec::new();
    foreign.sort_by_key(|it| it.time);
    foreign.retain(|it| {
        let Some(message) = message(it) else {
            return true;
        };
        let place = open.iter().position(|open| {
            let call = call(open);
            open.channel_id == it.channel
                && open.chat_key == it.item.chat_key
                && echo::is_of(&call, open.attempted_at, message, it.time)
        });
        let Some(place) = place else { return true };
        found.push((open.remove(place), message.provider_key.clone()));
        false
    });
    if found.is_empty() {
        return Ok(Vec::new());
    }
    figures::SETTLED_BY_ECHO.increment(found.len() as u64);
    let keys: Vec<SentKey> = found
        .iter()
        .map(|(open, key)| SentKey {
            channel_id: open.channel_id,
            provider_key: key.clone(),
            chat_id: open.chat_id,
            out_seq: open.out_seq,
            part: open.part,
        })
        .collect();
    told::keep_keys(connection, &keys, now).await?;
    // One picture of several tells nothing of the others: it is ours, and the part stays uncertain.
    found.retain(|(open, _)| !pictures::is_piece(&call(open)));
    let settled = echoes::settle(connection, &found, now).await?;
    let (chats, numbers): (Vec<_>, Vec<_>) = settled
        .iter()
        .map(|part| (part.chat_id, part.out_seq))
        .unzip();
    attempts::finish(connection, &chats, &numbers).await?;
    let mut events = Vec::new();
    for part in &settled {
        events.extend(announce::settled(part, &Note::default(), now)?);
    }
    Ok(events)
}

fn call(open: &Open) -> Call {
    Call {
        method: open.method.clone(),
        params: open.params.clone(),
    }
}

/// Returns what was not announced before, or not kept where it is homeless, each once, in order.
pub(super) async fn new<'a>(
    connection: &mut PgConnection,
    foreign: &[&'a Told],
    now: OffsetDateTime,
) -> Result<Vec<&'a Told>, Error> {
    let mut by_key: BTreeMap<(Uuid, String), &Told> = BTreeMap::new();
    for told in foreign {
        let mark = if told.is_homeless() { KEPT } else { "" };
        for key in told.keys() {
            by_key
                .entry((told.channel, format!("{mark}{key}")))
                .or_insert(told);
        }
    }
    if by_key.is_empty() {
        return Ok(Vec::new());
    }
    let (channels, keys): (Vec<Uuid>, Vec<String>) = by_key.keys().cloned().unzip();
    let new: BTreeSet<(Uuid, String)> = told::announce_own_app(connection, &channels, &keys, now)
        .await?
        .into_iter()
        .collect();
    let mut new: Vec<&Told> = by_key
        .into_iter()
        .filter(|(key, _)| new.contains(key))
        .map(|(_, told)| told)
        .collect();
    new.sort_by_key(|told| told.time);
    Ok(new)
}

/// Makes the event of a message that somebody of ours wrote in the provider's own app.
pub(super) fn event(told: &Told) -> Option<Outgoing> {
    let mut item = told.item.clone();
    // Where a file is at the provider is a secret: it never leaves by an event.
    for_each_mut(&mut item, |file| file.extension = bytes::Bytes::new());
    let Some(Kind::OwnAppMessage(own)) = item.kind else {
        return None;
    };
    let message = own.message?;
    let channel_id = told.channel.to_string();
    let chat = id::v5("chat", &[&channel_id, &told.item.chat_key]);
    let event = OwnAppMessageReceived {
        channel_id,
        channel_kind: told.item.channel_kind,
        chat_key: told.item.chat_key.clone(),
        client: told.item.client.clone(),
        provider_key: message.provider_key,
        provider_number: message.provider_number,
        parts: message.parts,
        reply: message.reply,
        origin: message.origin,
        album_key: message.album_key,
        time: Some(timestamp(told.time)),
        automatic: own.automatic,
        subject: message.subject,
        full_text: message.full_text,
        html: message.html,
        original: message.original,
        references: message.references,
    };
    Some(
        Outgoing::new(&told.account, chat, &event)
            .cause(told.id)
            .trace(told.trace.clone()),
    )
}

/// Sends comments that belong to no chat the way of what is not understood: they end as dead letters, with their raw form,
/// where an operator sees them and can replay them.
pub(super) async fn keep(
    book: &Book,
    intake: &Intake,
    homeless: &[&Told],
    now: OffsetDateTime,
) -> Result<(), Error> {
    for told in homeless {
        let known = match book.find(told.channel).await {
            Found::Known(known) => known,
            Found::Unknown => continue,
            // The same as if the database did not answer here.
            Found::Away => return Err(sqlx::Error::PoolTimedOut.into()),
        };
        figures::WITHOUT_CHAT.increment(1);
        let kept = InboundEvent {
            kind: Some(unsupported(WITHOUT_CHAT)),
            event_key: format!("{KEPT}{}", told.item.event_key),
            ..told.item.clone()
        };
        accept::send(intake, &known, vec![kept], &told.trace, now).await?;
    }
    Ok(())
}
