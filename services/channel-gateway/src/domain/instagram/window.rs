//! How long a customer may be answered in Direct (channels.md §4.4).

use time::{Duration, OffsetDateTime};

/// What may be sent to a customer now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Window {
    /// Everything.
    #[default]
    Open,
    /// What a person wrote, under the tag for it.
    HumanAgent,
    /// Nothing, until the customer writes again.
    Closed,
}

/// After the customer's last message everything may be sent for so long.
const OPEN: Duration = Duration::hours(24);

/// What a person wrote may be sent for so long, where Meta granted the app that.
const HUMAN_AGENT: Duration = Duration::days(7);

/// Tells what may be sent. `last_client_at` is the time of the customer's last message, press or mention; comments do
/// not count. `human_agent` tells that the app has the Human Agent feature.
pub fn standing(
    last_client_at: Option<OffsetDateTime>,
    human_agent: bool,
    now: OffsetDateTime,
) -> Window {
    match last_client_at.map(|at| now - at) {
        Some(age) if age < OPEN => Window::Open,
        Some(age) if human_agent && age < HUMAN_AGENT => Window::HumanAgent,
        _ => Window::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // pitfall 19: the window
    #[test]
    fn a_customer_is_answered_for_a_day_and_by_a_person_for_a_week() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let second = Duration::SECOND;
        for (name, age, human_agent, expected) in [
            ("never wrote", None, true, Window::Closed),
            ("just now", Some(Duration::ZERO), false, Window::Open),
            ("a clock ahead of ours", Some(-second), false, Window::Open),
            ("nearly a day", Some(OPEN - second), false, Window::Open),
            ("a day", Some(OPEN), false, Window::Closed),
            ("a day, by a person", Some(OPEN), true, Window::HumanAgent),
            (
                "nearly a week",
                Some(HUMAN_AGENT - second),
                true,
                Window::HumanAgent,
            ),
            (
                "nearly a week, no feature",
                Some(HUMAN_AGENT - second),
                false,
                Window::Closed,
            ),
            ("a week", Some(HUMAN_AGENT), true, Window::Closed),
        ] {
            let last = age.map(|age| now - age);
            assert_eq!(standing(last, human_agent, now), expected, "{name}");
        }
    }
}
