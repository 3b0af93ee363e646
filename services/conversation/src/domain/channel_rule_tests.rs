use time::macros::datetime;

use super::*;
use chassis::calendar::wire;
use chassis::grpc::Parse;
use switchboard_proto::assignment::v1 as pb;

/// Monday to Friday, nine to six.
fn office() -> Calendar {
    let day = |weekday: pb::Weekday| pb::DayHours {
        weekday: weekday.into(),
        hours: vec![pb::Hours {
            start: "09:00".into(),
            end: "18:00".into(),
        }],
    };
    let days = [
        pb::Weekday::Monday,
        pb::Weekday::Tuesday,
        pb::Weekday::Wednesday,
        pb::Weekday::Thursday,
        pb::Weekday::Friday,
    ];
    let calendar = pb::Calendar {
        time_zone: "UTC".into(),
        weekly: days.map(day).into(),
        ..pb::Calendar::default()
    };
    wire::read(Parse::new("test"), &calendar).unwrap()
}

#[test]
fn f211_b16_a_wait_is_due_when_so_much_working_time_has_passed() {
    let (office, never) = (
        office(),
        wire::read(
            Parse::new("test"),
            &pb::Calendar {
                time_zone: "UTC".into(),
                ..pb::Calendar::default()
            },
        )
        .unwrap(),
    );
    // 2026-03-06 is a Friday.
    let friday = datetime!(2026-03-06 17:50 UTC);
    for (what, since, limit, calendar, expected) in [
        (
            "no calendar",
            friday,
            1_800,
            None,
            Some(datetime!(2026-03-06 18:20 UTC)),
        ),
        (
            "within hours",
            datetime!(2026-03-06 10:00 UTC),
            1_800,
            Some(&office),
            Some(datetime!(2026-03-06 10:30 UTC)),
        ),
        (
            "over a weekend",
            friday,
            1_800,
            Some(&office),
            Some(datetime!(2026-03-09 09:20 UTC)),
        ),
        (
            "written at night",
            datetime!(2026-03-03 02:00 UTC),
            60,
            Some(&office),
            Some(datetime!(2026-03-03 09:01 UTC)),
        ),
        ("no hours at all", friday, 60, Some(&never), None),
    ] {
        assert_eq!(due(since, limit, calendar), expected, "{what}");
    }
}

#[test]
fn f211_a_limit_counts_for_its_kind_of_wait() {
    let limits = |first, next| Limits { first, next };
    for (limits, first, expected) in [
        (limits(0, 0), true, None),
        (limits(60, 0), true, Some(60)),
        (limits(60, 0), false, None),
        (limits(60, 30), false, Some(30)),
    ] {
        assert_eq!(limits.of(first), expected);
    }
    for (before, after, more) in [
        (limits(0, 0), limits(60, 0), true),
        (limits(60, 0), limits(60, 60), true),
        (limits(60, 60), limits(30, 90), false),
        (limits(60, 60), limits(0, 0), false),
    ] {
        assert_eq!(after.times_more_than(before), more);
    }
}

#[test]
fn b15_a_client_is_answered_by_itself_once_and_not_in_the_way_of_an_agent() {
    let rule = |greeting: &str, off_hours: &str| ChannelRule {
        greeting: greeting.into(),
        off_hours_reply: off_hours.into(),
        ..ChannelRule::empty(ChannelId::from(uuid::Uuid::nil()))
    };
    let opened = Opened {
        is_open: true,
        answered: false,
        age: time::Duration::SECOND,
        working_time: true,
    };
    let at_night = Opened {
        working_time: false,
        ..opened
    };
    let both = rule("Hello!", "We open at nine.");
    for (what, rule, opened, expected) in [
        ("by day", &both, opened, Some(Reply::Greeting("Hello!"))),
        (
            "at night",
            &both,
            at_night,
            Some(Reply::OffHours("We open at nine.")),
        ),
        ("no greeting", &rule("", "x"), opened, None),
        ("nothing at night", &rule("x", ""), at_night, None),
        (
            "closed again",
            &both,
            Opened {
                is_open: false,
                ..opened
            },
            None,
        ),
        (
            "answered",
            &both,
            Opened {
                answered: true,
                ..opened
            },
            None,
        ),
        (
            "after an outage",
            &both,
            Opened {
                age: time::Duration::minutes(16),
                ..opened
            },
            None,
        ),
    ] {
        assert_eq!(reply(rule, opened), expected, "{what}");
    }
}
