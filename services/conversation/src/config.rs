//! Configuration of the service: what keys mean stands here, their defaults in `config.toml`, which is written from both.

use std::time::Duration;

use chassis::config::{self, ConfigError};
use chassis::run::ServiceConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// All sections.
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
    /// The services that are called.
    pub peers: Peers,
    /// What overtook its message.
    pub parked: Parked,
    /// The log of what happened.
    pub activity: Activity,
    /// What bots have done.
    pub bots: Bots,
}

/// `[peers]`: the services that are called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Assignment's gRPC.
    pub assignment: String,
    /// The gateway's gRPC: files of quick replies.
    pub channel_gateway: String,
    /// The CRM's gRPC: contacts that are written to first, entities that are talked about.
    pub crm_cards: String,
}

/// `[parked]`: what overtook its message.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parked {
    /// How long an edit or a reaction waits for its message before the edit is stored as the message it carries and the
    /// reaction is dropped.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub wait: Duration,
    /// How often that is looked at.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
}

/// `[activity]`: the log of what happened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// How long it is kept what happened in an account.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub kept: Duration,
    /// How often that is looked at.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
}

/// `[bots]`: what bots have done.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bots {
    /// How long a run that has ended is kept, and who was asked of NPS by which message in conversations that have ended; a
    /// day at least. What clients answered to NPS is kept for as long as conversations are.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub kept: Duration,
    /// How often that is looked at.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
}

impl Config {
    /// The embedded defaults.
    pub const EMBEDDED: &'static str = include_str!("../config.toml");
}

impl ServiceConfig for Config {
    fn figures() -> &'static [chassis::meter::Described] {
        crate::figures::ALL
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
        for (key, every) in [
            ("parked.sweep", self.parked.sweep),
            ("activity.sweep", self.activity.sweep),
            ("bots.sweep", self.bots.sweep),
        ] {
            if every.is_zero() {
                let rule = "must be longer than nothing".into();
                return Err(ConfigError::Rule { key, rule });
            }
        }
        // By its run a repeated start is known.
        if self.bots.kept < Duration::from_hours(24) {
            let (key, rule) = ("bots.kept", "must be a day or longer".into());
            return Err(ConfigError::Rule { key, rule });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_9_what_is_written_of_the_configuration_is_what_is_declared() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        chassis::testing::configuration::<Config>("conversation", Config::EMBEDDED, folder);
    }

    #[test]
    fn the_embedded_defaults_are_a_configuration() {
        let config: Config =
            config::load_from(Config::EMBEDDED, None, std::collections::HashMap::new()).unwrap();
        config.validate().unwrap();
        assert_eq!(config.parked.wait, Duration::from_hours(24));
        assert_eq!(config.activity.kept, Duration::from_hours(365 * 24));
        assert_eq!(config.bots.kept, Duration::from_hours(365 * 24));
        let mut hasty = config;
        hasty.bots.kept = Duration::from_hours(23);
        assert!(hasty.validate().is_err());
    }
}
