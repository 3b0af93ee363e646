//! Configuration of the service; `config.toml` beside `Cargo.toml` holds the defaults and what each key means.

use std::time::Duration;

use chassis::config::{self, ConfigError};
use chassis::run::ServiceConfig;
use serde::Deserialize;

/// All sections.
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
    /// `[peers]`
    pub peers: Peers,
    /// `[parked]`
    pub parked: Parked,
    /// `[activity]`
    pub activity: Activity,
}

/// `[peers]`: the services that are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Assignment's gRPC.
    pub assignment: String,
    /// The gateway's gRPC.
    pub channel_gateway: String,
    /// The CRM's gRPC.
    pub crm_cards: String,
}

/// `[parked]`: what overtook its message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parked {
    /// How long it waits.
    #[serde(with = "config::duration")]
    pub wait: Duration,
    /// How often that is looked at.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
}

/// `[activity]`: the log of what happened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// How long an entry is kept.
    #[serde(with = "config::duration")]
    pub kept: Duration,
    /// How often that is looked at.
    #[serde(with = "config::duration")]
    pub sweep: Duration,
}

impl Config {
    /// The embedded defaults.
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
        for (key, every) in [
            ("parked.sweep", self.parked.sweep),
            ("activity.sweep", self.activity.sweep),
        ] {
            if every.is_zero() {
                let rule = "must be longer than nothing".into();
                return Err(ConfigError::Rule { key, rule });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_a_configuration() {
        let config: Config =
            config::load_from(Config::EMBEDDED, None, std::collections::HashMap::new()).unwrap();
        config.validate().unwrap();
        assert_eq!(config.parked.wait, Duration::from_hours(24));
        assert_eq!(config.activity.kept, Duration::from_hours(365 * 24));
    }
}
