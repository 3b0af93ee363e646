//! The screen on good days and on the worst.

use switchboard_proto::operator::v1::{
    OutboxStatus, Pause, PauseKind, ReadinessCheck, Unavailable,
};
use time::macros::datetime;

use super::super::Silent;
use super::*;

/// The time of these tests.
pub(in super::super) const NOW: OffsetDateTime = datetime!(2026-03-02 18:00:00 UTC);

/// So many seconds before it.
pub(in super::super) fn stamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: NOW.unix_timestamp() - seconds,
        nanos: 0,
    }
}

/// A replica that told something so many seconds ago.
pub(in super::super) fn replica(host: &str, ready: bool, told: i64) -> Replica {
    Replica {
        host: host.into(),
        version: "0.1.0".into(),
        ready,
        report_time: Some(stamp(told)),
        ready_since_time: Some(stamp(7_200)),
        checks: vec![ReadinessCheck {
            name: "nats".into(),
            ok: ready,
            reason: "not connected".into(),
            since_time: Some(stamp(7_200)),
        }],
        ..Replica::default()
    }
}

/// A service that is well.
pub(in super::super) fn well(service: &str) -> GetStatusResponse {
    GetStatusResponse {
        service: service.into(),
        time: Some(stamp(0)),
        replicas: vec![replica("pod-a", true, 0), replica("pod-b", true, 4)],
        outbox: Some(OutboxStatus::default()),
        dead_letters: Some(0),
        ..GetStatusResponse::default()
    }
}

fn ok(service: &'static str, told: GetStatusResponse) -> Told {
    Told {
        service,
        told: Ok(told),
    }
}

/// The worst that a screen has to hold: every section as full as it gets.
fn full() -> Vec<Told> {
    let names = ["assignment", "conversation", "crm-cards", "channel-gateway"];
    let make = |service: &'static str| {
        let mut told = well(service);
        told.replicas = vec![
            replica("deployment-7c9f-abcde", true, 0),
            replica("deployment-7c9f-fghij", false, 40),
        ];
        told.unavailable = vec![Unavailable {
            part: "nats".into(),
            reason: "not connected".into(),
            since_time: Some(stamp(120)),
        }];
        told.streams = (0..4)
            .map(|number| StreamStatus {
                stream: format!("INBOUND_{number}"),
                bytes: 99,
                max_bytes: 100,
                ..StreamStatus::default()
            })
            .collect();
        told.consumers = (0..5)
            .map(|number| ConsumerStatus {
                consumer: format!("{service}-consumer-{number}"),
                stream: "EVENTS".into(),
                pending: 5_000,
                ..ConsumerStatus::default()
            })
            .collect();
        told.pauses = vec![
            Pause {
                kind: PauseKind::Deliveries.into(),
                subject_id: "a-shop-with-a-long-name".into(),
                reason: "the provider asked for it, and nobody knows for how long".into(),
                ..Pause::default()
            };
            3
        ];
        told.dead_letters = Some(7);
        told.findings = (0..9)
            .map(|number| Finding {
                subject: if number == 0 { "channels" } else { "channel" }.into(),
                level: Level::Warn.into(),
                text: "the webhook leads elsewhere, and so do all the others".into(),
                subject_id: number.to_string(),
                ..Finding::default()
            })
            .collect();
        told.replicas[0].problems = (0..9)
            .map(|number| LoggedProblem {
                level: Level::Fail.into(),
                text: format!(
                    "error {number}: something went wrong in a long sentence that goes on"
                ),
                time: Some(stamp(number)),
                count: 3,
            })
            .collect();
        ok(service, told)
    };
    names.into_iter().map(make).collect()
}

#[test]
fn o201_one_screen_holds_the_worst_day() {
    let lines = render(&full(), Some(80), false, NOW);
    assert!(lines.len() <= 40, "{}\n{}", lines.len(), lines.join("\n"));
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn o201_a_good_day_is_said_in_one_sentence() {
    let names = ["assignment", "conversation", "crm-cards", "channel-gateway"];
    let all: Vec<Told> = names.into_iter().map(|name| ok(name, well(name))).collect();
    let text = render(&all, Some(80), false, NOW).join("\n");
    assert!(
        text.starts_with("All is well   2026-03-02 18:00 UTC\nSERVICES\n"),
        "{text}"
    );
    assert!(text.contains("conversation     pod-a"), "{text}");
    assert!(text.contains("ready for 2 h"), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn o302_what_is_away_says_since_when_and_the_rest_is_shown() {
    let mut away = well("conversation");
    away.replicas = vec![replica("pod-a", false, 0)];
    away.dead_letters = None;
    away.outbox = Some(OutboxStatus {
        events: 12,
        oldest_time: Some(stamp(130)),
    });
    away.unavailable = vec![Unavailable {
        part: "nats".into(),
        reason: "not connected".into(),
        since_time: Some(stamp(132)),
    }];
    let gone = Told {
        service: "assignment",
        told: Err(Silent {
            reason: "cannot reach assignment: connection refused".into(),
            since: Some(NOW - time::Duration::seconds(50)),
        }),
    };
    let text = render(&[gone, ok("conversation", away)], Some(120), false, NOW).join("\n");
    for expected in [
        "3 things to look at",
        "assignment       UNREACHABLE for 50 s: cannot reach assignment: connection refused",
        "NOT READY for 2 h: nats: not connected",
        "nats away for 2 min: not connected",
        "STREAMS  nobody can tell",
        "OUTBOX        waits to be published: conversation 12 for 2 min",
        "WAITING CHATS none",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}
