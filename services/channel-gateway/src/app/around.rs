//! What is known around commands: when their clients last wrote, and what is noted of the messages that they answer.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{InboundEvent, InboundMessage, inbound_event::Kind};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1::OutboundCommand;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::delivery::Circumstances;
use crate::domain::email::normalise::Thread;
use crate::domain::instagram::comments::Comment;
use crate::error::Error;
use crate::store::notes::{self, ClientNote, MessageNote};

/// What is known, by channel.
#[derive(Debug, Default)]
pub struct Around {
    last_client_at: BTreeMap<(Uuid, String), OffsetDateTime>,
    /// By the key of the message.
    notes: BTreeMap<(Uuid, String), Vec<u8>>,
    /// By the key of the chat.
    newest: BTreeMap<(Uuid, String), Vec<u8>>,
}

impl Around {
    /// Loads what is known around commands of channels that ask for it.
    pub async fn load(
        connection: &mut PgConnection,
        commands: &[(Uuid, &OutboundCommand)],
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
        Ok(Self {
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
                .or_else(|| self.newest.get(&chat))
                .map(|note| Thread::read(note))
                .filter(|thread| !thread.message_id.is_empty()),
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
    });
    (client, note)
}

fn is_comment(message: &InboundMessage) -> bool {
    Comment::of(&message.extension).is_some_and(|comment| !comment.comment.is_empty())
}
