//! Internal chats: to whom a message on an entity can be sent (F181, F184).

use std::collections::BTreeSet;

use chassis::id::AgentId;
use uuid::Uuid;

use super::words::EntityKind;

chassis::uuid_id!(
    /// An internal message.
    pub struct InternalMessageId
);

/// Agents that a message is sent to at most, groups' among them.
pub const ADDRESSEES_MAX: usize = 500;

/// Agents that a refusal names of one group at most.
const NAMED_MAX: usize = 10;

/// An entity of CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity {
    /// What it is: anything but a channel.
    pub kind: EntityKind,
    /// Its id.
    pub id: Uuid,
}

/// How an agent stands to an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May see it.
    Sees,
    /// Is active, and may not see it.
    Blind,
    /// Is not active.
    Inactive,
    /// Is no agent of the account.
    Unknown,
}

/// Whom a message is addressed to, as the request names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// Agents.
    pub agents: Vec<AgentId>,
    /// The agents of groups; none of a group that the account has not.
    pub groups: Vec<Option<Vec<AgentId>>>,
}

/// A place of the request, and why it is refused.
pub type Flaw = (String, String);

impl Addressed {
    /// Returns all who are named, each once.
    pub fn everybody(&self) -> BTreeSet<AgentId> {
        let of_groups = self.groups.iter().flatten().flatten();
        self.agents.iter().chain(of_groups).copied().collect()
    }

    /// Returns to whom the message goes: all agents that are named, and the active ones of the groups.
    ///
    /// Who may not see the entity can be addressed in no way: they would be shown what CRM refuses them, and taking part gives no
    /// right to see it. A group is refused for such an agent, too, and not cut to the others: that it reached everybody in it would
    /// not be true.
    pub fn reached(
        &self,
        standing: impl Fn(AgentId) -> Standing,
    ) -> Result<BTreeSet<AgentId>, Vec<Flaw>> {
        let mut flaws = Vec::new();
        for (place, agent) in self.agents.iter().enumerate() {
            let why = match standing(*agent) {
                Standing::Sees => continue,
                Standing::Blind => "names an agent who may not see the entity",
                Standing::Inactive => "names an agent who is not active",
                Standing::Unknown => "names no agent of the account",
            };
            flaws.push((format!("agent_ids[{place}]"), why.to_owned()));
        }
        for (place, group) in self.groups.iter().enumerate() {
            let why = match group {
                None => "names no group of the account".to_owned(),
                Some(agents) => {
                    let blind = agents
                        .iter()
                        .filter(|agent| standing(**agent) == Standing::Blind);
                    let blind: Vec<String> = blind.map(ToString::to_string).collect();
                    if blind.is_empty() {
                        continue;
                    }
                    let named = blind
                        .iter()
                        .take(NAMED_MAX)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ");
                    let others = match blind.len().saturating_sub(NAMED_MAX) {
                        0 => String::new(),
                        others => format!(" and {others} others"),
                    };
                    format!("has agents who may not see the entity: {named}{others}")
                }
            };
            flaws.push((format!("group_ids[{place}]"), why));
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        let mut reached = self.everybody();
        reached.retain(|agent| standing(*agent) == Standing::Sees);
        if reached.is_empty() {
            let why = "have no active agents: there is nobody to write to";
            return Err(vec![("group_ids".to_owned(), why.to_owned())]);
        }
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: u128) -> AgentId {
        Uuid::from_u128(number).into()
    }

    fn agents(numbers: &[u128]) -> Vec<AgentId> {
        numbers.iter().copied().map(agent).collect()
    }

    /// Up to 9 they see it, up to 99 they may not, up to 999 they are not active; others are nobody.
    fn standing(agent: AgentId) -> Standing {
        match agent.uuid().as_u128() {
            0..10 => Standing::Sees,
            10..100 => Standing::Blind,
            100..1_000 => Standing::Inactive,
            _ => Standing::Unknown,
        }
    }

    #[test]
    fn f181_f182_a_message_reaches_everybody_once_or_nobody() {
        /// Agents, the agents of groups, and who is reached or which fields are wrong.
        type Case = (
            &'static [u128],
            &'static [Option<&'static [u128]>],
            Result<&'static [u128], &'static [&'static str]>,
        );
        const CASES: &[Case] = &[
            (&[1], &[], Ok(&[1])),
            (&[2, 1, 2], &[], Ok(&[1, 2])),
            (&[1], &[Some(&[1, 3]), Some(&[3, 4])], Ok(&[1, 3, 4])),
            // Who left the staff stays in groups, and is not written to.
            (&[], &[Some(&[5, 100])], Ok(&[5])),
            (&[], &[Some(&[100])], Err(&["group_ids"])),
            (&[], &[Some(&[])], Err(&["group_ids"])),
            (&[1], &[Some(&[])], Ok(&[1])),
            (&[1, 10], &[], Err(&["agent_ids[1]"])),
            (
                &[100, 1, 1_000],
                &[],
                Err(&["agent_ids[0]", "agent_ids[2]"]),
            ),
            (
                &[1],
                &[None, Some(&[2]), Some(&[3, 11])],
                Err(&["group_ids[0]", "group_ids[2]"]),
            ),
        ];
        for (named, groups, expected) in CASES {
            let addressed = Addressed {
                agents: agents(named),
                groups: groups.iter().map(|group| group.map(agents)).collect(),
            };
            let reached = addressed.reached(standing);
            let reached = reached.map_err(|flaws| {
                let fields = flaws.into_iter().map(|(field, _)| field);
                fields.collect::<Vec<_>>()
            });
            let expected = expected
                .map(|numbers| agents(numbers).into_iter().collect())
                .map_err(|fields| fields.iter().map(ToString::to_string).collect());
            assert_eq!(reached, expected, "{named:?} {groups:?}");
        }
    }

    #[test]
    fn f181_a_refusal_names_whom_it_is_about() {
        let many: Vec<AgentId> = (10..23).map(agent).collect();
        let addressed = Addressed {
            agents: agents(&[10]),
            groups: vec![Some(many)],
        };
        let flaws = addressed.reached(standing).unwrap_err();
        assert_eq!(flaws[0].1, "names an agent who may not see the entity");
        assert!(
            flaws[1].1.contains(&agent(10).to_string()),
            "{}",
            flaws[1].1
        );
        assert!(flaws[1].1.ends_with(" and 3 others"), "{}", flaws[1].1);
    }
}
