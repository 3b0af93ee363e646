//! Silence where clients used to be heard: a hint, and a careful one (B10).

use time::{Date, OffsetDateTime};

use super::{Problem, SILENCE};

/// How many days before the last active one are looked at.
const LOOKED_AT: u32 = 28;

/// Active days among them at least: of a channel that is seldom used nobody can tell what is usual.
const USUAL: u32 = 14;

/// Quiet days at least.
const QUIET: i64 = 2;

/// The days on which a channel was heard, as far back as a number has bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// The last of them.
    pub last: Option<Date>,
    /// Bit 0 is that day, bit n the n-th before it.
    pub days: u64,
}

impl Activity {
    /// Notes when the channel was heard last. Days on which nobody looked count as quiet: that only makes it more careful.
    #[must_use]
    pub fn heard(self, at: Option<OffsetDateTime>) -> Self {
        let Some(day) = at.map(|at| at.to_offset(time::UtcOffset::UTC).date()) else {
            return self;
        };
        let passed = match self.last {
            None => return Self::of(day, 0),
            Some(last) => (day - last).whole_days(),
        };
        match u32::try_from(passed) {
            // Not after what is known.
            Err(_) | Ok(0) => self,
            Ok(passed) => Self::of(day, self.days.checked_shl(passed).unwrap_or(0)),
        }
    }

    const fn of(day: Date, before: u64) -> Self {
        Self {
            last: Some(day),
            days: before | 1,
        }
    }

    /// Tells of a silence that is longer than twice the longest that was usual.
    pub fn silence(self, now: OffsetDateTime) -> Option<Problem> {
        let window = self.days & ((1_u64 << (LOOKED_AT + 1)) - 1);
        if window.count_ones() <= USUAL {
            return None;
        }
        let mut longest = 0;
        let mut quiet = 0;
        // Only between two active days: how quiet it was before the first, nobody knows.
        for bit in 0..(u64::BITS - window.leading_zeros()) {
            quiet = if window >> bit & 1 == 1 { 0 } else { quiet + 1 };
            longest = longest.max(quiet);
        }
        let usual = i64::from(longest);
        let today = now.to_offset(time::UtcOffset::UTC).date();
        let passed = (today - self.last?).whole_days() - 1;
        (passed >= QUIET.max(usual * 2 + 1)).then(|| {
            Problem::new(
                SILENCE,
                "No client has been heard for unusually long. Write to the channel yourself: if it does not arrive, \
                 verify the channel.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn day(number: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000 + number) + Duration::hours(9)
    }

    fn heard(days: impl IntoIterator<Item = i64>) -> Activity {
        let heard = |activity: Activity, number| activity.heard(Some(day(number)));
        days.into_iter().fold(Activity::default(), heard)
    }

    #[test]
    fn b10_a_silence_is_told_only_where_clients_are_usually_heard() {
        let weekdays = (0..40).filter(|day| day % 7 < 5);
        for (name, activity, asked, expected) in [
            ("never heard", Activity::default(), 100, false),
            ("new", heard(0..10), 30, false),
            ("seldom", heard((0..40).step_by(7)), 100, false),
            ("daily, and yesterday", heard(0..40), 40, false),
            ("daily, one day quiet", heard(0..40), 41, false),
            ("daily, two days quiet", heard(0..40), 42, true),
            // The last active day is 39 % 7 = 4, a Friday.
            (
                "weekdays, after a weekend",
                heard(weekdays.clone()),
                42,
                false,
            ),
            (
                "weekdays, a long weekend",
                heard(weekdays.clone()),
                44,
                false,
            ),
            (
                "weekdays, a week after Friday",
                heard(weekdays.clone()),
                45,
                true,
            ),
            (
                "weekdays, heard again",
                heard(weekdays).heard(Some(day(45))),
                45,
                false,
            ),
        ] {
            assert_eq!(activity.silence(day(asked)).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn days_are_noted_once_and_never_backwards() {
        let activity = heard([0, 0, 3, 1]);
        assert_eq!(
            (activity.days, activity.last),
            (0b1001, Some(day(3).date()))
        );
        assert_eq!(activity.heard(None), activity);
        assert_eq!(activity.heard(Some(day(500))).days, 1);
    }
}
