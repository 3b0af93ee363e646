//! A chat and what happens to it.

use std::time::Duration;

use chassis::id::AccountSlug;
use time::OffsetDateTime;
use uuid::Uuid;

use super::preview::Preview;
use super::words::{BotWaits, ChannelKind, ChatState, OpenReason};
use super::{AgentId, ChannelId, ChatId, ClientId, ConversationId};

const SECOND: time::Duration = time::Duration::SECOND;

/// What the database tells times apart by.
const MICROSECOND: time::Duration = time::Duration::MICROSECOND;

/// One opened-to-closed episode of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// Id of the conversation.
    pub id: ConversationId,
    /// Number in the account, from 1 without gaps (F200, D20).
    pub number: i64,
    /// Counts changes of state, from 1.
    pub revision: i64,
    /// When it was opened.
    pub opened_at: OffsetDateTime,
    /// When it was closed; none while it is open.
    pub closed_at: Option<OffsetDateTime>,
    /// The agent who opened it; none where the client did.
    pub opener: Option<AgentId>,
    /// Payload of the deep link with which the client came (D30).
    pub start_payload: String,
}

impl ChannelKind {
    /// Tells whether a client can come by a deep link without writing: elsewhere the link's payload stands in the
    /// message that it makes the client write.
    pub const fn starts_without_message(self) -> bool {
        !matches!(self, Self::TelegramBot | Self::Email)
    }
}

/// A chat as it stands under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "spam, waiting, commented and unread are facts of their own"
)]
pub struct Chat {
    /// Id.
    pub id: ChatId,
    /// Whose it is.
    pub account: AccountSlug,
    /// Channel.
    pub channel: ChannelId,
    /// Kind of the channel.
    pub channel_kind: ChannelKind,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Client.
    pub client: ClientId,
    /// State.
    pub state: ChatState,
    /// Marked as spam: nothing opens it.
    pub spam: bool,
    /// Copy of the responsible.
    pub responsible: Option<AgentId>,
    /// Number of the conversation that the copy was made for; 0 before the first.
    pub assignment_number: i64,
    /// The newest conversation.
    pub episode: Option<Episode>,
    /// Number of the last stored message.
    pub sequence: i64,
    /// Number of the client's last message that is to be answered, or read as a comment to NPS.
    pub last_client_sequence: i64,
    /// Number of the last command to the provider.
    pub out_seq: i64,
    /// Client messages after the last answer that was sent (F071).
    pub unanswered: i32,
    /// Position of that answer.
    pub answered_sequence: i64,
    /// The client waits for an answer (F076): some are unanswered, and nobody said that they need none (F206).
    pub waiting: bool,
    /// The client has commented on NPS after the end of the conversation, and nobody has read it (F203): nobody waits.
    pub commented: bool,
    /// Since when the client waits, within the open conversation: what the client wrote before it was opened is not timed (D32).
    pub waiting_since: Option<OffsetDateTime>,
    /// Number of the conversation in which an agent's answer was sent last; 0 before the first.
    pub answered_number: i64,
    /// The client has written since somebody read the newest conversation (F209).
    pub unread: bool,
    /// Counts the changes of `unread` within conversations.
    pub read_version: i64,
    /// Its own name (F163); empty where it has none.
    pub name: String,
    /// Its own image (F165).
    pub image: Option<Uuid>,
    /// The run of a bot in it (F197), and what it waits for.
    pub bot: Option<(Uuid, BotWaits)>,
    /// Its labels (B13), as they are shown.
    pub labels: Vec<String>,
    /// It is out of sight for a while (B13).
    pub snooze: Option<Snooze>,
    /// Time of the newest client message.
    pub last_client_message_at: OffsetDateTime,
    /// The newest message that is no system message.
    pub preview: Option<Preview>,
    /// When the chat was created.
    pub created_at: OffsetDateTime,
}

/// Until when a chat is out of sight: the client's next message ends it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snooze {
    /// A time; none where only the client ends it.
    pub until: Option<OffsetDateTime>,
}

/// An agent's message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its place in the chat.
    pub position: i64,
    /// Its conversation.
    pub conversation: Option<ConversationId>,
}

/// What the client wrote after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Later {
    /// How many messages.
    pub messages: i32,
    /// When the first of them was written.
    pub first: Option<OffsetDateTime>,
}

/// What a client's message means for the conversations of its chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// One is open: the message belongs to it.
    IsOpen,
    /// A new one is opened.
    Opens,
    /// The last one, closed shortly before, is continued.
    Continues,
    /// The chat is spam: the message is stored and opens nothing.
    Spam,
}

impl Chat {
    /// Returns the open conversation.
    pub fn open_episode(&self) -> Option<&Episode> {
        self.episode
            .as_ref()
            .filter(|episode| episode.closed_at.is_none())
    }

    /// Returns the time of its newest message, whoever left it (F156); when it was created where there is none yet.
    pub fn last_message_at(&self) -> OffsetDateTime {
        let preview = self.preview.as_ref();
        preview.map_or(self.created_at, |preview| preview.time)
    }

    /// Decides what a client's message does; `continue_within` is the channel's rule, zero for always new (§5).
    pub fn opening(&self, now: OffsetDateTime, continue_within: Duration) -> Opening {
        if self.open_episode().is_some() {
            return Opening::IsOpen;
        }
        if self.spam {
            return Opening::Spam;
        }
        let closed_at = self.episode.as_ref().and_then(|episode| episode.closed_at);
        match closed_at {
            // Without a rule nothing is continued, not even what a replica's faster clock closed later than now.
            Some(closed_at) if !continue_within.is_zero() && now - closed_at < continue_within => {
                Opening::Continues
            }
            _ => Opening::Opens,
        }
    }

    /// Returns the time under which a client's message of `sent_at` stands in history (§5).
    ///
    /// Some providers tell whole seconds only, and ours are not: what was answered or ended within that second and
    /// stored before stays before.
    pub fn history_time(&self, sent_at: OffsetDateTime) -> OffsetDateTime {
        if sent_at.nanosecond() != 0 {
            return sent_at;
        }
        let before = [
            self.preview.as_ref().map(|preview| preview.time),
            self.episode.as_ref().and_then(|episode| episode.closed_at),
        ];
        let last = before
            .into_iter()
            .flatten()
            .filter(|time| (MICROSECOND..SECOND).contains(&(*time - sent_at)))
            .max();
        last.map_or(sent_at, |last| {
            (last + MICROSECOND).min(sent_at + (SECOND - MICROSECOND))
        })
    }

    /// Begins a conversation. It has no responsible until assignment names one for it (§8), and is unread where the client
    /// began it.
    pub fn open(&mut self, episode: Episode, reason: OpenReason) {
        self.episode = Some(episode);
        self.unread = reason == OpenReason::ClientMessage;
        self.commented = false;
        self.waiting_since = None;
        self.settle();
    }

    /// Lets the open conversation take the payload of a deep link (D30), which may come after the client's first words;
    /// returns the conversation. One that has a payload keeps it: that is what it was begun with.
    pub fn take_link(&mut self, payload: &str) -> Option<ConversationId> {
        let open = self
            .episode
            .as_mut()
            .filter(|episode| episode.closed_at.is_none() && episode.start_payload.is_empty())?;
        payload.clone_into(&mut open.start_payload);
        (!payload.is_empty()).then_some(open.id)
    }

    /// Takes the last conversation up again, unless it is open.
    pub fn resume(&mut self) {
        if let Some(episode) = self.episode.as_mut()
            && episode.closed_at.take().is_some()
        {
            episode.revision += 1;
            self.commented = false;
            self.waiting_since = None;
        }
        self.settle();
    }

    /// Ends the open conversation and returns it; none where none is open. The responsible stays until
    /// assignment says otherwise, and so do what is unanswered and unread: ending answers nobody.
    pub fn close(&mut self, now: OffsetDateTime) -> Option<Episode> {
        let episode = self
            .episode
            .as_mut()
            .filter(|episode| episode.closed_at.is_none())?;
        episode.closed_at = Some(now);
        episode.revision += 1;
        let closed = episode.clone();
        // What is ended is put off no more.
        self.snooze = None;
        self.settle();
        Some(closed)
    }

    /// Takes what assignment says of a conversation; what it said of an earlier one does not come back.
    pub fn assigned(&mut self, number: i64, responsible: Option<AgentId>) {
        if number >= self.assignment_number {
            self.assignment_number = number;
            self.responsible = responsible;
        }
        self.settle();
    }

    /// Takes the next place in the order of storing.
    pub fn next_sequence(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    /// Takes the next number of a command to the provider (§10).
    pub fn next_command(&mut self) -> i64 {
        self.out_seq += 1;
        self.out_seq
    }

    /// Notes a stored message of the client.
    pub fn received(&mut self, preview: Preview) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.waiting = true;
        self.waiting_since.get_or_insert(preview.time);
        self.last_client_sequence = self.sequence;
        self.snooze = None;
        self.mark(true);
        self.heard(preview.time);
        self.show(preview);
    }

    /// Notes that the last stored message of the client is a comment to NPS, which is to be read and not answered. In an open
    /// conversation agents see it anyway.
    pub fn comment(&mut self) {
        if self.open_episode().is_none() {
            self.commented = true;
            self.last_client_sequence = self.sequence;
        }
    }

    /// Notes that the client was heard.
    pub fn heard(&mut self, time: OffsetDateTime) {
        self.last_client_message_at = self.last_client_message_at.max(time);
    }

    /// Shows a message as the newest one, unless a newer one is shown.
    pub fn show(&mut self, preview: Preview) {
        if self
            .preview
            .as_ref()
            .is_none_or(|shown| shown.time <= preview.time)
        {
            self.preview = Some(preview);
        }
    }

    /// Notes that an agent's message was sent in a conversation (F071, X09).
    ///
    /// Returns false where a later answer was sent before: nothing changes.
    pub fn answered(&mut self, answer: Answer, later: Later) -> bool {
        if answer.position <= self.answered_sequence {
            return false;
        }
        self.answered_sequence = answer.position;
        self.unanswered = later.messages;
        let newest = self.episode.as_ref();
        if let Some(newest) = newest.filter(|newest| Some(newest.id) == answer.conversation) {
            self.answered_number = newest.number;
        }
        self.waiting &= later.messages > 0;
        // Who was not timed is not timed by an answer to what they wrote before; and what they wrote in an earlier conversation,
        // which the answer may belong to, makes no wait of this one longer.
        if let Some(since) = self.waiting_since {
            let first = later.first.filter(|_| self.waiting);
            self.waiting_since = first.map(|first| first.max(since));
        }
        true
    }

    /// Notes that somebody has read all that the client wrote (F209). What is unanswered stays so (F072).
    pub fn read(&mut self) {
        self.commented = false;
        self.mark(false);
    }

    /// Notes that the client's last words need no reply (F206).
    pub fn waive(&mut self) {
        self.waiting = false;
        self.waiting_since = None;
        self.read();
    }

    /// Takes a snoozed chat up again whose time has come: it is unread, so that it is seen.
    pub fn remind(&mut self) {
        self.snooze = None;
        self.mark(true);
    }

    fn mark(&mut self, unread: bool) {
        if self.unread != unread {
            self.unread = unread;
            self.read_version += 1;
        }
    }

    /// Marks as spam (F171); tells whether it was none before. The caller closes what is open.
    pub fn condemn(&mut self) -> bool {
        self.snooze = None;
        !std::mem::replace(&mut self.spam, true)
    }

    /// Takes the mark of spam away (F173); tells whether there was one.
    pub fn restore(&mut self) -> bool {
        std::mem::take(&mut self.spam)
    }

    /// Derives the state from what it depends on.
    fn settle(&mut self) {
        let number = self.open_episode().map(|episode| episode.number);
        if number.is_some_and(|number| self.assignment_number < number) {
            self.responsible = None;
        }
        self.state = match (number, self.responsible) {
            (None, _) => ChatState::Inactive,
            (Some(_), None) => ChatState::Unassigned,
            (Some(_), Some(_)) => ChatState::Active,
        };
    }
}

/// Orders messages of a batch as history shows them: provider time, provider number, arrival.
pub fn arrange<T>(messages: &mut [T], key: impl Fn(&T) -> (OffsetDateTime, i64)) {
    messages.sort_by_key(key);
}

#[cfg(test)]
#[path = "chat_tests.rs"]
pub(super) mod tests;
