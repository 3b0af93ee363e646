//! Consumers: commands from conversation, access records from assignment, and the gateway's share of INBOUND.

use std::collections::BTreeSet;

use chassis::access::{AccessCopy, AccessRecord};
use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use chassis::deadletter::{self, Letter, Reason};
use chassis::grpc::{Parse, timestamp};
use chassis::id::{AccountSlug, AgentId};
use chassis::nats::{Nats, Streams};
use chassis::outbox;
use futures::future::try_join_all;
use switchboard_proto::assignment::v1::AgentAccessChanged;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1::{MessageCancelled, MessageQueued};
use switchboard_proto::operator::v1::DeadLetter;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::accept::Intake;
use crate::app::around;
use crate::app::attachments::{self, Item};
use crate::app::book::Found;
use crate::app::inbound::{self, Notes, Told};
use crate::app::queue::{self, Queued};
use crate::app::{App, accept, cancel, dispatch, presses, short_links, told, uploads};
use crate::domain::telegram::chat::pressed;
use crate::error::{DOMAIN, Error};
use crate::files::store::StoreError;
use crate::store::clients::Block;
use crate::store::raw_items;

/// What is consumed from `EVENTS`.
pub const FILTERS: [EventFilter; 3] = [
    EventFilter::of::<MessageQueued>(),
    EventFilter::of::<MessageCancelled>(),
    EventFilter::of::<AgentAccessChanged>(),
];

const PARSE: Parse = Parse::new(DOMAIN);

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error.into(),
            Error::NotAccepted(error) => Self::Away(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Handles events of other services.
pub struct Events {
    /// The use cases.
    pub app: App,
    /// Wakes the dispatcher.
    pub dispatcher: dispatch::Waker,
    /// The copy of access records.
    pub access: AccessCopy,
}

#[tonic::async_trait]
impl Handler for Events {
    fn durable(&self) -> &'static str {
        "channel-gateway-events"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let (mut queued, mut cancelled, mut access) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in batch {
            if delivery.is::<MessageQueued>() {
                queued.push(command(delivery)?);
            } else if delivery.is::<MessageCancelled>() {
                cancelled.push(taken_back(delivery)?);
            } else if delivery.is::<AgentAccessChanged>() {
                access.push(record(delivery)?);
            }
        }
        let outlets = queue::outlets(&self.app, &queued).await?;
        let mut tx = self.app.pool.begin().await?;
        queue::enter(&mut tx, &queued, &cancelled).await?;
        let told = uploads::note_used(&mut tx, &mut queued, now).await?;
        short_links::shorten_all(&mut tx, &self.app, &mut queued, now).await?;
        let mut events = cancel::note(&mut tx, &cancelled, now).await?;
        events.extend(told);
        events.extend(queue::store(&mut tx, &queued, &outlets, now).await?);
        AccessCopy::apply(&mut tx, &access).await?;
        outbox::write(&mut tx, DOMAIN, events, now).await?;
        tx.commit().await?;
        self.dispatcher.wake();
        self.app.relay.wake();
        let changed: Vec<(AccountSlug, AgentId)> = access
            .into_iter()
            .map(|(account, record)| (account, record.agent))
            .collect();
        self.access.invalidate(&changed).await;
        Ok(())
    }
}

pub(crate) fn command(delivery: &Delivery) -> Result<Queued, HandlerError> {
    let event: MessageQueued = delivery.decode()?;
    let command = event.command.unwrap_or_default();
    if !queue::is_placeable(&command) {
        // It names no place in a lane that a failure could be stored in.
        return Err(HandlerError::Poison(
            "the command has no chat, channel, message or number".into(),
        ));
    }
    Ok(Queued {
        account: delivery.envelope.account.clone(),
        command,
        time: delivery.envelope.time,
        cause: Some(delivery.envelope.id),
        trace: delivery.envelope.trace.traceparent().unwrap_or_default(),
    })
}

fn taken_back(delivery: &Delivery) -> Result<(Uuid, i64), HandlerError> {
    let event: MessageCancelled = delivery.decode()?;
    let chat = event
        .chat_id
        .parse()
        .map_err(|_| HandlerError::Poison("chat_id is no UUID".into()))?;
    Ok((chat, event.out_seq))
}

fn record(delivery: &Delivery) -> Result<(AccountSlug, AccessRecord), HandlerError> {
    let event: AgentAccessChanged = delivery.decode()?;
    let record = AccessRecord::try_from(event.access.unwrap_or_default());
    let record = record.map_err(|error| HandlerError::Poison(error.to_string()))?;
    Ok((delivery.envelope.account.clone(), record))
}

/// Handles blocks, and moves what is not understood to the dead letters.
pub struct Inbound {
    /// The use cases.
    pub app: App,
    /// The broker.
    pub nats: Nats,
    /// Names of its streams.
    pub streams: Streams,
    /// Where an item goes that is understood the second time.
    pub intake: Intake,
}

impl Inbound {
    /// Reads a single unsupported item anew: a replayed letter of a channel that is enabled by now, or of a kind that
    /// this version understands, becomes what it is.
    async fn understood(
        &self,
        delivery: &Delivery,
        item: &InboundEvent,
        now: OffsetDateTime,
    ) -> Result<bool, HandlerError> {
        let Ok(channel) = item.channel_id.parse() else {
            return Ok(false);
        };
        let known = match self.app.book.find_fresh(channel).await {
            Found::Known(known) if known.account == delivery.envelope.account => known,
            Found::Known(_) | Found::Unknown => return Ok(false),
            Found::Away => return Err(HandlerError::Away("channels".into())),
        };
        let received_at = PARSE
            .time("received_at", item.received_at.as_ref())
            .unwrap_or(delivery.envelope.time);
        let mut read = match accept::anew(&self.intake, &known, item, received_at).await {
            // What is gone, or never was, will not come back.
            Err(StoreError::Missing | StoreError::Key) => return Ok(false),
            other => other.map_err(|error| HandlerError::Away(error.to_string()))?,
        };
        let is_own = |event: &InboundEvent| matches!(event.kind, Some(Kind::OwnAppMessage(_)));
        if told::is_without_chat(item) && !read.is_empty() && read.iter().all(is_own) {
            // It was understood before: what was missing is its chat. As an item it would only be kept again.
            self.intake.learnt.fill(channel, &mut read).await;
            let kept = read
                .into_iter()
                .map(|event| spoken_of(delivery, channel, event, now))
                .collect::<Result<_, _>>()?;
            return Ok(told::place(&self.app, &self.intake, kept, now).await?);
        }
        let trace = &delivery.envelope.trace;
        accept::again(&self.intake, &known, read, trace, received_at)
            .await
            .map_err(|error| HandlerError::Away(error.to_string()))
    }
}

#[tonic::async_trait]
impl Handler for Inbound {
    fn durable(&self) -> &'static str {
        "gateway-inbound"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let (mut told, mut spoken, mut letters) = (Vec::new(), Vec::new(), Vec::new());
        let mut heard = BTreeSet::new();
        let mut notes = Notes::default();
        let items = batch
            .iter()
            .map(Delivery::decode_as)
            .collect::<Result<Vec<InboundEvent>, _>>()?;
        let (mut named, mut raw) = (Vec::new(), Vec::new());
        let mut pressed_now = Vec::new();
        for (delivery, item) in batch.iter().zip(&items) {
            let channel: Uuid = item
                .channel_id
                .parse()
                .map_err(|_| HandlerError::Poison("channel_id is no UUID".into()))?;
            named.push(Item {
                account: &delivery.envelope.account,
                id: delivery.envelope.id,
                trace: &delivery.envelope.trace,
                channel,
                received_at: PARSE
                    .time("received_at", item.received_at.as_ref())
                    .unwrap_or(delivery.envelope.time),
                event: item,
            });
            if !item.raw_ref.is_empty() {
                raw.push(item.raw_ref.clone());
            }
            pressed_now.extend(press(delivery, channel, item));
            match &item.kind {
                Some(Kind::Block(block)) => told.push(Told {
                    block: Block {
                        channel_id: channel,
                        chat_key: item.chat_key.clone(),
                        account: delivery.envelope.account.to_string(),
                        blocked: block.blocked,
                        time: PARSE
                            .time("provider_time", item.provider_time.as_ref())
                            .map_err(|status| HandlerError::Poison(status.message().to_owned()))?,
                    },
                    cause: delivery.envelope.id,
                    trace: delivery.envelope.trace.clone(),
                }),
                Some(Kind::Receipt(_) | Kind::OwnAppMessage(_)) => {
                    spoken.push(spoken_of(delivery, channel, item.clone(), now)?);
                }
                Some(Kind::Message(_)) if around::is_asked(item.channel_kind()) => {
                    let time = PARSE
                        .time("provider_time", item.provider_time.as_ref())
                        .map_err(|status| HandlerError::Poison(status.message().to_owned()))?;
                    let (client, message) = around::noted(channel, item, time);
                    notes.clients.extend(client);
                    notes.messages.extend(message);
                }
                Some(Kind::Unsupported(unsupported)) => {
                    letters.push(letter(&self.streams, delivery, &unsupported.kind, now));
                }
                _ => {}
            }
            heard.insert(channel);
        }
        if !raw.is_empty() {
            let mut connection = self.app.pool.acquire().await?;
            raw_items::note(&mut connection, &raw, now).await?;
        }
        // Alone it fails: the consumer then makes the letter, and a replay that still cannot read it keeps it.
        if let ([delivery], [letter]) = (batch, letters.as_slice()) {
            if let [item] = items.as_slice()
                && self.understood(delivery, item, now).await?
            {
                return Ok(());
            }
            return Err(HandlerError::Unsupported(letter.0.error.clone()));
        }
        // In company, under its own message id each: a repeat of the batch stores none twice.
        let subject = self.streams.dead_subject(DOMAIN);
        let sent = letters
            .iter()
            .map(|letter| deadletter::publish(&self.nats, &subject, letter, Reason::Unsupported));
        try_join_all(sent)
            .await
            .map_err(|error| HandlerError::Away(error.to_string()))?;
        let heard: Vec<Uuid> = heard.into_iter().collect();
        let asked = || {
            let items = named.iter();
            items.map(|it| (it.channel, it.account.as_str(), it.event))
        };
        notes.lookups = self.app.learnt.lookups(asked());
        notes.photos = self.app.photos.wanted(&self.app.sealer, asked()).await?;
        let batch = inbound::Batch {
            told,
            spoken,
            heard,
            files: attachments::collect(&self.app, &named)?,
            taken_back: attachments::taken_back(&named),
            notes,
        };
        inbound::keep(&self.app, &self.intake, &batch, now).await?;
        for (channel, query, received_at) in pressed_now {
            presses::answer(&self.app, channel, query, received_at, now);
        }
        Ok(())
    }
}

/// Returns the press of a button that an item is, as Telegram wants it answered.
fn press<'a>(
    delivery: &Delivery,
    channel: Uuid,
    item: &'a InboundEvent,
) -> Option<(Uuid, &'a str, OffsetDateTime)> {
    let Some(Kind::Message(message)) = &item.kind else {
        return None;
    };
    let query = pressed(&message.provider_key)
        .filter(|_| item.channel_kind() == ChannelKind::TelegramBot)?;
    let received_at = PARSE.time("received_at", item.received_at.as_ref());
    Some((
        channel,
        query,
        received_at.unwrap_or(delivery.envelope.time),
    ))
}

/// An item about messages that went out.
fn spoken_of(
    delivery: &Delivery,
    channel: Uuid,
    item: InboundEvent,
    now: OffsetDateTime,
) -> Result<told::Told, HandlerError> {
    let time = PARSE
        .time("provider_time", item.provider_time.as_ref())
        .map_err(|status| HandlerError::Poison(status.message().to_owned()))?;
    let mut told = told::Told {
        account: delivery.envelope.account.clone(),
        channel,
        item,
        id: delivery.envelope.id,
        trace: delivery.envelope.trace.clone(),
        since: now,
        time,
    };
    if !told.is_homeless() {
        // The raw item stays in its stream: what is held is small.
        told.item.raw = bytes::Bytes::new();
    }
    Ok(told)
}

/// The letter of an item that is authentic and not understood; it holds the item with its raw form.
fn letter(streams: &Streams, delivery: &Delivery, kind: &str, now: OffsetDateTime) -> Letter {
    let envelope = &delivery.envelope;
    let headers = envelope.to_headers();
    let headers = headers
        .iter()
        .filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string())))
        .collect();
    Letter(DeadLetter {
        service: DOMAIN.to_owned(),
        consumer: "gateway-inbound".to_owned(),
        error: format!("unsupported: {kind}"),
        origin_stream: delivery.origin.stream.clone(),
        origin_sequence: delivery.origin.sequence,
        origin_index: delivery.origin.index,
        // Replay tells an item of a pack from an event by its subject.
        subject: streams
            .subject_of(&delivery.origin.stream)
            .unwrap_or_default(),
        payload: delivery.payload.clone(),
        time: Some(timestamp(now)),
        account: envelope.account.to_string(),
        event_id: envelope.id.to_string(),
        event_type: envelope.kind.clone(),
        attempts: 1,
        headers,
        ..DeadLetter::default()
    })
}
