//! A service's work with the broker: streams, relay, consumers, and the operator's view of dead letters.

use std::sync::Arc;

use anyhow::Context as _;
use sqlx::PgPool;

use super::Service;
use crate::consumer::{Consumers, EventFilter, Handler, Heard};
use crate::nats::{self, Declared, Nats};
use crate::relay::{Relay, Waker};

impl Service {
    /// Declares the streams that this service publishes to, idempotently. Call it after [`Service::nats`].
    pub async fn declare(&self, kinds: &[Declared]) -> anyhow::Result<()> {
        let nats = self.connected()?;
        Ok(nats::declare(&nats, &self.streams, &self.sections.nats, kinds).await?)
    }

    /// Runs the relay from this database's outbox to `EVENTS`. Wake it after each commit that wrote events.
    pub fn relay(&self, pool: &PgPool) -> anyhow::Result<Waker> {
        let (nats, streams) = (self.connected()?, self.streams.clone());
        let relay = self.sections.relay.clone();
        Ok(Relay::spawn(
            &self.lifecycle,
            pool.clone(),
            nats,
            streams,
            relay,
        ))
    }

    /// Runs a handler over the events that it wants, shared with the other replicas.
    pub fn consume_events(
        &self,
        handler: Arc<dyn Handler>,
        filters: &[EventFilter],
    ) -> anyhow::Result<()> {
        self.consumers()?.spawn_events(handler, filters);
        Ok(())
    }

    /// Runs a handler over all `INBOUND_<n>`, shared with the other replicas.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the same form as consume_events"
    )]
    pub fn consume_inbound(&self, handler: Arc<dyn Handler>) -> anyhow::Result<()> {
        self.consumers()?.spawn_inbound(&handler);
        Ok(())
    }

    /// Tells how far a handler that [`Service::consume_inbound`] runs has come.
    pub fn heard(&self, handler: &Arc<dyn Handler>) -> anyhow::Result<Heard> {
        Ok(Heard::new(self.connected()?, self.streams.clone(), handler))
    }

    /// Has a handler replay dead letters that stood in no stream: it consumes nothing.
    pub fn replay_by(&self, handler: Arc<dyn Handler>) {
        self.registry.add(handler);
    }

    fn consumers(&self) -> anyhow::Result<Consumers> {
        Ok(Consumers {
            nats: self.connected()?,
            streams: self.streams.clone(),
            service: self.name,
            lifecycle: self.lifecycle.clone(),
            ready: self.ready.clone(),
            registry: Arc::clone(&self.registry),
            batch_wait: self.sections.nats.batch_wait,
            pauses: self.pauses(),
        })
    }

    fn connected(&self) -> anyhow::Result<Nats> {
        self.broker()
            .context("the service has no broker yet: call nats() first")
    }
}
