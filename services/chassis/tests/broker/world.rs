//! What the tests share: streams and a database of their own, and a handler that writes down what it gets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use chassis::clock;
use chassis::config;
use chassis::consumer::{Consumers, Delivery, EventFilter, Handler, HandlerError};
use chassis::health::Readiness;
use chassis::id::AccountSlug;
use chassis::lifecycle::Lifecycle;
use chassis::nats::{self, Declared, Nats, Streams};
use chassis::outbox::{self, Outgoing};
use chassis::pauses::Pauses;
use chassis::testing::{self, TestDatabase};
use sqlx::PgPool;
use switchboard_proto::conversation::v1::ChatCreated;

pub const SERVICE: &str = "conversation";

pub struct World {
    pub nats: Nats,
    pub streams: Streams,
    pub database: TestDatabase,
    pub lifecycle: Lifecycle,
    pub ready: Readiness,
    pub account: AccountSlug,
    pub pauses: Pauses,
}

impl World {
    pub async fn new() -> Self {
        Self::bounded(16 << 20, 1).await
    }

    pub async fn bounded(events_max_bytes: u64, shards: usize) -> Self {
        let connected = testing::nats().await;
        Self::on(Nats::new(connected.client), events_max_bytes, shards).await
    }

    /// A world on a broker of its own.
    pub async fn on(nats: Nats, events_max_bytes: u64, shards: usize) -> Self {
        let streams = Streams::with_prefix(
            &format!("t{}", chassis::id::v7(clock::now()).simple()),
            shards,
        );
        let bounds = config::Nats {
            events_max_bytes,
            inbound_max_bytes: 64 << 20,
            dead_letters_max_bytes: 4 << 20,
            ..config::Nats::default()
        };
        let all = [Declared::Events, Declared::Inbound, Declared::DeadLetters];
        nats::declare(&nats, &streams, &bounds, &all).await.unwrap();
        // Again: it is idempotent.
        nats::declare(&nats, &streams, &bounds, &all).await.unwrap();
        Self {
            nats,
            streams,
            database: testing::database(&chassis::MIGRATOR).await,
            lifecycle: Lifecycle::new(),
            ready: Readiness::new(),
            account: testing::fresh_account(),
            pauses: Pauses::default(),
        }
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub fn consumers(&self, lifecycle: &Lifecycle) -> Consumers {
        Consumers {
            nats: self.nats.clone(),
            streams: self.streams.clone(),
            service: SERVICE,
            lifecycle: lifecycle.clone(),
            ready: self.ready.clone(),
            registry: Arc::default(),
            batch_wait: config::Nats::default().batch_wait,
            pauses: self.pauses.clone(),
        }
    }

    /// Publishes events about new chats, in one transaction, each with its number as chat id.
    pub async fn write(&self, subject: &str, numbers: std::ops::Range<u32>) {
        let events = numbers.map(|number| self.event(subject, number)).collect();
        let mut transaction = self.pool().begin().await.unwrap();
        outbox::write(&mut transaction, SERVICE, events, clock::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    pub fn event(&self, subject: &str, number: u32) -> Outgoing {
        let chat_id = number.to_string();
        Outgoing::new(
            &self.account,
            subject,
            &ChatCreated {
                chat_id,
                ..ChatCreated::default()
            },
        )
    }

    /// Publishes something to EVENTS that is no event of ours.
    pub async fn publish_garbage(&self) {
        let subject = self
            .streams
            .event_subject(self.account.as_str(), SERVICE, "chat", "created");
        let published = self
            .nats
            .jetstream
            .publish(subject, "garbage".into())
            .await
            .unwrap();
        published.await.unwrap();
    }

    /// Everything in a stream, in order.
    pub async fn stored(&self, stream: &str) -> Vec<StreamMessage> {
        let stream = self.nats.jetstream.get_stream(stream).await.unwrap();
        let last = stream.get_info().await.unwrap().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            // A removed message leaves a hole.
            if let Ok(message) = stream.get_raw_message(sequence).await {
                messages.push(message);
            }
        }
        messages
    }

    pub async fn finish(self) {
        self.lifecycle.stop();
        self.lifecycle
            .drained(Duration::from_secs(5))
            .await
            .unwrap();
        let mut names = vec![self.streams.events(), self.streams.dead_letters()];
        names.extend((0..self.streams.shards()).map(|shard| self.streams.inbound(shard)));
        for name in names {
            self.nats.jetstream.delete_stream(name).await.unwrap();
        }
    }
}

pub const CREATED: [EventFilter; 1] = [EventFilter::of::<ChatCreated>()];

type Rule = Box<dyn Fn(&[Delivery]) -> Result<(), HandlerError> + Send + Sync>;

/// A handler that writes down the chat ids it handled, after asking a rule.
pub struct Recorder {
    durable: &'static str,
    rule: Rule,
    pub handled: Mutex<Vec<String>>,
    pub batches: Mutex<Vec<usize>>,
}

impl Recorder {
    pub fn new(
        durable: &'static str,
        rule: impl Fn(&[Delivery]) -> Result<(), HandlerError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            durable,
            rule: Box::new(rule),
            handled: Mutex::default(),
            batches: Mutex::default(),
        })
    }

    pub fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    pub fn distinct(&self) -> BTreeSet<String> {
        self.handled().into_iter().collect()
    }
}

#[tonic::async_trait]
impl Handler for Recorder {
    fn durable(&self) -> &'static str {
        self.durable
    }

    async fn handle(
        &self,
        batch: &[Delivery],
        _now: time::OffsetDateTime,
    ) -> Result<(), HandlerError> {
        (self.rule)(batch)?;
        self.batches.lock().unwrap().push(batch.len());
        let texts = batch.iter().map(text).collect::<Vec<_>>();
        self.handled.lock().unwrap().extend(texts);
        Ok(())
    }
}

/// The chat id of an event, the payload of an item.
pub fn text(delivery: &Delivery) -> String {
    if delivery.envelope.entity == "inbound" {
        return String::from_utf8(delivery.payload.to_vec()).unwrap();
    }
    delivery.decode::<ChatCreated>().unwrap().chat_id
}

pub fn numbers(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    assert!(waited.is_ok(), "{what}");
}
