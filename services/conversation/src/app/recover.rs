//! Recovery (O3.10): chats, conversations and messages as this service's own events tell them, after its database was set back.
//!
//! An event is the state that was committed with it, so a page of them is folded into the chats that it speaks of and written
//! as a batch of the consumer is. What clients did to their messages, and what became of deliveries, is not taken from here:
//! INBOUND and the gateway's events tell it again.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use chassis::recovery::Concluded;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use self::fold::Fold;
use super::bots::runs::{self, Outcome};
use super::inbound::Arrival;
use crate::domain::bot::RunState;
use crate::domain::{ChatId, ClientId, ConversationId, MessageId};
use crate::error::Error;
use crate::recovery::cause;
use crate::store::chat::NewChat;
use crate::store::client::Seen;
use crate::store::message::{Key, Stored};
use crate::{store, wire};

/// Runs of bots that are ended in one transaction.
const RUNS: i64 = 100;

/// An event of ours that the database does not know.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Whose it is.
    pub account: AccountSlug,
    /// When it happened.
    pub time: OffsetDateTime,
    /// What it says.
    pub word: Word,
}

/// What an event says.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the event of its name")]
pub enum Word {
    Client(pb::ClientUpdated),
    Created(pb::ChatCreated),
    Opened(Box<pb::ConversationOpened>),
    Continued(pb::ConversationContinued),
    Closed(pb::ConversationClosed),
    Read(pb::ConversationRead),
    Renamed(pb::ChatRenamed),
    Snoozed(pb::ChatSnoozed),
    Spam(pb::ChatSpam),
    Restored(pb::ChatRestored),
    Stored(Box<pb::MessageStored>),
    Queued(Box<pb::MessageQueued>),
    Edited(Box<pb::MessageEdited>),
    Deleted(pb::MessageDeleted),
    Reacted(pb::MessageReacted),
}

impl Word {
    /// The chat that it speaks of; none of a client alone.
    fn chat(&self) -> Option<ChatId> {
        let id = match self {
            Self::Client(_) => return None,
            Self::Created(event) => &event.chat_id,
            Self::Opened(event) => &event.chat_id,
            Self::Continued(event) => &event.chat_id,
            Self::Closed(event) => &event.chat_id,
            Self::Read(event) => &event.chat_id,
            Self::Renamed(event) => &event.chat_id,
            Self::Snoozed(event) => &event.chat_id,
            Self::Spam(event) => &event.chat_id,
            Self::Restored(event) => &event.chat_id,
            Self::Stored(event) => &event.message.as_ref()?.chat_id,
            Self::Queued(event) => &event.command.as_ref()?.chat_id,
            Self::Edited(event) => &event.message.as_ref()?.chat_id,
            Self::Deleted(event) => &event.chat_id,
            Self::Reacted(event) => &event.chat_id,
        };
        id.parse().ok()
    }
}

/// Applies facts in their order.
pub async fn apply(
    connection: &mut PgConnection,
    facts: Vec<Fact>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if facts.is_empty() {
        return Ok(());
    }
    clients(connection, &facts, now).await?;
    chats(connection, &facts, now).await?;
    let ids: BTreeSet<ChatId> = facts.iter().filter_map(|fact| fact.word.chat()).collect();
    let ids: Vec<ChatId> = ids.into_iter().collect();
    let chats = store::chat::lock(connection, &ids).await?;
    let named: BTreeSet<MessageId> = facts.iter().filter_map(amended).collect();
    let named: Vec<MessageId> = named.into_iter().collect();
    let mut fold = Fold {
        chats,
        stored: store::message::lock(connection, &named).await?,
        ..Fold::default()
    };
    for fact in facts {
        fold.add(fact)?;
    }
    store::recovery::keep_conversations(connection, &fold.conversations).await?;
    store::recovery::raise_numbers(connection, &fold.numbers).await?;
    store::message::insert(connection, &fold.rows, now).await?;
    store::key::mark_automatic(connection, &fold.automatic).await?;
    store::key::keep(connection, &fold.keys).await?;
    let rows = fold.rows.iter().chain(fold.stored.values());
    let amended: Vec<&Stored> = rows.filter(|row| fold.amended.contains(&row.id)).collect();
    store::message::amend(connection, &amended).await?;
    let again: Vec<&Stored> = fold
        .queued
        .iter()
        .filter_map(|id| fold.stored.get(id))
        .collect();
    store::message::deliver(connection, &again).await?;
    store::delivery::keep_commands(connection, &fold.commands, now).await?;
    store::chat::save(connection, fold.chats.values()).await?;
    Ok(())
}

/// The message whose row an event changes.
fn amended(fact: &Fact) -> Option<MessageId> {
    let id = match &fact.word {
        Word::Edited(event) => &event.message.as_ref()?.message_id,
        Word::Deleted(event) => &event.message_id,
        Word::Reacted(event) => &event.message_id,
        Word::Queued(event) => &event.command.as_ref()?.message_id,
        _ => return None,
    };
    id.parse().ok()
}

/// Makes or renews the clients that facts speak of.
async fn clients(
    connection: &mut PgConnection,
    facts: &[Fact],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut seen = BTreeMap::<ClientId, Seen>::new();
    for fact in facts {
        let (Word::Created(pb::ChatCreated { client, .. })
        | Word::Client(pb::ClientUpdated { client, .. })) = &fact.word
        else {
            continue;
        };
        let Some(client) = client else {
            continue;
        };
        let profile = wire::profile(client);
        let word = Seen {
            account: fact.account.clone(),
            // Times of providers are not in events: what INBOUND tells again goes over this.
            time: OffsetDateTime::UNIX_EPOCH,
            profile,
        };
        seen.insert(word.profile.client(&fact.account), word);
    }
    if seen.is_empty() {
        return Ok(());
    }
    let known = store::client::insert_or_lock(connection, &seen, now).await?;
    let newer = seen.iter().filter(|(id, _)| known.contains_key(id));
    // The time of what is known stays.
    let newer: BTreeMap<ClientId, Seen> = newer
        .map(|(id, seen)| {
            let time = known.get(id).map_or(seen.time, |known| known.time);
            (
                *id,
                Seen {
                    time,
                    ..seen.clone()
                },
            )
        })
        .collect();
    let newer: BTreeMap<ClientId, &Seen> = newer.iter().map(|(id, seen)| (*id, seen)).collect();
    store::client::update(connection, &newer).await?;
    Ok(())
}

/// Makes the chats that facts tell of. One whose key at the provider nobody tells is made again when INBOUND is.
async fn chats(
    connection: &mut PgConnection,
    facts: &[Fact],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (mut new, mut created) = (BTreeMap::new(), BTreeMap::new());
    for fact in facts {
        let Word::Created(event) = &fact.word else {
            continue;
        };
        let Some((id, chat)) = fold::chat(&fact.account, event) else {
            tracing::warn!(
                chat.id = event.chat_id,
                "the chat's key is not known: it is made again when its client's messages are"
            );
            continue;
        };
        created.insert(
            id,
            wire::time(event.create_time.as_ref()).unwrap_or(fact.time),
        );
        new.insert(id, chat);
    }
    if new.is_empty() {
        return Ok(());
    }
    let new: BTreeMap<ChatId, NewChat> = new;
    let made = store::chat::insert(connection, &new, now).await?;
    created.retain(|id, _| made.contains(id));
    store::recovery::keep_creation(connection, &created).await?;
    Ok(())
}

/// Gives clients' messages what their events do not carry and INBOUND does: the provider's number, and the whole text of mails.
pub async fn complete(connection: &mut PgConnection, arrivals: &[Arrival]) -> Result<(), Error> {
    let arrivals: BTreeMap<MessageId, &Arrival> = arrivals
        .iter()
        .filter(|arrival| arrival.album().is_none())
        .map(|arrival| (arrival.id(), arrival))
        .collect();
    if arrivals.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = arrivals.keys().copied().collect();
    let mut incomplete = Vec::new();
    for (id, mut row) in store::message::lock(connection, &ids).await? {
        let Some(arrival) = arrivals.get(&id).filter(|_| row.deleted_at.is_none()) else {
            continue;
        };
        let mut content = wire::content(&row)?;
        let message = &arrival.message;
        let text =
            content.full_text.is_empty() && !message.full_text.is_empty() && row.edited.is_none();
        if !text && row.provider_number == message.provider_number {
            continue;
        }
        if text && !super::ingest::shows_all(&content.parts, &message.full_text) {
            content.full_text.clone_from(&message.full_text);
        }
        row.body = wire::body(&content);
        row.provider_number = message.provider_number;
        incomplete.push(row);
    }
    store::key::join(connection, &incomplete).await?;
    Ok(())
}

/// Ends runs of bots, and forgets what was to be said by itself: nobody can tell how far they had come, and a client must not get
/// the same twice. Some at a time.
pub async fn conclude(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Concluded, Error> {
    store::recovery::forget_own_words(connection).await?;
    let open = store::recovery::open_runs(connection, RUNS).await?;
    let (ids, chats): (Vec<_>, Vec<ChatId>) = open.into_iter().unzip();
    let mut chats = store::chat::lock(connection, &chats).await?;
    let mut outcome = Outcome::default();
    let mut ended = Vec::with_capacity(ids.len());
    for run in store::bots::runs::readable(connection, &ids)
        .await?
        .values_mut()
    {
        let Some(chat) = chats.get_mut(&run.chat) else {
            continue;
        };
        runs::end(chat, run, RunState::Stopped, &cause(), now, &mut outcome)?;
        ended.push(run.clone());
    }
    store::bots::runs::save(connection, &ended).await?;
    store::message::insert(connection, &outcome.rows, now).await?;
    store::chat::save(connection, chats.values()).await?;
    Ok(Concluded {
        events: outcome.events,
        more: !ended.is_empty(),
    })
}

/// What events told, by id.
#[derive(Debug, Clone, Default)]
pub struct Told {
    messages: BTreeSet<MessageId>,
    conversations: BTreeMap<ConversationId, i64>,
}

impl Told {
    /// Adds a message that was stored.
    pub fn message(&mut self, message: &pb::Message) {
        self.messages
            .extend(message.message_id.parse::<MessageId>());
    }

    /// Adds a conversation that was opened.
    pub fn conversation(&mut self, opened: &pb::ConversationOpened) {
        if let Ok(id) = opened.conversation_id.parse() {
            self.conversations.insert(id, opened.number);
        }
    }
}

/// Compares what clients sent, and what was told, with what is stored.
pub async fn compare(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    told: &Told,
) -> Result<Vec<String>, Error> {
    let mut differences = Vec::new();
    let keys: BTreeMap<Key, MessageId> = arrivals
        .iter()
        .map(|arrival| (arrival.key(), arrival.id()))
        .collect();
    let wanted: BTreeSet<Key> = keys.keys().cloned().collect();
    let mut known = store::message::by_keys(connection, &wanted).await?;
    known.extend(store::key::find(connection, &wanted).await?);
    for (key, id) in &keys {
        match known.get(key) {
            None => differences.push(format!(
                "a client's message is not stored: {} {}",
                key.0, key.1
            )),
            Some(found) if found.message != *id => differences.push(format!(
                "a client's message has another id: {} instead of {id}",
                found.message
            )),
            Some(_) => {}
        }
    }
    let ids: Vec<MessageId> = told.messages.iter().copied().collect();
    let stored = store::message::existing(connection, &ids).await?;
    let lost = told.messages.iter().filter(|id| !stored.contains(id));
    differences.extend(lost.map(|id| format!("a message was told and is not stored: {id}")));
    let numbers = store::recovery::numbers(connection, &told.conversations).await?;
    for (id, number) in &told.conversations {
        match numbers.get(id) {
            None => differences.push(format!("a conversation was told and is not stored: {id}")),
            Some(found) if found != number => differences.push(format!(
                "conversation {id} has number {found} instead of {number}"
            )),
            Some(_) => {}
        }
    }
    Ok(differences)
}
