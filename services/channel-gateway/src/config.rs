//! The configuration of this service; `config.toml` holds the defaults and says what each key means.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use chassis::config::{self, ConfigError};
use chassis::run::ServiceConfig;
use serde::Deserialize;

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
    /// `[http]`
    pub http: Http,
    /// `[packs]`
    pub packs: Packs,
    /// `[telegram]`
    pub telegram: Telegram,
    /// `[seal]`
    pub seal: Seal,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[peers]`
    pub peers: Peers,
}

/// `[http]`: where providers call us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How providers reach that address, without a slash at the end.
    pub public_url: String,
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
        if self.packs.max_events == 0 {
            return rule("packs.max_events", "must not be 0");
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
        let short = HashMap::from([("SWITCHBOARD_DELIVERY__LEASE".to_owned(), "1s".to_owned())]);
        let config: Config = config::load_from(Config::EMBEDDED, None, short).unwrap();
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .contains("delivery.lease")
        );
    }
}
