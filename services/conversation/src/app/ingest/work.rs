//! A batch in hand: what each message does to its chat, in memory.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::{ContentPart, ReplyReference, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::find;
use crate::app::amend;
use crate::app::announce::{self, Cause, First, Notice};
use crate::app::bots::runs::{self, Heard, Outcome};
use crate::app::inbound::{Arrival, Start};
use crate::domain::album::Album;
use crate::domain::bot::{Hearing, Listening, Said, Trigger};
use crate::domain::chat::{Answer, Chat, Episode, Later};
use crate::domain::preview::Preview;
use crate::domain::words::{MessageKind, OpenReason};
use crate::domain::{ChatId, ClientId, ConversationId, MessageId};
use crate::error::Error;
use crate::store;
use crate::store::bots::runs::Run;
use crate::store::client::Profile;
use crate::store::message::{Key, Known, Stored};
use crate::wire;

/// What is in hand while a batch is stored.
pub(super) struct Work {
    /// The time of the batch.
    pub now: OffsetDateTime,
    /// The chats, locked.
    pub chats: BTreeMap<ChatId, Chat>,
    /// Chats that this batch made.
    pub fresh: BTreeSet<ChatId>,
    /// The runs of bots in the chats that messages come into.
    pub runs: BTreeMap<Uuid, Run>,
    /// What messages of clients are to those runs; nothing where they are not named.
    pub hearings: BTreeMap<Key, Hearing>,
    /// The clients as they are now.
    pub profiles: BTreeMap<ClientId, Profile>,
    /// Events to be written, in order.
    pub events: Vec<Outgoing>,
    /// Messages to be inserted.
    pub rows: Vec<Stored>,
    /// All items of the albums among them.
    pub albums: BTreeMap<MessageId, Vec<Arrival>>,
    /// What was deleted before it came, and when.
    pub tombstones: BTreeMap<Key, OffsetDateTime>,
    /// Payloads of links that wait for the conversations that begin.
    pub links: BTreeMap<ChatId, String>,
    /// Payloads that conversations got after they were opened.
    pub sourced: BTreeMap<ConversationId, String>,
    /// Messages that a machine wrote.
    pub automatic: Vec<MessageId>,
    /// What was said in chats where bots run, and what led to it.
    pub heard: Vec<(ChatId, Heard, Cause)>,
}

impl Work {
    /// Returns the time under which a message stands in its chat's history; to be asked for before it changes the chat.
    pub fn time_of(&self, arrival: &Arrival) -> OffsetDateTime {
        let chat = self.chats.get(&arrival.chat());
        chat.map_or(arrival.time, |chat| chat.history_time(arrival.time))
    }

    /// Tells for each message, in their order, what it is to the run of its chat. Before anything is stored: what answers a bot
    /// of NPS opens no conversation.
    pub fn listen(&mut self, new: &[Arrival]) {
        let mut listening: BTreeMap<Uuid, Listening> = BTreeMap::new();
        for arrival in new {
            let heard = !arrival.message.automatic && !self.tombstones.contains_key(&arrival.key());
            let chat = self.chats.get(&arrival.chat()).filter(|_| heard);
            let run = chat.and_then(|chat| Some((chat, self.runs.get(&chat.bot?.0)?)));
            let Some((chat, run)) = run else {
                continue;
            };
            let listening = listening
                .entry(run.id)
                .or_insert_with(|| runs::listening(chat, run));
            if arrival.own_app {
                listening.agent();
                continue;
            }
            let said = Said {
                text: &said_alone(&arrival.message.parts),
                sent_at: arrival.time,
                accepted_at: arrival.accepted_at,
            };
            self.hearings.insert(arrival.key(), listening.client(&said));
        }
    }

    fn hearing(&self, arrival: &Arrival) -> Hearing {
        let hearing = self.hearings.get(&arrival.key());
        hearing.copied().unwrap_or(Hearing::Nothing)
    }

    /// Tells whether a message begins an episode where none is open. What answers a bot of NPS does not.
    pub fn opens(&self, arrival: &Arrival) -> bool {
        arrival.opens() && !self.hearing(arrival).opens_nothing()
    }

    /// Lets bots hear what was said, and starts those that start by themselves when a client opens a conversation.
    pub async fn bots(
        &mut self,
        connection: &mut PgConnection,
        opened: &BTreeMap<ChatId, OpenReason>,
    ) -> Result<(), Error> {
        let heard = std::mem::take(&mut self.heard);
        if !heard.is_empty() {
            let (chats, runs) = (&mut self.chats, &mut self.runs);
            let outcome = runs::hear(connection, chats, runs, heard, self.now).await?;
            self.take(connection, outcome).await?;
        }
        let by_client = opened
            .iter()
            .filter(|(_, why)| **why == OpenReason::ClientMessage)
            .filter_map(|(id, _)| self.chats.get(id));
        let free: Vec<&Chat> = by_client.filter(|chat| chat.bot.is_none()).collect();
        if free.is_empty() {
            return Ok(());
        }
        let trigger = Trigger::ConversationOpened;
        let bots = store::bots::triggers::triggered(connection, &free, trigger).await?;
        let mut outcome = Outcome::default();
        for (id, bot) in bots {
            if let Some(chat) = self.chats.get_mut(&id) {
                runs::begin_by_itself(chat, &bot, self.now, &mut outcome)?;
            }
        }
        self.take(connection, outcome).await
    }

    async fn take(&mut self, connection: &mut PgConnection, outcome: Outcome) -> Result<(), Error> {
        store::bots::runs::save(connection, &outcome.runs).await?;
        self.rows.extend(outcome.rows);
        self.events.extend(outcome.events);
        Ok(())
    }

    /// Announces a chat with the first that is stored in it, whatever it is.
    pub fn begin(&mut self, arrival: &Arrival) {
        let chat = self.chats.get(&arrival.chat());
        let Some(chat) = chat.filter(|chat| self.fresh.contains(&chat.id) && chat.sequence == 0)
        else {
            return;
        };
        let client = self
            .profiles
            .get(&arrival.client())
            .unwrap_or(&arrival.profile);
        self.events
            .push(announce::chat_created(chat, client, &arrival.cause));
    }

    /// Takes a deep link by which the client came; tells whether the chat is there. One that comes with its chat shows
    /// by the conversation that is opened.
    pub fn come(&mut self, start: &Start) -> Result<bool, Error> {
        let by = &start.by;
        let payload = &by.message.start_payload;
        let fresh = self.fresh.contains(&by.chat());
        let chat = self.chats.get_mut(&by.chat());
        let Some(chat) = chat.filter(|chat| !fresh && chat.account == by.account) else {
            return Ok(false);
        };
        if let Some(conversation) = chat.take_link(payload) {
            self.sourced.insert(conversation, payload.clone());
        }
        let notice = Notice {
            of: format!("{}/{}", chat.id, start.moment.key),
            kind: "client.came",
            parameters: &[("payload", payload.clone())],
            time: chat.history_time(by.time),
        };
        let (row, event) = announce::system(chat, &notice, &by.cause)?;
        self.rows.push(row);
        self.events.push(event);
        Ok(true)
    }

    /// Opens a conversation for a chat's first message of the batch.
    pub fn open(
        &mut self,
        arrival: &Arrival,
        time: OffsetDateTime,
        number: i64,
    ) -> Result<(), Error> {
        let id = arrival.chat();
        let is_new = self.fresh.contains(&id);
        let client = self
            .profiles
            .get(&arrival.client())
            .unwrap_or(&arrival.profile);
        let Some(chat) = self.chats.get_mut(&id) else {
            return Ok(());
        };
        let mut start_payload = arrival.message.start_payload.clone();
        if start_payload.is_empty() {
            start_payload = self.links.remove(&id).unwrap_or_default();
        }
        let episode = Episode {
            id: conversation_id(arrival),
            number,
            revision: 1,
            opened_at: self.now,
            closed_at: None,
            opener: None,
            start_payload,
        };
        let reason = reason(arrival);
        chat.open(episode.clone(), reason);
        let first = First {
            of_chat: is_new,
            to: None,
        };
        let event = announce::opened(chat, &episode, client, (reason, first), &arrival.cause);
        self.events.push(event);
        self.note("conversation.opened", arrival, time)
    }

    /// Takes the last conversation of a chat up again.
    pub fn resume(&mut self, arrival: &Arrival, time: OffsetDateTime) -> Result<(), Error> {
        let Some(chat) = self.chats.get_mut(&arrival.chat()) else {
            return Ok(());
        };
        chat.resume();
        if let Some(payload) = self.links.remove(&chat.id)
            && let Some(conversation) = chat.take_link(&payload)
        {
            self.sourced.insert(conversation, payload);
        }
        if let Some(episode) = chat.episode.clone() {
            let event = announce::continued(chat, &episode, self.now, &arrival.cause);
            self.events.push(event);
        }
        self.note("conversation.continued", arrival, time)
    }

    /// Leaves a system message about the conversation, where history shows it: right before what caused it.
    fn note(
        &mut self,
        kind: &'static str,
        arrival: &Arrival,
        time: OffsetDateTime,
    ) -> Result<(), Error> {
        let Some(chat) = self.chats.get_mut(&arrival.chat()) else {
            return Ok(());
        };
        let Some(episode) = chat.episode.clone() else {
            return Ok(());
        };
        let notice = Notice {
            of: announce::of_revision(episode.id, episode.revision),
            kind,
            parameters: &[("number", episode.number.to_string())],
            time,
        };
        let (row, event) = announce::system(chat, &notice, &arrival.cause)?;
        self.rows.push(row);
        self.events.push(event);
        Ok(())
    }

    /// Stores a message; with a tombstone only that there was one.
    pub fn store(
        &mut self,
        arrival: &Arrival,
        time: OffsetDateTime,
        known: &BTreeMap<Key, Known>,
    ) -> Result<(), Error> {
        let hearing = self.hearing(arrival);
        let Some(chat) = self.chats.get_mut(&arrival.chat()) else {
            return Ok(());
        };
        let run = chat.bot.and_then(|(run, _)| self.runs.get(&run));
        let own_open = run.is_some_and(|run| runs::is_own_open(chat, run));
        let for_agents = hearing.is_answered_by_agents(own_open);
        let mut content = content(arrival, chat.id, known);
        let id = arrival.id();
        let album = self.albums.get(&id).map(|items| {
            let mut album = Album::default();
            add(&mut album, items, &self.tombstones);
            heard(chat, items);
            album
        });
        let deleted_at = if let Some(album) = &album {
            wire::set_album(&mut content, album);
            album.deleted_at()
        } else {
            self.tombstones.get(&arrival.key()).copied()
        };
        if deleted_at.is_some() {
            wire::erase(&mut content);
        }
        let kind = if arrival.own_app {
            MessageKind::Agent
        } else {
            MessageKind::Client
        };
        let mut row = announce::new_message(chat, id, kind, None, time, &content);
        row.provider_key.clone_from(&arrival.message.provider_key);
        row.provider_number = arrival.message.provider_number;
        if let Some(first) = album.as_ref().and_then(|album| album.items().first()) {
            row.provider_key.clone_from(&first.key);
            row.provider_number = first.number;
        }
        row.deleted_at = deleted_at;
        let preview = Preview {
            message: id,
            kind,
            text: wire::preview_text(&content.parts),
            time,
        };
        let automatic = arrival.message.automatic;
        let words = wire::words(&content.parts);
        let told = hearing.is_told(own_open, &words);
        if chat.bot.is_some() && !automatic && deleted_at.is_none() {
            let heard = if arrival.own_app {
                Heard::Agent
            } else {
                Heard::Client(hearing, words, arrival.accepted_at)
            };
            self.heard.push((chat.id, heard, arrival.cause.clone()));
        }
        let before = chat.clone();
        match (arrival.own_app, automatic || !for_agents) {
            (true, _) => {
                // It left already: whoever wrote it has answered (D08), unless nobody did.
                if !automatic {
                    let answer = Answer {
                        position: row.sequence,
                        conversation: row.conversation,
                    };
                    chat.answered(answer, Later::default());
                    chat.read();
                }
                chat.show(preview);
            }
            (false, true) => {
                chat.heard(preview.time);
                chat.show(preview);
                if told {
                    chat.comment();
                }
            }
            // A start from a link (`/start lead_77`) is one as well, though nothing is asked yet: the client came and
            // waits to be greeted, and the chat must be among the unanswered ones that agents look at (D30, F122).
            (false, false) => chat.received(preview),
        }
        if automatic {
            self.automatic.push(id);
        }
        if let Some(conversation) = chat.take_link(&arrival.message.start_payload) {
            let payload = arrival.message.start_payload.clone();
            self.sourced.insert(conversation, payload);
        }
        let event = announce::stored(chat, wire::message(&row)?, &arrival.cause);
        self.events.push(event);
        self.events
            .extend(announce::read_mark(&before, chat, &arrival.cause));
        self.events
            .extend(announce::snoozed(&before, chat, &arrival.cause));
        self.rows.push(row);
        Ok(())
    }

    /// Lets further items join a stored album. It is one message with those before: it opens nothing, and the client
    /// waits for one answer to all. Returns the album as it is now.
    pub fn join(&mut self, mut row: Stored, items: &[Arrival]) -> Result<Option<Stored>, Error> {
        let (Some(chat), Some(last)) = (self.chats.get_mut(&row.chat), items.last()) else {
            return Ok(None);
        };
        let mut content = wire::content(&row)?;
        let mut album = wire::album(&content);
        add(&mut album, items, &self.tombstones);
        wire::set_album(&mut content, &album);
        row.body = wire::body(&content);
        row.deleted_at = album.deleted_at();
        if let Some(first) = album
            .items()
            .first()
            .filter(|it| it.key != row.provider_key)
        {
            // It stands where its first item stands, whichever of them came first.
            row.provider_key.clone_from(&first.key);
            row.provider_number = first.number;
            let first = items.iter().find(|it| it.message.provider_key == first.key);
            row.time = first.map_or(row.time, |first| first.time.min(row.time));
        }
        heard(chat, items);
        amend::refresh(chat, &row)?;
        let event = amend::edited(chat, &row, true)?;
        self.events
            .push(announce::about_chat(chat, &event, &last.cause));
        Ok(Some(row))
    }
}

/// Notes when the newest item of a client came.
fn heard(chat: &mut Chat, items: &[Arrival]) {
    for item in items.iter().filter(|item| !item.own_app) {
        chat.heard(item.time);
    }
}

/// Adds what came to an album.
fn add(
    album: &mut Album<ContentPart>,
    items: &[Arrival],
    tombstones: &BTreeMap<Key, OffsetDateTime>,
) {
    for item in items {
        let message = &item.message;
        let deleted_at = tombstones.get(&item.key()).copied();
        let (key, number) = (&message.provider_key, message.provider_number);
        album.add(wire::item(key, number, &message.parts, deleted_at));
    }
}

/// The id of the conversation that a message opens.
pub(super) fn conversation_id(arrival: &Arrival) -> ConversationId {
    let parts = [&*arrival.chat().to_string(), &*arrival.message.provider_key];
    id::v5("conversation", &parts).into()
}

/// What is kept of a message beside what has a column.
fn content(arrival: &Arrival, chat: ChatId, known: &BTreeMap<Key, Known>) -> pb::Message {
    let message = &arrival.message;
    let target = |key: &String| {
        let target = known.get(&(arrival.channel, key.clone()));
        target.filter(|target| target.chat == chat)
    };
    let reply = match message.reply.clone() {
        Some(mut reply) => {
            if let Some(target) = target(&reply.provider_key) {
                reply.message_id = target.message.to_string();
            }
            Some(reply)
        }
        None => find::thread(message).find_map(|key| {
            let target = target(key)?;
            Some(ReplyReference {
                message_id: target.message.to_string(),
                provider_key: key.clone(),
                quote: String::new(),
            })
        }),
    };
    let mut content = pb::Message {
        parts: message.parts.clone(),
        reply,
        origin: message.origin.clone(),
        subject: message.subject.clone(),
        full_text: message.full_text.clone(),
        automatic: message.automatic,
        html: message.html.clone(),
        original: message.original.clone(),
        references: message.references.clone(),
        start_payload: message.start_payload.clone(),
        ..pb::Message::default()
    };
    if shows_all(&content.parts, &content.full_text) {
        content.full_text.clear();
    }
    content
}

/// Tells whether the parts show the whole text already.
pub(in crate::app) fn shows_all(parts: &[ContentPart], full_text: &str) -> bool {
    parts.iter().any(|part| {
        matches!(&part.content, Some(Content::Text(text)) if text.text.trim() == full_text.trim())
    })
}

/// Why a message opens a conversation.
pub(super) fn reason(arrival: &Arrival) -> OpenReason {
    if arrival.own_app {
        OpenReason::AgentMessage
    } else {
        OpenReason::ClientMessage
    }
}

/// What was said in words alone: a file that comes with them is for agents to look at, and neither a score nor a comment.
fn said_alone(parts: &[ContentPart]) -> String {
    let in_words =
        |part: &ContentPart| matches!(part.content, Some(Content::Text(_) | Content::Button(_)));
    if parts.iter().all(in_words) {
        wire::words(parts)
    } else {
        String::new()
    }
}
