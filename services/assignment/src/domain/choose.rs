//! Who gets a chat (architecture §7): a function from facts to a choice that explains itself (B06, D22).

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

use chassis::id::AgentId;
use sha2::{Digest as _, Sha256};

use super::candidates::{Candidate, Colleague, LeftOut, Terms, barred};
use super::policy::{Eligible, Policy};
use super::sync::Wanted;
use super::words::Rule;

/// What the choice depends on besides the colleagues and the policy.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The agent who opened the conversation.
    pub opener: Option<AgentId>,
    /// The responsible of the conversation before.
    pub previous: Option<AgentId>,
    /// The pipeline connection has decided, or was waited for in vain; before that only the opener's rule
    /// applies.
    pub ripe: bool,
    /// Responsibles of linked entities that the channel takes, the one changed last first (F041).
    pub crm: &'a [Wanted],
    /// What the chat's channel asks of whom a rule may choose.
    pub terms: Terms<'a>,
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
    /// Returns a digest of the reasons: equal digests are the same reasons, whatever the loads.
    pub fn reasons(&self) -> String {
        let mut digest = Sha256::new();
        // Nobody to look at is a reason as well, told from never having looked.
        digest.update(b"looked");
        for candidate in &self.candidates {
            digest.update(candidate.agent.uuid());
            digest.update(candidate.left_out.map_or("", LeftOut::as_str));
        }
        hex::encode(digest.finalize())
    }

    /// Returns the choice of nobody, because others wait for whom it would have been.
    #[must_use]
    pub fn behind_others(mut self) -> Self {
        for candidate in &mut self.candidates {
            candidate.left_out = candidate.left_out.or(Some(LeftOut::OthersWaitLonger));
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
    facts: &Facts<'_>,
    policy: Option<&Policy>,
    colleagues: &BTreeMap<AgentId, Colleague>,
) -> Choice {
    let mut look = Look {
        policy,
        colleagues,
        candidates: Vec::new(),
    };
    let chosen = opener(facts, &mut look)
        .or_else(|| from_crm(facts, &mut look))
        .or_else(|| previous(facts, &mut look))
        .or_else(|| distribution(facts, &mut look));
    let (rule, agent) = chosen.map_or((Rule::None, None), |(rule, agent)| (rule, Some(agent)));
    Choice {
        rule,
        agent,
        candidates: look.candidates,
    }
}

/// (0) A conversation opened by an agent is that agent's, however busy or absent they are.
fn opener(facts: &Facts<'_>, look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    let agent = facts.opener?;
    let channel = facts.terms.channel;
    let left_out = look.at(agent, |colleague| barred(colleague, channel));
    left_out.is_none().then_some((Rule::Opener, agent))
}

/// (1) Responsible sync from CRM (§8): whoever answers for the entity whose responsible was changed last, however busy or
/// absent they are (F036, F045). One who is unknown or may not have the chat changes nothing (X06): the next one counts.
fn from_crm(facts: &Facts<'_>, look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    let channel = facts.terms.channel;
    facts.crm.iter().find_map(|wanted| {
        let left_out = look.at(wanted.agent, |colleague| barred(colleague, channel));
        left_out.is_none().then_some((Rule::Crm, wanted.agent))
    })
}

/// (2) The chat's previous responsible, where the channel keeps them and they are available (B05).
fn previous(facts: &Facts<'_>, look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    let kept = look.policy.is_some_and(|p| p.settings.keep_previous) && facts.ripe;
    let agent = facts.previous.filter(|_| kept)?;
    let terms = facts.terms;
    let left_out = look.at(agent, |colleague| terms.leave_out(colleague));
    left_out.is_none().then_some((Rule::Previous, agent))
}

/// (3) The channel's distribution among those of the pool who are eligible now.
///
/// Who let an offer of the chat pass is offered it again only when all who could take it did.
fn distribution(facts: &Facts<'_>, look: &mut Look<'_>) -> Option<(Rule, AgentId)> {
    let policy = look.policy.filter(|_| facts.ripe)?;
    if !policy.settings.distribution.chooses() {
        return None;
    }
    let terms = facts.terms;
    let (mut eligible, mut passed) = (Vec::new(), Vec::new());
    // A pool may have thousands, and each chat looks at them all: what is known of them is gone along with the pool, in the
    // same order, instead of being looked up for each.
    let before = look.candidates.len();
    look.candidates.reserve(policy.pool.len());
    let mut colleagues = Along::of(look.colleagues);
    let mut turns = Along::of(&policy.turns.of);
    for (agent, weight) in &policy.pool {
        let colleague = colleagues.find(agent);
        let left_out = match colleague {
            Some(colleague) => terms.leave_out(colleague),
            None => Some(LeftOut::AgentUnknown),
        };
        let one = Eligible {
            agent: *agent,
            load: colleague.map_or(0, |colleague| colleague.load),
            capacity: colleague.map_or(0, |colleague| colleague.capacity),
        };
        let turn = turns.find(agent).map_or(0, |turn| turn.number);
        let looked_at = look.candidates.get(..before).unwrap_or_default();
        if !looked_at.iter().any(|candidate| candidate.agent == *agent) {
            look.candidates.push(Candidate {
                agent: *agent,
                load: one.load,
                left_out,
                capacity: one.capacity,
                weight: *weight,
                turn,
            });
        }
        match left_out {
            None => eligible.push(one),
            Some(LeftOut::OfferPassed) => passed.push(one),
            Some(_) => {}
        }
    }
    if eligible.is_empty() {
        look.readmit();
        eligible = passed;
    }
    let next = policy.next(&eligible)?;
    Some((Rule::Distribution, next))
}

/// Looks at agents and remembers what was seen.
struct Look<'a> {
    policy: Option<&'a Policy>,
    colleagues: &'a BTreeMap<AgentId, Colleague>,
    candidates: Vec<Candidate>,
}

impl Look<'_> {
    /// Looks at one agent, of few; tells why they may not be chosen.
    fn at(
        &mut self,
        agent: AgentId,
        why: impl Fn(&Colleague) -> Option<LeftOut>,
    ) -> Option<LeftOut> {
        let colleague = self.colleagues.get(&agent);
        let left_out = colleague.map_or(Some(LeftOut::AgentUnknown), why);
        if !self.candidates.iter().any(|known| known.agent == agent) {
            self.candidates.push(Candidate {
                agent,
                load: colleague.map_or(0, |c| c.load),
                left_out,
                capacity: colleague.map_or(0, |c| c.capacity),
                weight: self.policy.map_or(0, |policy| policy.weight(agent)),
                turn: self.policy.map_or(0, |policy| policy.last_turn(agent)),
            });
        }
        left_out
    }

    /// Everybody who could take the chat let it pass: they are looked at as if it was new.
    fn readmit(&mut self) {
        for candidate in &mut self.candidates {
            if candidate.left_out == Some(LeftOut::OfferPassed) {
                candidate.left_out = None;
            }
        }
    }
}

/// Finds keys that are asked for in ascending order, going through a map once.
struct Along<'m, V>(Peekable<btree_map::Iter<'m, AgentId, V>>);

impl<'m, V> Along<'m, V> {
    fn of(map: &'m BTreeMap<AgentId, V>) -> Self {
        Self(map.iter().peekable())
    }

    /// Returns the value of a key, which is above all that were asked for before.
    fn find(&mut self, key: &AgentId) -> Option<&'m V> {
        while self.0.next_if(|(known, _)| *known < key).is_some() {}
        self.0
            .next_if(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
