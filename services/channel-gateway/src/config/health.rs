//! `[health]`.

use std::time::Duration;

use chassis::config;
use serde::Deserialize;

/// `[health]`: how often channels are looked at (B10).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// How often due channels are looked for.
    #[serde(with = "config::duration")]
    pub poll: Duration,
    /// Channels that one replica looks at at once.
    pub concurrency: usize,
    /// How often a bot of Telegram is looked at.
    #[serde(with = "config::duration")]
    pub telegram: Duration,
    /// How often a bot of Viber is.
    #[serde(with = "config::duration")]
    pub viber: Duration,
    /// How often an Instagram profile is.
    #[serde(with = "config::duration")]
    pub instagram: Duration,
    /// How often it is looked whether a mailbox can be read.
    #[serde(with = "config::duration")]
    pub mail: Duration,
}
