//! Dead letters: what could not be handled for good, kept for an operator to look at and replay.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use bytes::Bytes;
use prost::Message as _;
use switchboard_proto::operator::v1::DeadLetter;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock;
use crate::consumer::{Delivery, HandlerError, Origin, Unit, unpack};
use crate::envelope::{Envelope, INBOUND_SERVICE, INBOUND_TYPE};
use crate::figures;
use crate::grpc::timestamp;
use crate::id::AccountSlug;
use crate::nats::{self, Nats, PublishError};
use crate::trace::TraceContext;

/// How long the broker's acknowledgement is awaited at once.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// An error is cut to so many characters: it is for reading.
const ERROR_LENGTH: usize = 2_000;

/// Why a letter was written, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Handling it failed for good.
    Failed,
    /// Nobody here understands it yet.
    Unsupported,
    /// It is for no account here.
    Unclaimed,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
            Self::Unclaimed => "unclaimed",
        }
    }
}

/// A dead letter before it has its place in the stream.
#[derive(Debug, Clone)]
pub struct Letter(pub DeadLetter);

/// Where a message was when it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub service: &'a str,
    pub consumer: &'a str,
    pub stream: &'a str,
    pub sequence: u64,
    pub subject: &'a str,
}

impl Letter {
    /// Makes the letter of a delivery that its handler could not handle.
    pub(crate) fn of_delivery(
        place: Place<'_>,
        delivery: &Delivery,
        error: &HandlerError,
        attempts: u32,
    ) -> Self {
        let envelope = &delivery.envelope;
        Self(DeadLetter {
            account: envelope.account.to_string(),
            event_id: envelope.id.to_string(),
            event_type: envelope.kind.clone(),
            attempts,
            headers: flat(&envelope.to_headers()),
            ..letter(
                place,
                delivery.origin.index,
                &error.to_string(),
                delivery.payload.clone(),
            )
        })
    }

    /// Makes the letter of something that no handler can be given.
    pub(crate) fn of_unreadable(
        place: Place<'_>,
        index: u32,
        error: &str,
        payload: Bytes,
        headers: Option<&HeaderMap>,
    ) -> Self {
        Self(DeadLetter {
            headers: headers.map(flat).unwrap_or_default(),
            ..letter(place, index, error, payload)
        })
    }
}

impl Letter {
    /// Makes the letter of an item that never stood in a stream, because it is nobody's: no account is shown it.
    /// `consumer` names the handler that a replay gives it to; the same `id` soon after is not kept twice.
    pub fn of_nobody(
        service: &str,
        consumer: &str,
        id: Uuid,
        kind: &str,
        error: &str,
        payload: Bytes,
        now: OffsetDateTime,
    ) -> Self {
        let place = Place {
            service,
            consumer,
            stream: "",
            sequence: 0,
            subject: "",
        };
        Self(DeadLetter {
            event_id: id.to_string(),
            event_type: kind.to_owned(),
            time: Some(timestamp(now)),
            ..letter(place, 0, error, payload)
        })
    }

    /// Leaves the payload out, where the letter would exceed what the broker takes; the original stays in its stream.
    pub(crate) fn drop_payload(&mut self) {
        let size = self.0.payload.len();
        self.0.payload = Bytes::new();
        let left = format!(" (the payload of {size} bytes is left in its stream)");
        self.0.error.push_str(&left);
    }
}

fn letter(place: Place<'_>, index: u32, error: &str, payload: Bytes) -> DeadLetter {
    DeadLetter {
        service: place.service.to_owned(),
        consumer: place.consumer.to_owned(),
        error: error.chars().take(ERROR_LENGTH).collect(),
        origin_stream: place.stream.to_owned(),
        origin_sequence: place.sequence,
        origin_index: index,
        subject: place.subject.to_owned(),
        payload,
        time: Some(timestamp(clock::now())),
        ..DeadLetter::default()
    }
}

/// Publishes a letter and awaits its acknowledgement. A repeat soon after is dropped by the broker, and not counted.
pub async fn publish(
    nats: &Nats,
    subject: &str,
    letter: &Letter,
    reason: Reason,
) -> Result<(), PublishError> {
    let DeadLetter {
        service,
        consumer,
        origin_stream,
        origin_sequence,
        origin_index,
        event_id,
        event_type,
        ..
    } = &letter.0;
    let mut headers = HeaderMap::new();
    // What has no place is told from others by its own id; so is an item of a provider, which may stand in its stream
    // twice because the provider repeated the call.
    let by_event = origin_stream.is_empty() || event_type == INBOUND_TYPE;
    let id = if by_event && !event_id.is_empty() {
        format!("{service}/{consumer}/{event_id}")
    } else {
        format!("{service}/{consumer}/{origin_stream}/{origin_sequence}/{origin_index}")
    };
    headers.insert(NATS_MESSAGE_ID, id);
    headers.insert("ce-type", "switchboard.operator.v1.DeadLetter");
    let payload = Bytes::from(letter.0.encode_to_vec());
    let published = nats::publish(nats, subject.to_owned(), headers, payload, ACK_TIMEOUT).await?;
    if !published.duplicate {
        let labels = [consumer.clone(), reason.as_str().to_owned()];
        figures::DEAD_LETTERS.of(labels).increment(1);
    }
    Ok(())
}

/// Makes deliveries of a letter again, as its consumer would have had them.
///
/// # Errors
/// Returns what cannot be read, if that is all or part of it.
pub(crate) fn revive(letter: &DeadLetter) -> Result<Vec<Delivery>, String> {
    if letter.origin_stream.is_empty() {
        return Ok(vec![of_nobody(letter)?]);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &letter.headers {
        headers.insert(name.as_str(), value.as_str());
    }
    let units = unpack(
        &letter.origin_stream,
        letter.origin_sequence,
        clock::now(),
        &letter.subject,
        &headers,
        &letter.payload,
    );
    let deliveries = units.into_iter().map(|unit| match unit {
        Unit::Delivery(mut delivery) => {
            if letter.headers.contains_key("ce-id") {
                delivery.origin.index = letter.origin_index;
            }
            Ok(*delivery)
        }
        Unit::Poison { error, .. } => Err(error),
    });
    deliveries.collect()
}

/// Makes the delivery of an item that never stood in a stream: under no account, in which nothing can be found.
fn of_nobody(letter: &DeadLetter) -> Result<Delivery, String> {
    let id = letter.event_id.parse();
    Ok(Delivery {
        envelope: Envelope {
            id: id.map_err(|_| "the letter has neither an origin nor an id".to_owned())?,
            kind: letter.event_type.clone(),
            service: INBOUND_SERVICE.to_owned(),
            entity: "inbound".to_owned(),
            event: "item".to_owned(),
            account: AccountSlug::none(),
            subject_id: String::new(),
            actor: None,
            cause: None,
            sequence: 0,
            time: clock::now(),
            trace: TraceContext::none(),
        },
        payload: letter.payload.clone(),
        origin: Origin {
            stream: String::new(),
            sequence: 0,
            index: 0,
        },
    })
}

/// The first value of each header: none of ours is repeated.
fn flat(headers: &HeaderMap) -> HashMap<String, String> {
    let first = |values: &Vec<async_nats::HeaderValue>| {
        values.first().map(|value| value.as_str().to_owned())
    };
    headers
        .iter()
        .filter_map(|(name, values)| Some((name.to_string(), first(values)?)))
        .collect()
}
