//! Configuration of the service: what keys mean stands here, their defaults in `config.toml`, which is written from both.

use chassis::config;
use chassis::run::ServiceConfig;
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of this service.
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
    /// Addresses of other services.
    pub peers: Peers,
}

/// `[peers]`: addresses of other services.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// The service that evaluates agents' rights.
    pub assignment: String,
    /// The service that knows messages.
    pub conversation: String,
}

impl Config {
    /// The defaults.
    pub const EMBEDDED: &str = include_str!("../config.toml");
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_9_what_is_written_of_the_configuration_is_what_is_declared() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        chassis::testing::configuration::<Config>("crm-cards", Config::EMBEDDED, folder);
    }

    #[test]
    fn the_embedded_defaults_are_a_whole_configuration() {
        let config: Config = config::load(Config::EMBEDDED, None).unwrap();
        assert_eq!(config.grpc.listen.port(), 7103);
        assert_eq!(config.admin.listen.port(), 7113);
    }
}
