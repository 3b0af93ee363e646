//! Who may write: what a copy of assignment's word is good for (§5).

use super::AgentId;
use super::assignment::Assignment;
use super::chat::Chat;

/// Tells whether the own copy admits an agent's message.
///
/// A copy may admit and never refuses: without an open conversation, or with a word about an earlier one,
/// assignment is asked. So it is for who has joined: by writing they may become the responsible, which the channel
/// says (D09), and a copy does not know. And so it is for a responsible who was offered the chat: by writing they take
/// it, and assignment has to hear of it.
pub fn copy_admits(chat: &Chat, copy: Option<&Assignment>, agent: AgentId) -> bool {
    let (Some(open), Some(copy)) = (chat.open_episode(), copy) else {
        return false;
    };
    copy.number == open.number && copy.responsible == Some(agent) && !copy.offered
}

/// What assignment was told when it admitted. A chat that differs from it is another chat: it is asked anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Number of the newest conversation; 0 where there is none.
    pub number: i64,
    /// Its revision.
    pub revision: i64,
    /// It is open.
    pub open: bool,
}

impl Standing {
    /// Returns how a chat stands.
    pub fn of(chat: &Chat) -> Self {
        let episode = chat.episode.as_ref();
        Self {
            number: episode.map_or(0, |episode| episode.number),
            revision: episode.map_or(0, |episode| episode.revision),
            open: chat.open_episode().is_some(),
        }
    }
}
