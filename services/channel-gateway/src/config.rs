//! Configuration of the service: what keys mean stands here, their defaults in `config.toml`, which is written from both.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;
use chassis::config::{self, ConfigError};
use chassis::demo;
use chassis::run::ServiceConfig;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

mod health;

pub use health::Health;

/// A link by which a provider reads a file is good for 30 days.
const SENT_KEPT_MIN: Duration = Duration::from_hours(31 * 24);
const SENT_KEPT_MAX: Duration = Duration::from_hours(36_500 * 24);

/// The whole configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This service's own Postgres database.
    pub database: config::Database,
    /// The broker, and the bounds of the streams that this service declares.
    pub nats: config::Nats,
    /// Where the gRPC server listens.
    pub grpc: config::Grpc,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub admin: config::Admin,
    /// Which tokens are believed, and the one with which other services are called.
    pub auth: config::Auth,
    /// Logs and traces.
    pub telemetry: config::Telemetry,
    /// From the outbox to the broker.
    pub relay: config::Relay,
    /// How much one account may ask.
    pub limits: config::Limits,
    /// Who changed which setting.
    pub audit: config::Audit,
    /// Where providers call us.
    pub http: Http,
    /// How accepted items are packed.
    pub packs: Packs,
    /// The Bot API.
    pub telegram: Telegram,
    /// The REST Bot API.
    pub viber: Viber,
    /// The Graph API and the Meta app.
    pub instagram: Instagram,
    /// Mailboxes.
    pub mail: Mail,
    /// Secrets at rest.
    pub seal: Seal,
    /// What goes out.
    pub delivery: Delivery,
    /// The other services.
    pub peers: Peers,
    /// Files in and out, and raw items too large to travel.
    pub files: Files,
    /// How often channels are looked at (B10).
    pub health: Health,
}

/// `[http]`: where providers call us.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where providers' webhooks arrive.
    #[schemars(with = "config::forms::AddressText")]
    pub listen: SocketAddr,
    /// The certificate (PEM) with which it answers by TLS, with `key_file`; in plain without them, for what stands behind a proxy. Read
    /// again when it changes.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// The key (PEM) of `certificate_file`.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// How providers reach it. Telegram asks for https and port 443, 80, 88 or 8443.
    pub public_url: String,
    /// The header field in which the proxy before this service tells from where it is called, as "x-forwarded-for", of which
    /// the last address counts; empty where there is no proxy. By it new visitors of a short link are told apart: ten of one
    /// address at once and one more a minute are persons, further ones are led on and counted as visits only.
    pub client_address_header: String,
    /// A larger body is refused with 413.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub body_limit: u64,
    /// A request that takes longer is answered 503, and the provider repeats it.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub deadline: Duration,
    /// Webhook calls of one account a second; those beyond are answered 429.
    pub requests_per_second_per_account: NonZeroU32,
    /// Webhook calls of one account at once.
    pub burst: NonZeroU32,
}

/// `[packs]`: how accepted items are packed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packs {
    /// Items of one pack at most; 1 turns packing off.
    pub max_events: usize,
}

/// `[telegram]`: the Bot API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// The only address that is called; a Bot API server of your own lifts Telegram's limits for files.
    pub api_url: String,
    /// Simultaneous webhook calls of one bot, 1 to 100.
    pub max_connections: u8,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub connect_timeout: Duration,
    /// When a call takes longer, nobody knows whether the message was taken: it becomes `uncertain`.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub call_timeout: Duration,
}

/// `[viber]`: the REST Bot API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Viber {
    /// The only address that is called.
    pub api_url: String,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub connect_timeout: Duration,
    /// How long a call may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub call_timeout: Duration,
}

/// `[instagram]`: the Graph API and the Meta app.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instagram {
    /// Accounts by Instagram Login are asked here.
    pub instagram_url: String,
    /// Accounts by Facebook Login are asked here.
    pub facebook_url: String,
    /// Version of the Graph API.
    pub version: String,
    /// What Meta signs webhooks with: the app's secret. Without this one and the next every call is refused.
    #[schemars(with = "config::forms::SecretText")]
    pub app_secret: SecretString,
    /// The secret of the app's Instagram product, where it has one, which signs its webhooks.
    #[schemars(with = "config::forms::SecretText")]
    pub product_secret: SecretString,
    /// What is entered as token in the app's dashboard, together with the address `<public_url>/in/instagram`.
    #[schemars(with = "config::forms::SecretText")]
    pub verify_token: SecretString,
    /// Meta sends batches.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub body_limit: u64,
    /// The same over time, bytes a second. With the defaults they take 4 GiB of the object store at most.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub unclaimed_per_second: u64,
    /// Bytes at once of signed bodies that are unparsable or for no account connected here: they are kept among the dead
    /// letters, for the operator; beyond, they are answered 429.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub unclaimed_burst: u64,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub connect_timeout: Duration,
    /// How long a call may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub call_timeout: Duration,
}

/// `[mail]`: mailboxes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The name by which mail servers are greeted: one of yours.
    pub hello: String,
    /// Allows connections without TLS: for tests, and for mail servers beside this one.
    pub allow_plain: bool,
    /// Allows servers at private addresses: for tests, and for mail servers beside this one.
    pub allow_private: bool,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub connect_timeout: Duration,
    /// How long a connection may stand still.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub idle_timeout: Duration,
    /// How long each of the two steps of handing a mail over may take: until the server is ready for it, and the mail itself.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub submit_timeout: Duration,
    /// A mail that its server puts off for so long fails. Servers do so for a day and longer, and every try is the same mail.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub max_age: Duration,
    /// Mailboxes that one replica follows at most.
    pub capacity: usize,
    /// A mailbox whose holder died is taken over after this.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub lease: Duration,
    /// How often a holder renews its lease.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub renew: Duration,
    /// How often a mailbox is looked into even when its server announces nothing.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub poll: Duration,
    /// How long is waited after a refused login: servers lock out those who try quickly. The third in a row disconnects.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub after_refusal: Duration,
    /// A larger mail is cut.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub size_limit: u64,
}

/// `[seal]`: secrets at rest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Channels' credentials are sealed with the first key: one a line, 32 bytes in base64. Others still open, and what stands
    /// under them is sealed anew.
    pub key_file: PathBuf,
}

/// `[delivery]`: what goes out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Provider calls at once.
    pub concurrency: u32,
    /// How long a claimed chat is held. What a process that died left behind becomes `uncertain` after it.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub lease: Duration,
    /// The same for a mail, and for whatever carries files: it takes as long as the provider is slow.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub long_lease: Duration,
    /// A command that could not be brought to the provider for so long fails.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub max_age: Duration,
    /// How long a missing command is waited for before the conversation service is asked for it.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub gap: Duration,
    /// How often due chats are looked for besides the moments when a command arrives.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub poll: Duration,
    /// Messages a second into one channel: Telegram lets a bot send about 30, with short bursts.
    pub channel_per_second: f64,
    /// Messages at once into one channel.
    pub channel_burst: u32,
    /// Messages a second into one chat: Telegram lets a bot send about one, with short bursts.
    pub chat_per_second: f64,
    /// Messages at once into one chat.
    pub chat_burst: u32,
}

/// `[peers]`: the other services.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// gRPC address of assignment.
    pub assignment: String,
    /// gRPC address of conversation.
    pub conversation: String,
}

/// `[files]`: files in and out, and raw items too large to travel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Where files, and raw items too large to travel, are kept: `local` is a folder that all replicas share; `s3` takes its
    /// keys from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, or what the machine's role gives), and needs
    /// s3:PutObject, s3:GetObject, s3:DeleteObject and s3:AbortMultipartUpload on the bucket's objects. At the start a small
    /// object is put, read and deleted: what is wrong with bucket or keys ends the start. Give the bucket a lifecycle rule
    /// that aborts incomplete multipart uploads after a day: what a killed process was uploading shows nowhere else. In the
    /// folder such parts are removed by themselves, an hour or two later.
    pub store: ObjectStore,
    /// The folder, of `local`.
    pub folder: PathBuf,
    /// The bucket, of `s3`.
    pub bucket: String,
    /// Empty: `AWS_REGION`, or `us-east-1`.
    pub region: String,
    /// Of a server that speaks S3, as `https://s3.example`; empty is Amazon's own.
    pub endpoint: String,
    /// Bytes of one file at most, in and out.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub max_size: u64,
    /// Bytes that the uploads of one account may take in the store together, announced, not sent yet or sent; 0: no limit. What
    /// leaves the store is given back. Files of clients are not counted and never refused by it.
    #[serde(with = "config::bytes")]
    #[schemars(with = "config::forms::BytesText")]
    pub upload_quota: u64,
    /// How long a file is kept after it was first sent, 31d at least; then its message shows it as expired. 0s: for good.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sent_kept: Duration,
    /// How long a file that is fetched or uploaded may bring nothing.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub idle: Duration,
    /// How long a file that is fetched or uploaded may take.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub total: Duration,
    /// Files that a replica fetches at once.
    pub concurrency: u32,
    /// Files of one channel that are fetched at once, at most: a slow provider holds up no other.
    pub per_channel: u32,
    /// How often a file is tried to be fetched before it counts as failed.
    pub tries: u32,
    /// How often due files are looked for when nobody says so.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub poll: Duration,
    /// How often files are looked for whose time has come.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
    /// Uploads and downloads that are served at once.
    pub transfers: u32,
    /// Providers' files are fetched over https from public addresses only. For a local start: from anywhere.
    pub allow_private: bool,
}

/// The kind of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectStore {
    /// A folder, shared by all replicas.
    Local,
    /// S3, or a server that speaks it.
    S3,
}

impl Config {
    /// The defaults.
    pub const EMBEDDED: &'static str = include_str!("../config.toml");
}

impl Instagram {
    /// Refuses secrets of the demonstration and of tests (O1.12).
    fn validate(&self, demo: bool) -> Result<(), ConfigError> {
        let secrets = [
            ("instagram.app_secret", &self.app_secret),
            ("instagram.product_secret", &self.product_secret),
            ("instagram.verify_token", &self.verify_token),
        ];
        let known = secrets
            .into_iter()
            .find(|(_, secret)| !demo && demo::is_known(secret.expose_secret()));
        known.map_or(Ok(()), |(key, _)| {
            let rule = demo::REFUSED.to_owned();
            Err(ConfigError::Rule { key, rule })
        })
    }
}

impl ServiceConfig for Config {
    fn figures() -> &'static [chassis::meter::Described] {
        crate::figures::all()
    }
    fn database(&self) -> &config::Database {
        &self.database
    }
    fn nats(&self) -> &config::Nats {
        &self.nats
    }
    fn grpc(&self) -> &config::Grpc {
        &self.grpc
    }
    fn admin(&self) -> &config::Admin {
        &self.admin
    }
    fn auth(&self) -> &config::Auth {
        &self.auth
    }
    fn telemetry(&self) -> &config::Telemetry {
        &self.telemetry
    }
    fn relay(&self) -> &config::Relay {
        &self.relay
    }
    fn limits(&self) -> &config::Limits {
        &self.limits
    }
    fn audit(&self) -> &config::Audit {
        &self.audit
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let rule = |key, rule: &str| {
            Err(ConfigError::Rule {
                key,
                rule: rule.to_owned(),
            })
        };
        self.instagram.validate(self.auth.demo_secrets)?;
        if !(1..=100).contains(&self.telegram.max_connections) {
            return rule("telegram.max_connections", "must be 1 to 100");
        }
        if self.delivery.lease < self.telegram.call_timeout + Duration::from_secs(5) {
            return rule(
                "delivery.lease",
                "must exceed telegram.call_timeout by 5s at least",
            );
        }
        if self.delivery.concurrency == 0 {
            return rule("delivery.concurrency", "must not be 0");
        }
        if self.delivery.long_lease < self.mail.submit_timeout * 2 + Duration::from_secs(5) {
            return rule(
                "delivery.long_lease",
                "must exceed twice mail.submit_timeout by 5s at least",
            );
        }
        if self.mail.lease < self.mail.renew * 3 {
            return rule("mail.lease", "must be three times mail.renew at least");
        }
        let field = self.http.client_address_header.as_bytes();
        if !field.is_empty() && HeaderName::from_bytes(field).is_err() {
            return rule(
                "http.client_address_header",
                "must be empty or the name of a header field",
            );
        }
        if self.packs.max_events == 0 {
            return rule("packs.max_events", "must not be 0");
        }
        if self.files.store == ObjectStore::S3 && self.files.bucket.is_empty() {
            return rule("files.bucket", "must be set for files.store = \"s3\"");
        }
        let endpoint = &self.files.endpoint;
        if !endpoint.is_empty()
            && !endpoint.starts_with("https://")
            && !endpoint.starts_with("http://")
        {
            return rule(
                "files.endpoint",
                "must be empty, or begin with https:// or http://",
            );
        }
        for (key, number) in [
            ("files.concurrency", self.files.concurrency),
            ("files.per_channel", self.files.per_channel),
            ("files.tries", self.files.tries),
            ("files.transfers", self.files.transfers),
        ] {
            if !(1..=1_000).contains(&number) {
                return rule(key, "must be 1 to 1000");
            }
        }
        let quota = self.files.upload_quota;
        if quota > 0 && quota < self.files.max_size {
            return rule(
                "files.upload_quota",
                "must be 0 for no limit, or not less than files.max_size",
            );
        }
        let kept = self.files.sent_kept;
        if !kept.is_zero() && !(SENT_KEPT_MIN..=SENT_KEPT_MAX).contains(&kept) {
            return rule(
                "files.sent_kept",
                "must be 0s for good, or 31d to 36500d: providers read files for a month",
            );
        }
        if self.files.idle.is_zero() || self.files.total < self.files.idle {
            return rule("files.total", "must not be less than files.idle");
        }
        if self.files.sweep.is_zero() {
            return rule("files.sweep", "must not be 0s");
        }
        for (key, rate) in [
            (
                "delivery.channel_per_second",
                self.delivery.channel_per_second,
            ),
            ("delivery.chat_per_second", self.delivery.chat_per_second),
        ] {
            if !rate.is_finite() || rate <= 0.0 {
                return rule(key, "must be above 0");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn o1_9_what_is_written_of_the_configuration_is_what_is_declared() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        chassis::testing::configuration::<Config>("channel-gateway", Config::EMBEDDED, folder);
    }

    #[test]
    fn the_embedded_defaults_are_complete_and_valid() {
        let config: Config = config::load_from(Config::EMBEDDED, None, HashMap::new()).unwrap();
        config.validate().unwrap();
    }

    #[test]
    fn a_rule_that_does_not_hold_names_its_key() {
        for (variable, value, key) in [
            ("SWITCHBOARD_DELIVERY__LEASE", "1s", "delivery.lease"),
            (
                "SWITCHBOARD_HTTP__CLIENT_ADDRESS_HEADER",
                "x y",
                "http.client_address_header",
            ),
            (
                "SWITCHBOARD_FILES__UPLOAD_QUOTA",
                "1MiB",
                "files.upload_quota",
            ),
            ("SWITCHBOARD_FILES__SENT_KEPT", "30d", "files.sent_kept"),
            ("SWITCHBOARD_FILES__STORE", "s3", "files.bucket"),
            (
                "SWITCHBOARD_FILES__ENDPOINT",
                "s3.example",
                "files.endpoint",
            ),
            ("SWITCHBOARD_FILES__SWEEP", "0s", "files.sweep"),
            // O1.12: what stands in the repository is no secret.
            (
                "SWITCHBOARD_INSTAGRAM__APP_SECRET",
                "local-demo-app-secret",
                "instagram.app_secret",
            ),
            (
                "SWITCHBOARD_INSTAGRAM__PRODUCT_SECRET",
                "app-secret",
                "instagram.product_secret",
            ),
            (
                "SWITCHBOARD_INSTAGRAM__VERIFY_TOKEN",
                "local-demo-verify-token",
                "instagram.verify_token",
            ),
        ] {
            let changed = HashMap::from([(variable.to_owned(), value.to_owned())]);
            let config: Config = config::load_from(Config::EMBEDDED, None, changed).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let demo = [
            ("SWITCHBOARD_INSTAGRAM__APP_SECRET", "local-demo-app-secret"),
            ("SWITCHBOARD_AUTH__DEMO_SECRETS", "true"),
        ];
        let demo = demo.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config: Config = config::load_from(Config::EMBEDDED, None, demo.into()).unwrap();
        config.validate().unwrap();
        let free = HashMap::from([("SWITCHBOARD_FILES__UPLOAD_QUOTA".to_owned(), "0".to_owned())]);
        let config: Config = config::load_from(Config::EMBEDDED, None, free).unwrap();
        config.validate().unwrap();
    }
}
