use super::*;
use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;

fn hours(texts: &[(&str, &str)]) -> Vec<Hours> {
    let parse = |(start, end): &(&str, &str)| Hours::parse(start, end).unwrap();
    let mut hours: Vec<_> = texts.iter().map(parse).collect();
    hours.sort_unstable();
    hours
}

fn at(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn daily(zone: &str, texts: &[(&str, &str)]) -> Calendar {
    Calendar {
        zone: zone.to_owned().try_into().unwrap(),
        weekly: std::array::from_fn(|_| hours(texts)),
        holidays: Vec::new(),
        days_off: Vec::new(),
        holds_chats: false,
    }
}

/// Monday to Friday, with a lunch break.
fn office() -> Calendar {
    let mut calendar = daily("Europe/Kyiv", &[("09:00", "13:00"), ("14:00", "18:00")]);
    calendar.weekly[5].clear();
    calendar.weekly[6].clear();
    calendar
}

fn holiday(date: &str, yearly: bool, texts: &[(&str, &str)]) -> Holiday {
    Holiday {
        date: date.parse().unwrap(),
        yearly,
        hours: hours(texts),
        name: String::new(),
    }
}

#[test]
fn b15_hours_are_read_and_written() {
    for (start, end, written) in [
        ("09:00", "18:00", Some(("09:00", "18:00"))),
        ("22:00", "06:00", Some(("22:00", "06:00"))),
        ("00:00", "24:00", Some(("00:00", "24:00"))),
        ("00:00", "00:00", Some(("00:00", "24:00"))),
        ("22:00", "00:00", Some(("22:00", "24:00"))),
        ("09:00", "09:00", Some(("09:00", "09:00"))),
        ("24:00", "09:00", None),
        ("09:00", "24:01", None),
        ("9:00", "18:00", None),
        ("09:60", "18:00", None),
        ("09", "18:00", None),
        ("+9:00", "18:00", None),
        ("", "", None),
    ] {
        let read = Hours::parse(start, end).map(Hours::text);
        let written = written.map(|(start, end)| (start.to_owned(), end.to_owned()));
        assert_eq!(read, written, "{start}-{end}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn b15_a_calendar_is_open_as_its_clock_says() {
    let nights = daily("Europe/Berlin", &[("22:00", "06:00")]);
    let early = daily("Europe/Berlin", &[("02:30", "06:00")]);
    let within_gap = daily("Europe/Berlin", &[("02:10", "02:50")]);
    let twice = daily("Europe/Berlin", &[("02:30", "05:00")]);
    let until_twice = daily("Europe/Berlin", &[("00:00", "02:30")]);
    let days = daily("Europe/Berlin", &[("00:00", "24:00")]);
    let mut off = office();
    off.days_off.push(DaysOff {
        first: "2026-12-30".parse().unwrap(),
        last: "2027-01-04".parse().unwrap(),
        reason: String::new(),
    });
    let mut feast = office();
    feast.holidays = vec![
        holiday("2020-12-25", true, &[]),
        holiday("2026-12-25", false, &[("10:00", "12:00")]),
        holiday("2024-02-29", true, &[]),
    ];
    let never = daily("UTC", &[]);
    // The calendar, a moment, whether it is open, and when that changes.
    let cases: [(&str, &Calendar, &str, bool, Option<&str>); 27] = [
        ("begin is in", &office(), "2026-03-02T07:00:00Z", true, Some("2026-03-02T11:00:00Z")),
        ("before the begin", &office(), "2026-03-02T06:59:59.999Z", false, Some("2026-03-02T07:00:00Z")),
        ("the end is out", &office(), "2026-03-02T11:00:00Z", false, Some("2026-03-02T12:00:00Z")),
        ("after lunch", &office(), "2026-03-02T15:59:59Z", true, Some("2026-03-02T16:00:00Z")),
        ("Friday evening", &office(), "2026-03-06T16:00:00Z", false, Some("2026-03-09T07:00:00Z")),
        // Clocks go ahead in Kyiv on March 29: nine is an hour earlier in UTC.
        ("over the change", &office(), "2026-03-27T16:00:00Z", false, Some("2026-03-30T06:00:00Z")),
        ("before midnight", &nights, "2026-03-02T22:59:59Z", true, Some("2026-03-03T05:00:00Z")),
        ("after midnight", &nights, "2026-03-03T00:00:00Z", true, Some("2026-03-03T05:00:00Z")),
        ("by day", &nights, "2026-03-03T12:00:00Z", false, Some("2026-03-03T21:00:00Z")),
        // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC. The night is an hour shorter.
        ("the short night", &nights, "2026-03-28T23:00:00Z", true, Some("2026-03-29T04:00:00Z")),
        ("begins in the gap: before", &early, "2026-03-29T00:59:59Z", false, Some("2026-03-29T01:00:00Z")),
        ("begins in the gap: at the jump", &early, "2026-03-29T01:00:00Z", true, Some("2026-03-29T04:00:00Z")),
        ("all in the gap does not take place", &within_gap, "2026-03-29T00:30:00Z", false, Some("2026-03-30T00:10:00Z")),
        // 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC. 02:30 is shown at 00:30 and 01:30 UTC.
        ("the long night", &nights, "2026-10-24T22:00:00Z", true, Some("2026-10-25T05:00:00Z")),
        ("begins at the first 02:30", &twice, "2026-10-25T00:29:00Z", false, Some("2026-10-25T00:30:00Z")),
        ("and goes on", &twice, "2026-10-25T01:10:00Z", true, Some("2026-10-25T04:00:00Z")),
        ("ends at the last 02:30", &until_twice, "2026-10-25T00:40:00Z", true, Some("2026-10-25T01:30:00Z")),
        ("around the clock", &days, "2026-10-25T01:00:00Z", true, None),
        ("never", &never, "2026-10-25T01:00:00Z", false, None),
        // Wednesday, December 30 to Monday, January 4: over the end of the year.
        ("days off begin", &off, "2026-12-29T16:00:00Z", false, Some("2027-01-05T07:00:00Z")),
        ("in days off", &off, "2026-12-31T10:00:00Z", false, Some("2027-01-05T07:00:00Z")),
        ("a holiday of one year beats the yearly one", &feast, "2026-12-25T08:30:00Z", true, Some("2026-12-25T10:00:00Z")),
        ("the yearly one", &feast, "2025-12-25T08:30:00Z", false, Some("2025-12-26T07:00:00Z")),
        ("not before its first year", &feast, "2019-12-25T08:30:00Z", true, Some("2019-12-25T11:00:00Z")),
        ("a leap day", &feast, "2028-02-29T08:00:00Z", false, Some("2028-03-01T07:00:00Z")),
        ("no leap year", &feast, "2027-03-01T08:00:00Z", true, Some("2027-03-01T11:00:00Z")),
        ("the day before a leap day", &office(), "2028-02-28T16:00:00Z", false, Some("2028-02-29T07:00:00Z")),
    ];
    for (name, calendar, now, open, change) in cases {
        assert_eq!(calendar.is_open(at(now)), open, "{name}");
        assert_eq!(calendar.next_change(at(now)), change.map(at), "{name}");
    }
}

#[test]
fn b15_a_skipped_date_is_no_day() {
    // Samoa went from December 29 to 31, 2011.
    let calendar = daily("Pacific/Apia", &[("09:00", "17:00")]);
    let evening = at("2011-12-30T03:30:00Z");
    assert!(!calendar.is_open(evening));
    assert_eq!(
        calendar.next_change(evening),
        Some(at("2011-12-30T19:00:00Z"))
    );
}

#[test]
fn b16_working_time_passes_only_within_hours() {
    let calendar = office();
    let whole = daily("Europe/Berlin", &[("00:00", "24:00")]);
    let doubled = daily("UTC", &[("09:00", "12:00"), ("11:00", "13:00")]);
    let hour = Duration::HOUR;
    let cases: [(&str, &Calendar, &str, &str, Duration); 9] = [
        ("a morning", &calendar, "2026-03-02T07:00:00Z", "2026-03-02T09:00:00Z", 2 * hour),
        ("over lunch", &calendar, "2026-03-02T10:00:00Z", "2026-03-02T13:00:00Z", 2 * hour),
        ("a night", &calendar, "2026-03-02T15:30:00Z", "2026-03-03T07:15:00Z", 45 * Duration::MINUTE),
        ("a weekend", &calendar, "2026-03-06T16:00:00Z", "2026-03-09T07:00:00Z", Duration::ZERO),
        ("a week", &calendar, "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z", 40 * hour),
        ("backwards", &calendar, "2026-03-03T00:00:00Z", "2026-03-02T00:00:00Z", Duration::ZERO),
        ("a short day", &whole, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23 * hour),
        ("a long day", &whole, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25 * hour),
        ("overlapping hours count once", &doubled, "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", 4 * hour),
    ];
    for (name, calendar, from, to, expected) in cases {
        assert_eq!(calendar.working_time_between(at(from), at(to)), expected, "{name}");
    }
}

#[test]
fn b16_adding_working_time_pauses_outside_hours() {
    let calendar = office();
    let minutes = Duration::minutes;
    let cases = [
        ("within", "2026-03-02T07:00:00Z", minutes(30), Some("2026-03-02T07:30:00Z")),
        ("until the end itself", "2026-03-02T10:30:00Z", minutes(30), Some("2026-03-02T11:00:00Z")),
        ("over lunch", "2026-03-02T10:45:00Z", minutes(30), Some("2026-03-02T12:15:00Z")),
        ("over a weekend", "2026-03-06T15:50:00Z", minutes(30), Some("2026-03-09T07:20:00Z")),
        ("over the change of clocks", "2026-03-27T15:50:00Z", minutes(30), Some("2026-03-30T06:20:00Z")),
        ("from a closed moment", "2026-03-07T10:00:00Z", minutes(1), Some("2026-03-09T07:01:00Z")),
        ("nothing", "2026-03-07T10:00:00Z", minutes(0), Some("2026-03-07T10:00:00Z")),
    ];
    for (name, from, add, expected) in cases {
        assert_eq!(calendar.add_working_time(at(from), add), expected.map(at), "{name}");
    }
    let never = daily("UTC", &[]);
    assert_eq!(never.add_working_time(at("2026-03-02T07:00:00Z"), minutes(1)), None);
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
    let zones = ["Europe/Kyiv", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"];
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
