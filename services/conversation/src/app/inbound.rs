//! Inbound items as this service understands them.

use chassis::actor::Actor;
use chassis::id::{self, AccountSlug};
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::content_part::Content;
use time::OffsetDateTime;
use uuid::Uuid;

use super::announce::Cause;
use crate::domain::amendment::Moment;
use crate::domain::words::ChannelKind;
use crate::domain::{ChannelId, ChatId, ClientId, MessageId};
use crate::error::Error;
use crate::store::client::Profile;
use crate::store::message::Key;
use crate::store::parked::Parked;
use crate::wire;

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
        let parts = [
            self.account.as_str(),
            &self.profile.scope,
            &self.profile.user_id,
        ];
        id::v5("client", &parts).into()
    }

    /// Returns the id of the album that the message is an item of; none where it is none. It is the same for every
    /// item, whichever comes first.
    pub fn album(&self) -> Option<MessageId> {
        let key = &self.message.album_key;
        let side = if self.own_app { "own" } else { "client" };
        let parts = [&*self.channel.to_string(), &*self.chat_key, side, key];
        (!key.is_empty()).then(|| id::v5("album", &parts).into())
    }

    /// Returns the message's id, made of the provider's time and key: the same whenever it is repeated.
    pub fn id(&self) -> MessageId {
        if let Some(album) = self.album() {
            return album;
        }
        let parts = [&*self.channel.to_string(), &*self.message.provider_key];
        id::v8(self.time, "message", &parts).into()
    }

    /// Returns the provider's key.
    pub fn key(&self) -> Key {
        (self.channel, self.message.provider_key.clone())
    }
}

/// An edit, a deletion or a reaction of one message.
#[derive(Debug, Clone)]
pub struct Amendment {
    /// What led to it.
    pub cause: Cause,
    /// Whose it is.
    pub account: AccountSlug,
    /// The provider's key of the message.
    pub key: Key,
    /// When it was made.
    pub moment: Moment,
    /// What changes.
    pub change: Change,
    /// The event as it came, about this key alone and without its raw item: what is parked.
    pub event: gateway::InboundEvent,
}

/// What an amendment changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// The content.
    Edit {
        /// The message as it is now.
        message: Box<gateway::InboundMessage>,
        /// Not the client edited it but somebody of ours, in the provider's own app.
        own_app: bool,
    },
    /// The message is taken back.
    Deletion,
    /// The client's reactions are these now.
    Reaction(Vec<String>),
}

impl Change {
    const fn word(&self) -> &'static str {
        match self {
            Self::Edit { .. } => "edit",
            Self::Deletion => "deletion",
            Self::Reaction(_) => "reaction",
        }
    }
}

impl Amendment {
    /// Returns the row to be parked.
    pub fn parked(&self) -> Parked {
        Parked {
            channel: self.key.0,
            provider_key: self.key.1.clone(),
            kind: self.change.word().to_owned(),
            account: self.account.clone(),
            provider_time: self.moment.time,
            event_key: self.moment.key.clone(),
            item: self.event.encode_to_vec(),
            item_id: self.cause.id.unwrap_or_default(),
            traceparent: self.cause.trace.traceparent().unwrap_or_default(),
        }
    }
}

/// What a batch brings.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Messages.
    pub arrivals: Vec<Arrival>,
    /// What amends messages.
    pub amendments: Vec<Amendment>,
    /// When the oldest item was received.
    pub oldest: Option<OffsetDateTime>,
}

impl Batch {
    /// Adds an item. What is another consumer's is left out.
    ///
    /// # Errors
    /// Returns [`Error::Broken`] for an item that can never be handled.
    pub fn add(
        &mut self,
        account: &AccountSlug,
        item_id: Uuid,
        trace: TraceContext,
        mut event: gateway::InboundEvent,
    ) -> Result<(), Error> {
        // What is kept of an item is never its raw form: that stays in INBOUND.
        event.raw = bytes::Bytes::new();
        let Some(kind) = event.kind.clone() else {
            return Ok(());
        };
        if matches!(kind, Kind::Block(_) | Kind::Unsupported(_)) {
            return Ok(());
        }
        if !event.account.is_empty() && event.account != account.as_str() {
            return Err(broken("account"));
        }
        let channel: ChannelId = event.channel_id.parse().map_err(|_| broken("channel_id"))?;
        let time =
            wire::time(event.provider_time.as_ref()).ok_or_else(|| broken("provider_time"))?;
        let moment = Moment::new(time, key_text(&event.event_key, "event_key")?);
        if let Some(received) = wire::time(event.received_at.as_ref()) {
            self.oldest = Some(self.oldest.map_or(received, |oldest| oldest.min(received)));
        }
        let cause = Cause {
            id: Some(item_id),
            trace,
            actor: None,
        };
        let mut amend = |provider_key: &str, change: Change, event: &gateway::InboundEvent| {
            let amendment = Amendment {
                cause: cause.clone(),
                account: account.clone(),
                key: (channel, key_text(provider_key, "provider_key")?),
                moment: moment.clone(),
                change,
                event: event.clone(),
            };
            self.amendments.push(amendment);
            Ok(())
        };
        match kind {
            Kind::Message(message) => {
                let arrival = arrival(account, cause, channel, &event, message, time)?;
                self.arrivals.push(arrival);
                Ok(())
            }
            Kind::Edit(edit) => {
                let mut message = edit.message.clone().unwrap_or_default();
                forget_references(&mut message);
                // Should its message never come, it is stored as one: what cannot be is refused at once, not parked.
                let alone = gateway::InboundMessage {
                    provider_key: edit.provider_key.clone(),
                    ..message.clone()
                };
                self::arrival(account, cause.clone(), channel, &event, alone, time)?;
                let change = Change::Edit {
                    message: Box::new(message),
                    own_app: edit.own_app,
                };
                amend(&edit.provider_key, change, &event)
            }
            Kind::Reaction(reaction) => {
                let emojis = reaction.emojis.iter().map(|emoji| storable(emoji));
                let change = Change::Reaction(emojis.collect());
                amend(&reaction.provider_key, change, &event)
            }
            Kind::Deletion(deletion) => deletion.provider_keys.iter().try_for_each(|key| {
                let provider_keys = vec![key.clone()];
                let alone = gateway::InboundEvent {
                    kind: Some(Kind::Deletion(gateway::InboundDeletion { provider_keys })),
                    ..event.clone()
                };
                amend(key, Change::Deletion, &alone)
            }),
            // The gateway's own; what of these concerns chats it tells by events.
            Kind::Block(_)
            | Kind::Unsupported(_)
            | Kind::Receipt(_)
            | Kind::OwnAppMessage(_)
            | Kind::Start(_)
            | Kind::ProviderState(_) => Ok(()),
        }
    }

    /// Adds a parked item as the amendment it is.
    pub fn add_parked(&mut self, parked: &Parked) -> Result<(), Error> {
        let event = gateway::InboundEvent::decode(parked.item.as_slice())?;
        let trace = TraceContext::parse(&parked.traceparent);
        self.add(&parked.account, parked.item_id, trace, event)
    }

    /// Adds a parked edit whose message never came, as the message that it carries (§3).
    pub fn add_edit_as_message(&mut self, parked: &Parked) -> Result<(), Error> {
        let event = gateway::InboundEvent::decode(parked.item.as_slice())?;
        let Some(Kind::Edit(edit)) = event.kind.clone() else {
            return Err(broken("kind"));
        };
        let own_app = edit.own_app;
        let message = gateway::InboundMessage {
            provider_key: edit.provider_key,
            ..edit.message.unwrap_or_default()
        };
        let sent_at = wire::time(edit.sent_at.as_ref()).unwrap_or(parked.provider_time);
        let cause = Cause {
            id: Some(parked.item_id),
            trace: TraceContext::parse(&parked.traceparent),
            actor: None,
        };
        let mut arrival = arrival(
            &parked.account,
            cause,
            parked.channel,
            &event,
            message,
            sent_at,
        )?;
        if own_app {
            arrival.own_app = true;
            arrival.cause.actor = None;
        }
        self.arrivals.push(arrival);
        Ok(())
    }
}

fn arrival(
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
        message,
        own_app: false,
    };
    forget_references(&mut arrival.message);
    arrival.message.start_payload = arrival.message.start_payload.replace('\0', "");
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
        ..gateway::InboundMessage::default()
    };
    let actor = cause.actor.clone();
    let mut arrival = arrival(account, cause, channel, &item, message, time)?;
    arrival.own_app = true;
    arrival.cause.actor = actor;
    Ok(arrival)
}

/// Drops the gateway's own references to files at the provider: it has them already, and they are secrets.
fn forget_references(message: &mut gateway::InboundMessage) {
    message.extension = bytes::Bytes::new();
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

/// A key that can be stored and found again: not empty, without a NUL.
fn key_text(key: &str, field: &'static str) -> Result<String, Error> {
    if key.is_empty() || key.contains('\0') {
        return Err(broken(field));
    }
    Ok(key.to_owned())
}

/// Drops what Postgres cannot store in a text.
pub fn storable(text: &str) -> String {
    text.replace('\0', "")
}

fn broken(field: &'static str) -> Error {
    Error::Broken(format!(
        "inbound item: {field} is missing or cannot be read"
    ))
}
