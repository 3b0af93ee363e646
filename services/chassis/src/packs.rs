//! Packs: several accepted items in one message of an INBOUND stream, so that one sync to disk serves them all.
//!
//! One task per shard takes what is there (1 to 64 items, 512 KiB at most, round robin over accounts), publishes
//! one message, awaits its acknowledgement, answers whoever waits, and repeats. There is no timer: idle means packs
//! of one, and under load the time of a sync makes packs grow.

mod queue;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::try_join_all;
use prost::Message as _;
use switchboard_proto::common::v1 as proto;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock;
use crate::figures::inbound as figures;
use crate::id::{self, AccountSlug};
use crate::meter;
use crate::nats::{self, Nats, PublishError, Streams};
use crate::trace::TraceContext;
use queue::{Queue, Waiting};

/// What the server takes beside the payload of a message: headers and the frame of a pack.
const OVERHEAD: usize = 4 * 1024;

/// How packs are made.
#[derive(Debug, Clone, Copy)]
pub struct PackerConfig {
    /// Items of one pack at most; 1 turns packing off.
    pub max_events: usize,
    /// Bytes of one pack at most; a larger item travels alone.
    pub max_bytes: usize,
    /// Items waiting in one shard at most; beyond, senders get [`PackError::Full`].
    pub queue: usize,
    /// Items of one account waiting in one shard at most, so that no account takes the whole queue.
    pub queue_per_account: usize,
    /// How long one acknowledgement is awaited before the pack is published again under the same id.
    pub ack_timeout: Duration,
    /// After how long senders are told that it did not work.
    pub give_up: Duration,
}

impl Default for PackerConfig {
    fn default() -> Self {
        Self {
            max_events: 64,
            max_bytes: 512 * 1024,
            queue: 4_096,
            queue_per_account: 2_048,
            ack_timeout: Duration::from_secs(1),
            give_up: Duration::from_secs(3),
        }
    }
}

/// An accepted item.
#[derive(Debug, Clone)]
pub struct PackItem {
    /// The tenant.
    pub account: AccountSlug,
    /// Ordering key: channel and client. Items of one key keep their order.
    pub key: String,
    /// The encoded item.
    pub payload: Bytes,
    /// The trace of the request that brought it.
    pub trace: TraceContext,
    /// Id of the item, the same when the provider repeats it; none makes one of its place in the stream.
    pub id: Option<Uuid>,
}

/// Why items were not accepted. They may have been stored nevertheless: repeats are recognised by their id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Too much is waiting, or the stream has reached its bound.
    #[error("inbound is full: {0}")]
    Full(String),
    /// The broker is away, or the service stops.
    #[error("inbound is away: {0}")]
    Away(String),
    /// No acknowledgement in time.
    #[error("inbound did not acknowledge in time")]
    TimedOut,
    /// An item exceeds what the broker takes.
    #[error("an item of {size} bytes exceeds the {most} that the broker takes")]
    TooLarge {
        /// Size of the item in bytes.
        size: usize,
        /// What fits, in bytes.
        most: usize,
    },
}

impl From<PublishError> for PackError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::TimedOut => Self::TimedOut,
            PublishError::Full(what) => Self::Full(what),
            other => Self::Away(other.to_string()),
        }
    }
}

/// Accepts items into INBOUND. Clones share queues and tasks; these end when the last clone is dropped.
#[derive(Clone)]
pub struct Packer {
    shards: Arc<Shards>,
}

/// What the clones of a packer hold; dropped with the last of them.
struct Shards {
    nats: Nats,
    streams: Streams,
    config: PackerConfig,
    queues: Vec<Arc<Queue>>,
}

impl Drop for Shards {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close();
        }
    }
}

/// The task of one shard.
struct Shard {
    nats: Nats,
    subject: String,
    config: PackerConfig,
    queue: Arc<Queue>,
}

impl Packer {
    /// Makes a packer and starts its tasks, one per shard.
    ///
    /// The tasks are no tasks of the lifecycle: they must outlive the requests that drain at the end, and whoever
    /// awaits an item is one of those.
    pub fn new(nats: Nats, streams: Streams, config: PackerConfig) -> Self {
        let queue = || Arc::new(Queue::new(config.queue, config.queue_per_account));
        let queues: Vec<Arc<Queue>> = (0..streams.shards()).map(|_| queue()).collect();
        for (number, queue) in queues.iter().enumerate() {
            let shard = Shard {
                nats: nats.clone(),
                subject: streams.inbound_subject(number),
                config,
                queue: Arc::clone(queue),
            };
            tokio::spawn(async move {
                // A panic would leave the shard dead in a process that looks alive.
                while AssertUnwindSafe(shard.work()).catch_unwind().await.is_err() {
                    tracing::error!(shard = number, "packer panicked: begun again");
                }
            });
        }
        Self {
            shards: Arc::new(Shards {
                nats,
                streams,
                config,
                queues,
            }),
        }
    }

    /// Accepts items under one shard key; resolves when all are acknowledged.
    ///
    /// # Errors
    /// All items are to be considered not accepted when one is not.
    pub async fn send(&self, shard_key: &str, items: Vec<PackItem>) -> Result<(), PackError> {
        let shard = self.shards.streams.shard_of(shard_key);
        self.enqueue(items.into_iter().map(|item| (shard, item)).collect())
            .await
    }

    /// Accepts items, each on the shard of its own key; resolves when all are acknowledged.
    ///
    /// # Errors
    /// All items are to be considered not accepted when one is not.
    pub async fn send_all(&self, items: Vec<PackItem>) -> Result<(), PackError> {
        self.enqueue(
            items
                .into_iter()
                .map(|item| (self.shards.streams.shard_of(&item.key), item))
                .collect(),
        )
        .await
    }

    async fn enqueue(&self, items: Vec<(usize, PackItem)>) -> Result<(), PackError> {
        if !self.shards.nats.is_connected() {
            return Err(PackError::Away("not connected".into()));
        }
        let most = self
            .shards
            .nats
            .client
            .max_payload()
            .saturating_sub(OVERHEAD);
        let mut by_shard: HashMap<usize, Vec<Waiting>> = HashMap::new();
        let mut answers = Vec::with_capacity(items.len());
        for (shard, item) in items {
            let account = item.account;
            let item = proto::PackItem {
                account: account.to_string(),
                key: item.key,
                payload: item.payload,
                traceparent: item.trace.traceparent().unwrap_or_default(),
                id: item.id.map(|id| id.to_string()).unwrap_or_default(),
            };
            let size = item.encoded_len() + 8;
            if size > most {
                return Err(PackError::TooLarge { size, most });
            }
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            by_shard.entry(shard).or_default().push(Waiting {
                account,
                item,
                size,
                answer,
            });
        }
        for (shard, waiting) in by_shard {
            let Some(queue) = self.shards.queues.get(shard) else {
                continue;
            };
            queue.put(waiting)?;
        }
        let answered = try_join_all(answers.into_iter().map(async |answer| {
            answer
                .await
                .unwrap_or_else(|_| Err(PackError::Away("the service stops".into())))
        }));
        // Behind a pack that is being tried an item waits at most as long as that one.
        tokio::time::timeout(self.shards.config.give_up, answered)
            .await
            .map_err(|_| PackError::TimedOut)?
            .map(drop)
    }
}

impl Shard {
    /// Publishes packs until the queue is closed and empty.
    async fn work(&self) {
        while let Some(pack) = self
            .queue
            .take(self.config.max_events, self.config.max_bytes)
            .await
        {
            self.publish(pack).await;
        }
    }

    /// Publishes one pack and answers its senders.
    async fn publish(&self, pack: Vec<Waiting>) {
        let (items, senders): (Vec<_>, Vec<_>) = pack
            .into_iter()
            .map(|waiting| (waiting.item, waiting.answer))
            .unzip();
        let count = items.len();
        let payload: Bytes = proto::Pack { items }.encode_to_vec().into();
        let began = Instant::now();
        let outcome = self.publish_until_acknowledged(payload).await;
        if let Err(error) = &outcome {
            tracing::warn!(subject = self.subject, items = count, %error, "pack not accepted");
            figures::FAILED.increment(1);
            if matches!(error, PackError::Away(_)) {
                // What waits behind would only find out later.
                self.queue.fail_all(error);
            }
        } else {
            figures::PACKS.increment(1);
            figures::ITEMS.increment(count as u64);
            figures::PACK_ITEMS.record(meter::number(count as u64));
            figures::PACK_SECONDS.record(began.elapsed().as_secs_f64());
        }
        for sender in senders {
            // A sender that has gone away was answered by its own timeout.
            let _ = sender.send(outcome.clone());
        }
    }

    async fn publish_until_acknowledged(&self, payload: Bytes) -> Result<(), PackError> {
        let deadline = Instant::now() + self.config.give_up;
        let mut headers = HeaderMap::new();
        // The same id for every attempt: the broker drops what it has already.
        headers.insert(NATS_MESSAGE_ID, id::v7(clock::now()).to_string());
        headers.insert("ce-type", "switchboard.common.v1.Pack");
        loop {
            let subject = self.subject.clone();
            let timeout = self
                .config
                .ack_timeout
                .min(deadline.saturating_duration_since(Instant::now()));
            let published = nats::publish(
                &self.nats,
                subject,
                headers.clone(),
                payload.clone(),
                timeout,
            )
            .await;
            match published {
                Ok(_) => return Ok(()),
                Err(PublishError::TimedOut) if Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
