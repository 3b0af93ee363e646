//! The broker: connecting, the names and bounds of the streams, and publishing one message with its answer.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, ErrorCode, publish::PublishAck};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::config;
use crate::id::AccountSlug;

/// The oldest server with which events are published in atomic batches; with older ones, singly.
pub const BATCHES_SINCE: (i64, i64, i64) = (2, 15, 0);

/// The oldest server that is accepted at all: what consumers need (several filters, delayed naks) came before it.
pub const OLDEST: (i64, i64, i64) = (2, 11, 0);

/// How long events stay in `EVENTS` and inbound items in `INBOUND_<n>`, where the bound in bytes allows.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How long dead letters stay.
const DEAD_LETTERS_KEPT: Duration = Duration::from_hours(30 * 24);

/// How long a request to the broker's API may take.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the declaration of a stream is tried again, where the broker is not ready for it: half a minute.
const DECLARED_AGAIN: usize = 20;

/// How long a reconnect waits at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A broker that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The credentials file cannot be read.
    #[error("nats.credentials_file: {0}")]
    Credentials(std::io::Error),
    /// The addresses cannot be understood.
    #[error("nats.url: {0}")]
    Address(String),
    /// The server is too old.
    #[error("the NATS server is {found}; {}.{}.{} or later is needed", OLDEST.0, OLDEST.1, OLDEST.2)]
    TooOld {
        /// The version found.
        found: String,
    },
    /// The installation has more `INBOUND_<n>` than it is told to have: what stands in the others would wait for ever.
    #[error(
        "nats.inbound_shards is {told}, but the broker has {stream} as well: set it to what the installation began with, \
         or delete that stream once its consumer has nothing pending"
    )]
    MoreShards {
        /// What is set.
        told: usize,
        /// The first stream too many.
        stream: String,
    },
    /// A stream cannot be declared.
    #[error("stream {stream} cannot be declared: {error}")]
    Stream {
        /// Name of the stream.
        stream: String,
        /// What the server said.
        error: String,
    },
}

/// A connection to the broker. Clones share it.
#[derive(Clone, Debug)]
pub struct Nats {
    /// The plain connection.
    pub client: Client,
    /// `JetStream` over the same connection.
    pub jetstream: jetstream::Context,
}

impl Nats {
    /// Wraps a connection that was made elsewhere, as in a test.
    pub fn new(client: Client) -> Self {
        let jetstream = jetstream::new(client.clone());
        Self { client, jetstream }
    }

    /// Tells whether the connection stands right now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Tells whether the server publishes atomic batches reliably.
    pub fn has_batches(&self) -> bool {
        let (major, minor, patch) = BATCHES_SINCE;
        self.client.is_server_compatible(major, minor, patch)
    }
}

/// Connects to the broker, trying again with growing pauses until it answers; afterwards the connection heals itself.
///
/// # Errors
/// Returns an error only for what waiting cannot mend: credentials, addresses, a server that is too old.
pub async fn connect(config: &config::Nats, service: &str) -> Result<Nats, NatsError> {
    let addresses: Vec<async_nats::ServerAddr> = config
        .url
        .split(',')
        .map(|url| {
            url.trim()
                .parse()
                .map_err(|error| NatsError::Address(format!("{url}: {error}")))
        })
        .collect::<Result<_, _>>()?;
    let mut attempt = 0;
    let client = loop {
        let options = options(config, service).await?;
        match options.connect(addresses.clone()).await {
            Ok(client) => break client,
            Err(error) => {
                attempt += 1;
                let pause = pause(attempt);
                tracing::warn!(%error, attempt, ?pause, "NATS is away");
                tokio::time::sleep(pause).await;
            }
        }
    };
    check_version(&client)?;
    Ok(Nats::new(client))
}

async fn options(config: &config::Nats, service: &str) -> Result<ConnectOptions, NatsError> {
    let mut options = ConnectOptions::new()
        .name(service)
        .request_timeout(Some(API_TIMEOUT))
        .connection_timeout(Duration::from_secs(3))
        // A half-dead connection is noticed within two of these.
        .ping_interval(Duration::from_secs(5))
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("NATS connected"),
                other => tracing::warn!(event = %other, "NATS"),
            }
        });
    if let Some(path) = &config.credentials_file {
        options = options
            .credentials_file(path)
            .await
            .map_err(NatsError::Credentials)?;
    }
    Ok(options)
}

/// Returns the pause before the given attempt: doubling from 50 ms to 2 s, with jitter so that replicas spread.
pub(crate) fn pause(attempt: usize) -> Duration {
    let doubled = Duration::from_millis(50) * (1 << attempt.clamp(1, 7).saturating_sub(1));
    jittered(doubled.min(LONGEST_PAUSE))
}

/// Returns between half and all of a duration.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn check_version(client: &Client) -> Result<(), NatsError> {
    let found = client.server_info().version;
    if !client.is_server_compatible(OLDEST.0, OLDEST.1, OLDEST.2) {
        return Err(NatsError::TooOld { found });
    }
    if !client.is_server_compatible(BATCHES_SINCE.0, BATCHES_SINCE.1, BATCHES_SINCE.2) {
        tracing::warn!(
            found,
            "this NATS server is older than 2.15: events are published singly"
        );
    }
    Ok(())
}

/// The names of streams and subjects. A prefix keeps tests on one server apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    prefix: Arc<str>,
    root: Arc<str>,
    shards: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(config::DEFAULT_SHARDS)
    }
}

impl Streams {
    /// Returns the names of an installation with so many `INBOUND_<n>`, numbered from 0.
    pub fn new(shards: NonZeroU8) -> Self {
        Self {
            prefix: "".into(),
            root: "switchboard".into(),
            shards: usize::from(shards.get()),
        }
    }

    /// Returns names that meet no others: for tests. The prefix is made of letters, digits and `_`.
    pub fn with_prefix(prefix: &str, shards: usize) -> Self {
        Self {
            prefix: format!("{prefix}_").into(),
            root: format!("switchboard-{prefix}").into(),
            shards: shards.max(1),
        }
    }

    /// The stream of domain events.
    pub fn events(&self) -> String {
        format!("{}EVENTS", self.prefix)
    }

    /// The stream of a shard of what providers sent.
    pub fn inbound(&self, shard: usize) -> String {
        format!("{}INBOUND_{shard}", self.prefix)
    }

    /// How many `INBOUND_<n>` there are.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The stream of what could not be handled.
    pub fn dead_letters(&self) -> String {
        format!("{}DEAD_LETTERS", self.prefix)
    }

    /// The subject of an event.
    pub fn event_subject(&self, account: &str, service: &str, entity: &str, event: &str) -> String {
        format!("{}.v1.{account}.{service}.{entity}.{event}", self.root)
    }

    /// The account that a subject of events, or a filter of such, names; nothing if it names none or several.
    pub fn account_of(&self, subject: &str) -> Option<AccountSlug> {
        let (account, _) = subject
            .strip_prefix(&*self.root)?
            .strip_prefix(".v1.")?
            .split_once('.')?;
        AccountSlug::parse(account).ok()
    }

    /// The subject of a shard's packs.
    pub fn inbound_subject(&self, shard: usize) -> String {
        format!("{}.inbound.{shard}", self.root)
    }

    /// The subject of the packs in an `INBOUND_<n>`, by the stream's name.
    pub fn subject_of(&self, inbound_stream: &str) -> Option<String> {
        (0..self.shards)
            .find(|shard| self.inbound(*shard) == inbound_stream)
            .map(|shard| self.inbound_subject(shard))
    }

    /// The subject of a service's dead letters.
    pub fn dead_subject(&self, service: &str) -> String {
        format!("{}.dead.{service}", self.root)
    }

    /// Returns the shard of a key: the same for the same key and number of shards, on every machine.
    pub fn shard_of(&self, key: &str) -> usize {
        let hash = Sha256::digest(key.as_bytes());
        let number = hash
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number % self.shards as u64).unwrap_or(0)
    }
}

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
    if nats.jetstream.get_stream(&beyond).await.is_ok() {
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

/// Why a message was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No connection, or no stream answers: certainly not stored if never sent, else unknown.
    #[error("NATS is away: {0}")]
    Away(String),
    /// No answer in time: stored or not, nobody knows. Repeat it under the same id.
    #[error("NATS did not acknowledge in time")]
    TimedOut,
    /// The stream has reached its bound.
    #[error("the stream is full: {0}")]
    Full(String),
    /// The message exceeds what the server takes.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// The server refused, with its error code.
    #[error("NATS refused ({code}): {description}")]
    Refused {
        /// `JetStream`'s `err_code`.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// Publishes one message and awaits its acknowledgement for at most `timeout`.
pub async fn publish(
    nats: &Nats,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    timeout: Duration,
) -> Result<PublishAck, PublishError> {
    if !nats.is_connected() {
        return Err(PublishError::Away("not connected".into()));
    }
    let request = Request::new()
        .headers(headers)
        .payload(payload)
        .timeout(Some(timeout));
    // The inner timeout bounds the answer only; a full send buffer would wait beyond it.
    let answer = tokio::time::timeout(timeout, nats.client.send_request(subject, request))
        .await
        .map_err(|_| PublishError::TimedOut)?
        .map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => PublishError::TimedOut,
            RequestErrorKind::MaxPayloadExceeded => PublishError::TooLarge(error.to_string()),
            RequestErrorKind::NoResponders => {
                PublishError::Away("no stream takes this subject".into())
            }
            _ => PublishError::Away(error.to_string()),
        })?;
    let response: Response<PublishAck> =
        serde_json::from_slice(&answer.payload).map_err(|error| PublishError::Refused {
            code: 0,
            description: error.to_string(),
        })?;
    match response {
        Response::Ok(ack) => Ok(ack),
        Response::Err { error } => Err(refusal(&error)),
    }
}

fn refusal(error: &jetstream::Error) -> PublishError {
    let description = error.to_string();
    let full = description.contains("maximum bytes exceeded")
        || description.contains("maximum messages exceeded");
    match error.error_code() {
        ErrorCode::INSUFFICIENT_RESOURCES | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => {
            PublishError::Full(description)
        }
        ErrorCode::STREAM_STORE_FAILED if full => PublishError::Full(description),
        ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::STREAM_STORE_FAILED => {
            PublishError::Away(description)
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            PublishError::TooLarge(description)
        }
        other => PublishError::Refused {
            code: other.0,
            description,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_streams_are_those_of_the_design() {
        let streams = Streams::default();
        assert_eq!(
            streams.event_subject("acme", "conversation", "conversation", "opened"),
            "switchboard.v1.acme.conversation.conversation.opened"
        );
        assert_eq!(streams.events(), "EVENTS");
        assert_eq!(
            (streams.inbound(1), streams.inbound_subject(1)),
            ("INBOUND_1".into(), "switchboard.inbound.1".into())
        );
        assert_eq!(
            (streams.dead_letters(), streams.dead_subject("crm-cards")),
            ("DEAD_LETTERS".into(), "switchboard.dead.crm-cards".into())
        );
    }

    #[test]
    fn a_subject_or_filter_names_one_account_or_none() {
        let streams = Streams::default();
        for (subject, account) in [
            ("switchboard.v1.acme.>", Some("acme")),
            ("switchboard.v1.acme.conversation.*.*", Some("acme")),
            ("switchboard.v1.*.conversation.chat.created", None),
            ("switchboard.v1.>", None),
            ("switchboard.v1.acme", None),
            ("switchboard.inbound.0", None),
            ("other.v1.acme.>", None),
            (">", None),
        ] {
            let found = streams.account_of(subject);
            assert_eq!(
                found.as_ref().map(AccountSlug::as_str),
                account,
                "{subject}"
            );
        }
    }

    #[test]
    fn a_key_stays_on_its_shard_and_keys_spread() {
        let streams = Streams::with_prefix("t", 4);
        let mut counts = [0_u32; 4];
        for number in 0..4_000 {
            let key = format!("channel/{number}");
            assert_eq!(streams.shard_of(&key), streams.shard_of(&key));
            counts[streams.shard_of(&key)] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        for (attempt, most) in [(0, 50), (1, 50), (2, 100), (5, 800), (50, 2_000)] {
            let pause = pause(attempt).as_millis();
            assert!(pause <= most && pause >= most / 2, "{attempt}: {pause}");
        }
    }
}
