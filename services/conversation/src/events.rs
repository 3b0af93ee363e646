//! Transport of events: what comes from the streams is parsed, handed to application in one transaction, and the
//! relay is woken after the commit.

mod read;

use chassis::access::AccessCopy;
use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing, Waker};
use chassis::trace::TraceContext;
use sqlx::{PgPool, Postgres, Transaction};
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::crm_cards::v1 as cards;
use time::OffsetDateTime;
use tracing::Span;

use crate::app;
use crate::app::announce::Cause;
use crate::app::inbound::Batch;
use crate::error::{DOMAIN, Error};
use crate::figures;

/// The events of other services that this one wants.
pub static FILTERS: [EventFilter; 29] = [
    EventFilter::of::<assignment::AccountCreated>(),
    EventFilter::of::<assignment::CalendarUpdated>(),
    EventFilter::of::<assignment::ChatAssigned>(),
    EventFilter::of::<assignment::ChatUnassigned>(),
    EventFilter::of::<assignment::ChatJoined>(),
    EventFilter::of::<assignment::ChatLeft>(),
    EventFilter::of::<assignment::ChatOfferTaken>(),
    EventFilter::of::<assignment::AgentAccessChanged>(),
    EventFilter::of::<gateway::DeliverySent>(),
    EventFilter::of::<gateway::DeliveryDelivered>(),
    EventFilter::of::<gateway::DeliveryRead>(),
    EventFilter::of::<gateway::DeliveryFailed>(),
    EventFilter::of::<gateway::DeliveryUncertain>(),
    EventFilter::of::<gateway::DeliveryCancelled>(),
    EventFilter::of::<gateway::AttachmentStored>(),
    EventFilter::of::<gateway::AttachmentFailed>(),
    EventFilter::of::<gateway::PostFound>(),
    EventFilter::of::<gateway::ClientDescribed>(),
    EventFilter::of::<gateway::ClientBlocked>(),
    EventFilter::of::<gateway::ClientUnblocked>(),
    EventFilter::of::<gateway::ChannelEnabled>(),
    EventFilter::of::<gateway::ChannelUpdated>(),
    EventFilter::of::<gateway::ChannelDisconnected>(),
    EventFilter::of::<cards::CardCreated>(),
    EventFilter::of::<cards::CardConverted>(),
    EventFilter::of::<cards::OrderCreated>(),
    EventFilter::of::<cards::CardDeleted>(),
    EventFilter::of::<cards::ContactDeleted>(),
    EventFilter::of::<cards::CompanyDeleted>(),
];

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error.into(),
            Error::Overtaken => Self::Retry(error.to_string()),
            Error::Broken(text) => Self::Poison(text),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The consumer of what clients do (`conversation-inbound`).
pub struct Inbound {
    pool: PgPool,
    waker: Waker,
}

impl Inbound {
    /// Makes the handler.
    pub fn new(pool: PgPool, waker: Waker) -> Self {
        Self { pool, waker }
    }
}

#[tonic::async_trait]
impl Handler for Inbound {
    fn durable(&self) -> &'static str {
        "conversation-inbound"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let mut spans = Vec::with_capacity(batch.len());
        let mut items = Batch::default();
        for delivery in batch {
            let event: gateway::InboundEvent = delivery.decode_as()?;
            let trace = child(delivery, "conversation.store", &mut spans);
            items.add(
                &delivery.envelope.account,
                delivery.envelope.id,
                trace,
                event,
            )?;
        }
        let oldest = items.oldest;
        let mut tx = self.pool.begin().await?;
        let events = app::ingest::ingest(&mut tx, items, now).await?;
        commit(tx, events, &self.waker, now).await?;
        if let Some(oldest) = oldest {
            figures::INBOUND_AGE.set((now - oldest).as_seconds_f64());
        }
        Ok(())
    }
}

/// The consumer of what other services say (`conversation-events`).
pub struct Events {
    pool: PgPool,
    waker: Waker,
    access: AccessCopy,
}

impl Events {
    /// Makes the handler.
    pub fn new(pool: PgPool, waker: Waker, access: AccessCopy) -> Self {
        Self {
            pool,
            waker,
            access,
        }
    }
}

#[tonic::async_trait]
impl Handler for Events {
    fn durable(&self) -> &'static str {
        "conversation-events"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let mut spans = Vec::with_capacity(batch.len());
        let mut said = app::events::Events::default();
        for delivery in batch {
            let trace = child(delivery, "conversation.learn", &mut spans);
            let cause = Cause {
                id: Some(delivery.envelope.id),
                trace,
                actor: delivery.envelope.actor.clone(),
            };
            read::read(delivery, cause, &mut said)?;
        }
        let mut tx = self.pool.begin().await?;
        let events = app::events::apply(&mut tx, &said, now).await?;
        commit(tx, events, &self.waker, now).await?;
        let agents: Vec<(AccountSlug, _)> = said
            .access
            .iter()
            .map(|(account, record)| (account.clone(), record.agent))
            .collect();
        self.access.invalidate(&agents).await;
        Ok(())
    }
}

/// Opens the span of one delivery, which lives as long as its batch, and returns what its events continue.
pub(crate) fn child(
    delivery: &Delivery,
    name: &'static str,
    spans: &mut Vec<Span>,
) -> TraceContext {
    let span = delivery.envelope.trace.span(name);
    let trace = TraceContext::of(&span);
    spans.push(span);
    // Without a collector there are no spans of our own: the trace is handed on as it came.
    if trace.is_none() {
        delivery.envelope.trace.clone()
    } else {
        trace
    }
}

pub(crate) async fn commit(
    mut tx: Transaction<'_, Postgres>,
    events: Vec<Outgoing>,
    waker: &Waker,
    now: OffsetDateTime,
) -> Result<(), HandlerError> {
    let any = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    if any {
        waker.wake();
    }
    Ok(())
}
