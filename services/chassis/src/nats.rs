//! The broker: connecting. Names, declaring and publishing have their own rooms.

mod declare;
mod login;
mod publish;
mod streams;

use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event};
use rand::Rng as _;
use secrecy::ExposeSecret as _;

use crate::config;
use login::Login;

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
    #[error("nats.credentials_file: {0:#}")]
    Credentials(anyhow::Error),
    /// The file of the password cannot be read.
    #[error("nats.password_file: {0:#}")]
    PasswordFile(anyhow::Error),
    /// The file of certificates cannot be read.
    #[error("nats.ca_file: {0}")]
    Certificates(std::io::Error),
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
    let login = Login::of(config, &addresses);
    // What waiting cannot mend is told at once; afterwards a file that is being replaced is waited for.
    login.auth(b"").await?;
    if let Some(path) = &config.ca_file {
        let readable = tokio::fs::metadata(path).await;
        readable.map_err(NatsError::Certificates)?;
    }
    // The client logs its addresses as they are, passwords included, where somebody turns its talk up.
    let addresses: Vec<_> = addresses.into_iter().map(bare).collect::<Result<_, _>>()?;
    let mut attempt = 0;
    let client = loop {
        let options = options(config, service, &login);
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

fn options(config: &config::Nats, service: &str, login: &Login) -> ConnectOptions {
    let begun = if login.is_any() {
        let login = login.clone();
        ConnectOptions::with_auth_callback(move |nonce| login.clone().answer(nonce))
    } else {
        ConnectOptions::new()
    };
    let options = begun
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
    match &config.ca_file {
        Some(path) => options.add_root_certificates(path.clone()),
        None => options,
    }
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
    fn pauses_grow_to_two_seconds() {
        for (attempt, most) in [(0, 50), (1, 50), (2, 100), (5, 800), (50, 2_000)] {
            let pause = pause(attempt).as_millis();
            assert!(pause <= most && pause >= most / 2, "{attempt}: {pause}");
        }
    }
}
