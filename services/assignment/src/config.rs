//! This service's configuration; every key stands commented in `config.toml`.

use std::time::Duration;

use chassis::config::{
    self, Admin, Audit, Auth, ConfigError, Database, Grpc, Limits, Nats, Relay, Telemetry,
};
use chassis::run::ServiceConfig;
use serde::Deserialize;

/// The configuration of assignment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    database: Database,
    nats: Nats,
    grpc: Grpc,
    admin: Admin,
    auth: Auth,
    telemetry: Telemetry,
    relay: Relay,
    limits: Limits,
    audit: Audit,
    /// `[distribution]`
    pub distribution: Distribution,
    /// `[availability]`
    pub availability: Availability,
    /// `[retention]`
    pub retention: Retention,
    /// `[peers]`
    pub peers: Peers,
}

/// `[peers]`: the services that are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// The service that knows chats first.
    pub conversation: String,
}

/// `[retention]`: how long what happened is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many days it is kept who was chosen for a chat and why; 0 is for ever.
    pub choices_days: u32,
}

/// `[distribution]`: giving chats to agents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How often waiting chats are looked at besides the moments when somebody becomes eligible.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
}

/// `[availability]`: working hours and presence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Availability {
    /// How often it is looked at what working hours, ends and streams bring about.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
    /// How long an agent stays online after their last stream.
    #[serde(with = "config::duration")]
    pub grace: Duration,
}

impl Config {
    /// Every key with its default.
    pub const EMBEDDED: &'static str = include_str!("../config.toml");
}

impl ServiceConfig for Config {
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
    fn the_embedded_configuration_is_whole() {
        let none = std::collections::HashMap::new();
        let config: Config = config::load_from(Config::EMBEDDED, None, none).unwrap();
        config.validate().unwrap();
    }
}
