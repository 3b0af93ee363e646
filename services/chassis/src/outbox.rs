//! The transactional outbox: a state change and its events commit together; the relay publishes them afterwards.
//!
//! One row holds all events of a transaction. Change the aggregate first, write the outbox last: the sequence rows
//! it raises are the locks that give a subject's events their order.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::DomainEvent;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::Actor;
use crate::clock;
use crate::envelope::Envelope;
use crate::id::{self, AccountSlug};
use crate::trace::TraceContext;

pub use crate::relay::{Relay, Waker};

/// Events of one row at most: what one atomic batch of the broker takes.
pub const ROW: usize = 1_000;

/// Bytes of one event at most: a larger one would exceed what the broker takes with its headers, and would stand in
/// the way of all events after it.
pub const LARGEST: usize = 960 * 1024;

/// An event that will be published once its transaction has committed.
#[derive(Debug, Clone)]
pub struct Outgoing {
    id: Uuid,
    kind: &'static str,
    entity: &'static str,
    event: &'static str,
    account: AccountSlug,
    subject_id: String,
    actor: Option<Actor>,
    cause: Option<Uuid>,
    trace: TraceContext,
    payload: Bytes,
}

impl Outgoing {
    /// Makes an event about `subject_id` under a new id. Its trace is that of the current span.
    pub fn new<E: DomainEvent>(account: &AccountSlug, subject_id: impl Display, event: &E) -> Self {
        Self::with_id(id::v7(clock::now()), account, subject_id, event)
    }

    /// Makes an event under an id that had to be known before, as for a stamp.
    pub fn with_id<E: DomainEvent>(
        id: Uuid,
        account: &AccountSlug,
        subject_id: impl Display,
        event: &E,
    ) -> Self {
        Self {
            id,
            kind: E::TYPE,
            entity: E::ENTITY,
            event: E::EVENT,
            account: account.clone(),
            subject_id: subject_id.to_string(),
            actor: None,
            cause: None,
            trace: TraceContext::current(),
            payload: event.encode_to_vec().into(),
        }
    }

    /// Names who did it.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Names the event that led to this one.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Option<Uuid>>) -> Self {
        self.cause = cause.into();
        self
    }

    /// Sets the trace, where it is not that of the current span: in a batch each event continues its own.
    #[must_use]
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = trace;
        self
    }

    /// Returns the id.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

/// Writes events to the outbox; does nothing for none. The last thing before the commit.
///
/// Raises `ce-sbsequence` of every subject in one sorted statement, then inserts one row for each 1,000 events.
/// Afterwards, when the transaction has committed, wake the relay.
///
/// # Errors
/// Besides what the database says, an event over [`LARGEST`] is refused as [`sqlx::Error::Encode`].
pub async fn write(
    connection: &mut PgConnection,
    source_service: &str,
    events: Vec<Outgoing>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    if let Some(event) = events.iter().find(|event| event.payload.len() > LARGEST) {
        let text = format!(
            "{} of {} bytes is too large to be published",
            event.kind,
            event.payload.len()
        );
        return Err(sqlx::Error::Encode(text.into()));
    }
    let mut next = raise(connection, &events).await?;
    let micros = i64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    let stored: Vec<StoredEvent> = events
        .into_iter()
        .map(|event| {
            let key = (event.account.to_string(), event.subject_id.clone());
            let sequence = next.get_mut(&key).map_or(0, |next| {
                *next += 1;
                *next
            });
            StoredEvent {
                id: Bytes::copy_from_slice(event.id.as_bytes()),
                kind: event.kind.to_owned(),
                service: source_service.to_owned(),
                entity: event.entity.to_owned(),
                event: event.event.to_owned(),
                account: key.0,
                subject_id: key.1,
                // Every event names an actor; where no person or rule stands behind it, the service does.
                actor: event
                    .actor
                    .unwrap_or_else(|| Actor::Service(source_service.to_owned()))
                    .to_string(),
                cause: event
                    .cause
                    .map(|cause| Bytes::copy_from_slice(cause.as_bytes()))
                    .unwrap_or_default(),
                sequence,
                time_micros: micros,
                traceparent: event
                    .trace
                    .traceparent()
                    .unwrap_or_else(|| own_trace(event.id)),
                payload: event.payload,
            }
        })
        .collect();
    let counts: Vec<i32> = stored
        .chunks(ROW)
        .map(|row| i32::try_from(row.len()).unwrap_or(i32::MAX))
        .collect();
    let rows: Vec<Vec<u8>> = stored
        .chunks(ROW)
        .map(|row| {
            StoredEvents {
                events: row.to_vec(),
            }
            .encode_to_vec()
        })
        .collect();
    sqlx::query!(
        "insert into chassis.outbox (created_at, event_count, events)
         select $1, row.event_count, row.events
         from unnest($2::integer[], $3::bytea[]) with ordinality as row (event_count, events, position)
         order by row.position",
        now,
        &counts,
        &rows,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The trace of an event that no request and no other event led to, such as what a sweep or a gap's fetch brought: it
/// begins one under its own id, unsampled, so that every event belongs to a trace.
fn own_trace(id: Uuid) -> String {
    let (_, span) = id.as_u64_pair();
    format!("00-{}-{span:016x}-00", id.simple())
}

/// Raises the sequences of all subjects by the number of their events and returns what they were before.
async fn raise(
    connection: &mut PgConnection,
    events: &[Outgoing],
) -> Result<BTreeMap<(String, String), u64>, sqlx::Error> {
    let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for event in events {
        *counts
            .entry((event.account.as_str(), &event.subject_id))
            .or_default() += 1;
    }
    // Sorted by the map, and `unnest` keeps it so: two writers take the rows they share in the same order.
    let accounts: Vec<String> = counts
        .keys()
        .map(|(account, _)| (*account).to_owned())
        .collect();
    let subjects: Vec<String> = counts
        .keys()
        .map(|(_, subject)| (*subject).to_owned())
        .collect();
    let added: Vec<i64> = counts.values().copied().collect();
    let raised = sqlx::query!(
        "insert into chassis.event_sequence as kept (account, subject, last)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict (account, subject) do update set last = kept.last + excluded.last
         returning account, subject, last",
        &accounts,
        &subjects,
        &added,
    )
    .fetch_all(connection)
    .await?;
    let before = raised.into_iter().map(|row| {
        let added = counts
            .get(&(row.account.as_str(), row.subject.as_str()))
            .copied()
            .unwrap_or(0);
        (
            (row.account, row.subject),
            (row.last - added).cast_unsigned(),
        )
    });
    Ok(before.collect())
}

/// What an outbox row holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredEvents {
    /// The events of one transaction, in order.
    #[prost(message, repeated, tag = "1")]
    pub events: Vec<StoredEvent>,
}

/// An event as it stands in the outbox.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredEvent {
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub service: String,
    #[prost(string, tag = "4")]
    pub entity: String,
    #[prost(string, tag = "5")]
    pub event: String,
    #[prost(string, tag = "6")]
    pub account: String,
    #[prost(string, tag = "7")]
    pub subject_id: String,
    #[prost(string, tag = "8")]
    pub actor: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub cause: Bytes,
    #[prost(uint64, tag = "10")]
    pub sequence: u64,
    #[prost(sint64, tag = "11")]
    pub time_micros: i64,
    #[prost(string, tag = "12")]
    pub traceparent: String,
    #[prost(bytes = "bytes", tag = "13")]
    pub payload: Bytes,
}

impl StoredEvent {
    /// Splits it into what goes into the headers and the payload.
    pub(crate) fn into_parts(self) -> Result<(Envelope, Bytes), InvalidStored> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.time_micros) * 1_000);
        let cause = match self.cause.as_ref() {
            [] => None,
            bytes => Some(Uuid::from_slice(bytes).map_err(|_| InvalidStored("cause"))?),
        };
        let envelope = Envelope {
            id: Uuid::from_slice(&self.id).map_err(|_| InvalidStored("id"))?,
            kind: self.kind,
            service: self.service,
            entity: self.entity,
            event: self.event,
            account: AccountSlug::parse(&self.account).map_err(|_| InvalidStored("account"))?,
            subject_id: self.subject_id,
            actor: self.actor.parse().ok(),
            cause,
            sequence: self.sequence,
            time: time.map_err(|_| InvalidStored("time"))?,
            trace: TraceContext::parse(&self.traceparent),
        };
        Ok((envelope, self.payload))
    }
}

/// A stored event that cannot be read back: somebody wrote to the outbox by hand.
#[derive(Debug, thiserror::Error)]
#[error("an event in the outbox has no readable {0}")]
pub(crate) struct InvalidStored(&'static str);
