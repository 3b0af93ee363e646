//! Working time as it passes.

use proptest::prelude::*;

use super::tests::{at, daily, office};
use super::*;

#[test]
fn b16_working_time_passes_only_within_hours() {
    let calendar = office();
    let whole = daily("Europe/Berlin", &[("00:00", "24:00")]);
    let doubled = daily("UTC", &[("09:00", "12:00"), ("11:00", "13:00")]);
    let hour = Duration::HOUR;
    let cases: [(&str, &Calendar, &str, &str, Duration); 9] = [
        (
            "a morning",
            &calendar,
            "2026-03-02T07:00:00Z",
            "2026-03-02T09:00:00Z",
            2 * hour,
        ),
        (
            "over lunch",
            &calendar,
            "2026-03-02T10:00:00Z",
            "2026-03-02T13:00:00Z",
            2 * hour,
        ),
        (
            "a night",
            &calendar,
            "2026-03-02T15:30:00Z",
            "2026-03-03T07:15:00Z",
            45 * Duration::MINUTE,
        ),
        (
            "a weekend",
            &calendar,
            "2026-03-06T16:00:00Z",
            "2026-03-09T07:00:00Z",
            Duration::ZERO,
        ),
        (
            "a week",
            &calendar,
            "2026-03-02T00:00:00Z",
            "2026-03-09T00:00:00Z",
            40 * hour,
        ),
        (
            "backwards",
            &calendar,
            "2026-03-03T00:00:00Z",
            "2026-03-02T00:00:00Z",
            Duration::ZERO,
        ),
        (
            "a short day",
            &whole,
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            23 * hour,
        ),
        (
            "a long day",
            &whole,
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            25 * hour,
        ),
        (
            "overlapping hours count once",
            &doubled,
            "2026-03-02T00:00:00Z",
            "2026-03-03T00:00:00Z",
            4 * hour,
        ),
    ];
    for (name, calendar, from, to, expected) in cases {
        assert_eq!(
            calendar.working_time_between(at(from), at(to)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn b16_adding_working_time_pauses_outside_hours() {
    let calendar = office();
    let minutes = Duration::minutes;
    let cases = [
        (
            "within",
            "2026-03-02T07:00:00Z",
            minutes(30),
            Some("2026-03-02T07:30:00Z"),
        ),
        (
            "until the end itself",
            "2026-03-02T10:30:00Z",
            minutes(30),
            Some("2026-03-02T11:00:00Z"),
        ),
        (
            "over lunch",
            "2026-03-02T10:45:00Z",
            minutes(30),
            Some("2026-03-02T12:15:00Z"),
        ),
        (
            "over a weekend",
            "2026-03-06T15:50:00Z",
            minutes(30),
            Some("2026-03-09T07:20:00Z"),
        ),
        (
            "over the change of clocks",
            "2026-03-27T15:50:00Z",
            minutes(30),
            Some("2026-03-30T06:20:00Z"),
        ),
        (
            "from a closed moment",
            "2026-03-07T10:00:00Z",
            minutes(1),
            Some("2026-03-09T07:01:00Z"),
        ),
        (
            "nothing",
            "2026-03-07T10:00:00Z",
            minutes(0),
            Some("2026-03-07T10:00:00Z"),
        ),
    ];
    for (name, from, add, expected) in cases {
        assert_eq!(
            calendar.add_working_time(at(from), add),
            expected.map(at),
            "{name}"
        );
    }
    let never = daily("UTC", &[]);
    assert_eq!(
        never.add_working_time(at("2026-03-02T07:00:00Z"), minutes(1)),
        None
    );
}

fn any_hours() -> impl Strategy<Value = Vec<Hours>> {
    let one = (0..DAY, 1..=DAY).prop_map(|(start, length)| Hours {
        start,
        end: start + length,
    });
    proptest::collection::vec(one, 0..3).prop_map(|mut hours| {
        hours.sort_unstable();
        hours
    })
}

fn any_calendar() -> impl Strategy<Value = Calendar> {
    let zones = [
        "Europe/Kyiv",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "UTC",
    ];
    let weekly = proptest::collection::vec(any_hours(), 7);
    let feast = (1_i8..=12, 1_i8..=28, any::<bool>(), any_hours());
    (
        proptest::sample::select(zones.to_vec()),
        weekly,
        proptest::collection::vec(feast, 0..3),
    )
        .prop_map(|(zone, weekly, feasts)| {
            let mut calendar = daily(zone, &[]);
            for (day, hours) in calendar.weekly.iter_mut().zip(weekly) {
                *day = hours;
            }
            let holiday = |(month, day, yearly, hours)| Holiday {
                date: Date::new(2026, month, day).unwrap(),
                yearly,
                hours,
                name: String::new(),
            };
            calendar.holidays = feasts.into_iter().map(holiday).collect();
            calendar
        })
}

fn any_moment() -> impl Strategy<Value = OffsetDateTime> {
    (0_i64..3 * 365 * 86_400).prop_map(|s| at("2025-01-01T00:00:00Z") + Duration::seconds(s))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn b16_parts_of_working_time_sum_up(
        calendar in any_calendar(),
        mut moments in proptest::array::uniform3(any_moment()),
    ) {
        moments.sort_unstable();
        let [a, b, c] = moments;
        let whole = calendar.working_time_between(a, c);
        let parts = calendar.working_time_between(a, b) + calendar.working_time_between(b, c);
        prop_assert_eq!(whole, parts);
        prop_assert!(whole <= c - a);
    }

    #[test]
    fn b16_what_is_added_is_what_is_measured(
        calendar in any_calendar(),
        from in any_moment(),
        seconds in 1_i64..200 * 3_600,
    ) {
        let add = Duration::seconds(seconds);
        if let Some(to) = calendar.add_working_time(from, add) {
            prop_assert_eq!(calendar.working_time_between(from, to), add);
            let just_before = to - Duration::nanoseconds(1);
            prop_assert!(calendar.working_time_between(from, just_before) < add, "the first such moment");
        } else {
            prop_assert!(calendar.weekly.iter().all(Vec::is_empty));
        }
    }

    #[test]
    fn b15_nothing_changes_before_the_next_change(calendar in any_calendar(), now in any_moment()) {
        let open = calendar.is_open(now);
        if let Some(change) = calendar.next_change(now) {
            prop_assert!(change > now);
            prop_assert_eq!(calendar.is_open(change), !open);
            let before = change - Duration::nanoseconds(1);
            prop_assert_eq!(calendar.is_open(before), open);
            let passed = calendar.working_time_between(now, change);
            prop_assert_eq!(passed, if open { change - now } else { Duration::ZERO });
        }
    }
}
