//! What is known around commands: when their clients last wrote, and what is noted of the messages that they answer.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1::OutboundCommand;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::call::Call;
use crate::domain::delivery::Circumstances;
use crate::domain::email::normalise::Thread;
use crate::domain::instagram::call::answered_in_direct;
use crate::domain::instagram::comments::Comment;
use crate::domain::instagram::private;
use crate::error::Error;
use crate::store::notes::{self, ClientNote, MessageNote};
use crate::store::private_replies;

/// What is known, by channel.
#[derive(Debug, Default)]
pub struct Around {
    last_client_at: BTreeMap<(Uuid, String), OffsetDateTime>,
    /// By the key of the message.
    notes: BTreeMap<(Uuid, String), Vec<u8>>,
    /// By the key of the chat: of the newest message that a person wrote, where one did.
    newest: BTreeMap<(Uuid, String), Vec<u8>>,
    /// Comments that were not answered in Direct, by the key of the chat.
    comments: BTreeMap<(Uuid, String), Vec<(Comment, OffsetDateTime)>>,
    /// Chats in which a comment was answered in Direct lately.
    replied: BTreeSet<(Uuid, String)>,
    /// Channels that are refused several pictures in one message.
    single_images: BTreeSet<Uuid>,
}

/// Whether several pictures go in one message is tried again after so long.
const SINGLE_FOR: time::Duration = time::Duration::days(30);

impl Around {
    /// Loads what is known around commands of channels that ask for it.
    pub async fn load(
        connection: &mut PgConnection,
        commands: &[(Uuid, &OutboundCommand)],
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        if commands.is_empty() {
            return Ok(Self::default());
        }
        let channels: Vec<Uuid> = commands.iter().map(|(channel, _)| *channel).collect();
        let storable = |text: &str| text.replace('\0', "");
        let chats: Vec<String> = commands
            .iter()
            .map(|(_, command)| storable(&command.chat_key))
            .collect();
        let answered: Vec<String> = commands
            .iter()
            .map(|(_, command)| command.reply.as_ref())
            .map(|reply| storable(reply.map_or("", |reply| &reply.provider_key)))
            .collect();
        let clients = notes::clients(connection, &channels, &chats).await?;
        let messages = notes::messages(connection, &channels, &answered).await?;
        let newest = notes::newest(connection, &channels, &chats).await?;
        let ids: Vec<Uuid> = commands
            .iter()
            .map(|(_, command)| command.chat_id.parse().unwrap_or_default())
            .collect();
        let since = now - private::OPEN;
        let found = private_replies::comments(connection, &channels, &chats, &ids, since).await?;
        let mut comments: BTreeMap<_, Vec<(Comment, OffsetDateTime)>> = BTreeMap::new();
        let mut replied = BTreeSet::new();
        for comment in found {
            let chat = (comment.channel_id, comment.chat_key);
            if comment.answered {
                replied.insert(chat);
                continue;
            }
            let known = comments.entry(chat).or_default();
            known.extend(Comment::of(&comment.note).map(|note| (note, comment.written_at)));
        }
        let single = private_replies::single(connection, &channels, now - SINGLE_FOR).await?;
        Ok(Self {
            comments,
            replied,
            single_images: single.into_iter().collect(),
            last_client_at: clients
                .into_iter()
                .map(|note| ((note.channel_id, note.chat_key), note.last_client_at))
                .collect(),
            notes: messages
                .into_iter()
                .map(|note| ((note.channel_id, note.provider_key), note.note))
                .collect(),
            newest: newest
                .into_iter()
                .map(|note| ((note.channel_id, note.chat_key), note.note))
                .collect(),
        })
    }

    /// Notes that a planned command answers a comment in Direct: no other one may.
    pub fn note_planned(&mut self, channel: Uuid, command: &OutboundCommand, calls: &[Call]) {
        let key = (channel, command.chat_key.clone());
        let Some(comments) = self.comments.get_mut(&key) else {
            return;
        };
        for answered in calls.iter().filter_map(answered_in_direct) {
            comments.retain(|(comment, _)| comment.comment != answered);
            self.replied.insert(key.clone());
        }
    }

    /// Returns what is known around one command.
    pub fn of(
        &self,
        channel: Uuid,
        command: &OutboundCommand,
        now: OffsetDateTime,
    ) -> Circumstances {
        let chat = (channel, command.chat_key.clone());
        let answered = command
            .reply
            .as_ref()
            .and_then(|reply| self.notes.get(&(channel, reply.provider_key.clone())));
        Circumstances {
            last_client_at: self.last_client_at.get(&chat).copied(),
            comment: answered.and_then(|note| Comment::of(note)),
            thread: answered
                // A subject of its own begins a thread.
                .or_else(|| {
                    self.newest
                        .get(&chat)
                        .filter(|_| command.subject.is_empty())
                })
                .map(|note| Thread::read(note))
                .filter(|thread| !thread.message_id.is_empty()),
            private_reply: self
                .comments
                .get(&chat)
                .and_then(|comments| private::chosen(comments, now))
                .map(str::to_owned),
            private_reply_used: self.replied.contains(&chat),
            single_images: self.single_images.contains(&channel),
            now,
        }
    }
}

/// Tells whether answers through such a channel depend on what the client did before.
pub fn is_asked(kind: ChannelKind) -> bool {
    matches!(kind, ChannelKind::Instagram | ChannelKind::Email)
}

/// What of an item is to be noted for later answers. A comment opens no window (channels.md §4.4).
pub fn noted(
    channel: Uuid,
    item: &InboundEvent,
    time: OffsetDateTime,
) -> (Option<ClientNote>, Option<MessageNote>) {
    let Some(Kind::Message(message)) = &item.kind else {
        return (None, None);
    };
    let client = (!is_comment(message)).then(|| ClientNote {
        channel_id: channel,
        chat_key: item.chat_key.clone(),
        last_client_at: time,
    });
    let note = (!message.extension.is_empty()).then(|| MessageNote {
        channel_id: channel,
        provider_key: message.provider_key.clone(),
        chat_key: item.chat_key.clone(),
        note: message.extension.to_vec(),
        written_at: Some(time),
        automatic: message.automatic,
    });
    (client, note)
}

fn is_comment(message: &InboundMessage) -> bool {
    Comment::of(&message.extension).is_some_and(|comment| !comment.comment.is_empty())
}
