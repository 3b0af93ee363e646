//! What Meta signed and is for no account that is connected here: kept raw among the dead letters, where only an
//! operator sees it, and taken in by a replay once the account is connected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chassis::consumer::{Delivery, Handler, HandlerError};
use chassis::deadletter::{self, Letter, Reason};
use chassis::envelope::INBOUND_TYPE;
use chassis::grpc::{Parse, timestamp};
use chassis::id;
use chassis::nats::{Nats, PublishError, Streams};
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::channel_gateway::v1::InboundEvent;
use time::OffsetDateTime;
use uuid::Uuid;

use super::accept::{self, Intake};
use super::book::{Book, Found, Known};
use crate::domain::channel::ChannelKind;
use crate::domain::file::{RAW_MAX, is_own_key, object_key};
use crate::domain::inbound::{hashed_key, unsupported};
use crate::domain::instagram::{self, rest::Rest};
use crate::error::DOMAIN;
use crate::files::store::{Store, StoreError};
use crate::store::raw_items;

/// By this name a replay finds [`Replay`].
const CONSUMER: &str = "gateway-unclaimed";

/// Where bodies stand that are too large to travel: no account can be called so.
const FOLDER: &str = "_unclaimed";

/// Accounts of one batch that are looked up at most.
const ACCOUNTS_MAX: usize = 1_000;

/// A batch of Meta's, by whom it is for.
pub struct Sorted {
    /// The channels of the connected accounts.
    pub channels: Vec<Arc<Known>>,
    /// What is nobody's, in pieces.
    pub rest: Vec<Rest>,
    /// How many accounts are named that are not connected.
    pub unknown: u64,
}

/// Sorts a batch; none while nobody can tell.
pub async fn sort(book: &Book, raw: &Bytes) -> Option<Sorted> {
    let items = instagram::items(raw);
    let named: BTreeSet<&String> = items
        .iter()
        .filter(|item| !item.test)
        .flat_map(|item| &item.accounts)
        .collect();
    let (mut channels, mut connected) = (BTreeMap::new(), BTreeSet::new());
    let mut unknown = 0;
    for account in named.into_iter().take(ACCOUNTS_MAX) {
        match book.find_line(ChannelKind::Instagram, account).await {
            Found::Known(known) => {
                connected.insert(account.clone());
                channels.insert(known.id, known);
            }
            Found::Unknown => unknown += 1,
            Found::Away => return None,
        }
    }
    Some(Sorted {
        channels: channels.into_values().collect(),
        rest: instagram::rest::rest(raw, &items, &connected),
        unknown,
    })
}

/// Where what is nobody's is kept.
#[derive(Clone)]
pub struct Unclaimed {
    /// The broker.
    pub nats: Nats,
    /// Names of its streams.
    pub streams: Streams,
    /// Holds what is too large to travel.
    pub store: Store,
    /// Notes what the store holds, so that it is removed in time.
    pub pool: PgPool,
}

/// Why it could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The broker did not take it.
    #[error(transparent)]
    Broker(#[from] PublishError),
    /// The object store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be noted what the object store is to hold.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Unclaimed {
    /// Keeps what is nobody's; resolves when the broker has it. A repeat is kept once.
    pub async fn keep(&self, rest: &Rest, now: OffsetDateTime) -> Result<(), NotKept> {
        let key = hashed_key(&rest.raw);
        let id = id::v5("unclaimed", &[&key]);
        let mut item = InboundEvent {
            channel_kind: ChannelKind::Instagram.contract().into(),
            event_key: key,
            received_at: Some(timestamp(now)),
            provider_time: Some(timestamp(now)),
            kind: Some(unsupported(rest.why.as_str())),
            ..InboundEvent::default()
        };
        if rest.raw.len() > RAW_MAX {
            item.raw_ref = self.put_aside(rest, id, now).await?;
        } else {
            item.raw = rest.raw.clone();
        }
        let payload = item.encode_to_vec().into();
        let why = rest.why.as_str();
        let letter = Letter::of_nobody(DOMAIN, CONSUMER, id, INBOUND_TYPE, why, payload, now);
        let subject = self.streams.dead_subject(DOMAIN);
        deadletter::publish(&self.nats, &subject, &letter, Reason::Unclaimed).await?;
        // Nothing of what it says, nor who it names.
        tracing::warn!(
            why,
            bytes = rest.raw.len(),
            "a webhook of nobody here is kept among the dead letters"
        );
        Ok(())
    }

    async fn put_aside(
        &self,
        rest: &Rest,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<String, NotKept> {
        let key = object_key(FOLDER, now, id);
        // First the note: bytes without one would stay for ever.
        let mut connection = self.pool.acquire().await?;
        raw_items::note(&mut connection, std::slice::from_ref(&key), now).await?;
        drop(connection);
        self.store.put(&key, rest.raw.clone()).await?;
        Ok(key)
    }
}

/// Takes in by a replay what was kept, for accounts that are connected by now.
pub struct Replay {
    /// The channels in memory.
    pub book: Arc<Book>,
    /// Where accepted items go.
    pub intake: Intake,
}

#[tonic::async_trait]
impl Handler for Replay {
    fn durable(&self) -> &'static str {
        CONSUMER
    }

    async fn handle(&self, batch: &[Delivery], _: OffsetDateTime) -> Result<(), HandlerError> {
        for delivery in batch {
            self.take_in(delivery).await?;
        }
        Ok(())
    }
}

impl Replay {
    /// Gives a body the way that it would go if it came now. While any of it is nobody's still, it is kept: what was
    /// taken in is known again by its ids.
    async fn take_in(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let item: InboundEvent = delivery.decode_as()?;
        let away = |error: String| HandlerError::Away(error);
        let raw = match self.raw_of(&item).await {
            Err(error @ (StoreError::Missing | StoreError::Key)) => {
                return Err(HandlerError::Failed(error.to_string()));
            }
            other => other.map_err(|error| away(error.to_string()))?,
        };
        let received_at = Parse::new(DOMAIN)
            .time("received_at", item.received_at.as_ref())
            .unwrap_or(delivery.envelope.time);
        let sorted = sort(&self.book, &raw).await;
        let sorted = sorted.ok_or_else(|| away("channels".into()))?;
        for known in sorted.channels {
            // It may have been enabled just now.
            let known = match self.book.find_fresh(known.id).await {
                Found::Known(fresh) => fresh,
                Found::Unknown | Found::Away => known,
            };
            let trace = &delivery.envelope.trace;
            // While the letter stays, what of it is not understood stays in it: another one for the same would be made by
            // each replay.
            let accepted = if sorted.rest.is_empty() {
                accept::accept(&self.intake, &known, &raw, trace, received_at).await
            } else {
                accept::accept_understood(&self.intake, &known, &raw, trace, received_at).await
            };
            accepted.map_err(|error| away(error.to_string()))?;
        }
        match sorted.rest.first() {
            Some(rest) => Err(HandlerError::Unsupported(rest.why.to_string())),
            None => Ok(()),
        }
    }

    async fn raw_of(&self, item: &InboundEvent) -> Result<Bytes, StoreError> {
        if item.raw_ref.is_empty() {
            return Ok(item.raw.clone());
        }
        if !is_own_key(FOLDER, &item.raw_ref) {
            return Err(StoreError::Key);
        }
        self.intake.store.get(&item.raw_ref).await
    }
}
