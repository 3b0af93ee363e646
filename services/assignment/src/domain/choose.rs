//! Who gets a chat (architecture §7): a function from facts to a choice that explains itself (B06, D22).

use std::collections::BTreeMap;

use chassis::access::{AccessRecord, ChatAccess};
use chassis::id::AgentId;
use serde::{Deserialize, Serialize};

use super::ChannelId;
use super::words::{Distribution, Presence, Rule};

/// An agent as distribution sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colleague {
    /// What they may do.
    pub access: AccessRecord,
    /// Presence now.
    pub presence: Presence,
    /// How many open chats distribution may give at most; 0 is no limit.
    pub capacity: i32,
    /// Open chats now.
    pub load: i32,
    /// It is their working time.
    pub within_hours: bool,
}

/// A channel's policy, and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How chats are distributed.
    pub distribution: Distribution,
    /// The pool (D21).
    pub pool: Vec<AgentId>,
    /// A returning client goes to the previous responsible if available (B05).
    pub keep_previous: bool,
    /// The number of the last turn taken.
    pub turn: i64,
    /// The number of each agent's last turn.
    pub last_turns: BTreeMap<AgentId, i64>,
}

impl Policy {
    /// Notes that an agent took their turn.
    pub fn take_turn(&mut self, agent: AgentId) {
        self.turn += 1;
        self.last_turns.insert(agent, self.turn);
        let pool = &self.pool;
        self.last_turns.retain(|agent, _| pool.contains(agent));
    }
}

/// What the choice depends on besides the colleagues and the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The chat's channel.
    pub channel: ChannelId,
    /// The agent who opened the conversation.
    pub opener: Option<AgentId>,
    /// The responsible of the conversation before.
    pub previous: Option<AgentId>,
    /// The pipeline connection has decided, or was waited for in vain; before that only the opener's rule
    /// applies.
    pub ripe: bool,
    /// The channel's chats are distributed now: it is its working time, or its calendar does not hold them (B15).
    pub channel_open: bool,
}

/// Why somebody was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LeftOut {
    /// The account has no such agent.
    AgentUnknown,
    /// The agent is inactive.
    AgentInactive,
    /// The channel is not granted (F062).
    ChannelNotGranted,
    /// The agent has no access to chats (F175).
    ChatAccessMissing,
    /// The agent is away or offline.
    NotOnline,
    /// It is not the agent's working time (B04).
    OutsideWorkingHours,
    /// The agent has as many open chats as they may be given (D25).
    AtCapacity,
    /// The agent could take the chat, but others in the channel have waited for longer (B04).
    OthersWaitLonger,
    /// The agent could take the chat, but it is not the channel's working time, and its calendar holds chats (B15).
    ChannelOutsideWorkingHours,
}

impl LeftOut {
    /// Returns the reason as the API words it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentUnknown => "AGENT_UNKNOWN",
            Self::AgentInactive => "AGENT_INACTIVE",
            Self::ChannelNotGranted => "CHANNEL_NOT_GRANTED",
            Self::ChatAccessMissing => "CHAT_ACCESS_MISSING",
            Self::NotOnline => "NOT_ONLINE",
            Self::OutsideWorkingHours => "OUTSIDE_WORKING_HOURS",
            Self::AtCapacity => "AT_CAPACITY",
            Self::OthersWaitLonger => "OTHERS_WAIT_LONGER",
            Self::ChannelOutsideWorkingHours => "CHANNEL_OUTSIDE_WORKING_HOURS",
        }
    }
}

/// Somebody who was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub agent: AgentId,
    /// Open chats at that moment.
    pub load: i32,
    /// Why they could not be chosen; none where they could.
    pub left_out: Option<LeftOut>,
}

/// Who gets the chat, by which rule, and who was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The rule that decided; [`Rule::None`] where nobody could be chosen.
    pub rule: Rule,
    /// The agent chosen.
    pub agent: Option<AgentId>,
    /// Everybody who was looked at, once each, in the order in which they were.
    pub candidates: Vec<Candidate>,
}

impl Choice {
    /// Returns the reasons in one line: equal lines are the same reasons, whatever the loads.
    pub fn reasons(&self) -> String {
        let reason =
            |c: &Candidate| format!("{}={}", c.agent, c.left_out.map_or("", LeftOut::as_str));
        let reasons: Vec<_> = self.candidates.iter().map(reason).collect();
        // Nobody to look at is a reason as well, told from never having looked.
        format!("[{}]", reasons.join(","))
    }

    /// Returns the choice of nobody, because others wait for whom it would have been.
    #[must_use]
    pub fn behind_others(mut self) -> Self {
        for candidate in &mut self.candidates {
            if self.agent == Some(candidate.agent) {
                candidate.left_out = Some(LeftOut::OthersWaitLonger);
            }
        }
        Self {
            rule: Rule::None,
            agent: None,
            ..self
        }
    }
}

/// Chooses who gets an unassigned open chat. The order of the rules is the specification (§7).
pub fn choose(
    facts: &Facts,
    policy: Option<&Policy>,
    colleagues: &BTreeMap<AgentId, Colleague>,
) -> Choice {
    let mut look = Look {
        channel: facts.channel,
        colleagues,
        candidates: Vec::new(),
    };
    let chosen = opener(facts, &mut look)
        .or_else(|| from_crm(facts, &mut look))
        .or_else(|| previous(facts, policy, &mut look))
        .or_else(|| distribution(facts, policy, &mut look));
    let (rule, agent) = chosen.map_or((Rule::None, None), |(rule, agent)| (rule, Some(agent)));
    Choice {
        rule,
        agent,
        candidates: look.candidates,
    }
}

/// (0) A conversation opened by an agent is that agent's, however busy or absent they are.
fn opener(facts: &Facts, look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    let agent = facts.opener?;
    look.at(agent, barred).then_some((Rule::Opener, agent))
}

/// (1) Responsible sync from CRM (§8). No channel has a sync policy yet, so the rule never applies.
const fn from_crm(_facts: &Facts, _look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    None
}

/// (2) The chat's previous responsible, where the channel keeps them and they are available (B05).
fn previous(
    facts: &Facts,
    policy: Option<&Policy>,
    look: &mut Look<'_>,
) -> Option<(Rule, AgentId)> {
    let kept = policy.is_some_and(|policy| policy.keep_previous) && facts.ripe;
    let agent = facts.previous.filter(|_| kept)?;
    look.at(agent, by_rule(facts))
        .then_some((Rule::Previous, agent))
}

/// (3) The channel's distribution: of the available the one whose last turn is longest ago.
///
/// Among the same eligible agents this is strict rotation, so their counts differ by one at most; somebody
/// who comes back is next, once, and makes up for nothing.
fn distribution(
    facts: &Facts,
    policy: Option<&Policy>,
    look: &mut Look<'_>,
) -> Option<(Rule, AgentId)> {
    let policy = policy.filter(|p| facts.ripe && p.distribution == Distribution::RoundRobin)?;
    let mut eligible = Vec::new();
    for agent in &policy.pool {
        if look.at(*agent, by_rule(facts)) {
            eligible.push(*agent);
        }
    }
    let last_turn = |agent: &AgentId| policy.last_turns.get(agent).copied().unwrap_or(0);
    let next = eligible
        .into_iter()
        .min_by_key(|agent| (last_turn(agent), *agent))?;
    Some((Rule::Distribution, next))
}

/// Says why an agent may not have chats of a channel at all, by hand neither.
pub fn barred(colleague: &Colleague, channel: ChannelId) -> Option<LeftOut> {
    let access = &colleague.access;
    let reasons = [
        (LeftOut::AgentInactive, !access.active),
        (
            LeftOut::ChannelNotGranted,
            !access.may_see_channel(channel.uuid()),
        ),
        (LeftOut::ChatAccessMissing, access.chats == ChatAccess::None),
    ];
    first(&reasons)
}

/// Says why an agent gets no chat of a channel by a rule now.
pub fn unavailable(colleague: &Colleague, channel: ChannelId) -> Option<LeftOut> {
    let full = colleague.capacity > 0 && colleague.load >= colleague.capacity;
    let reasons = [
        (LeftOut::NotOnline, colleague.presence != Presence::Online),
        (LeftOut::OutsideWorkingHours, !colleague.within_hours),
        (LeftOut::AtCapacity, full),
    ];
    barred(colleague, channel).or_else(|| first(&reasons))
}

/// Says why an agent gets none by a rule while the channel is closed: the reasons of their own come first.
fn closed(colleague: &Colleague, channel: ChannelId) -> Option<LeftOut> {
    unavailable(colleague, channel).or(Some(LeftOut::ChannelOutsideWorkingHours))
}

/// Returns what is asked of whom a rule may choose.
fn by_rule(facts: &Facts) -> fn(&Colleague, ChannelId) -> Option<LeftOut> {
    if facts.channel_open {
        unavailable
    } else {
        closed
    }
}

fn first(reasons: &[(LeftOut, bool)]) -> Option<LeftOut> {
    reasons
        .iter()
        .find(|(_, holds)| *holds)
        .map(|(reason, _)| *reason)
}

/// Looks at agents and remembers what was seen.
struct Look<'a> {
    channel: ChannelId,
    colleagues: &'a BTreeMap<AgentId, Colleague>,
    candidates: Vec<Candidate>,
}

impl Look<'_> {
    /// Looks at an agent; tells whether they may be chosen.
    fn at(&mut self, agent: AgentId, why: fn(&Colleague, ChannelId) -> Option<LeftOut>) -> bool {
        let colleague = self.colleagues.get(&agent);
        let left_out = colleague.map_or(Some(LeftOut::AgentUnknown), |c| why(c, self.channel));
        let load = colleague.map_or(0, |c| c.load);
        if !self.candidates.iter().any(|seen| seen.agent == agent) {
            self.candidates.push(Candidate {
                agent,
                load,
                left_out,
            });
        }
        left_out.is_none()
    }
}

#[cfg(test)]
mod tests;
