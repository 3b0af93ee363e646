//! Pure decisions: what an agent may do, what a chat's state becomes, who gets a chat. No I/O, no clock.

pub mod access;
pub mod actions;
pub mod availability;
pub mod calendar;
pub mod candidates;
pub mod chat;
pub mod choose;
pub mod policy;
pub mod sync;
pub mod words;

chassis::uuid_id!(
    /// A chat: the thread between one client and one channel.
    pub struct ChatId
);
chassis::uuid_id!(
    /// A channel.
    pub struct ChannelId
);
chassis::uuid_id!(
    /// A conversation: one opened-to-closed episode of a chat.
    pub struct ConversationId
);
chassis::uuid_id!(
    /// A role: what many agents may do.
    pub struct RoleId
);
chassis::uuid_id!(
    /// A group of agents.
    pub struct GroupId
);
