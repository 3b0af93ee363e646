//! Configuration; the embedded `config.toml` is its documentation.

use chassis::config;
use chassis::run::ServiceConfig;
use serde::Deserialize;

/// The configuration of this service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This service's database.
    pub database: config::Database,
    /// The broker.
    pub nats: config::Nats,
    /// The gRPC server.
    pub grpc: config::Grpc,
    /// Probes and metrics.
    pub admin: config::Admin,
    /// Tokens.
    pub auth: config::Auth,
    /// Logs and traces.
    pub telemetry: config::Telemetry,
    /// From the outbox to the broker.
    pub relay: config::Relay,
    /// What one account may ask.
    pub limits: config::Limits,
    /// Who changed which setting.
    pub audit: config::Audit,
    /// Where other services are.
    pub peers: Peers,
}

/// `[peers]`: addresses of other services.
#[derive(Debug, Clone, Deserialize)]
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
    fn the_embedded_defaults_are_a_whole_configuration() {
        let config: Config = config::load(Config::EMBEDDED, None).unwrap();
        assert_eq!(config.grpc.listen.port(), 7103);
        assert_eq!(config.admin.listen.port(), 7113);
    }
}
