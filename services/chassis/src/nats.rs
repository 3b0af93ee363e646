//! The broker: connecting. Names, declaring and publishing have their own rooms.

mod declare;
mod publish;
mod streams;

use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event};
use percent_encoding::percent_decode_str;
use rand::Rng as _;
use secrecy::ExposeSecret as _;

use crate::config;

pub use declare::{Declared, declare, unread};
pub use publish::{PublishError, publish};
pub use streams::Streams;

/// The oldest server with which events are published in atomic batches; with older ones, singly.
pub const BATCHES_SINCE: (i64, i64, i64) = (2, 15, 0);

/// The oldest server that is accepted at all: what consumers need (several filters, delayed naks) came before it.
pub const OLDEST: (i64, i64, i64) = (2, 11, 0);

/// How long a request to the broker's API may take.
const API_TIMEOUT: Duration = Duration::from_secs(5);

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
        .expose_secret()
        .split(',')
        .enumerate()
        .map(|(place, url)| {
            // The address may hold a password: it is not repeated.
            url.trim()
                .parse()
                .map_err(|error| NatsError::Address(format!("address {}: {error}", place + 1)))
        })
        .collect::<Result<_, _>>()?;
    let login = addresses.iter().find_map(login);
    // The client logs its addresses as they are, passwords included, where somebody turns its talk up.
    let addresses: Vec<_> = addresses.into_iter().map(bare).collect::<Result<_, _>>()?;
    let mut attempt = 0;
    let client = loop {
        let options = options(config, service, login.clone()).await?;
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

async fn options(
    config: &config::Nats,
    service: &str,
    login: Option<(String, String)>,
) -> Result<ConnectOptions, NatsError> {
    let mut options = ConnectOptions::new()
        .name(service)
        // Answers come where nobody else may listen (`deploy/nats/nats.conf`).
        .custom_inbox_prefix(format!("_INBOX_{service}"))
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
    // The client leaves users and passwords of addresses alone.
    if let Some((user, password)) = login {
        options = options.user_and_password(user, password);
    }
    if let Some(path) = &config.credentials_file {
        options = options
            .credentials_file(path)
            .await
            .map_err(NatsError::Credentials)?;
    }
    Ok(options)
}

/// Returns the user and password that an address holds, as they are without its escapes.
fn login(address: &async_nats::ServerAddr) -> Option<(String, String)> {
    let plain = |escaped: &str| percent_decode_str(escaped).decode_utf8_lossy().into_owned();
    let password = address.password().unwrap_or_default();
    Some((plain(address.username()?), plain(password)))
}

/// Returns an address without user and password.
fn bare(address: async_nats::ServerAddr) -> Result<async_nats::ServerAddr, NatsError> {
    let mut url = address.into_inner();
    // Refused for addresses without a host only, of which there are none.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    async_nats::ServerAddr::from_url(url)
        .map_err(|error| NatsError::Address(format!("address: {error}")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_who_logs_in() {
        for (address, expected) in [
            ("nats://127.0.0.1:4222", None),
            (
                "nats://crm-cards:p%40ss%2Fword@nats:4222",
                Some(("crm-cards", "p@ss/word")),
            ),
            ("nats://token@nats:4222", Some(("token", ""))),
        ] {
            let found = login(&address.parse().unwrap());
            let found = found
                .as_ref()
                .map(|(user, password)| (&**user, &**password));
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        for (attempt, most) in [(0, 50), (1, 50), (2, 100), (5, 800), (50, 2_000)] {
            let pause = pause(attempt).as_millis();
            assert!(pause <= most && pause >= most / 2, "{attempt}: {pause}");
        }
    }
}
