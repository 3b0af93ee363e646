//! The consumer of what somebody of ours wrote in a provider's own app (`conversation-own-app`): such a message is stored
//! as a client's is, with client, chat and conversation, and counts as an answer (D08).

use chassis::consumer::{Delivery, EventFilter, Handler, HandlerError};
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::channel_gateway::v1::OwnAppMessageReceived;
use time::OffsetDateTime;

use crate::app;
use crate::app::announce::Cause;
use crate::app::inbound::{self, Batch};
use crate::events::{child, commit};
use crate::wire;

/// What is consumed.
pub static FILTERS: [EventFilter; 1] = [EventFilter::of::<OwnAppMessageReceived>()];

/// The handler. A durable of its own, since it locks what inbound items lock, in their order.
pub struct OwnApp {
    pool: PgPool,
    waker: Waker,
}

impl OwnApp {
    /// Makes the handler.
    pub fn new(pool: PgPool, waker: Waker) -> Self {
        Self { pool, waker }
    }
}

#[tonic::async_trait]
impl Handler for OwnApp {
    fn durable(&self) -> &'static str {
        "conversation-own-app"
    }

    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError> {
        let mut spans = Vec::with_capacity(batch.len());
        let mut items = Batch::default();
        for delivery in batch {
            let event: OwnAppMessageReceived = delivery.decode()?;
            let cause = Cause {
                id: Some(delivery.envelope.id),
                trace: child(delivery, "conversation.store", &mut spans),
                actor: delivery.envelope.actor.clone(),
            };
            let time = wire::time(event.time.as_ref()).unwrap_or(delivery.envelope.time);
            let arrival = inbound::own_app(&delivery.envelope.account, cause, event, time)?;
            items.arrivals.push(arrival);
        }
        let mut tx = self.pool.begin().await?;
        let events = app::ingest::ingest(&mut tx, items, now).await?;
        commit(tx, events, &self.waker, now).await
    }
}
