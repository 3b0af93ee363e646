//! Responsibles kept in step between chats and CRM (architecture §8, F033-F059): which entity's responsible a chat takes.

use std::collections::BTreeSet;

use chassis::id::AgentId;
use chassis::stamp::Stamp;
use uuid::Uuid;

pub use super::words::EntityKind;

/// What a channel keeps in step. Each direction has its own kinds (F038, F039).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncPolicy {
    /// Kinds whose responsible a chat takes.
    pub from_crm: BTreeSet<EntityKind>,
    /// Kinds that take the responsible of a chat.
    pub to_crm: BTreeSet<EntityKind>,
}

/// An entity that is linked to a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Its kind.
    pub kind: EntityKind,
    /// Its id.
    pub entity: Uuid,
    /// Its responsible.
    pub responsible: Option<AgentId>,
    /// Stamp of the act that the responsible stems from.
    pub stamp: Stamp,
}

/// A responsible whom a chat may take from an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The kind of the entity.
    pub kind: EntityKind,
    /// The entity.
    pub entity: Uuid,
    /// Its responsible.
    pub agent: AgentId,
    /// Stamp of the act that the responsible stems from.
    pub stamp: Stamp,
}

/// Returns the responsibles that a chat may take from its entities, the one changed last first (F041).
///
/// Of kinds that are not ticked none (F043), and none where an entity has no responsible (F051). What counts is when the
/// responsible was changed: no other edit moves the stamp (F042).
pub fn wanted(policy: &SyncPolicy, linked: &[Linked]) -> Vec<Wanted> {
    let ticked = linked
        .iter()
        .filter(|entity| policy.from_crm.contains(&entity.kind));
    let mut wanted: Vec<Wanted> = ticked
        .filter_map(|entity| {
            Some(Wanted {
                kind: entity.kind,
                entity: entity.entity,
                agent: entity.responsible?,
                stamp: entity.stamp,
            })
        })
        // Stamp zero is nobody's act: it never applies.
        .filter(|entity| entity.stamp > Stamp::ZERO)
        .collect();
    wanted.sort_by_key(|entity| (std::cmp::Reverse(entity.stamp), entity.entity));
    wanted
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::*;

    fn linked(kind: EntityKind, agent: Option<u128>, second: i64) -> Linked {
        Linked {
            kind,
            entity: Uuid::from_u128(second.unsigned_abs().into()),
            responsible: agent.map(|agent| Uuid::from_u128(agent).into()),
            stamp: Stamp {
                time: OffsetDateTime::UNIX_EPOCH + Duration::seconds(second),
                event: Uuid::nil(),
            },
        }
    }

    #[test]
    fn f040_f041_f042_the_ticked_entity_whose_responsible_was_changed_last_comes_first() {
        use EntityKind::{Company, Contact, Customer, Deal, Lead};
        let entities = [
            linked(Lead, Some(1), 10),
            linked(Contact, Some(2), 30),
            linked(Deal, Some(3), 20),
            linked(Company, None, 50),
            linked(Customer, Some(4), 0),
        ];
        for (ticked, expected) in [
            (vec![], vec![]),
            (vec![Lead], vec![1]),
            (vec![Lead, Contact], vec![2, 1]),
            (vec![Lead, Contact, Deal], vec![2, 3, 1]),
            // F051: without a responsible it changes nothing, however late it lost it.
            (vec![Company], vec![]),
            (vec![Company, Lead], vec![1]),
            (vec![Customer], vec![]),
        ] {
            let policy = SyncPolicy {
                from_crm: ticked.iter().copied().collect(),
                to_crm: [Contact].into(),
            };
            let found: Vec<_> = wanted(&policy, &entities)
                .iter()
                .map(|wanted| wanted.agent)
                .collect();
            let expected: Vec<AgentId> = expected
                .into_iter()
                .map(|agent| Uuid::from_u128(agent).into())
                .collect();
            assert_eq!(found, expected, "{ticked:?}");
        }
    }
}
