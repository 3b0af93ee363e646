//! The configuration of this service; `config.toml` holds the defaults and says what each key means.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;
use chassis::config::{self, ConfigError};
use chassis::run::ServiceConfig;
use secrecy::SecretString;
use serde::Deserialize;

mod health;

pub use health::Health;

/// A link by which a provider reads a file is good for 30 days.
const SENT_KEPT_MIN: Duration = Duration::from_hours(31 * 24);
const SENT_KEPT_MAX: Duration = Duration::from_hours(36_500 * 24);

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[database]`
    pub database: config::Database,
    /// `[nats]`
    pub nats: config::Nats,
    /// `[grpc]`
    pub grpc: config::Grpc,
    /// `[admin]`
    pub admin: config::Admin,
    /// `[auth]`
    pub auth: config::Auth,
    /// `[telemetry]`
    pub telemetry: config::Telemetry,
    /// `[relay]`
    pub relay: config::Relay,
    /// `[limits]`
    pub limits: config::Limits,
    /// `[audit]`
    pub audit: config::Audit,
    /// `[http]`
    pub http: Http,
    /// `[packs]`
    pub packs: Packs,
    /// `[telegram]`
    pub telegram: Telegram,
    /// `[viber]`
    pub viber: Viber,
    /// `[instagram]`
    pub instagram: Instagram,
    /// `[mail]`
    pub mail: Mail,
    /// `[seal]`
    pub seal: Seal,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[peers]`
    pub peers: Peers,
    /// `[files]`
    pub files: Files,
    /// `[health]`
    pub health: Health,
}

/// `[http]`: where providers call us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How providers reach that address, without a slash at the end.
    pub public_url: String,
    /// The field in which a proxy before us tells from where it is called; empty where there is none.
    pub client_address_header: String,
    /// Bytes of a body at most.
    #[serde(with = "config::bytes")]
    pub body_limit: u64,
    /// How long a request may take.
    #[serde(with = "config::duration")]
    pub deadline: Duration,
    /// Webhook calls per second and account that a replica admits over time.
    pub requests_per_second_per_account: NonZeroU32,
    /// Webhook calls of one account that are admitted at once.
    pub burst: NonZeroU32,
}

/// `[packs]`: how accepted items are packed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packs {
    /// Items of one pack at most; 1 turns packing off.
    pub max_events: usize,
}

/// `[telegram]`: the Bot API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// Where it is. The only address that is called.
    pub api_url: String,
    /// Simultaneous webhook calls of one bot, 1 to 100.
    pub max_connections: u8,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    pub connect_timeout: Duration,
    /// How long a call may take.
    #[serde(with = "config::duration")]
    pub call_timeout: Duration,
}

/// `[viber]`: the REST Bot API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viber {
    /// Where it is. The only address that is called.
    pub api_url: String,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    pub connect_timeout: Duration,
    /// How long a call may take.
    #[serde(with = "config::duration")]
    pub call_timeout: Duration,
}

/// `[instagram]`: the Graph API and the Meta app.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instagram {
    /// The host of accounts by Instagram Login.
    pub instagram_url: String,
    /// The host of accounts by Facebook Login.
    pub facebook_url: String,
    /// Version of the Graph API.
    pub version: String,
    /// The app's secret: what Meta signs webhooks with.
    pub app_secret: SecretString,
    /// The secret of the app's Instagram product, where it has one: Meta signs with either.
    pub product_secret: SecretString,
    /// What was entered as token where the webhook's address was entered.
    pub verify_token: SecretString,
    /// Bytes of a webhook's body at most.
    #[serde(with = "config::bytes")]
    pub body_limit: u64,
    /// Bytes of bodies for accounts that are connected nowhere here that a replica keeps a second, over time.
    #[serde(with = "config::bytes")]
    pub unclaimed_per_second: u64,
    /// Bytes of such bodies that it keeps at once.
    #[serde(with = "config::bytes")]
    pub unclaimed_burst: u64,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    pub connect_timeout: Duration,
    /// How long a call may take.
    #[serde(with = "config::duration")]
    pub call_timeout: Duration,
}

/// `[mail]`: mailboxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The name by which mail servers are greeted.
    pub hello: String,
    /// Connections without TLS are allowed: for tests on one machine.
    pub allow_plain: bool,
    /// Servers at private addresses are allowed.
    pub allow_private: bool,
    /// How long a connection may take.
    #[serde(with = "config::duration")]
    pub connect_timeout: Duration,
    /// How long a connection may stand still.
    #[serde(with = "config::duration")]
    pub idle_timeout: Duration,
    /// How long one step of handing a mail over may take; there are two.
    #[serde(with = "config::duration")]
    pub submit_timeout: Duration,
    /// For how long a mail is tried to be handed over.
    #[serde(with = "config::duration")]
    pub max_age: Duration,
    /// Mailboxes that one replica follows at most.
    pub capacity: usize,
    /// How long a mailbox is held without a sign of life: another replica takes it over after that.
    #[serde(with = "config::duration")]
    pub lease: Duration,
    /// How often mailboxes are looked through for new ones, and their leases renewed.
    #[serde(with = "config::duration")]
    pub renew: Duration,
    /// How often a mailbox is looked into even when its server announces nothing.
    #[serde(with = "config::duration")]
    pub poll: Duration,
    /// How long is waited after a refused login.
    #[serde(with = "config::duration")]
    pub after_refusal: Duration,
    /// A larger mail is cut: its header, its first text and the list of its files are kept.
    #[serde(with = "config::bytes")]
    pub size_limit: u64,
}

/// `[seal]`: secrets at rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Keys, one a line, 32 bytes in base64; the first seals.
    pub key_file: PathBuf,
}

/// `[delivery]`: what goes out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Provider calls at once.
    pub concurrency: u32,
    /// How long a claimed chat is held; must exceed the provider's call.
    #[serde(with = "config::duration")]
    pub lease: Duration,
    /// The same for mails and for what carries files.
    #[serde(with = "config::duration")]
    pub long_lease: Duration,
    /// After how long a command that never reached the provider fails.
    #[serde(with = "config::duration")]
    pub max_age: Duration,
    /// How long a missing command is waited for before conversation is asked.
    #[serde(with = "config::duration")]
    pub gap: Duration,
    /// How often due chats are looked for when nobody says so.
    #[serde(with = "config::duration")]
    pub poll: Duration,
    /// Messages per second of one channel.
    pub channel_per_second: f64,
    /// Messages of one channel at once.
    pub channel_burst: u32,
    /// Messages per second of one chat.
    pub chat_per_second: f64,
    /// Messages of one chat at once.
    pub chat_burst: u32,
}

/// `[peers]`: the other services.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// gRPC address of assignment.
    pub assignment: String,
    /// gRPC address of conversation.
    pub conversation: String,
}

/// `[files]`: files in and out, and raw items too large to travel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Where they are kept.
    pub store: ObjectStore,
    /// The folder, for `local`.
    pub folder: PathBuf,
    /// The bucket, for `s3`.
    pub bucket: String,
    /// The region, for `s3`.
    pub region: String,
    /// The address of a server that speaks S3; empty is Amazon's own.
    pub endpoint: String,
    /// Bytes of one file at most, whichever way it goes.
    #[serde(with = "config::bytes")]
    pub max_size: u64,
    /// Bytes that the uploads of one account may take together; 0 for no limit.
    #[serde(with = "config::bytes")]
    pub upload_quota: u64,
    /// How long files are kept that were sent; 0 for good.
    #[serde(with = "config::duration")]
    pub sent_kept: Duration,
    /// How long a file may bring nothing.
    #[serde(with = "config::duration")]
    pub idle: Duration,
    /// How long a file may take.
    #[serde(with = "config::duration")]
    pub total: Duration,
    /// Files that are fetched at once.
    pub concurrency: u32,
    /// Files of one channel that are fetched at once.
    pub per_channel: u32,
    /// How often a file is tried to be fetched before it counts as failed.
    pub tries: u32,
    /// How often due files are looked for when nobody says so.
    #[serde(with = "config::duration")]
    pub poll: Duration,
    /// How often files are looked for whose time has come.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
    /// Agents' uploads, and readers of files, that are served at once.
    pub transfers: u32,
    /// Fetch from private addresses and without TLS too.
    pub allow_private: bool,
}

/// The kind of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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

impl ServiceConfig for Config {
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
        ] {
            let changed = HashMap::from([(variable.to_owned(), value.to_owned())]);
            let config: Config = config::load_from(Config::EMBEDDED, None, changed).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let free = HashMap::from([("SWITCHBOARD_FILES__UPLOAD_QUOTA".to_owned(), "0".to_owned())]);
        let config: Config = config::load_from(Config::EMBEDDED, None, free).unwrap();
        config.validate().unwrap();
    }
}
