//! Folding events into chats and messages, in memory.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{self, AccountSlug};
use prost::Message as _;
use switchboard_proto::common::v1::{self as common, OpenReason as Reason};
use switchboard_proto::conversation::v1::{self as pb, message::Kind};
use time::OffsetDateTime;

use super::{Fact, Word};
use crate::domain::amendment::Moment;
use crate::domain::chat::{Answer, Chat, Episode, Later, Snooze};
use crate::domain::preview::Preview;
use crate::domain::words::{DeliveryState, MessageKind, OpenReason};
use crate::domain::{ChannelId, ChatId, MessageId};
use crate::error::Error;
use crate::store::chat::NewChat;
use crate::store::delivery::NewCommand;
use crate::store::message::{Key, Known, Stored};
use crate::store::recovery::Told;
use crate::wire;

/// What events come to.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// The chats, locked.
    pub chats: BTreeMap<ChatId, Chat>,
    /// The messages that are amended, locked, and those that are to be inserted meanwhile amended.
    pub stored: BTreeMap<MessageId, Stored>,
    /// Messages to be inserted.
    pub rows: Vec<Stored>,
    /// Conversations as they are at last.
    pub conversations: BTreeMap<(AccountSlug, i64), Told>,
    /// The highest number of each account.
    pub numbers: BTreeMap<AccountSlug, i64>,
    /// Messages that a machine wrote.
    pub automatic: Vec<MessageId>,
    /// Keys by which messages are found beside their own.
    pub keys: BTreeMap<Key, (AccountSlug, Known)>,
    /// Stored messages whose content changes.
    pub amended: BTreeSet<MessageId>,
    /// Stored messages that are sent again.
    pub queued: BTreeSet<MessageId>,
    /// Commands to providers.
    pub commands: Vec<NewCommand>,
}

impl Fold {
    /// Adds an event. What speaks of a chat that is not there is left: its client's messages make it again.
    pub fn add(&mut self, fact: Fact) -> Result<(), Error> {
        let Some(id) = fact.word.chat() else {
            return Ok(());
        };
        let Some(mut chat) = self.chats.remove(&id) else {
            return Ok(());
        };
        if chat.account == fact.account {
            self.fold(&mut chat, fact)?;
        }
        self.chats.insert(id, chat);
        Ok(())
    }

    fn fold(&mut self, chat: &mut Chat, fact: Fact) -> Result<(), Error> {
        match fact.word {
            Word::Client(_) | Word::Created(_) => {}
            Word::Opened(event) => self.opened(chat, &event, fact.time)?,
            Word::Continued(event) => {
                chat.resume();
                revise(chat, event.revision);
                self.keep(chat, None);
            }
            Word::Closed(event) => {
                chat.close(wire::time(event.close_time.as_ref()).unwrap_or(fact.time));
                revise(chat, event.revision);
                self.keep(chat, Some(event.actor));
            }
            Word::Read(event) => (chat.unread, chat.read_version) = (event.unread, event.version),
            Word::Renamed(event) => {
                chat.name = event.name;
                chat.image = event.image_attachment_id.parse().ok();
            }
            Word::Snoozed(event) => {
                let until = wire::time(event.wake_time.as_ref());
                chat.snooze = event.snoozed.then_some(Snooze { until });
            }
            Word::Spam(_) => drop(chat.condemn()),
            Word::Restored(_) => drop(chat.restore()),
            Word::Stored(event) => self.stored(chat, *event)?,
            Word::Queued(event) => self.queued(chat, *event, fact.time),
            Word::Edited(event) => self.edited(&event.message.unwrap_or_default()),
            Word::Deleted(event) => {
                let time = wire::time(event.time.as_ref()).unwrap_or(fact.time);
                self.deleted(&event.message_id, time)?;
            }
            Word::Reacted(event) => self.reacted(&event),
        }
        Ok(())
    }

    fn opened(
        &mut self,
        chat: &mut Chat,
        event: &pb::ConversationOpened,
        time: OffsetDateTime,
    ) -> Result<(), Error> {
        let reason = match event.reason() {
            Reason::AgentMessage => OpenReason::AgentMessage,
            Reason::AgentStart => OpenReason::AgentStart,
            Reason::ClientMessage | Reason::Unspecified => OpenReason::ClientMessage,
        };
        let episode = Episode {
            id: parsed(&event.conversation_id, "conversation_id")?,
            number: event.number,
            revision: event.revision,
            opened_at: wire::time(event.open_time.as_ref()).unwrap_or(time),
            closed_at: None,
            opener: event.opener_agent_id.parse().ok(),
            start_payload: event.start_payload.clone(),
        };
        let last = self.numbers.entry(chat.account.clone()).or_default();
        *last = (*last).max(episode.number);
        chat.open(episode, reason);
        self.keep(chat, None);
        if let Some(told) = self
            .conversations
            .get_mut(&(chat.account.clone(), event.number))
        {
            told.reason = reason;
        }
        Ok(())
    }

    /// Keeps the newest conversation of a chat as it is now.
    fn keep(&mut self, chat: &Chat, closed_by: Option<String>) {
        let Some(episode) = chat.episode.clone() else {
            return;
        };
        let key = (chat.account.clone(), episode.number);
        let reason = self.conversations.get(&key).map(|told| told.reason);
        let told = Told {
            chat: chat.id,
            episode,
            reason: reason.unwrap_or(OpenReason::ClientMessage),
            closed_by,
        };
        self.conversations.insert(key, told);
    }

    fn stored(&mut self, chat: &mut Chat, event: pb::MessageStored) -> Result<(), Error> {
        let message = event.message.unwrap_or_default();
        chat.sequence = chat.sequence.max(message.sequence);
        if is_made_again(&message) {
            return Ok(());
        }
        let row = row(chat, &event.channel_id, &message)?;
        let known = Known {
            message: row.id,
            chat: chat.id,
        };
        let own_app = row.kind == MessageKind::Agent && row.delivery.is_none();
        let mut keep = |key: &str| {
            let of = (chat.account.clone(), known);
            self.keys.insert((row.channel, key.to_owned()), of);
        };
        if own_app && !row.provider_key.is_empty() {
            keep(&row.provider_key);
        }
        message
            .album
            .iter()
            .for_each(|item| keep(&item.provider_key));
        if message.automatic {
            self.automatic.push(row.id);
        }
        if row.out_seq > 0 {
            chat.out_seq = chat.out_seq.max(row.out_seq);
        }
        show(chat, &row, &message, event.unanswered);
        self.rows.push(row);
        Ok(())
    }

    fn queued(&mut self, chat: &mut Chat, event: pb::MessageQueued, time: OffsetDateTime) {
        let command = event.command.unwrap_or_default();
        chat.out_seq = chat.out_seq.max(command.out_seq);
        self.commands.push(NewCommand {
            account: chat.account.clone(),
            chat: chat.id,
            out_seq: command.out_seq,
            command: command.encode_to_vec(),
        });
        let again = command.action() == pb::outbound_command::Action::Send && command.attempt > 1;
        let Some(id) = command.message_id.parse().ok().filter(|_| again) else {
            return;
        };
        let inserted = self.rows.iter_mut().find(|row| row.id == id);
        let stored = self.stored.get_mut(&id);
        if let Some(row) = inserted.or(stored) {
            row.delivery = Some(DeliveryState::Queued);
            (row.out_seq, row.attempt) = (command.out_seq, command.attempt);
            row.failure_reason.clear();
            row.failure_detail.clear();
            row.retryable = false;
            row.delivery_at = Some(time);
            self.queued.insert(id);
        }
    }

    /// The row of a message, inserted or stored, where it is ours to amend: clients' are amended by INBOUND again, and what was
    /// written in the provider's own app by the gateway's events.
    fn ours(&mut self, id: &str) -> Option<&mut Stored> {
        let id = id.parse().ok()?;
        let inserted = self.rows.iter_mut().find(|row| row.id == id);
        let row = inserted.or(self.stored.get_mut(&id))?;
        let ours = row.delivery.is_some() || row.kind == MessageKind::Note;
        if ours {
            self.amended.insert(id);
        }
        ours.then_some(row)
    }

    fn edited(&mut self, message: &pb::Message) {
        if let Some(row) = self.ours(&message.message_id) {
            row.body = wire::body(message);
            row.edited = wire::time(message.edit_time.as_ref()).map(|time| Moment::new(time, ""));
        }
    }

    fn deleted(&mut self, id: &str, time: OffsetDateTime) -> Result<(), Error> {
        if let Some(row) = self.ours(id) {
            let mut content = wire::content(row)?;
            wire::erase(&mut content);
            row.body = wire::body(&content);
            row.deleted_at = Some(time);
        }
        Ok(())
    }

    fn reacted(&mut self, event: &pb::MessageReacted) {
        let Ok(id) = event.message_id.parse::<MessageId>() else {
            return;
        };
        let inserted = self.rows.iter_mut().find(|row| row.id == id);
        let Some(row) = inserted.or(self.stored.get_mut(&id)) else {
            return;
        };
        let mut by_actor = BTreeMap::<&str, (OffsetDateTime, Vec<String>)>::new();
        let of_agents = |one: &&common::Reaction| one.actor.starts_with("agent:");
        for reaction in event.reactions.iter().filter(of_agents) {
            let time = wire::time(reaction.time.as_ref()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let of = by_actor
                .entry(&reaction.actor)
                .or_insert((time, Vec::new()));
            of.1.push(reaction.emoji.clone());
        }
        for (actor, (time, emojis)) in by_actor {
            if row.reactions.set(actor, &Moment::new(time, ""), &emojis) {
                self.amended.insert(id);
            }
        }
    }
}

/// Sets how often the newest conversation of a chat has changed.
fn revise(chat: &mut Chat, revision: i64) {
    if let Some(episode) = &mut chat.episode {
        episode.revision = revision;
    }
}

/// A system message that the replay of others' words makes again, under the same id: rebuilt here, it would stand in the way.
fn is_made_again(message: &pb::Message) -> bool {
    let notice = message.system.as_ref();
    notice
        .is_some_and(|notice| notice.kind.starts_with("client.") || notice.kind.starts_with("nps."))
}

/// What a message does to the line of its chat.
fn show(chat: &mut Chat, row: &Stored, message: &pb::Message, unanswered: i32) {
    let preview = Preview {
        message: row.id,
        kind: row.kind,
        text: wire::preview_text(&message.parts),
        time: row.time,
    };
    match row.kind {
        MessageKind::Client if message.automatic || unanswered == 0 => {
            chat.heard(row.time);
            chat.show(preview);
        }
        MessageKind::Client => {
            chat.received(preview);
            chat.unanswered = unanswered;
        }
        MessageKind::Agent | MessageKind::Bot => {
            if row.delivery.is_none() && !message.automatic {
                let answer = Answer {
                    position: row.sequence,
                    conversation: row.conversation,
                };
                chat.answered(answer, Later::default());
            }
            chat.show(preview);
        }
        MessageKind::System | MessageKind::Note => {}
    }
}

/// The row of a message as its event tells it.
fn row(chat: &Chat, channel: &str, message: &pb::Message) -> Result<Stored, Error> {
    let kind = match message.kind() {
        Kind::Client => MessageKind::Client,
        Kind::Agent => MessageKind::Agent,
        Kind::Bot => MessageKind::Bot,
        Kind::System => MessageKind::System,
        Kind::Note => MessageKind::Note,
        Kind::Unspecified => return Err(Error::Broken("message.stored: kind".to_owned())),
    };
    let delivery = message.delivery.as_ref();
    Ok(Stored {
        id: parsed(&message.message_id, "message_id")?,
        account: chat.account.clone(),
        chat: chat.id,
        channel: parsed(channel, "channel_id")?,
        conversation: message.conversation_id.parse().ok(),
        kind,
        agent: message.agent_id.parse().ok(),
        body: wire::body(message),
        provider_key: message.provider_key.clone(),
        provider_number: 0,
        time: wire::time(message.time.as_ref())
            .ok_or_else(|| Error::Broken("message.stored: time".to_owned()))?,
        sequence: message.sequence,
        edited: None,
        deleted_at: wire::time(message.delete_time.as_ref()),
        reactions: wire::Reactions::default(),
        delivery: delivery.map(|_| DeliveryState::Queued),
        out_seq: delivery.map_or(0, |delivery| delivery.out_seq),
        attempt: delivery.map_or(0, |delivery| delivery.attempt),
        failure_reason: String::new(),
        failure_detail: String::new(),
        retryable: false,
        delivery_at: delivery.and_then(|delivery| wire::time(delivery.update_time.as_ref())),
    })
}

/// The chat of `chat.created`. An event of a version that did not tell the key has it where the client's own id or address is it,
/// as the chat's id proves.
pub(super) fn chat(account: &AccountSlug, event: &pb::ChatCreated) -> Option<(ChatId, NewChat)> {
    let (id, channel): (ChatId, ChannelId) =
        (event.chat_id.parse().ok()?, event.channel_id.parse().ok()?);
    let client = wire::profile(event.client.as_ref()?);
    let candidates = [&event.chat_key, &client.user_id, &client.email];
    let key = candidates.into_iter().find(|key| {
        let made: ChatId = id::v5("chat", &[&channel.to_string(), key]).into();
        made == id
    })?;
    let chat = NewChat {
        account: account.clone(),
        channel,
        channel_kind: wire::channel_kind(event.channel_kind),
        chat_key: key.clone(),
        client: client.client(account),
        first_message_at: wire::time(event.create_time.as_ref())?,
    };
    Some((id, chat))
}

fn parsed<T: std::str::FromStr>(text: &str, field: &str) -> Result<T, Error> {
    let broken = |_| Error::Broken(format!("an event of ours: {field} is no UUID"));
    text.parse().map_err(broken)
}
