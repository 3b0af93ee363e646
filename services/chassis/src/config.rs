//! Typed configuration: embedded defaults, then an optional file, then `SWITCHBOARD_SECTION__KEY`.
//!
//! The sections that all services share are declared here. Unknown keys are refused, and an error names the
//! key, the value and where it came from.

pub mod bytes;
pub mod duration;
pub mod forms;
mod origin;
pub mod reference;
pub mod rules;

pub use origin::unheard;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::builder::DefaultState;
use ::config::{Config, ConfigBuilder, Environment, File, FileFormat};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A configuration that cannot be used. The text names the key and the origin.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing, unknown, malformed, or the file cannot be read.
    #[error("configuration: {0}")]
    Invalid(String),
    /// A rule over several keys does not hold.
    #[error("configuration: {key}: {rule}")]
    Rule {
        /// The key to change.
        key: &'static str,
        /// What must hold.
        rule: String,
    },
}

/// What is told of a key that nobody sets.
pub const DEFAULTS: &str = "the defaults";

/// Loads a configuration: embedded TOML, then the file, then the environment.
///
/// A variable counts when it has the form `SWITCHBOARD_SECTION__KEY`; others with that prefix
/// (`SWITCHBOARD_CONFIG_FILE`) are left alone.
pub fn load<T: DeserializeOwned>(
    embedded: &'static str,
    file: Option<&Path>,
) -> Result<T, ConfigError> {
    load_from(embedded, file, environment())
}

/// Returns the environment of this process, as far as it is text.
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Does what [`load`] does, with the environment given: for tests.
#[expect(clippy::implicit_hasher, reason = "one caller beside tests")]
pub fn load_from<T: DeserializeOwned>(
    embedded: &'static str,
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<T, ConfigError> {
    let keys = keys_of(environment);
    sources(embedded, file, &keys)
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| ConfigError::Invalid(origin::told(&error, &keys, file)))
}

/// Leaves of an environment what sets keys.
fn keys_of(environment: HashMap<String, String>) -> HashMap<String, String> {
    let sets = |(key, _): &(String, String)| {
        key.strip_prefix("SWITCHBOARD_")
            .is_some_and(|key| key.contains("__"))
    };
    environment.into_iter().filter(sets).collect()
}

fn sources(
    embedded: &str,
    file: Option<&Path>,
    keys: &HashMap<String, String>,
) -> ConfigBuilder<DefaultState> {
    let mut builder = Config::builder().add_source(File::from_str(embedded, FileFormat::Toml));
    if let Some(path) = file {
        // The suffix is not trusted to tell the format: it is always TOML.
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    builder.add_source(
        Environment::with_prefix("SWITCHBOARD")
            .prefix_separator("_")
            .separator("__")
            .source(Some(keys.clone())),
    )
}

/// `[database]`: this service's own Postgres database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its address, as `postgres://user:password@host:port/database`.
    #[schemars(with = "forms::SecretText")]
    pub url: SecretString,
    /// A file that holds the password alone, in place of the address's; read again when it changes, so that it is rotated without a
    /// restart.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Connections of one replica at most, for requests; handlers of events have as many beside, of which each holds one.
    #[serde(default = "Database::default_max_connections")]
    pub max_connections: u32,
    /// Whether `serve` applies migrations first: for local use; else run the verb `migrate`.
    #[serde(default)]
    pub migrate_on_start: bool,
}

impl Database {
    const fn default_max_connections() -> u32 {
        10
    }
}

/// `[nats]`: the broker and the bounds of the streams that this service declares.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Its address, as `nats://user:password@host:port`, or without a user where the server asks for none; several separated by
    /// commas, of which the first user and password count.
    #[schemars(with = "forms::SecretText")]
    pub url: SecretString,
    /// A file that holds the password of the address's user alone; read again whenever the broker is connected to, so that it is
    /// rotated without a restart.
    pub password_file: Option<PathBuf>,
    /// A credentials file, where the server asks for one; read again whenever the broker is connected to.
    pub credentials_file: Option<PathBuf>,
    /// Certificates of those who sign the broker's own (PEM), where `nats.url` begins with `tls://` and the system does not know them;
    /// read again whenever the broker is connected to.
    pub ca_file: Option<PathBuf>,
    /// Copies of each stream.
    pub replicas: usize,
    /// How many `INBOUND_<n>` the installation has, in all its services: more take more a second, fewer cost the
    /// machine less. Set it alike everywhere; it is lowered only once the
    /// streams above have been read and deleted, and raised only while nothing waits in them: a client's messages may change
    /// their stream, and their order is kept in each alone. More than two need permissions of the
    /// broker, which names streams one by one (`deploy/nats/nats.conf`).
    pub inbound_shards: NonZeroU8,
    /// Bound of `EVENTS` in bytes; a full stream refuses. The same for all services: the one that starts last sets it.
    #[serde(with = "bytes")]
    #[schemars(with = "forms::BytesText")]
    pub events_max_bytes: u64,
    /// Bound of each `INBOUND_<n>` in bytes; a full stream refuses. The same for all services.
    #[serde(with = "bytes")]
    #[schemars(with = "forms::BytesText")]
    pub inbound_max_bytes: u64,
    /// Bound of `DEAD_LETTERS` in bytes; the oldest go first. The same for all services.
    #[serde(with = "bytes")]
    #[schemars(with = "forms::BytesText")]
    pub dead_letters_max_bytes: u64,
    /// How long the broker drops a repeated message id.
    #[serde(with = "duration")]
    #[schemars(with = "forms::DurationText")]
    pub duplicate_window: Duration,
    /// How far from each other a consumer begins its batches at least, full ones apart, so that batches grow under load and
    /// cost less each. A single message after a pause is not held back.
    #[serde(with = "duration")]
    #[schemars(with = "forms::DurationText")]
    pub batch_wait: Duration,
}

/// How many `INBOUND_<n>` there are unless told.
///
/// One, not the two of the design: where everything shares two cores, two loops of small packs and small batches cost more
/// than they gain (`scripts/bench --set NATS__INBOUND_SHARDS=2`). Packs grow with the load, and replicas share a stream.
pub const DEFAULT_SHARDS: NonZeroU8 = NonZeroU8::new(1).unwrap();

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: SecretString::from("nats://127.0.0.1:4222"),
            password_file: None,
            credentials_file: None,
            ca_file: None,
            replicas: 1,
            inbound_shards: DEFAULT_SHARDS,
            events_max_bytes: 8 << 30,
            inbound_max_bytes: 8 << 30,
            dead_letters_max_bytes: 1 << 30,
            duplicate_window: Duration::from_mins(2),
            batch_wait: Duration::from_millis(20),
        }
    }
}

/// `[grpc]`: where the gRPC server listens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Address; port 0 takes a free one.
    #[schemars(with = "forms::AddressText")]
    pub listen: SocketAddr,
    /// The certificate (PEM) with which it answers by TLS, with `key_file`; in plain without them. Read again when it changes.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// The key (PEM) of `certificate_file`.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Certificates (PEM) of those who sign other services': for addresses of `peers` that begin with `https://`. Read again when it
    /// changes.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// `[admin]`: where `/livez`, `/readyz` and `/metrics` are served.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address; port 0 takes a free one.
    #[schemars(with = "forms::AddressText")]
    pub listen: SocketAddr,
}

/// `[auth]`: which tokens are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The key set: an `http(s)` URL or a file.
    pub jwks: String,
    /// The `iss` a token must carry.
    #[serde(default = "Auth::default_issuer")]
    pub issuer: String,
    /// The `aud` a token must carry.
    #[serde(default = "Auth::default_audience")]
    pub audience: String,
    /// The token this service calls others with; read again when the file changes.
    pub internal_token_file: PathBuf,
    /// Whether secrets that anybody can read in Switchboard's repository are taken, as those of `scripts/start`: only where no
    /// customer writes. Otherwise the start is refused with one, and a key set that holds such a key is not believed.
    #[serde(default)]
    pub demo_secrets: bool,
}

impl Auth {
    fn default_issuer() -> String {
        "switchboard".into()
    }
    fn default_audience() -> String {
        "switchboard".into()
    }
}

/// `[telemetry]`: logs, traces and metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where spans are sent by OTLP over gRPC; nowhere when absent.
    pub otlp_endpoint: Option<String>,
    /// Whether metrics are sent there too; `/metrics` of the admin port has them in any case.
    pub otlp_metrics: bool,
    /// Whether log lines are sent there too; stdout has them in any case.
    pub otlp_logs: bool,
    /// Where the cause and the last log lines are left when the process fails, for Kubernetes to show; nothing is written where
    /// there is no such file.
    pub termination_file: PathBuf,
    /// Which log lines are written, as `info,chassis=debug`. It can be changed for a while without a restart: `PUT /log-filter` on
    /// the admin port, from the machine itself.
    pub log_filter: String,
    /// Share of the traces begun here that are sampled, 0 to 1; a parent's decision is kept.
    pub sample_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_metrics: false,
            otlp_logs: false,
            termination_file: "/dev/termination-log".into(),
            log_filter: "info,sqlx=warn,async_nats=warn".into(),
            sample_ratio: 1.0,
        }
    }
}

/// How the relay publishes what stands in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelayMode {
    /// One event after the other, each acknowledged.
    Singly,
    /// In atomic batches.
    Batched,
}

/// `[relay]`: from the outbox to the broker.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// How long to wait for more events before publishing.
    #[serde(with = "duration")]
    #[schemars(with = "forms::DurationText")]
    pub wait: Duration,
    /// Events of one batch at most, up to 1,000.
    pub batch: usize,
    /// How to publish.
    pub mode: RelayMode,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(20),
            batch: 256,
            mode: RelayMode::Batched,
        }
    }
}

/// `[limits]`: how much one account may ask.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per second and account that a replica admits over time.
    pub requests_per_second_per_account: NonZeroU32,
    /// Requests of one account that are admitted at once.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second_per_account: NonZeroU32::MIN.saturating_add(199),
            burst: NonZeroU32::MIN.saturating_add(399),
        }
    }
}

/// `[audit]`: who changed which setting.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How long it is kept who changed which setting.
    #[serde(with = "duration")]
    #[schemars(with = "forms::DurationText")]
    pub kept: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            kept: Duration::from_hours(400 * 24),
        }
    }
}

/// An address on loopback with a free port: for tests.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[cfg(test)]
mod tests;
