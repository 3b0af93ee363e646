//! Statuses of cards and orders.

use super::ids::{PipelineId, SourceId, StatusId};
use super::words::words;

words! {
    /// Kind of a status.
    pub enum StatusKind {
        /// Where cards begin.
        New = "new",
        /// In work.
        InProgress = "in-progress",
        /// Won.
        Successful = "successful",
        /// Lost.
        Rejected = "rejected",
    }
}

impl StatusKind {
    /// Tells whether it is a working one: every kind but successful and rejected (F013).
    pub const fn is_working(self) -> bool {
        matches!(self, Self::New | Self::InProgress)
    }
}

/// A status of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Id.
    pub id: StatusId,
    /// Name to show.
    pub name: String,
    /// Kind; never changes (D04).
    pub kind: StatusKind,
}

/// An ordered list of statuses that cards go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Id.
    pub id: PipelineId,
    /// Name to show.
    pub name: String,
    /// The statuses in order, exactly one of kind new (D04).
    pub statuses: Vec<Status>,
    /// Raised with every change.
    pub revision: i64,
}

/// Where cards come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Id.
    pub id: SourceId,
    /// Name to show, unique in the account.
    pub name: String,
    /// Raised with every change.
    pub revision: i64,
}

/// The statuses of a pipeline that was created without any.
pub const DEFAULT_STATUSES: [(&str, StatusKind); 4] = [
    ("New", StatusKind::New),
    ("In progress", StatusKind::InProgress),
    ("Successful", StatusKind::Successful),
    ("Rejected", StatusKind::Rejected),
];

/// Tells whether a pipeline may have these kinds of statuses: exactly one is new (D04).
pub fn one_is_new(kinds: impl IntoIterator<Item = StatusKind>) -> bool {
    kinds
        .into_iter()
        .filter(|kind| *kind == StatusKind::New)
        .count()
        == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f013_working_is_every_kind_but_successful_and_rejected() {
        let working: Vec<_> = StatusKind::ALL
            .iter()
            .filter(|kind| kind.is_working())
            .collect();
        assert_eq!(working, [&StatusKind::New, &StatusKind::InProgress]);
    }

    #[test]
    fn d04_a_pipeline_has_exactly_one_status_new() {
        use StatusKind::{InProgress, New, Successful};
        for (kinds, fits) in [
            (vec![], false),
            (vec![New], true),
            (vec![InProgress, Successful], false),
            (vec![New, InProgress, New], false),
            (DEFAULT_STATUSES.map(|(_, kind)| kind).to_vec(), true),
        ] {
            assert_eq!(one_is_new(kinds.clone()), fits, "{kinds:?}");
        }
    }
}
