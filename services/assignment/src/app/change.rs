//! What changes who takes part in a held chat, beside making somebody the responsible: join, part, follow, take back.
//! Each is an event with its actor and, where somebody is gone, with the reason.

use chassis::actor::Actor;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use switchboard_proto::DomainEvent;
use switchboard_proto::assignment::v1::{ChatJoined, ChatLeft, ChatUnassigned, PartReason};
use time::OffsetDateTime;
use uuid::Uuid;

use super::assign::{Act, Origin, assign};
use super::board::{Board, Shift};
use crate::domain::ChatId;
use crate::domain::candidates::{Candidate, LeftOut, barred};
use crate::domain::words::{GivenBack, Rule};
use crate::wire;

/// Who acts, what led to it, when.
#[derive(Debug, Clone)]
pub struct Doing {
    /// Who acts.
    pub actor: Actor,
    /// What led to it.
    pub origin: Origin,
    /// Request id of a person's act, so that a repeat gets the same answer.
    pub request: String,
    /// When.
    pub now: OffsetDateTime,
}

impl Doing {
    fn announce(&self, board: &mut Board, id: ChatId, event_id: Uuid, event: &impl DomainEvent) {
        let Some(account) = board.chat(id).map(|chat| chat.account.clone()) else {
            return;
        };
        let event = Outgoing::with_id(event_id, &account, id, event)
            .actor(self.actor.clone())
            .cause(self.origin.cause)
            .trace(self.origin.trace.clone());
        board.announce(event);
    }

    fn left(&self, board: &mut Board, id: ChatId, agent: AgentId, reason: PartReason) {
        let event = ChatLeft {
            assignment: board.chat(id).map(wire::assignment),
            agent_id: agent.to_string(),
            reason: reason.into(),
        };
        self.announce(board, id, v7(self.now), &event);
    }
}

/// Adds agents beside the responsible, one after another.
pub fn join(board: &mut Board, id: ChatId, agents: &[AgentId], doing: &Doing) {
    for agent in agents {
        if let Some(chat) = board.change(id) {
            chat.join(*agent);
        }
        let event = ChatJoined {
            assignment: board.chat(id).map(wire::assignment),
            agent_id: agent.to_string(),
        };
        doing.announce(board, id, v7(doing.now), &event);
    }
}

/// Takes a participant out.
pub fn part(board: &mut Board, id: ChatId, agent: AgentId, reason: PartReason, doing: &Doing) {
    if let Some(chat) = board.change(id) {
        chat.part(agent);
    }
    doing.left(board, id, agent, reason);
}

/// Lets another agent answer for a chat in place of the responsible, who leaves. Both loads must be locked.
pub fn follow(
    board: &mut Board,
    id: ChatId,
    (former, next): (AgentId, AgentId),
    (rule, reason): (Rule, PartReason),
    doing: &Doing,
) {
    let load = |board: &Board| {
        let account = &board.chat(id)?.account;
        Some(board.staff(account)?.get(&next)?.load)
    };
    let candidate = Candidate::only(next, load(board).unwrap_or_default());
    let act = Act {
        chat: id,
        agent: next,
        rule,
        actor: doing.actor.clone(),
        expected: Some(Some(former)),
        candidates: vec![candidate],
        origin: doing.origin.clone(),
        request: doing.request.clone(),
        offer_end: None,
        crm: None,
    };
    match assign(board, act, doing.now) {
        // Told after the successor and under the same version: a copy never shows the chat without a responsible.
        Ok(_) => doing.left(board, id, former, reason),
        // Cannot be: the chat is held, and the former was responsible above.
        Err(faster) => tracing::error!(chat = %id, ?faster, "a successor met another responsible"),
    }
}

/// Takes the responsible and everybody who has joined away. The responsible's load must be locked.
pub fn take_back(
    board: &mut Board,
    id: ChatId,
    given_back: GivenBack,
    reason: PartReason,
    doing: &Doing,
) {
    let Some(before) = board.chat(id) else {
        return;
    };
    let (account, channel) = (before.account.clone(), before.channel);
    let joined = before.participants.clone();
    let (counted, in_place) = (before.counted_for(), before.stamp);
    let event = v7(doing.now);
    let stamp = Stamp::next_for_person(in_place, doing.now, event);
    let former = board
        .change(id)
        .and_then(|chat| chat.take_back(stamp, given_back));
    if let Some(agent) = counted {
        let agent = (account.clone(), agent);
        board.shift(&Shift {
            agent,
            channel,
            by: -1,
        });
    }
    let unassigned = ChatUnassigned {
        assignment: board.chat(id).map(wire::assignment),
        previous_agent_id: former.map(|agent| agent.to_string()).unwrap_or_default(),
        reason: reason.into(),
    };
    doing.announce(board, id, event, &unassigned);
    for agent in joined {
        doing.left(board, id, agent, PartReason::Unassigned);
    }
    if given_back == GivenBack::Queued {
        // Those who have waited for longer are served first, so the queue is served and not this chat alone.
        board.serve_soon(account);
    }
}

/// Takes a chat from everybody who may not have it any more; returns whether somebody had to go. Who has joined
/// longest follows the responsible (D24); where nobody can, distribution looks for somebody.
///
/// The loads of all who take part must be locked.
pub fn take_from_barred(board: &mut Board, id: ChatId, doing: &Doing) -> bool {
    let reason = |board: &Board, agent: AgentId| {
        let chat = board.chat(id)?;
        let staff = board.staff(&chat.account);
        let colleague = staff.and_then(|staff| staff.get(&agent));
        let why = colleague.map_or(Some(LeftOut::AgentUnknown), |c| barred(c, chat.channel));
        why.map(part_reason)
    };
    let Some(chat) = board.chat(id) else {
        return false;
    };
    let (responsible, joined) = (chat.agent, chat.participants.clone());
    let mut somebody = false;
    let mut next = None;
    for agent in joined {
        if let Some(why) = reason(board, agent) {
            part(board, id, agent, why, doing);
            somebody = true;
        } else {
            next = next.or(Some(agent));
        }
    }
    let barred = responsible.and_then(|agent| Some((agent, reason(board, agent)?)));
    let Some((agent, why)) = barred else {
        return somebody;
    };
    match next {
        Some(next) => follow(board, id, (agent, next), (Rule::Successor, why), doing),
        None => take_back(board, id, GivenBack::Queued, why, doing),
    }
    true
}

const fn part_reason(why: LeftOut) -> PartReason {
    match why {
        LeftOut::ChannelNotGranted => PartReason::ChannelNotGranted,
        LeftOut::ChatAccessMissing => PartReason::ChatAccessMissing,
        _ => PartReason::AgentInactive,
    }
}
