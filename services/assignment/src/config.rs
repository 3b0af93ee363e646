//! Configuration of the service: what keys mean stands here, their defaults in `config.toml`, which is written from both.

use std::time::Duration;

use chassis::config::{
    self, Admin, Audit, Auth, ConfigError, Database, Grpc, Limits, Nats, Relay, Telemetry,
};
use chassis::run::ServiceConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of assignment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This service's own Postgres database.
    database: Database,
    /// The broker, and the bounds of the streams that this service declares.
    nats: Nats,
    /// Where the gRPC server listens.
    grpc: Grpc,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    admin: Admin,
    /// Which tokens are believed, and the one with which other services are called.
    auth: Auth,
    /// Logs and traces.
    telemetry: Telemetry,
    /// From the outbox to the broker.
    relay: Relay,
    /// How much one account may ask.
    limits: Limits,
    /// Who changed which setting.
    audit: Audit,
    /// Giving chats to agents.
    pub distribution: Distribution,
    /// Working hours and presence.
    pub availability: Availability,
    /// How long what happened is told.
    pub retention: Retention,
    /// The services that are called.
    pub peers: Peers,
}

/// `[peers]`: the services that are called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// The service that knows chats first.
    pub conversation: String,
}

/// `[retention]`: how long what happened is told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many days it is kept who was chosen for a chat, and why; 0 is for ever. What is about a conversation that is still
    /// open stays.
    pub choices_days: u32,
}

/// `[distribution]`: giving chats to agents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How often waiting chats are looked at besides the moments when somebody becomes eligible: what a process that died after
    /// its commit left undone is done by then.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
}

/// `[availability]`: working hours and presence.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Availability {
    /// How often it is looked at what working hours, ends of a presence and gone streams bring about.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub sweep: Duration,
    /// How long an agent whose presence follows streams stays online after the last of them: a third of it is how often a
    /// stream's lease is renewed.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub grace: Duration,
}

impl Config {
    /// Every key with its default.
    pub const EMBEDDED: &'static str = include_str!("../config.toml");
}

impl ServiceConfig for Config {
    fn figures() -> &'static [chassis::meter::Described] {
        crate::figures::ALL
    }
    fn database(&self) -> &Database {
        &self.database
    }
    fn nats(&self) -> &Nats {
        &self.nats
    }
    fn grpc(&self) -> &Grpc {
        &self.grpc
    }
    fn admin(&self) -> &Admin {
        &self.admin
    }
    fn auth(&self) -> &Auth {
        &self.auth
    }
    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
    fn relay(&self) -> &Relay {
        &self.relay
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn audit(&self) -> &Audit {
        &self.audit
    }
    fn validate(&self) -> Result<(), ConfigError> {
        if self.distribution.sweep < Duration::from_millis(100) {
            let rule = "must be at least 100ms".into();
            return Err(ConfigError::Rule {
                key: "distribution.sweep",
                rule,
            });
        }
        let sweep = Duration::from_millis(100)..=Duration::from_secs(10);
        if !sweep.contains(&self.availability.sweep) {
            return Err(ConfigError::Rule {
                key: "availability.sweep",
                rule: "must be between 100ms and 10s".into(),
            });
        }
        let grace = Duration::from_secs(1)..=Duration::from_hours(1);
        if !grace.contains(&self.availability.grace) {
            return Err(ConfigError::Rule {
                key: "availability.grace",
                rule: "must be between 1s and 1h".into(),
            });
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
        chassis::testing::configuration::<Config>("assignment", Config::EMBEDDED, folder);
    }

    #[test]
    fn the_embedded_configuration_is_whole() {
        let none = std::collections::HashMap::new();
        let config: Config = config::load_from(Config::EMBEDDED, None, none).unwrap();
        config.validate().unwrap();
    }
}
