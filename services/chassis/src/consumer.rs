//! Consuming: durable pull consumers, shared by all replicas, in batches; one handler call, one transaction,
//! acknowledged after it.
//!
//! The handler says how it went ([`HandlerError`]), the loop carries it out: waits while a dependency is away,
//! tries a deadlock again, halves a failing batch until the culprit is alone, and moves that to the dead letters.

mod batch;
mod heard;
mod lag;
mod pull;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use switchboard_proto::DomainEvent;
use time::OffsetDateTime;

pub use self::heard::Heard;
pub use crate::envelope::Envelope;
use crate::figures;
use crate::health::Readiness;
use crate::lifecycle::Lifecycle;
use crate::nats::{Nats, Streams};
use crate::pauses::Pauses;

pub(crate) use unpack::{Unit, unpack};

/// Where a delivery came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the stream.
    pub stream: String,
    /// Sequence of the message in the stream.
    pub sequence: u64,
    /// Index inside the pack; 0 where the message is no pack.
    pub index: u32,
}

/// One event, or one item of a pack, handed to a handler. It may be a repeat, and may overtake others.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What is known of it beside its payload.
    pub envelope: Envelope,
    /// The encoded message.
    pub payload: Bytes,
    /// Where it came from.
    pub origin: Origin,
}

impl Delivery {
    /// Tells whether this is an event of type `E`.
    pub fn is<E: DomainEvent>(&self) -> bool {
        self.envelope.kind == E::TYPE
    }

    /// Decodes the payload as an event of type `E`.
    ///
    /// # Errors
    /// Returns [`HandlerError::Poison`] when it is another type or no such message.
    pub fn decode<E: DomainEvent>(&self) -> Result<E, HandlerError> {
        if !self.is::<E>() {
            return Err(HandlerError::Poison(format!(
                "{} is no {}",
                self.envelope.kind,
                E::TYPE
            )));
        }
        self.decode_as()
    }

    /// Decodes the payload as a message that is no event: the item of a pack.
    ///
    /// # Errors
    /// Returns [`HandlerError::Poison`] when it is no such message.
    pub fn decode_as<M: prost::Message + Default>(&self) -> Result<M, HandlerError> {
        // prost's error names field and type, never content.
        M::decode(self.payload.clone()).map_err(|error| {
            HandlerError::Poison(format!("{} cannot be decoded: {error}", self.envelope.kind))
        })
    }
}

/// How a batch did not succeed. The text goes into logs and dead letters: never message text or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// A dependency is away: wait for it. Never leads to a dead letter.
    #[error("away: {0}")]
    Away(String),
    /// Bad luck, such as a deadlock: the same batch again.
    #[error("try again: {0}")]
    Retry(String),
    /// It took too long, or waited too long for a lock: the same batch again, then halves of it. Never leads to a dead
    /// letter: alone it is waited for as while a dependency is away.
    #[error("too slow: {0}")]
    Slow(String),
    /// Something in the batch fails: halve it, try the culprit a few times alone, then a dead letter.
    #[error("{0}")]
    Failed(String),
    /// Something in the batch can never be handled: halve it, then a dead letter at once.
    #[error("{0}")]
    Poison(String),
    /// It is well-formed and nobody here understands it yet: a dead letter at once, as nobody's fault.
    #[error("{0}")]
    Unsupported(String),
}

impl From<sqlx::Error> for HandlerError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Away(text),
            // A server that dies in the middle of an answer, or a bug: the next attempt tells.
            sqlx::Error::Protocol(_) => Self::Retry(text),
            sqlx::Error::Database(database) => {
                classified(database.code().as_deref().unwrap_or_default(), text)
            }
            _ => Self::Failed(text),
        }
    }
}

/// Says what a `SQLSTATE` means for a batch.
fn classified(code: &str, text: String) -> HandlerError {
    match (code, code.get(..2).unwrap_or_default()) {
        // Serialization failure, deadlock.
        ("40001" | "40P01", _) => HandlerError::Retry(text),
        // Lock not available, statement cancelled.
        ("55P03" | "57014", _) => HandlerError::Slow(text),
        // Connection lost, login refused, no such database, resources exhausted, shutting down or starting, trouble
        // below the database, read-only after a failover; and statements that do not fit the schema: the message
        // is not to blame for a migration that is missing.
        ("25006", _) | (_, "08" | "28" | "3D" | "42" | "53" | "57" | "58") => {
            HandlerError::Away(text)
        }
        _ => HandlerError::Failed(text),
    }
}

impl From<tonic::Status> for HandlerError {
    fn from(status: tonic::Status) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            tonic::Code::Unavailable
            | tonic::Code::DeadlineExceeded
            | tonic::Code::ResourceExhausted => Self::Away(text),
            tonic::Code::Aborted | tonic::Code::Cancelled => Self::Retry(text),
            _ => Self::Failed(text),
        }
    }
}

/// What a service does with events: one call, one transaction.
#[tonic::async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The durable's name, `<service>-<what>`.
    fn durable(&self) -> &'static str;

    /// How far from each other its batches begin at least, where that is longer than `nats.batch_wait`: for what nobody waits
    /// for, and costs less in few large batches.
    fn batch_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Handles a batch, all or nothing. It must be idempotent and tolerate any order.
    async fn handle(&self, batch: &[Delivery], now: OffsetDateTime) -> Result<(), HandlerError>;
}

/// Which events a consumer wants, of all accounts. `*` stands for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventFilter {
    /// The publishing service.
    pub service: &'static str,
    /// What the event is about.
    pub entity: &'static str,
    /// What happened.
    pub event: &'static str,
}

impl EventFilter {
    /// Wants one kind of event, by its type.
    pub const fn of<E: DomainEvent>() -> Self {
        Self {
            service: E::SERVICE,
            entity: E::ENTITY,
            event: E::EVENT,
        }
    }
}

/// The handlers of a process by their durables, for the replay of dead letters, and which streams they read.
#[derive(Default)]
pub struct HandlerRegistry {
    handlers: RwLock<BTreeMap<&'static str, Arc<dyn Handler>>>,
    reading: RwLock<BTreeSet<(String, &'static str)>>,
}

impl HandlerRegistry {
    /// Makes a registry without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler under its durable's name.
    pub fn add(&self, handler: Arc<dyn Handler>) {
        self.handlers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handler.durable(), handler);
    }

    /// Returns the handler of a durable.
    pub fn get(&self, durable: &str) -> Option<Arc<dyn Handler>> {
        self.handlers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(durable)
            .cloned()
    }

    /// Notes that a durable reads a stream.
    pub fn reads(&self, stream: &str, durable: &'static str) {
        self.reading
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((stream.to_owned(), durable));
    }

    /// Returns which streams are read by which durables, in their order.
    pub fn reading(&self) -> Vec<(String, &'static str)> {
        let reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        reading.iter().cloned().collect()
    }
}

/// What consumers of a process share.
#[derive(Clone)]
pub struct Consumers {
    /// The broker.
    pub nats: Nats,
    /// Names of streams and subjects.
    pub streams: Streams,
    /// The consuming service, under whose name dead letters are kept.
    pub service: &'static str,
    /// Where the loops run.
    pub lifecycle: Lifecycle,
    /// Held while a loop cannot pull or its dependency is away.
    pub ready: Readiness,
    /// Where handlers are found again for replay.
    pub registry: Arc<HandlerRegistry>,
    /// How far from each other a loop begins its batches at least, full ones apart.
    pub batch_wait: Duration,
    /// Which of them take nothing for a while.
    pub pauses: Pauses,
}

impl Consumers {
    /// Runs a handler over the events that it wants, until the service stops.
    pub fn spawn_events(&self, handler: Arc<dyn Handler>, filters: &[EventFilter]) {
        let mut subjects: Vec<String> = filters
            .iter()
            .map(|filter| {
                self.streams
                    .event_subject("*", filter.service, filter.entity, filter.event)
            })
            .collect();
        subjects.sort();
        subjects.dedup();
        self.spawn(handler, self.streams.events(), subjects);
    }

    /// Runs a handler over all `INBOUND_<n>`, one loop each; packs are unpacked to one delivery an item.
    pub fn spawn_inbound(&self, handler: &Arc<dyn Handler>) {
        for shard in 0..self.streams.shards() {
            self.spawn(
                Arc::clone(handler),
                self.streams.inbound(shard),
                vec![self.streams.inbound_subject(shard)],
            );
        }
    }

    fn spawn(&self, handler: Arc<dyn Handler>, stream: String, subjects: Vec<String>) {
        self.registry.reads(&stream, handler.durable());
        self.registry.add(Arc::clone(&handler));
        let name = format!("consumer {} on {stream}", handler.durable());
        let durable = handler.durable();
        figures::DEAD_LETTERS.of([durable, "failed"]).increment(0);
        figures::CONSUMER_HANDLED.of([durable]).increment(0);
        figures::CONSUMER_FAILURES.of([durable]).increment(0);
        let lag = lag::Lag {
            nats: self.nats.clone(),
            durable,
            stream: stream.clone(),
            subjects: subjects.clone(),
        };
        let stop = self.lifecycle.stop_token();
        self.lifecycle
            .spawn(format!("lag of {durable} on {stream}"), async move {
                lag.run(stop).await;
                Ok(())
            });
        let pull = pull::Pull {
            nats: self.nats.clone(),
            dead_subject: self.streams.dead_subject(self.service),
            service: self.service,
            stream,
            subjects,
            latch: self.ready.latch(handler.durable()),
            batch_wait: self.batch_wait.max(handler.batch_wait()),
            handler,
            pauses: self.pauses.clone(),
            stop: self.lifecycle.stop_token(),
        };
        self.lifecycle.spawn(name, async move {
            pull.run().await;
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_says_is_waited_for_tried_again_or_blamed_on_the_message() {
        for (code, expected) in [
            ("40P01", HandlerError::Retry("x".into())),
            ("40001", HandlerError::Retry("x".into())),
            ("57014", HandlerError::Slow("x".into())),
            ("55P03", HandlerError::Slow("x".into())),
            ("57P01", HandlerError::Away("x".into())),
            ("53300", HandlerError::Away("x".into())),
            ("08006", HandlerError::Away("x".into())),
            ("42P01", HandlerError::Away("x".into())),
            ("25006", HandlerError::Away("x".into())),
            ("23505", HandlerError::Failed("x".into())),
            ("22001", HandlerError::Failed("x".into())),
            ("", HandlerError::Failed("x".into())),
        ] {
            assert_eq!(classified(code, "x".into()), expected, "{code}");
        }
        assert!(matches!(
            HandlerError::from(sqlx::Error::PoolTimedOut),
            HandlerError::Away(_)
        ));
        assert!(matches!(
            HandlerError::from(sqlx::Error::RowNotFound),
            HandlerError::Failed(_)
        ));
    }
}
