//! Declaring streams with their bounds.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType,
};

use super::{Nats, NatsError, Streams, pause};
use crate::config;

/// How long events stay in `EVENTS` and inbound items in `INBOUND_<n>`, where the bound in bytes allows.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How long dead letters stay.
const DEAD_LETTERS_KEPT: Duration = Duration::from_hours(30 * 24);

/// How often the declaration of a stream is tried again, where the broker is not ready for it: half a minute.
const DECLARED_AGAIN: usize = 20;

/// A stream, or all of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// `EVENTS`.
    Events,
    /// All `INBOUND_<n>`.
    Inbound,
    /// `DEAD_LETTERS`.
    DeadLetters,
}

/// Declares streams, idempotently: what exists is brought to the given bounds.
///
/// Refuses where the broker has more `INBOUND_<n>` than `streams` names: nobody would read the others.
pub async fn declare(
    nats: &Nats,
    streams: &Streams,
    config: &config::Nats,
    kinds: &[Declared],
) -> Result<(), NatsError> {
    let beyond = streams.inbound(streams.shards());
    if exists(nats, &beyond).await? {
        return Err(NatsError::MoreShards {
            told: streams.shards(),
            stream: beyond,
        });
    }
    for kind in kinds {
        match kind {
            Declared::Events => {
                let events = StreamConfig {
                    name: streams.events(),
                    subjects: vec![format!("{}.v1.>", streams.root)],
                    max_bytes: signed(config.events_max_bytes),
                    allow_atomic_publish: nats.has_batches(),
                    ..bounded(config)
                };
                declare_one(nats, events).await?;
            }
            Declared::Inbound => {
                for shard in 0..streams.shards() {
                    let inbound = StreamConfig {
                        name: streams.inbound(shard),
                        subjects: vec![streams.inbound_subject(shard)],
                        max_bytes: signed(config.inbound_max_bytes),
                        ..bounded(config)
                    };
                    declare_one(nats, inbound).await?;
                }
            }
            Declared::DeadLetters => {
                let dead_letters = StreamConfig {
                    name: streams.dead_letters(),
                    subjects: vec![format!("{}.dead.>", streams.root)],
                    max_bytes: signed(config.dead_letters_max_bytes),
                    max_age: DEAD_LETTERS_KEPT,
                    discard: DiscardPolicy::Old,
                    ..bounded(config)
                };
                declare_one(nats, dead_letters).await?;
            }
        }
    }
    Ok(())
}

/// What all streams share. A full one refuses: it never forgets.
fn bounded(config: &config::Nats) -> StreamConfig {
    StreamConfig {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_age: KEPT,
        num_replicas: config.replicas.max(1),
        duplicate_window: config.duplicate_window,
        max_consumers: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        allow_direct: true,
        ..StreamConfig::default()
    }
}

/// Returns the first `INBOUND_<n>` that the broker has and that `streams` does not name: a service that was started
/// later, with more, made it. Nothing where the broker does not answer.
pub async fn unread(nats: &Nats, streams: &Streams) -> Option<String> {
    let beyond = streams.inbound(streams.shards());
    nats.jetstream
        .get_stream(&beyond)
        .await
        .ok()
        .map(|_| beyond)
}

/// Tells whether a stream exists; that the broker does not say is no answer.
async fn exists(nats: &Nats, stream: &str) -> Result<bool, NatsError> {
    let mut attempt = 0;
    loop {
        let Err(error) = nats.jetstream.get_stream(stream).await else {
            return Ok(true);
        };
        if let GetStreamErrorKind::JetStream(refused) = error.kind()
            && refused.error_code() == ErrorCode::STREAM_NOT_FOUND
        {
            return Ok(false);
        }
        attempt += 1;
        if attempt > DECLARED_AGAIN {
            return Err(NatsError::Stream {
                stream: stream.to_owned(),
                error: error.to_string(),
            });
        }
        tracing::warn!(stream, %error, "looking for a stream again");
        tokio::time::sleep(pause(attempt)).await;
    }
}

async fn declare_one(nats: &Nats, config: StreamConfig) -> Result<(), NatsError> {
    let mut attempt = 0;
    loop {
        let Err(error) = nats.jetstream.create_or_update_stream(config.clone()).await else {
            return Ok(());
        };
        attempt += 1;
        // A server that has just started, or a cluster without a leader, answers soon.
        let soon = matches!(
            error.kind(),
            CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable
        );
        if !soon || attempt > DECLARED_AGAIN {
            return Err(NatsError::Stream {
                stream: config.name,
                error: error.to_string(),
            });
        }
        tracing::warn!(stream = config.name, %error, "declaring a stream again");
        tokio::time::sleep(pause(attempt)).await;
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
