//! Edits, reactions and deletions of a client: of several the newest counts, whatever order they come in.

use time::OffsetDateTime;

/// When an amendment was made. Provider times have seconds at worst; the running number inside the event's key
/// tells which of one second is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The provider's time.
    pub time: OffsetDateTime,
    /// The provider's key of the event, for example `upd:812004417`.
    pub key: String,
}

impl Moment {
    /// Makes a moment.
    pub fn new(time: OffsetDateTime, key: impl Into<String>) -> Self {
        Self {
            time,
            key: key.into(),
        }
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A longer number is a greater one.
        let rank = |moment: &Self| (moment.time, moment.key.len());
        rank(self)
            .cmp(&rank(other))
            .then_with(|| self.key.cmp(&other.key))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn moments_order_by_time_then_by_the_events_number() {
        let noon = datetime!(2026-05-01 12:00 UTC);
        let later = datetime!(2026-05-01 12:01 UTC);
        for (older, newer) in [
            (Moment::new(noon, "upd:999"), Moment::new(later, "upd:1")),
            (Moment::new(noon, "upd:9"), Moment::new(noon, "upd:10")),
            (Moment::new(noon, "upd:10"), Moment::new(noon, "upd:11")),
        ] {
            assert!(older < newer, "{older:?} {newer:?}");
        }
    }
}
