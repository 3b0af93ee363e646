//! Who takes part in an entity beside its responsible.

use std::collections::BTreeSet;

use chassis::id::AgentId;

use super::entity::PARTICIPANTS_MAX;

/// Lets agents take part in something, in their order, as many as there is room for (F183). Returns who takes part then, sorted,
/// and for whom there was no room.
pub fn joined(known: &[AgentId], coming: &[AgentId]) -> (Vec<AgentId>, Vec<AgentId>) {
    let mut all: BTreeSet<AgentId> = known.iter().copied().collect();
    let mut left_out = Vec::new();
    for agent in coming {
        if all.len() < PARTICIPANTS_MAX || all.contains(agent) {
            all.insert(*agent);
        } else {
            left_out.push(*agent);
        }
    }
    (all.into_iter().collect(), left_out)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn agents(numbers: impl IntoIterator<Item = u128>) -> Vec<AgentId> {
        let ids = numbers.into_iter().map(Uuid::from_u128);
        ids.map(Into::into).collect()
    }

    #[test]
    fn f183_agents_join_once_and_as_many_as_there_is_room_for() {
        let full = PARTICIPANTS_MAX as u128;
        for (known, coming, after, left_out) in [
            (agents([]), agents([]), agents([]), agents([])),
            (agents([2]), agents([3, 1]), agents([1, 2, 3]), agents([])),
            (agents([2]), agents([2, 2]), agents([2]), agents([])),
            (
                agents(1..full),
                agents([200, 100, 5]),
                agents((1..full).chain([200])),
                agents([100]),
            ),
            (
                agents(1..=full),
                agents([1, 100]),
                agents(1..=full),
                agents([100]),
            ),
        ] {
            let name = format!("{known:?} and {coming:?}");
            assert_eq!(joined(&known, &coming), (after, left_out), "{name}");
        }
    }
}
