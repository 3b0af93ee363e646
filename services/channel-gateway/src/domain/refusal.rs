//! What a provider's refusal means, in the words that all channels share.

use std::time::Duration;

/// What is to be done about a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Wait so long; then the same again. It may mean the chat or the whole line: where it is said repeatedly, the line
    /// waits as a whole.
    Flood(Duration),
    /// Wait so long; then the same again. It means the chat alone, however many chats it is said of.
    ChatFlood(Duration),
    /// The chat has another id now; the same again to that one.
    Moved(String),
    /// The message that is answered is gone: the same again without the reference.
    WithoutReply,
    /// The formatting is not understood: the same again as plain text.
    Plain,
    /// The picture is not taken as one: the same again with it as a document.
    AsDocument,
    /// It was so already: that is success.
    AlreadySo,
    /// The provider is out of order: again later.
    Outage,
    /// It stays refused.
    Refused(Refusal),
    /// The provider takes nothing from the whole line for now, though the credentials are good: what is to be sent waits, and
    /// an administrator is told.
    Paused(Refusal),
    /// The provider refuses the whole line, not this message: an administrator must connect the channel anew.
    Disconnected(Refusal),
}

/// A refusal that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// A sentence that an agent can read.
    pub detail: &'static str,
    /// A later retry by an agent may succeed.
    pub retryable: bool,
}

/// Returns how long a provider asks to wait: a second at least, and a day at most, whatever its header says.
pub fn asked(seconds: u64) -> Duration {
    Duration::from_secs(seconds.clamp(1, 86_400))
}

/// The reason of a refusal by which a client's block shows.
pub const BLOCKED: &str = "CLIENT_BLOCKED_CHANNEL";

/// Returns a refusal that a retry would meet again.
pub const fn refusal(reason: &'static str, detail: &'static str) -> Class {
    Class::Refused(Refusal {
        reason,
        detail,
        retryable: false,
    })
}

/// Returns a refusal that may have passed when an agent retries.
pub const fn passing(reason: &'static str, detail: &'static str) -> Class {
    Class::Refused(Refusal {
        reason,
        detail,
        retryable: true,
    })
}
