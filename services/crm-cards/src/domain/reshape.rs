//! What becomes of a pipeline's statuses: which stay, in which order, and which go.

use std::collections::BTreeSet;

use super::ids::StatusId;
use super::status::{Status, StatusKind};

/// A status as a pipeline is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One that is there; none for one to be added.
    pub id: Option<StatusId>,
    /// Name.
    pub name: String,
    /// Kind; may be absent for one that is there.
    pub kind: Option<StatusKind>,
}

/// A pipeline's statuses from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshaped {
    /// All of them, in order.
    pub statuses: Vec<Status>,
    /// Those that go.
    pub removed: Vec<Status>,
}

/// What cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field of the request.
    pub field: String,
    /// What must hold.
    pub description: &'static str,
}

/// Returns the statuses that a pipeline has from now on. `fresh` are ids for those that are added.
///
/// A kind never changes, and the one status of kind new stays: cards begin in it (D04).
pub fn reshape(
    current: &[Status],
    wanted: Vec<Wanted>,
    mut fresh: impl FnMut() -> StatusId,
) -> Result<Reshaped, Refusal> {
    let refuse = |place: usize, field: &str, description| {
        Err(Refusal {
            field: format!("statuses.statuses[{place}].{field}"),
            description,
        })
    };
    let mut statuses = Vec::with_capacity(wanted.len());
    let mut seen = BTreeSet::new();
    for (place, wanted) in wanted.into_iter().enumerate() {
        let status = match (wanted.id, wanted.kind) {
            (None, None) => return refuse(place, "kind", "is required for a status to be added"),
            (None, Some(StatusKind::New)) => {
                return refuse(
                    place,
                    "kind",
                    "the pipeline has a status of kind new: name its id",
                );
            }
            (None, Some(kind)) => Status {
                id: fresh(),
                name: wanted.name,
                kind,
            },
            (Some(id), kind) => match current.iter().find(|status| status.id == id) {
                None => return refuse(place, "status_id", "the pipeline has no such status"),
                Some(_) if !seen.insert(id) => {
                    return refuse(place, "status_id", "must be named once");
                }
                Some(known) if kind.is_some_and(|kind| kind != known.kind) => {
                    return refuse(place, "kind", "never changes: add another status instead");
                }
                Some(known) => Status {
                    name: wanted.name,
                    ..known.clone()
                },
            },
        };
        statuses.push(status);
    }
    let removed: Vec<Status> = current
        .iter()
        .filter(|status| !seen.contains(&status.id))
        .cloned()
        .collect();
    if removed.iter().any(|status| status.kind == StatusKind::New) {
        return Err(Refusal {
            field: "statuses".to_owned(),
            description: "the status of kind new stays: cards begin in it",
        });
    }
    Ok(Reshaped { statuses, removed })
}

/// Checks where cards of statuses that go are to be: each such status is named once, and none leads to one that goes.
pub fn routes(removed: &[Status], cards_to: &[(StatusId, StatusId)]) -> Result<(), Refusal> {
    let goes = |id: StatusId| removed.iter().any(|status| status.id == id);
    let mut seen = BTreeSet::new();
    for (place, (from, to)) in cards_to.iter().enumerate() {
        let wrong = if !goes(*from) {
            Some(("from_status_id", "is not taken away by this request"))
        } else if !seen.insert(*from) {
            Some(("from_status_id", "must be named once"))
        } else if goes(*to) {
            Some(("to_status_id", "is taken away by this request"))
        } else {
            None
        };
        if let Some((field, description)) = wrong {
            return Err(Refusal {
                field: format!("cards_to[{place}].{field}"),
                description,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use StatusKind::{InProgress, New, Rejected, Successful};

    fn id(number: u128) -> StatusId {
        Uuid::from_u128(number).into()
    }

    fn status(number: u128, name: &str, kind: StatusKind) -> Status {
        Status {
            id: id(number),
            name: name.to_owned(),
            kind,
        }
    }

    fn current() -> Vec<Status> {
        vec![
            status(1, "New", New),
            status(2, "Work", InProgress),
            status(3, "Won", Successful),
        ]
    }

    fn want(number: Option<u128>, name: &str, kind: Option<StatusKind>) -> Wanted {
        Wanted {
            id: number.map(id),
            name: name.to_owned(),
            kind,
        }
    }

    #[test]
    fn d04_statuses_are_added_renamed_moved_and_taken_away_but_keep_their_kind() {
        let plain = |number| want(Some(number), "x", None);
        for (name, wanted, expected) in [
            (
                "as they are",
                vec![plain(1), plain(2), plain(3)],
                Ok((vec![1, 2, 3], vec![])),
            ),
            (
                "moved",
                vec![plain(3), plain(1), plain(2)],
                Ok((vec![3, 1, 2], vec![])),
            ),
            (
                "added",
                vec![
                    plain(1),
                    want(None, "Lost", Some(Rejected)),
                    plain(2),
                    plain(3),
                ],
                Ok((vec![1, 100, 2, 3], vec![])),
            ),
            ("taken away", vec![plain(1)], Ok((vec![1], vec![2, 3]))),
            (
                "the same kind said",
                vec![want(Some(1), "x", Some(New))],
                Ok((vec![1], vec![2, 3])),
            ),
            ("new taken away", vec![plain(2), plain(3)], Err("statuses")),
            ("none left", vec![], Err("statuses")),
            (
                "a second new",
                vec![plain(1), want(None, "x", Some(New))],
                Err("statuses.statuses[1].kind"),
            ),
            (
                "added without kind",
                vec![want(None, "x", None)],
                Err("statuses.statuses[0].kind"),
            ),
            (
                "another kind",
                vec![plain(1), want(Some(2), "x", Some(Rejected))],
                Err("statuses.statuses[1].kind"),
            ),
            (
                "unknown",
                vec![plain(9)],
                Err("statuses.statuses[0].status_id"),
            ),
            (
                "twice",
                vec![plain(1), plain(1)],
                Err("statuses.statuses[1].status_id"),
            ),
        ] {
            let numbers = |statuses: &[Status]| {
                statuses
                    .iter()
                    .map(|status| status.id.uuid().as_u128())
                    .collect::<Vec<_>>()
            };
            let reshaped = reshape(&current(), wanted, || id(100));
            let got = reshaped
                .map(|reshaped| (numbers(&reshaped.statuses), numbers(&reshaped.removed)))
                .map_err(|refusal| refusal.field);
            assert_eq!(got, expected.map_err(str::to_owned), "{name}");
        }
        let renamed = reshape(&current(), vec![want(Some(1), "Fresh", None)], || id(100)).unwrap();
        assert_eq!(renamed.statuses, [status(1, "Fresh", New)]);
    }

    #[test]
    fn cards_go_from_statuses_that_go_to_those_that_stay() {
        let removed = [status(2, "Work", InProgress), status(3, "Won", Successful)];
        for (name, cards_to, expected) in [
            ("nowhere", vec![], None),
            ("to one that stays", vec![(2, 1), (3, 7)], None),
            (
                "from one that stays",
                vec![(1, 7)],
                Some("cards_to[0].from_status_id"),
            ),
            (
                "twice",
                vec![(2, 1), (2, 7)],
                Some("cards_to[1].from_status_id"),
            ),
            (
                "to one that goes",
                vec![(2, 3)],
                Some("cards_to[0].to_status_id"),
            ),
            ("to itself", vec![(2, 2)], Some("cards_to[0].to_status_id")),
        ] {
            let cards_to: Vec<_> = cards_to
                .into_iter()
                .map(|(from, to)| (id(from), id(to)))
                .collect();
            let wrong = routes(&removed, &cards_to)
                .err()
                .map(|refusal| refusal.field);
            assert_eq!(wrong.as_deref(), expected, "{name}");
        }
    }
}
