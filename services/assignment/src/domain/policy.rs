//! How a channel's chats are distributed, and whose turn it is (D21, B04; architecture §7).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chassis::id::AgentId;
use serde::{Deserialize, Serialize};

use super::GroupId;
use super::words::Distribution;

/// The greatest weight in a pool: beyond it the least of a pool would hardly ever have a turn.
pub const MAX_WEIGHT: i32 = 100;

/// What one turn costs an agent of weight 1. Divided by a weight the rounding stays under a ten-thousandth.
const TURN: i64 = 1_000_000;

/// What is set of a channel's distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How chats are distributed.
    pub distribution: Distribution,
    /// Who takes part (D21).
    pub pool: Vec<PoolEntry>,
    /// A returning client goes to the previous responsible if available (B05).
    pub keep_previous: bool,
    /// How many open chats of the channel distribution gives to one agent at most; 0 is no limit.
    pub channel_capacity: i32,
    /// How many waiting chats one agent is given in a minute at most; 0 is no limit.
    pub waiting_per_minute: i32,
    /// How long an agent has to take what distribution gave before somebody else is offered it, in seconds; 0 is for
    /// good.
    pub offer_seconds: i32,
}

/// An agent or a group in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolEntry {
    /// Who.
    pub member: Member,
    /// Share of turns, or of open chats, in comparison with the others: 1 to [`MAX_WEIGHT`].
    pub weight: i32,
}

/// Whom an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// One agent.
    Agent(AgentId),
    /// Everybody who is in the group at the moment of a choice.
    Group(GroupId),
}

impl Member {
    /// Says that there is no such member.
    pub fn missing(self) -> String {
        match self {
            Self::Agent(id) => format!("there is no agent {id}"),
            Self::Group(id) => format!("there is no group {id}"),
        }
    }
}

/// A channel's policy, and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is set.
    pub settings: Settings,
    /// The agents of the pool with their weights, groups resolved. Who is named twice has the greater weight.
    pub pool: BTreeMap<AgentId, i32>,
    /// The turns that were taken.
    pub turns: Turns,
}

/// The turns taken in a channel.
///
/// Each turn costs its agent a constant divided by their weight, and whoever has spent least is next: agents of equal
/// weight differ by one turn at most, and an agent of weight 3 has three turns while one of weight 1 has one.
/// `floor` is what the one who was last had spent before: who comes back begins there and makes up for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// The number of the last turn taken.
    pub last: i64,
    /// What the agent of the last turn had spent before it.
    pub floor: i64,
    /// Each agent's last turn.
    pub of: BTreeMap<AgentId, Turn>,
}

/// An agent's last turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number; 0 is none yet.
    pub number: i64,
    /// What the agent has spent with it.
    pub spent: i64,
}

/// Somebody eligible, as the two ways of distributing compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eligible {
    /// Who.
    pub agent: AgentId,
    /// Open chats.
    pub load: i32,
    /// How many they may be given; 0 is no limit.
    pub capacity: i32,
}

impl Policy {
    /// Returns the number of an agent's last turn; 0 where there is none.
    pub fn last_turn(&self, agent: AgentId) -> i64 {
        self.turns.of.get(&agent).map_or(0, |turn| turn.number)
    }

    /// Returns an agent's weight; 0 where they are not in the pool.
    pub fn weight(&self, agent: AgentId) -> i32 {
        self.pool.get(&agent).copied().unwrap_or(0)
    }

    /// Chooses among the eligible; none where there is nobody, or chats are not distributed.
    pub fn next(&self, eligible: &[Eligible]) -> Option<AgentId> {
        // Weights and turns are looked up once: each is compared many times.
        let standing = |one: &Eligible| {
            let turn = self.turns.of.get(&one.agent).copied().unwrap_or_default();
            Standing {
                agent: one.agent,
                load: one.load,
                capacity: one.capacity,
                weight: self.weight(one.agent).max(1),
                number: turn.number,
                spent: turn.spent.max(self.turns.floor),
            }
        };
        let standings: Vec<Standing> = eligible.iter().map(standing).collect();
        match self.settings.distribution {
            Distribution::Off => None,
            Distribution::RoundRobin => in_turn(&standings),
            Distribution::LeastLoaded => least_loaded(&standings),
        }
    }

    /// What an agent has spent, as it is compared: whoever was not there for a while begins at the floor.
    fn spent(&self, agent: AgentId) -> i64 {
        let spent = self.turns.of.get(&agent).map_or(0, |turn| turn.spent);
        spent.max(self.turns.floor)
    }

    /// Notes that an agent took their turn.
    pub fn take_turn(&mut self, agent: AgentId) {
        let before = self.spent(agent);
        let mut spent = before;
        // Least-loaded compares the numbers only: a channel that goes back to turns goes on where it was.
        if self.settings.distribution == Distribution::RoundRobin {
            spent += TURN / i64::from(self.weight(agent).clamp(1, MAX_WEIGHT));
            self.turns.floor = before;
        }
        self.turns.last += 1;
        let number = self.turns.last;
        self.turns.of.insert(agent, Turn { number, spent });
    }
}

/// Somebody eligible, with all that decides between them.
#[derive(Clone, Copy)]
struct Standing {
    agent: AgentId,
    load: i32,
    capacity: i32,
    weight: i32,
    /// Of the last turn.
    number: i64,
    spent: i64,
}

/// Round-robin: who has spent least; of equals the one whose last turn is longest ago.
fn in_turn(standings: &[Standing]) -> Option<AgentId> {
    let order = |one: &&Standing| (one.spent, one.number, one.agent);
    standings.iter().min_by_key(order).map(|one| one.agent)
}

/// Least-loaded: whose open chats are the smallest part of what they may have, times their weight; of equals the
/// one whose last turn is longest ago.
///
/// Who has no limit is compared as if they had the largest of the others, so that they neither get all nor none.
fn least_loaded(standings: &[Standing]) -> Option<AgentId> {
    let largest = standings.iter().map(|one| one.capacity).max().unwrap_or(0);
    let share = |one: &Standing| {
        let limit = if one.capacity > 0 {
            one.capacity
        } else {
            largest.max(1)
        };
        (
            i64::from(one.load),
            i64::from(limit) * i64::from(one.weight),
        )
    };
    let less = |one: &&Standing, other: &&Standing| -> Ordering {
        let ((load, limit), (other_load, other_limit)) = (share(one), share(other));
        let parts = (load * other_limit).cmp(&(other_load * limit));
        parts.then_with(|| (one.number, one.agent).cmp(&(other.number, other.agent)))
    };
    standings.iter().min_by(less).map(|one| one.agent)
}

#[cfg(test)]
mod tests;
