//! The copy of assignment's word on a chat.

use super::{AgentId, ChatId};

/// Who answers for a chat. The highest version wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The chat.
    pub chat: ChatId,
    /// Number of the conversation it was made for.
    pub number: i64,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// Agents who have joined, longest first.
    pub participants: Vec<AgentId>,
    /// Raised with every change.
    pub version: i64,
    /// Distribution offered the chat to the responsible, who has not taken it yet.
    pub offered: bool,
}

/// Keeps the highest version of each chat, sorted by chat.
pub fn newest(assignments: Vec<Assignment>) -> Vec<Assignment> {
    let mut newest = std::collections::BTreeMap::<ChatId, Assignment>::new();
    for assignment in assignments {
        match newest.get(&assignment.chat) {
            Some(kept) if kept.version >= assignment.version => {}
            _ => {
                newest.insert(assignment.chat, assignment);
            }
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_highest_version_of_each_chat_stays() {
        let of = |chat, version| Assignment {
            chat: Uuid::from_u128(chat).into(),
            number: 1,
            responsible: None,
            participants: Vec::new(),
            version,
            offered: false,
        };
        let kept = newest(vec![of(2, 1), of(1, 3), of(1, 2), of(2, 4)]);
        assert_eq!(kept, [of(1, 3), of(2, 4)]);
    }
}
