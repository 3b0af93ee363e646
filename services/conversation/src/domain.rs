//! Pure decisions: what an inbound message does to a chat, what counts as unanswered, how delivery states merge,
//! who may write. No I/O, no clock, no randomness.

pub mod activity;
pub mod admission;
pub mod album;
pub mod amendment;
pub mod assignment;
pub mod bot;
pub mod channel_rule;
pub mod chat;
pub mod chat_presence;
pub mod delivery;
pub mod first_message;
pub mod internal_chat;
pub mod label;
pub mod own_amendment;
pub mod preview;
pub mod quick_reply;
pub mod search;
pub mod words;

/// Characters of a message's text at most.
pub const TEXT_MAX: usize = 20_000;

/// Files of a message at most.
pub const FILES_MAX: usize = 20;

chassis::uuid_id!(
    /// A bot: a scenario that talks to clients by itself.
    pub struct BotId
);
chassis::uuid_id!(
    /// A channel: one connected line.
    pub struct ChannelId
);
chassis::uuid_id!(
    /// A chat: the lasting thread between one client and one channel.
    pub struct ChatId
);
chassis::uuid_id!(
    /// A client: the person outside, as one channel knows them.
    pub struct ClientId
);
chassis::uuid_id!(
    /// A conversation: one opened-to-closed episode of a chat.
    pub struct ConversationId
);
chassis::uuid_id!(
    /// A message of a chat.
    pub struct MessageId
);

pub use chassis::id::AgentId;
