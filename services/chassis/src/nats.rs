//! The broker's connection.

use crate::config;

/// Connects to the broker.
pub async fn connect(config: &config::Nats) -> anyhow::Result<async_nats::Client> {
    Ok(async_nats::connect(&config.url).await?)
}
