//! The status as one screen: 40 lines of 80 characters, whatever the installation has.

use switchboard_proto::operator::v1::{
    ConsumerStatus, Finding, GetStatusResponse, Level, LoggedProblem, Replica, StreamStatus,
};
use time::OffsetDateTime;

use super::Told;
use super::verdict::{self, age, count, is_silent};
use crate::output::screen::{Screen, Words, column, plain, toned};
use crate::output::table::Tone;
use crate::output::words;

/// Replicas of one service that have a line.
const REPLICAS: usize = 3;
/// Consumers that lag and have a line.
const LAGGING: usize = 3;
/// Streams that have a line.
const STREAMS: usize = 4;
/// Channels with problems that have a line.
const CHANNELS: usize = 2;
/// Errors that have a line.
const ERRORS: usize = 3;
/// What is wrong, at the top.
const WRONG: usize = 3;

/// Width of the first column.
const FIRST: usize = 16;

/// The screen.
pub(in super::super) fn render(
    all: &[Told],
    width: Option<u16>,
    colour: bool,
    now: OffsetDateTime,
) -> Vec<String> {
    let mut screen = Screen::new(width, colour);
    let told: Vec<&GetStatusResponse> = all
        .iter()
        .filter_map(|one| one.told.as_ref().ok())
        .collect();
    headline(&mut screen, all, now);
    services(&mut screen, all, now);
    streams(&mut screen, &told, now);
    consumers(&mut screen, &told, now);
    paused(&mut screen, &told, now);
    waiting_to_go(&mut screen, &told, now);
    channels(&mut screen, &told, now);
    chats(&mut screen, &told, now);
    errors(&mut screen, &told, now);
    screen.finish()
}

fn headline(screen: &mut Screen, all: &[Told], now: OffsetDateTime) {
    let wrong = verdict::wrong(all, now);
    let clock = toned(format!("   {}", words::moment(now)), Tone::Dim);
    if wrong.is_empty() {
        screen.line(&[toned("All is well", Tone::Good), clock]);
        return;
    }
    screen.line(&[
        toned(count(wrong.len(), "thing"), Tone::Bad),
        toned(" to look at", Tone::Bad),
        clock,
    ]);
    for one in wrong.iter().take(WRONG) {
        screen.line(&[toned(format!("  ! {one}"), Tone::Attention)]);
    }
    if wrong.len() > WRONG {
        screen.line(&[toned(
            format!("  and {} more, below", wrong.len() - WRONG),
            Tone::Dim,
        )]);
    }
}

fn services(screen: &mut Screen, all: &[Told], now: OffsetDateTime) {
    screen.heading("SERVICES");
    for one in all {
        let first = plain(format!("  {}", column(one.service, FIRST)));
        let told = match &one.told {
            Ok(told) => told,
            Err(silent) => {
                let since = silent
                    .since
                    .map(|since| format!(" for {}", words::span(now - since)));
                let since = since.unwrap_or_default();
                screen.line(&[
                    first,
                    toned(format!("UNREACHABLE{since}: {}", silent.reason), Tone::Bad),
                ]);
                continue;
            }
        };
        let mut first = Some(first);
        for replica in told.replicas.iter().take(REPLICAS) {
            let blank = plain(format!("  {}", column("", FIRST)));
            let mut line = vec![first.take().unwrap_or(blank)];
            line.extend(of_replica(replica, told, now));
            screen.line(&line);
        }
        if told.replicas.len() > REPLICAS {
            let more = told.replicas.len() - REPLICAS;
            screen.line(&[toned(
                format!("  {}and {}", column("", FIRST), count(more, "more replica")),
                Tone::Dim,
            )]);
        }
        for part in &told.unavailable {
            let since = age(part.since_time.as_ref(), now);
            let since = since.map(words::span).unwrap_or_default();
            screen.line(&[
                plain(format!("  {}", column("", FIRST))),
                toned(
                    format!("{} away for {since}: {}", part.part, part.reason),
                    Tone::Bad,
                ),
            ]);
        }
    }
}

fn of_replica(replica: &Replica, told: &GetStatusResponse, now: OffsetDateTime) -> Vec<Words> {
    let version = match replica.commit.get(..7) {
        Some(commit) => format!("{} {commit}", replica.version),
        None => replica.version.clone(),
    };
    let name = plain(format!(
        "{}{}",
        column(&replica.host, 18),
        column(&version, 13)
    ));
    let for_time = |stamp: Option<&prost_types::Timestamp>| {
        age(stamp, now).map_or_else(|| "?".into(), words::span)
    };
    if is_silent(replica, told.time.as_ref()) {
        let silent = for_time(replica.report_time.as_ref());
        return vec![
            name,
            toned(
                format!("SILENT for {silent}: killed, or without its database"),
                Tone::Bad,
            ),
        ];
    }
    let since = for_time(replica.ready_since_time.as_ref());
    if replica.ready {
        return vec![
            name,
            toned("ready", Tone::Good),
            plain(format!(" for {since}")),
        ];
    }
    let reasons: Vec<String> = replica
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| format!("{}: {}", check.name, check.reason))
        .collect();
    vec![
        name,
        toned("NOT READY", Tone::Bad),
        plain(format!(" for {since}: {}", reasons.join("; "))),
    ]
}

fn streams(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    // All tell of the same streams: the first one that can is heard.
    let Some(one) = told.iter().find(|one| !one.streams.is_empty()) else {
        screen.line(&[
            plain("STREAMS  "),
            toned("nobody can tell: no service reaches the broker", Tone::Bad),
        ]);
        return;
    };
    screen.heading("STREAMS            MESSAGES        SIZE   FULL  COPIES  REACHES BACK");
    for stream in one.streams.iter().take(STREAMS) {
        screen.line(&of_stream(stream, now));
    }
    if one.streams.len() > STREAMS {
        let more = one.streams.len() - STREAMS;
        screen.line(&[toned(format!("  and {more} more"), Tone::Dim)]);
    }
}

fn of_stream(stream: &StreamStatus, now: OffsetDateTime) -> Vec<Words> {
    let percent = match stream.max_bytes {
        0 => 0,
        most => u128::from(stream.bytes) * 100 / u128::from(most),
    };
    let tone = match percent {
        0..80 => Tone::Plain,
        80..95 => Tone::Attention,
        _ => Tone::Bad,
    };
    let back = age(stream.first_time.as_ref(), now);
    let back = back.map_or_else(|| "empty".into(), words::span);
    vec![
        plain(format!(
            "  {}{:>8}  {:>10}  ",
            column(&stream.stream, FIRST),
            stream.messages,
            words::bytes(stream.bytes)
        )),
        toned(format!("{percent:>3} %"), tone),
        plain(format!("  {:>6}  {back}", stream.replicas)),
    ]
}

fn consumers(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let mut all: Vec<&ConsumerStatus> = told.iter().flat_map(|one| &one.consumers).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|one| std::cmp::Reverse((one.pending, one.redelivered, one.ack_pending)));
    let behind: Vec<&ConsumerStatus> = all
        .iter()
        .copied()
        .filter(|one| one.pending + one.redelivered > 0)
        .collect();
    if behind.is_empty() {
        let works = all.iter().map(|one| one.ack_pending).sum::<u64>();
        screen.line(&[
            plain("CONSUMERS  "),
            toned("no lag", Tone::Good),
            plain(format!(
                ": all {} have been given everything; {works} in work",
                all.len()
            )),
        ]);
        return;
    }
    screen
        .heading("CONSUMERS THAT LAG           STREAM            LAG   IN WORK  AGAIN  LAST DONE");
    for one in behind.iter().take(LAGGING) {
        let tone = if one.pending > 1_000 {
            Tone::Bad
        } else {
            Tone::Attention
        };
        let last = words::ago(one.ack_time.as_ref(), now);
        screen.line(&[
            plain(format!(
                "  {}{}",
                column(&one.consumer, 26),
                column(&one.stream, 11)
            )),
            toned(format!("{:>9}", one.pending), tone),
            plain(format!(
                "{:>10}{:>7}  {last}",
                one.ack_pending, one.redelivered
            )),
        ]);
    }
    let rest = all.len() - behind.len().min(LAGGING);
    if rest > 0 {
        let line = if behind.len() > LAGGING {
            format!(
                "  and {rest} more, {} of them with lag",
                behind.len() - LAGGING
            )
        } else {
            format!("  the other {rest}: no lag")
        };
        screen.line(&[toned(line, Tone::Dim)]);
    }
}

/// What is paused, where something is: a line, however much it is.
fn paused(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let all: Vec<String> = told
        .iter()
        .flat_map(|one| &one.pauses)
        .map(|pause| verdict::paused(pause, now))
        .collect();
    let first = match all.as_slice() {
        [] => return,
        [one] => one.clone(),
        [one, ..] => format!("{}, `pause list`; {one}", all.len()),
    };
    screen.line(&[plain("PAUSED        "), toned(first, Tone::Attention)]);
}

/// Outboxes and dead letters: a line each.
fn waiting_to_go(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let outboxes: Vec<String> = told
        .iter()
        .filter_map(|one| Some((one, one.outbox.as_ref()?)))
        .filter(|(_, outbox)| outbox.events > 0)
        .map(|(one, outbox)| {
            let oldest = age(outbox.oldest_time.as_ref(), now);
            let oldest = oldest.map(words::span).unwrap_or_default();
            format!("{} {} for {oldest}", one.service, outbox.events)
        })
        .collect();
    let known = told.iter().filter(|one| one.outbox.is_some()).count();
    screen.line(&match (outboxes.as_slice(), known) {
        ([], 0) => vec![plain("OUTBOX        "), toned("nobody can tell", Tone::Bad)],
        ([], _) => vec![plain("OUTBOX        "), toned("empty", Tone::Good)],
        (some, _) => vec![
            plain("OUTBOX        "),
            toned(
                format!("waits to be published: {}", some.join(", ")),
                Tone::Attention,
            ),
        ],
    });
    let letters: Vec<String> = told
        .iter()
        .filter_map(|one| Some((one.service.as_str(), one.dead_letters.filter(|n| *n > 0)?)))
        .map(|(service, letters)| format!("{service} {letters}"))
        .collect();
    let known = told.iter().filter(|one| one.dead_letters.is_some()).count();
    screen.line(&match (letters.as_slice(), known) {
        ([], 0) => vec![plain("DEAD LETTERS  "), toned("nobody can tell", Tone::Bad)],
        ([], _) => vec![plain("DEAD LETTERS  "), toned("none", Tone::Good)],
        (some, _) => vec![
            plain("DEAD LETTERS  "),
            toned(some.join(", "), Tone::Attention),
            toned("   `deadletter list --grouped`", Tone::Dim),
        ],
    });
}

fn channels(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let of = |subject: &'static str| {
        told.iter()
            .flat_map(|one| &one.findings)
            .filter(move |finding| finding.subject == subject)
    };
    let Some(summed) = of("channels").next() else {
        screen.line(&[plain("CHANNELS      "), toned("nobody can tell", Tone::Bad)]);
        return;
    };
    screen.line(&[
        plain("CHANNELS      "),
        toned(&*summed.text, tone(summed.level())),
    ]);
    let troubled: Vec<&Finding> = of("channel").collect();
    for finding in troubled.iter().take(CHANNELS) {
        let since = age(finding.since_time.as_ref(), now);
        let since = since.map(words::span).unwrap_or_default();
        screen.line(&[
            toned("  ! ", tone(finding.level())),
            plain(format!(
                "{} / {}, for {since}",
                finding.account, finding.text
            )),
        ]);
    }
    if troubled.len() > CHANNELS {
        let more = troubled.len() - CHANNELS;
        screen.line(&[toned(
            format!("  and {}", count(more, "more problem")),
            Tone::Dim,
        )]);
    }
}

fn chats(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let conversation = told.iter().find(|one| one.service == "conversation");
    let Some(conversation) = conversation.filter(|one| one.outbox.is_some()) else {
        screen.line(&[plain("WAITING CHATS "), toned("nobody can tell", Tone::Bad)]);
        return;
    };
    let waiting: Vec<&Finding> = conversation
        .findings
        .iter()
        .filter(|finding| finding.subject == "waiting chats")
        .collect();
    let all: u64 = waiting.iter().map(|finding| finding.count).sum();
    if all == 0 {
        screen.line(&[plain("WAITING CHATS "), toned("none", Tone::Good)]);
        return;
    }
    let longest = waiting
        .iter()
        .filter_map(|finding| age(finding.since_time.as_ref(), now))
        .max();
    let accounts: Vec<String> = waiting
        .iter()
        .take(4)
        .map(|finding| format!("{} {}", finding.account, finding.count))
        .collect();
    let more = if waiting.len() > 4 { ", …" } else { "" };
    screen.line(&[plain(format!(
        "WAITING CHATS {all}, the longest for {}: {}{more}",
        longest.map(words::span).unwrap_or_default(),
        accounts.join(", ")
    ))]);
}

fn errors(screen: &mut Screen, told: &[&GetStatusResponse], now: OffsetDateTime) {
    let mut all: Vec<(&str, &LoggedProblem)> = told
        .iter()
        .flat_map(|one| {
            let logged = one.replicas.iter().flat_map(|replica| &replica.problems);
            logged.map(|problem| (one.service.as_str(), problem))
        })
        .collect();
    all.sort_by_key(|(_, problem)| std::cmp::Reverse(words::time(problem.time.as_ref())));
    if all.is_empty() {
        screen.line(&[plain("LAST ERRORS   "), toned("none", Tone::Good)]);
        return;
    }
    screen.heading("LAST WARNINGS AND ERRORS");
    for (service, problem) in all.iter().take(ERRORS) {
        let times = match problem.count {
            0 | 1 => String::new(),
            more => format!("({more} times) "),
        };
        screen.line(&[
            toned(
                format!("  {}", column(&words::ago(problem.time.as_ref(), now), 10)),
                Tone::Dim,
            ),
            toned(column(service, FIRST), tone(problem.level())),
            plain(format!("{times}{}", problem.text)),
        ]);
    }
}

fn tone(level: Level) -> Tone {
    match level {
        Level::Ok => Tone::Good,
        Level::Warn => Tone::Attention,
        Level::Fail => Tone::Bad,
        Level::Unspecified => Tone::Plain,
    }
}

#[cfg(test)]
pub(super) mod tests;
