use super::*;
use time::format_description::well_known::Rfc3339;

fn hours(texts: &[(&str, &str)]) -> Vec<Hours> {
    let parse = |(start, end): &(&str, &str)| Hours::parse(start, end).unwrap();
    let mut hours: Vec<_> = texts.iter().map(parse).collect();
    hours.sort_unstable();
    hours
}

pub(super) fn at(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

pub(super) fn daily(zone: &str, texts: &[(&str, &str)]) -> Calendar {
    Calendar {
        zone: zone.to_owned().try_into().unwrap(),
        weekly: std::array::from_fn(|_| hours(texts)),
        holidays: Vec::new(),
        days_off: Vec::new(),
        holds_chats: false,
    }
}

/// Monday to Friday, with a lunch break.
pub(super) fn office() -> Calendar {
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
        (
            "begin is in",
            &office(),
            "2026-03-02T07:00:00Z",
            true,
            Some("2026-03-02T11:00:00Z"),
        ),
        (
            "before the begin",
            &office(),
            "2026-03-02T06:59:59.999Z",
            false,
            Some("2026-03-02T07:00:00Z"),
        ),
        (
            "the end is out",
            &office(),
            "2026-03-02T11:00:00Z",
            false,
            Some("2026-03-02T12:00:00Z"),
        ),
        (
            "after lunch",
            &office(),
            "2026-03-02T15:59:59Z",
            true,
            Some("2026-03-02T16:00:00Z"),
        ),
        (
            "Friday evening",
            &office(),
            "2026-03-06T16:00:00Z",
            false,
            Some("2026-03-09T07:00:00Z"),
        ),
        // Clocks go ahead in Kyiv on March 29: nine is an hour earlier in UTC.
        (
            "over the change",
            &office(),
            "2026-03-27T16:00:00Z",
            false,
            Some("2026-03-30T06:00:00Z"),
        ),
        (
            "before midnight",
            &nights,
            "2026-03-02T22:59:59Z",
            true,
            Some("2026-03-03T05:00:00Z"),
        ),
        (
            "after midnight",
            &nights,
            "2026-03-03T00:00:00Z",
            true,
            Some("2026-03-03T05:00:00Z"),
        ),
        (
            "by day",
            &nights,
            "2026-03-03T12:00:00Z",
            false,
            Some("2026-03-03T21:00:00Z"),
        ),
        // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC. The night is an hour shorter.
        (
            "the short night",
            &nights,
            "2026-03-28T23:00:00Z",
            true,
            Some("2026-03-29T04:00:00Z"),
        ),
        (
            "begins in the gap: before",
            &early,
            "2026-03-29T00:59:59Z",
            false,
            Some("2026-03-29T01:00:00Z"),
        ),
        (
            "begins in the gap: at the jump",
            &early,
            "2026-03-29T01:00:00Z",
            true,
            Some("2026-03-29T04:00:00Z"),
        ),
        (
            "all in the gap does not take place",
            &within_gap,
            "2026-03-29T00:30:00Z",
            false,
            Some("2026-03-30T00:10:00Z"),
        ),
        // 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC. 02:30 is shown at 00:30 and 01:30 UTC.
        (
            "the long night",
            &nights,
            "2026-10-24T22:00:00Z",
            true,
            Some("2026-10-25T05:00:00Z"),
        ),
        (
            "begins at the first 02:30",
            &twice,
            "2026-10-25T00:29:00Z",
            false,
            Some("2026-10-25T00:30:00Z"),
        ),
        (
            "and goes on",
            &twice,
            "2026-10-25T01:10:00Z",
            true,
            Some("2026-10-25T04:00:00Z"),
        ),
        (
            "ends at the last 02:30",
            &until_twice,
            "2026-10-25T00:40:00Z",
            true,
            Some("2026-10-25T01:30:00Z"),
        ),
        (
            "around the clock",
            &days,
            "2026-10-25T01:00:00Z",
            true,
            None,
        ),
        ("never", &never, "2026-10-25T01:00:00Z", false, None),
        // Wednesday, December 30 to Monday, January 4: over the end of the year.
        (
            "days off begin",
            &off,
            "2026-12-29T16:00:00Z",
            false,
            Some("2027-01-05T07:00:00Z"),
        ),
        (
            "in days off",
            &off,
            "2026-12-31T10:00:00Z",
            false,
            Some("2027-01-05T07:00:00Z"),
        ),
        (
            "a holiday of one year beats the yearly one",
            &feast,
            "2026-12-25T08:30:00Z",
            true,
            Some("2026-12-25T10:00:00Z"),
        ),
        (
            "the yearly one",
            &feast,
            "2025-12-25T08:30:00Z",
            false,
            Some("2025-12-26T07:00:00Z"),
        ),
        (
            "not before its first year",
            &feast,
            "2019-12-25T08:30:00Z",
            true,
            Some("2019-12-25T11:00:00Z"),
        ),
        (
            "a leap day",
            &feast,
            "2028-02-29T08:00:00Z",
            false,
            Some("2028-03-01T07:00:00Z"),
        ),
        (
            "no leap year",
            &feast,
            "2027-03-01T08:00:00Z",
            true,
            Some("2027-03-01T11:00:00Z"),
        ),
        (
            "the day before a leap day",
            &office(),
            "2028-02-28T16:00:00Z",
            false,
            Some("2028-02-29T07:00:00Z"),
        ),
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
