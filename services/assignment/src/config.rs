//! This service's configuration; every key stands commented in `config.toml`.

use std::time::Duration;

use chassis::config::{
    self, Admin, Auth, ConfigError, Database, Grpc, Limits, Nats, Relay, Telemetry,
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
    /// `[distribution]`
    pub distribution: Distribution,
}

/// `[distribution]`: giving chats to agents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How often waiting chats are looked at besides the moments when somebody becomes eligible.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
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
    fn validate(&self) -> Result<(), ConfigError> {
        if self.distribution.sweep < Duration::from_millis(100) {
            let rule = "must be at least 100ms".into();
            return Err(ConfigError::Rule {
                key: "distribution.sweep",
                rule,
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
