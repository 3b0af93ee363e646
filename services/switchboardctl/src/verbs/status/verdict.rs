//! What is wrong, in a few sentences: the first thing that somebody reads who looks at the status.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use switchboard_proto::operator::v1::{GetStatusResponse, Level, Pause, PauseKind, Replica};
use time::{Duration, OffsetDateTime};

use super::Told;
use crate::output::words;

/// A replica that has told nothing for so long is silent.
pub(super) const SILENT: Duration = Duration::seconds(15);

/// A consumer with more messages before it than this lags, however fast it is.
const LAG: u64 = 1_000;

/// Events that stand in the outbox for so long are stuck.
const STUCK: Duration = Duration::seconds(10);

/// A stream that is so full, in percent, is told of.
const FULL: u64 = 80;

/// Tells what is wrong: what does not work at all first. Nothing where all is well.
pub(super) fn wrong(all: &[Told], now: OffsetDateTime) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in all {
        if one.told.is_err() {
            wrong.push(format!("{} cannot be reached", one.service));
        }
    }
    let told = || all.iter().filter_map(|one| one.told.as_ref().ok());
    wrong.extend(away(&told().collect::<Vec<_>>()));
    for one in told() {
        replicas(one, &mut wrong);
    }
    let held = told().flat_map(|one| &one.pauses);
    wrong.extend(held.map(|pause| paused(pause, now)));
    for one in told() {
        backlog(one, now, &mut wrong);
    }
    if let Some(one) = told().find(|one| !one.streams.is_empty()) {
        let full = one.streams.iter().filter(|stream| {
            // Dead letters forget their oldest: full is their usual state in the long run.
            stream.stream != "DEAD_LETTERS"
                && stream.max_bytes > 0
                && stream.bytes > stream.max_bytes / 100 * FULL
        });
        wrong.extend(full.map(|stream| format!("{} is more than {FULL} % full", stream.stream)));
    }
    let letters: u64 = told().filter_map(|one| one.dead_letters).sum();
    if letters > 0 {
        let (letter, wait) = if letters == 1 {
            ("dead letter", "waits")
        } else {
            ("dead letters", "wait")
        };
        wrong.push(format!("{letters} {letter} {wait} for somebody"));
    }
    let channels = told().flat_map(|one| &one.findings);
    let channels = channels
        .filter(|finding| finding.subject == "channel" && finding.level() != Level::Ok)
        .map(|finding| finding.subject_id.as_str());
    let mut channels: Vec<&str> = channels.collect();
    channels.dedup();
    match channels.len() {
        0 => {}
        1 => wrong.push("1 channel needs an administrator".into()),
        more => wrong.push(format!("{more} channels need an administrator")),
    }
    wrong
}

fn replicas(told: &GetStatusResponse, wrong: &mut Vec<String>) {
    let service = &told.service;
    let asked = told.time.as_ref();
    let silent = |replica: &&Replica| is_silent(replica, asked);
    let (gone, there): (Vec<&Replica>, Vec<&Replica>) = told.replicas.iter().partition(silent);
    let drained = |replica: &Replica| {
        let pauses = told.pauses.iter();
        pauses
            .filter(|pause| pause.kind() == PauseKind::Replica)
            .any(|pause| pause.subject_id == replica.replica_id)
    };
    // That one is drained is told by itself.
    let unready = there.iter().filter(|one| !one.ready && !drained(one));
    let unready = unready.count();
    match (unready, there.len()) {
        // What is away is told by itself, and is why.
        (0, _) => {}
        _ if !told.unavailable.is_empty() => {}
        (1, 1) => wrong.push(format!("{service} is not ready")),
        (some, all) => wrong.push(format!(
            "{some} of {all} replicas of {service} are not ready"
        )),
    }
    if !gone.is_empty() {
        wrong.push(format!(
            "{} of {service} silent",
            count(gone.len(), "replica")
        ));
    }
}

/// What is paused, for how long still, and why.
pub(in super::super) fn paused(pause: &Pause, now: OffsetDateTime) -> String {
    let what = match pause.kind() {
        PauseKind::Channel => format!("channel {} of {} is paused", pause.name, pause.account),
        PauseKind::Consumer | PauseKind::Unspecified => {
            format!("{} is paused", pause.subject_id)
        }
        PauseKind::Deliveries => format!("deliveries of {} are paused", pause.subject_id),
        PauseKind::Replica => format!("a replica of {} ({}) is drained", pause.service, pause.name),
    };
    let left = words::time(pause.end_time.as_ref()).map(|end| words::span(end - now));
    let left = left.unwrap_or_default();
    format!("{what} for {left} more: {}", pause.reason)
}

/// What is away, and for whom.
fn away(told: &[&GetStatusResponse]) -> Vec<String> {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in told {
        for part in &one.unavailable {
            parts.entry(&part.part).or_default().push(&one.service);
        }
    }
    let sentences = parts.into_iter().map(|(part, services)| {
        if services.len() == told.len() && told.len() > 1 {
            format!("{part} is away for all services")
        } else {
            format!("{part} is away for {}", services.join(", "))
        }
    });
    sentences.collect()
}

fn backlog(told: &GetStatusResponse, now: OffsetDateTime, wrong: &mut Vec<String>) {
    let lagging = told.consumers.iter().filter(|one| one.pending > LAG);
    wrong.extend(lagging.map(|one| {
        format!(
            "{} is {} messages behind on {}",
            one.consumer, one.pending, one.stream
        )
    }));
    let oldest = told.outbox.as_ref().and_then(|outbox| outbox.oldest_time);
    if age(oldest.as_ref(), now).is_some_and(|age| age > STUCK) {
        wrong.push(format!("events of {} are not published", told.service));
    }
}

/// Whether a replica tells nothing any more, as of when its service was asked.
pub(super) fn is_silent(replica: &Replica, asked: Option<&Timestamp>) -> bool {
    let (told, asked) = (
        words::time(replica.report_time.as_ref()),
        words::time(asked),
    );
    matches!((told, asked), (Some(told), Some(asked)) if asked - told > SILENT)
}

/// How long ago something was.
pub(super) fn age(stamp: Option<&Timestamp>, now: OffsetDateTime) -> Option<Duration> {
    Some(now - words::time(stamp)?)
}

/// A number with its word.
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::tests::{NOW, replica, stamp, well};
    use super::super::{Silent, Told};
    use super::*;
    use switchboard_proto::operator::v1::{
        ConsumerStatus, Finding, OutboxStatus, StreamStatus, Unavailable,
    };

    fn held(kind: PauseKind, subject: &str, name: &str) -> Pause {
        Pause {
            kind: kind.into(),
            subject_id: subject.into(),
            name: name.into(),
            account: "acme".into(),
            service: "crm-cards".into(),
            end_time: Some(stamp(-600)),
            reason: "a check".into(),
            ..Pause::default()
        }
    }

    fn of(change: impl Fn(&mut GetStatusResponse)) -> Vec<String> {
        let mut told = well("crm-cards");
        change(&mut told);
        let one = Told {
            service: "crm-cards",
            told: Ok(told),
        };
        wrong(&[one], NOW)
    }

    #[test]
    fn o201_each_thing_that_is_wrong_is_one_sentence() {
        type Change = fn(&mut GetStatusResponse);
        let cases: [(Change, &[&str]); 12] = [
            (|_| {}, &[]),
            (
                |told| told.replicas = vec![replica("a", false, 0)],
                &["crm-cards is not ready"],
            ),
            (
                |told| told.replicas = vec![replica("a", true, 0), replica("b", false, 3)],
                &["1 of 2 replicas of crm-cards are not ready"],
            ),
            (
                |told| told.replicas = vec![replica("a", true, 0), replica("b", true, 16)],
                &["1 replica of crm-cards silent"],
            ),
            (
                |told| {
                    let mut drained = replica("b", false, 0);
                    drained.replica_id = "7".into();
                    told.replicas = vec![replica("a", true, 0), drained];
                    told.pauses = vec![held(PauseKind::Replica, "7", "b")];
                },
                &["a replica of crm-cards (b) is drained for 10 min more: a check"],
            ),
            (
                |told| {
                    told.pauses = vec![
                        held(PauseKind::Channel, "7", "Shop bot"),
                        held(PauseKind::Consumer, "crm-cards-events", "crm-cards-events"),
                        held(PauseKind::Deliveries, "acme", "acme"),
                    ];
                },
                &[
                    "channel Shop bot of acme is paused for 10 min more: a check",
                    "crm-cards-events is paused for 10 min more: a check",
                    "deliveries of acme are paused for 10 min more: a check",
                ],
            ),
            (
                |told| {
                    told.unavailable.push(Unavailable {
                        part: "nats".into(),
                        ..Unavailable::default()
                    });
                },
                &["nats is away for crm-cards"],
            ),
            (
                |told| {
                    told.consumers.push(ConsumerStatus {
                        consumer: "c".into(),
                        stream: "EVENTS".into(),
                        pending: 1_001,
                        ..ConsumerStatus::default()
                    });
                },
                &["c is 1001 messages behind on EVENTS"],
            ),
            (
                |told| {
                    told.outbox = Some(OutboxStatus {
                        events: 1,
                        oldest_time: Some(stamp(11)),
                    });
                },
                &["events of crm-cards are not published"],
            ),
            (
                |told| told.dead_letters = Some(2),
                &["2 dead letters wait for somebody"],
            ),
            (
                |told| {
                    let full = |name: &str| StreamStatus {
                        stream: name.into(),
                        bytes: 81,
                        max_bytes: 100,
                        ..StreamStatus::default()
                    };
                    told.streams = vec![full("EVENTS"), full("DEAD_LETTERS")];
                },
                &["EVENTS is more than 80 % full"],
            ),
            (
                |told| {
                    told.findings.push(Finding {
                        subject: "channel".into(),
                        level: Level::Warn.into(),
                        ..Finding::default()
                    });
                },
                &["1 channel needs an administrator"],
            ),
        ];
        for (at, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(of(change), expected, "case {at}");
        }
    }

    #[test]
    fn o302_what_is_away_for_all_is_one_sentence() {
        let part = Unavailable {
            part: "nats".into(),
            ..Unavailable::default()
        };
        let mut one = well("crm-cards");
        one.unavailable.push(part.clone());
        one.replicas = vec![replica("a", false, 0)];
        let mut other = well("conversation");
        assert_eq!(away(&[&one, &other]), ["nats is away for crm-cards"]);
        other.unavailable.push(part);
        assert_eq!(away(&[&one, &other]), ["nats is away for all services"]);
        let told = [one, other].map(|told| Told {
            service: "x",
            told: Ok(told),
        });
        assert_eq!(wrong(&told, NOW), ["nats is away for all services"]);
    }

    #[test]
    fn o302_a_service_that_cannot_be_reached_is_told_first() {
        let mut other = well("conversation");
        other.dead_letters = Some(1);
        let all = [
            Told {
                service: "conversation",
                told: Ok(other),
            },
            Told {
                service: "assignment",
                told: Err(Silent {
                    reason: "connection refused".into(),
                    since: None,
                }),
            },
        ];
        assert_eq!(
            wrong(&all, NOW),
            [
                "assignment cannot be reached",
                "1 dead letter waits for somebody"
            ]
        );
    }
}
