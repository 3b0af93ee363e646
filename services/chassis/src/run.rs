//! Running a service: verbs, configuration, telemetry, signals; and what `serve` is given.

mod broker;
mod command;
mod configured;
mod database;
mod service;
mod statistics;
mod version;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::config;
use crate::meter::Described;

pub use command::main;

/// The commit that this program was built of: what the build was told by `SWITCHBOARD_COMMIT`; empty where it was not.
pub const COMMIT: &str = match option_env!("SWITCHBOARD_COMMIT") {
    Some(commit) => commit,
    None => "",
};

pub use database::migrate_database;
pub(crate) use database::{APPLICATION, connect_options, read_password};
pub use service::{Service, Stopped};

/// A service's configuration, as far as the chassis needs it.
pub trait ServiceConfig: DeserializeOwned + JsonSchema + Send + 'static {
    /// `[database]`
    fn database(&self) -> &config::Database;
    /// `[nats]`
    fn nats(&self) -> &config::Nats;
    /// `[grpc]`
    fn grpc(&self) -> &config::Grpc;
    /// `[admin]`
    fn admin(&self) -> &config::Admin;
    /// `[auth]`
    fn auth(&self) -> &config::Auth;
    /// `[telemetry]`
    fn telemetry(&self) -> &config::Telemetry;
    /// `[relay]`
    fn relay(&self) -> &config::Relay;
    /// `[limits]`
    fn limits(&self) -> &config::Limits;
    /// `[audit]`
    fn audit(&self) -> &config::Audit;

    /// Returns what this service measures beside what all services do: `ALL` of its `figures.rs`.
    fn figures() -> &'static [Described] {
        &[]
    }

    /// Checks rules over several keys; called once, after loading.
    fn validate(&self) -> Result<(), config::ConfigError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
