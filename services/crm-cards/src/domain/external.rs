//! Responsibles that a CRM outside sets by acts of its own time (architecture §8): what becomes of each.

use chassis::id::AgentId;
use chassis::stamp::Stamp;

/// A responsible, or nobody, with the stamp of the act that it stems from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Who it is.
    pub agent: Option<AgentId>,
    /// The act.
    pub stamp: Stamp,
}

/// What an agent is to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May answer for something.
    Active,
    /// Is not active.
    Inactive,
    /// The account has no such agent.
    Unknown,
}

/// What becomes of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The entity gets another responsible.
    Applied,
    /// It has this one already, by an earlier act: the later one counts from now on.
    Confirmed,
    /// It has this one already, by this act or a later one.
    Unchanged,
    /// A later act, or another one of the same stamp, is in place.
    Overtaken,
    /// The account has no such agent (X06).
    AgentUnknown,
    /// The agent is not active (X06).
    AgentInactive,
    /// The account has no such entity.
    UnknownEntity,
}

impl Outcome {
    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Confirmed | Self::Unchanged => "unchanged",
            Self::Overtaken => "overtaken",
            Self::AgentUnknown => "agent-unknown",
            Self::AgentInactive => "agent-inactive",
            Self::UnknownEntity => "unknown-entity",
        }
    }
}

/// Says what becomes of an act on an entity. `standing` is that of the agent whom it names; of nobody it is not asked.
///
/// The stamp decides first: an act that was applied once is still that act when its agent has gone.
pub fn outcome(in_place: Held, act: Held, standing: Standing) -> Outcome {
    let same = in_place.agent == act.agent;
    if act.stamp <= in_place.stamp {
        return if same {
            Outcome::Unchanged
        } else {
            Outcome::Overtaken
        };
    }
    match (act.agent, standing) {
        (Some(_), Standing::Unknown) => Outcome::AgentUnknown,
        (Some(_), Standing::Inactive) => Outcome::AgentInactive,
        _ if same => Outcome::Confirmed,
        _ => Outcome::Applied,
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};
    use uuid::Uuid;

    use super::*;

    fn held(agent: u128, second: i64, event: u128) -> Held {
        Held {
            agent: (agent > 0).then(|| Uuid::from_u128(agent).into()),
            stamp: Stamp {
                time: OffsetDateTime::UNIX_EPOCH + Duration::seconds(second),
                event: Uuid::from_u128(event),
            },
        }
    }

    #[test]
    fn x06_stamps_decide_then_whether_the_agent_is_known_and_active() {
        use Outcome::{AgentInactive, AgentUnknown, Applied, Confirmed, Overtaken, Unchanged};
        use Standing::{Active, Inactive, Unknown};
        let in_place = held(1, 10, 5);
        for (act, standing, expected) in [
            (held(2, 11, 1), Active, Applied),
            (held(0, 11, 1), Unknown, Applied),
            (held(2, 10, 6), Active, Applied),
            (held(1, 11, 1), Active, Confirmed),
            (held(1, 10, 5), Active, Unchanged),
            (held(1, 9, 9), Active, Unchanged),
            (held(1, 10, 5), Inactive, Unchanged),
            (held(2, 10, 5), Active, Overtaken),
            (held(2, 10, 4), Active, Overtaken),
            (held(0, 9, 1), Active, Overtaken),
            (held(2, 9, 1), Unknown, Overtaken),
            (held(2, 11, 1), Unknown, AgentUnknown),
            (held(2, 11, 1), Inactive, AgentInactive),
            (held(1, 11, 1), Inactive, AgentInactive),
        ] {
            let found = outcome(in_place, act, standing);
            assert_eq!(found, expected, "{act:?} {standing:?}");
        }
        let nobody = held(0, 0, 0);
        assert_eq!(outcome(nobody, held(0, 1, 1), Active), Confirmed);
        assert_eq!(outcome(nobody, nobody, Active), Unchanged);
    }
}
