//! `[health]`.

use std::time::Duration;

use chassis::config;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[health]`: how often channels are looked at (B10).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// How often channels are looked for whose health is to be looked at.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub poll: Duration,
    /// Channels that a replica looks at at once.
    pub concurrency: usize,
    /// How often a bot of Telegram is looked at: where its provider calls, what waits there.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub telegram: Duration,
    /// How often a bot of Viber is.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub viber: Duration,
    /// How often an Instagram profile is looked at: whether it is subscribed, how long its token lasts.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub instagram: Duration,
    /// How often it is looked whether a mailbox can be read.
    #[serde(with = "config::duration")]
    #[schemars(with = "config::forms::DurationText")]
    pub mail: Duration,
}
