//! Inbound items as this service understands them.

mod arrival;

use chassis::id::AccountSlug;
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::arrival::{Arrival, own_app};
use self::arrival::{arrival, forget_references};
use super::announce::Cause;
use crate::domain::ChannelId;
use crate::domain::amendment::Moment;
use crate::error::Error;
use crate::figures;
use crate::store::message::Key;
use crate::store::parked::Parked;
use crate::wire;

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

/// A client came into the chat by a deep link, without having written (D30).
#[derive(Debug, Clone)]
pub struct Start {
    /// Who came, as of a message without content; it holds the link's payload.
    pub by: Arrival,
    /// When.
    pub moment: Moment,
}

/// What a batch brings.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Messages.
    pub arrivals: Vec<Arrival>,
    /// Deep links by which clients came without writing.
    pub starts: Vec<Start>,
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
                let message = arrival(account, cause, channel, &event, message, time)?;
                self.arrivals.push(message);
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
                arrival(account, cause.clone(), channel, &event, alone, time)?;
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
            Kind::Start(start) => {
                let blank = gateway::InboundMessage {
                    provider_key: moment.key.clone(),
                    start_payload: start.payload,
                    ..gateway::InboundMessage::default()
                };
                let by = arrival(account, cause, channel, &event, blank, time)?;
                // Without a payload there is nothing to keep: a chat begins when its client writes.
                let outcome = if by.message.start_payload.is_empty() {
                    "empty"
                } else {
                    self.starts.push(Start { by, moment });
                    "kept"
                };
                figures::STARTS.of([outcome]).increment(1);
                Ok(())
            }
            // The gateway's own: it applies states of the line itself (a business connection, a webhook, a mail of its
            // own that came back) and tells what of the others concerns chats by events. Nothing of a state speaks of
            // a chat, so nothing of it is kept here.
            Kind::Block(_)
            | Kind::Unsupported(_)
            | Kind::Receipt(_)
            | Kind::OwnAppMessage(_)
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
