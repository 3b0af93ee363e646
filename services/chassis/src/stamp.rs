//! The stamp that every responsible carries: which act it stems from (architecture §8).

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How far ahead of us a stamp from outside may be.
const MAX_AHEAD: Duration = Duration::seconds(60);

/// A hybrid time and the event of a human or rule act. Higher stamps win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When the act happened, in microseconds, raised above the stamp it replaced.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The event of the act; decides between equal times.
    pub event: Uuid,
}

/// A stamp too far in the future to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stamp is more than 60 s ahead of this server")]
pub struct StampAhead;

impl Stamp {
    /// The stamp of "nobody decided yet": lower than every act.
    pub const ZERO: Self = Self {
        time: OffsetDateTime::UNIX_EPOCH,
        event: Uuid::nil(),
    };

    /// Returns the stamp of a person's act: later than the stamp in place, whatever the clocks say.
    #[must_use]
    pub fn next_for_person(in_place: Self, now: OffsetDateTime, event: Uuid) -> Self {
        Self {
            time: now.max(in_place.time.saturating_add(Duration::MICROSECOND)),
            event,
        }
    }

    /// Refuses a stamp from outside that is more than 60 s ahead of `now`.
    pub fn not_ahead(self, now: OffsetDateTime) -> Result<Self, StampAhead> {
        if self.time > now.saturating_add(MAX_AHEAD) {
            Err(StampAhead)
        } else {
            Ok(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_persons_act_is_always_later_than_what_it_replaces() {
        let now = datetime!(2026-01-01 12:00:00 UTC);
        let second = Duration::SECOND;
        let cases = [
            ("first act", Stamp::ZERO.time, now),
            ("clock ahead of the stamp", now - second, now),
            ("same moment", now, now + Duration::MICROSECOND),
            (
                "clock behind the stamp",
                now + second,
                now + second + Duration::MICROSECOND,
            ),
        ];
        for (name, in_place, expected) in cases {
            let in_place = Stamp {
                time: in_place,
                event: Uuid::max(),
            };
            let next = Stamp::next_for_person(in_place, now, Uuid::from_u128(1));
            assert_eq!(next.time, expected, "{name}");
            assert!(next > in_place, "{name}");
        }
    }

    #[test]
    fn equal_times_are_decided_by_the_event() {
        let time = datetime!(2026-01-01 12:00:00 UTC);
        let low = Stamp {
            time,
            event: Uuid::from_u128(1),
        };
        let high = Stamp {
            time,
            event: Uuid::from_u128(2),
        };
        assert!(low < high && Stamp::ZERO < low);
    }

    #[test]
    fn stamps_over_a_minute_ahead_are_refused() {
        let now = datetime!(2026-01-01 12:00:00 UTC);
        for (ahead, fits) in [(0, true), (60, true), (61, false)] {
            let stamp = Stamp {
                time: now + Duration::seconds(ahead),
                event: Uuid::nil(),
            };
            assert_eq!(stamp.not_ahead(now).is_ok(), fits, "{ahead}");
        }
    }
}
