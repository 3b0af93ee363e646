//! What agents do with chats (F148–F162): who may, and what becomes of the responsible and of those who have joined.

use chassis::id::AgentId;

use super::candidates::LeftOut;
use super::chat::Chat;

/// Agents beside the responsible of one chat at most.
pub const MAX_PARTICIPANTS: usize = 50;

/// Why an act is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The chat has no open conversation.
    NotOpen,
    /// Another than the caller saw is responsible (X03).
    Changed(Option<AgentId>),
    /// Nobody is responsible.
    Nobody,
    /// The caller neither answers for the chat nor has joined it; who is responsible (D19, F149).
    JoinFirst(AgentId),
    /// The caller does not take part.
    NotIn,
    /// Nobody could take over (F161).
    Sole,
    /// More would take part than may.
    TooMany,
    /// The caller may not have this chat.
    Barred(LeftOut),
    /// The account does not have this agent.
    Unknown(AgentId),
    /// The agent to whom the chat would be handed may not have it.
    TargetBarred(AgentId, LeftOut),
    /// Agents who would be added and may not have the chat.
    AllBarred(Vec<(AgentId, LeftOut)>),
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An agent; the rights of those who work with the chat are theirs only where they do.
    Agent(AgentId),
    /// An agent who may change settings, or a service.
    Supervisor,
}

/// What leaving does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// A participant is one less; the responsible stays.
    Participant,
    /// The responsible is followed by this one (D24).
    FollowedBy(AgentId),
}

/// Refuses what is done with a chat that is not open, or has another responsible than the caller saw.
pub fn as_seen(chat: &Chat, expected: Option<Option<AgentId>>) -> Result<(), Refusal> {
    if !chat.open {
        return Err(Refusal::NotOpen);
    }
    match expected {
        Some(expected) if expected != chat.agent => Err(Refusal::Changed(chat.agent)),
        _ => Ok(()),
    }
}

/// Returns who is responsible, where the caller may do what is left to those who work with the chat.
pub fn worked_by(chat: &Chat, by: By) -> Result<AgentId, Refusal> {
    let responsible = chat.agent.ok_or(Refusal::Nobody)?;
    match by {
        By::Agent(agent) if !chat.is_theirs(agent) => Err(Refusal::JoinFirst(responsible)),
        _ => Ok(responsible),
    }
}

/// Returns which of these agents are new beside the responsible, each once, in their order (F151, F160).
pub fn joining(chat: &Chat, agents: &[AgentId]) -> Result<Vec<AgentId>, Refusal> {
    if chat.agent.is_none() {
        return Err(Refusal::Nobody);
    }
    let mut new = Vec::new();
    for agent in agents {
        if !chat.is_theirs(*agent) && !new.contains(agent) {
            new.push(*agent);
        }
    }
    if !new.is_empty() && chat.participants.len() + new.len() > MAX_PARTICIPANTS {
        return Err(Refusal::TooMany);
    }
    Ok(new)
}

/// Says what it does when an agent leaves. Of those who have joined the first who may have the chat follows.
pub fn leaving(
    chat: &Chat,
    agent: AgentId,
    may_follow: impl Fn(AgentId) -> bool,
) -> Result<Leaving, Refusal> {
    if chat.participants.contains(&agent) {
        return Ok(Leaving::Participant);
    }
    if chat.agent != Some(agent) {
        return Err(Refusal::NotIn);
    }
    let follows = chat.participants.iter().find(|joined| may_follow(**joined));
    follows
        .copied()
        .map(Leaving::FollowedBy)
        .ok_or(Refusal::Sole)
}

#[cfg(test)]
mod tests;
