//! How the relay publishes: singly, or in atomic batches of ADR-50, for which async-nats has no publisher.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use bytes::Bytes;

use super::{RelayError, Row};
use crate::config::RelayMode;
use crate::id;
use crate::nats::{self, Nats, PublishError, Streams};
use crate::outbox::StoredEvent;

/// How long one acknowledgement may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Fewer events than these are published singly: a batch would cost more.
const SMALLEST_BATCH: usize = 8;

/// Bytes of one batch at most, well within what the server holds back for one.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A message ready to be published.
struct Outbound {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// Publishes the events of rows in order and returns how many were acknowledged, from the first on, and what
/// stopped it. Nothing is published after an event that was not acknowledged, nor once `over` says that it is time.
pub(super) async fn publish_all(
    nats: &Nats,
    streams: &Streams,
    mode: RelayMode,
    most: usize,
    rows: &[Row],
    over: &mut (dyn FnMut() -> bool + Send),
) -> (usize, Option<RelayError>) {
    let mut messages = Vec::new();
    let mut unreadable = None;
    'rows: for row in rows {
        for event in &row.events {
            match outbound(streams, event) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    unreadable = Some(RelayError::Unreadable { id: row.id, error });
                    break 'rows;
                }
            }
        }
    }
    let batched = mode == RelayMode::Batched && nats.has_batches();
    let mut acknowledged = 0;
    for batch in batches(&messages, most) {
        if over() {
            return (acknowledged, None);
        }
        let published = if batched && batch.len() >= SMALLEST_BATCH {
            match publish_batch(nats, batch).await {
                Ok(()) => (batch.len(), None),
                // A refusal of the batch as such: singly is always right, and drops the repeats one by one.
                Err(PublishError::Refused { code, description }) => {
                    if code != ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.0 {
                        tracing::warn!(
                            code,
                            description,
                            "atomic batch refused: publishing singly"
                        );
                    }
                    publish_singly(nats, batch, over).await
                }
                Err(error) => (0, Some(error)),
            }
        } else {
            publish_singly(nats, batch, over).await
        };
        acknowledged += published.0;
        if let Some(error) = published.1 {
            return (acknowledged, Some(error.into()));
        }
        if published.0 < batch.len() {
            return (acknowledged, None);
        }
    }
    (acknowledged, unreadable)
}

fn outbound(streams: &Streams, event: &StoredEvent) -> Result<Outbound, String> {
    let (envelope, payload) = event
        .clone()
        .into_parts()
        .map_err(|error| error.to_string())?;
    let subject = streams.event_subject(
        envelope.account.as_str(),
        &envelope.service,
        &envelope.entity,
        &envelope.event,
    );
    Ok(Outbound {
        subject,
        headers: envelope.to_headers(),
        payload,
    })
}

/// Cuts messages into batches of at most `most` messages and [`BATCH_BYTES`].
fn batches(messages: &[Outbound], most: usize) -> Vec<&[Outbound]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, message) in messages.iter().enumerate() {
        let over =
            index - start >= most || (index > start && bytes + message.payload.len() > BATCH_BYTES);
        if over {
            batches.extend(messages.get(start..index));
            (start, bytes) = (index, 0);
        }
        bytes += message.payload.len();
    }
    batches.extend(messages.get(start..).filter(|rest| !rest.is_empty()));
    batches
}

/// Publishes one by one, each awaited, and stops at the first that is not acknowledged, or when it is time.
async fn publish_singly(
    nats: &Nats,
    messages: &[Outbound],
    over: &mut (dyn FnMut() -> bool + Send),
) -> (usize, Option<PublishError>) {
    for (index, message) in messages.iter().enumerate() {
        if over() {
            return (index, None);
        }
        let published = nats::publish(
            nats,
            message.subject.clone(),
            message.headers.clone(),
            message.payload.clone(),
            ACK_TIMEOUT,
        );
        if let Err(error) = published.await {
            return (index, Some(error));
        }
    }
    (messages.len(), None)
}

/// Publishes all or none: the server stores the batch when its last message says so, and answers that one.
async fn publish_batch(nats: &Nats, messages: &[Outbound]) -> Result<(), PublishError> {
    if !nats.is_connected() {
        return Err(PublishError::Away("not connected".into()));
    }
    let batch = id::v7(crate::clock::now()).to_string();
    for (index, message) in messages.iter().enumerate() {
        let mut headers = message.headers.clone();
        headers.insert("Nats-Batch-Id", batch.as_str());
        headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        if index + 1 == messages.len() {
            headers.insert("Nats-Batch-Commit", "1");
            let ack = nats::publish(nats, subject, headers, payload, ACK_TIMEOUT).await?;
            let stored = ack.batch_size.unwrap_or(0);
            if stored != messages.len() as u64 {
                // Cannot happen by the ADR. Publishing again under the same ids finds out what is there.
                let description = format!(
                    "{stored} of {} events of the batch were stored",
                    messages.len()
                );
                return Err(PublishError::Refused {
                    code: 0,
                    description,
                });
            }
        } else {
            let sent = nats.client.publish_with_headers(subject, headers, payload);
            tokio::time::timeout(ACK_TIMEOUT, sent)
                .await
                .map_err(|_| PublishError::TimedOut)?
                .map_err(|error| PublishError::Away(error.to_string()))?;
        }
    }
    Ok(())
}
