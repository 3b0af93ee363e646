//! Messages as they come: a client's, or one of ours by the provider's own app.

use chassis::actor::Actor;
use chassis::id::{self, AccountSlug};
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::content_part::Content;
use time::OffsetDateTime;

use super::{broken, key_text};
use crate::app::announce::Cause;
use crate::domain::words::ChannelKind;
use crate::domain::{ChannelId, ChatId, ClientId, MessageId};
use crate::error::Error;
use crate::store::client::Profile;
use crate::store::message::Key;
use crate::wire;

/// Characters of a deep link's payload that are kept; no provider of ours lets one be as long.
const PAYLOAD_MAX: usize = 2_048;

/// Earlier messages of its thread that a mail may name.
const REFERENCES_MAX: usize = 50;

/// A client's message.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// What led to it.
    pub cause: Cause,
    /// Whose it is.
    pub account: AccountSlug,
    /// Channel.
    pub channel: ChannelId,
    /// Kind of the channel.
    pub channel_kind: ChannelKind,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// The client.
    pub profile: Profile,
    /// When it was sent, by the provider's clock.
    pub time: OffsetDateTime,
    /// When the gateway accepted it.
    pub accepted_at: OffsetDateTime,
    /// The message.
    pub message: gateway::InboundMessage,
    /// Not the client wrote it but somebody of ours, in the provider's own app.
    pub own_app: bool,
}

impl Arrival {
    /// Returns the chat's id, made of channel and chat key.
    pub fn chat(&self) -> ChatId {
        id::v5("chat", &[&self.channel.to_string(), &self.chat_key]).into()
    }

    /// Returns the client's id, made of account and identity.
    pub fn client(&self) -> ClientId {
        self.profile.client(&self.account)
    }

    /// Returns the id of the album that the message is an item of; none where it is none. It is the same for every
    /// item, whichever comes first.
    pub fn album(&self) -> Option<MessageId> {
        let key = &self.message.album_key;
        if key.is_empty() {
            return None;
        }
        let side = if self.own_app { "own" } else { "client" };
        let parts = [&*self.channel.to_string(), &*self.chat_key, side, key];
        Some(id::v5("album", &parts).into())
    }

    /// Returns the message's id, made of the provider's time and key: the same whenever it is repeated.
    pub fn id(&self) -> MessageId {
        if let Some(album) = self.album() {
            return album;
        }
        let parts = [&*self.channel.to_string(), &*self.message.provider_key];
        id::v8(self.time, "message", &parts).into()
    }

    /// Tells whether the message begins an episode where none is open. A machine's does not (channels.md §5.2): it is
    /// stored in its chat, and nobody waits for an answer to it.
    pub fn opens(&self) -> bool {
        !self.message.automatic
    }

    /// Returns the provider's key.
    pub fn key(&self) -> Key {
        (self.channel, self.message.provider_key.clone())
    }
}

/// Reads a message.
pub(super) fn arrival(
    account: &AccountSlug,
    cause: Cause,
    channel: ChannelId,
    event: &gateway::InboundEvent,
    message: gateway::InboundMessage,
    time: OffsetDateTime,
) -> Result<Arrival, Error> {
    let identity = event.client.as_ref().ok_or_else(|| broken("client"))?;
    let profile = wire::profile(identity);
    if profile.user_id.is_empty() {
        return Err(broken("client.user_id"));
    }
    key_text(&message.provider_key, "message.provider_key")?;
    let mut arrival = Arrival {
        cause,
        account: account.clone(),
        channel,
        channel_kind: wire::channel_kind(event.channel_kind),
        chat_key: key_text(&event.chat_key, "chat_key")?,
        profile,
        time,
        accepted_at: wire::time(event.received_at.as_ref()).unwrap_or(time),
        message,
        own_app: false,
    };
    forget_references(&mut arrival.message);
    let payload = &mut arrival.message.start_payload;
    if !payload.is_empty() {
        *payload = payload
            .replace('\0', "")
            .chars()
            .take(PAYLOAD_MAX)
            .collect();
    }
    let references = &mut arrival.message.references;
    references.retain(|key| !key.is_empty() && !key.contains('\0'));
    references.truncate(REFERENCES_MAX);
    arrival.cause.actor = Some(Actor::Client(arrival.client().uuid()));
    Ok(arrival)
}

/// Reads a message that was written in the provider's own app.
///
/// # Errors
/// Returns [`Error::Broken`] for one that can never be handled.
pub fn own_app(
    account: &AccountSlug,
    cause: Cause,
    event: gateway::OwnAppMessageReceived,
    time: OffsetDateTime,
) -> Result<Arrival, Error> {
    let channel = event.channel_id.parse().map_err(|_| broken("channel_id"))?;
    let item = gateway::InboundEvent {
        channel_kind: event.channel_kind,
        chat_key: event.chat_key,
        client: event.client,
        ..gateway::InboundEvent::default()
    };
    let message = gateway::InboundMessage {
        provider_key: event.provider_key,
        provider_number: event.provider_number,
        parts: event.parts,
        reply: event.reply,
        origin: event.origin,
        album_key: event.album_key,
        subject: event.subject,
        full_text: event.full_text,
        automatic: event.automatic,
        html: event.html,
        original: event.original,
        references: event.references,
        ..gateway::InboundMessage::default()
    };
    let actor = cause.actor.clone();
    let mut arrival = arrival(account, cause, channel, &item, message, time)?;
    arrival.own_app = true;
    arrival.cause.actor = actor;
    Ok(arrival)
}

/// Drops the gateway's own references to files at the provider: it has them already, and they are secrets.
pub(super) fn forget_references(message: &mut gateway::InboundMessage) {
    message.extension = bytes::Bytes::new();
    for file in [&mut message.html, &mut message.original]
        .into_iter()
        .flatten()
    {
        file.extension = bytes::Bytes::new();
    }
    for part in &mut message.parts {
        match &mut part.content {
            Some(Content::Attachment(file)) => file.extension = bytes::Bytes::new(),
            Some(Content::Sticker(sticker)) => {
                if let Some(file) = &mut sticker.attachment {
                    file.extension = bytes::Bytes::new();
                }
            }
            _ => {}
        }
    }
}
