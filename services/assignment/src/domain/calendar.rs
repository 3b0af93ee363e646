//! Whose working hours there are.

use chassis::id::AgentId;

use super::ChannelId;

/// Whose calendar it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The account.
    Account,
    /// A channel.
    Channel(ChannelId),
    /// An agent.
    Agent(AgentId),
}
