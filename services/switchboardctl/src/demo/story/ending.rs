//! The end of the main path: everything that happened was an event on its subject, in an order that makes sense.

use std::collections::{BTreeMap, BTreeSet};

use super::super::wait::{Seen, check, unexpected, until};
use super::again::Reopened;
use super::opening::Opened;
use super::stage::Stage;
use crate::context::program;
use crate::error::CliError;
use crate::output::{say, words};
use crate::verbs::events::Event;

/// Events that must have come, how often at least, and the publishing service.
const EXPECTED: [(&str, &str, usize); 12] = [
    ("conversation", "chat.created", 1),
    ("conversation", "conversation.opened", 2),
    ("conversation", "conversation.closed", 1),
    ("conversation", "message.stored", 5),
    ("conversation", "message.edited", 1),
    ("conversation", "message.queued", 1),
    ("crm-cards", "contact.created", 1),
    ("crm-cards", "connection.decided", 2),
    ("crm-cards", "card.created", 2),
    ("crm-cards", "card.moved", 1),
    ("assignment", "chat.assigned", 2),
    ("channel-gateway", "delivery.sent", 1),
];

/// Events that must not have come more often.
const EXACTLY: [&str; 6] = [
    "chat.created",
    "conversation.opened",
    "conversation.closed",
    "connection.decided",
    "card.created",
    "delivery.sent",
];

/// Looks at what the main path published.
pub(crate) async fn play(stage: &mut Stage<'_>) -> Result<(), CliError> {
    stage.out.scene("What was published");
    let events = until("all events of the story", stage.patience, async || {
        let events = stage.events()?;
        let missing: Vec<_> = EXPECTED
            .iter()
            .filter_map(|(service, name, least)| {
                let least = least + of_nps(stage, name);
                missing(&(*service, *name, least), &events)
            })
            .collect();
        Ok(if missing.is_empty() {
            Seen::Yes(events)
        } else {
            Seen::NotYet(format!("missing {}", missing.join(", ")))
        })
    })
    .await?;
    show(stage, &events);
    stage.shown = true;
    for name in EXACTLY {
        let wanted = EXPECTED
            .iter()
            .find(|(_, expected, _)| *expected == name)
            .map_or(0, |(_, _, count)| *count + of_nps(stage, name));
        let count = count(name, &events);
        check(count == wanted, &format!("{wanted} times {name}"), || {
            format!("{count} times")
        })?;
    }
    stage.out.fact(
        "events",
        &format!("{} on subjects of the account", events.len()),
    );
    order(stage, &events)?;
    sequences(stage, &events)?;
    trace(stage, &events)
}

/// Says how it ended.
pub(crate) fn close(
    stage: &Stage<'_>,
    opened: &Opened,
    reopened: &Reopened,
    others: &[(&str, Opened)],
) {
    let checks = stage.out.checks();
    say!();
    stage.out.line(
        "1;32",
        &format!("The end: {checks} facts checked, all hold."),
    );
    let line = format!(
        "{} answered conversation #{}, {} has #{} with “{}” now.",
        opened.agent.name,
        opened.conversation.number,
        reopened.agent.name,
        reopened.conversation.number,
        reopened.card.title,
    );
    stage.out.line("", &line);
    for (kind, other) in others {
        let line = format!(
            "{} answered {kind}: “{}”.",
            other.agent.name, other.card.title
        );
        stage.out.line("", &line);
    }
    let line = format!(
        "Look yourself: {} chat messages {}",
        program(),
        opened.chat_id
    );
    stage.out.line("", &line);
}

/// Prints what was published so far.
pub(crate) fn show_events(stage: &Stage<'_>) {
    if stage.shown {
        return;
    }
    match stage.events() {
        Ok(events) if events.is_empty() => {
            stage.out.line("", "no event of this story was published");
        }
        Ok(events) => show(stage, &events),
        Err(error) => stage.out.line("", &error.to_string()),
    }
}

fn show(stage: &Stage<'_>, events: &[Event]) {
    for event in events {
        let time = event.time.map(words::clock).unwrap_or_default();
        stage.out.line("2", &format!("{time} {}", event.subject));
    }
}

/// How many events of a name the question of NPS adds.
fn of_nps(stage: &Stage<'_>, name: &str) -> usize {
    let adds = matches!(name, "message.stored" | "message.queued" | "delivery.sent");
    usize::from(stage.asked && adds)
}

fn count(name: &str, events: &[Event]) -> usize {
    events.iter().filter(|event| event.name() == name).count()
}

fn missing((service, name, least): &(&str, &str, usize), events: &[Event]) -> Option<String> {
    let found = events
        .iter()
        .filter(|event| event.service() == *service && event.name() == *name)
        .count();
    (found < *least).then(|| format!("{} of {least} {service}.{name}", least - found))
}

/// What leads to something stands before it, for each of the two conversations.
fn order(stage: &mut Stage<'_>, events: &[Event]) -> Result<(), CliError> {
    let at = |name: &str, nth: usize| {
        let found = events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.name() == name)
            .nth(nth);
        found
            .map(|(at, _)| at)
            .ok_or_else(|| unexpected(&format!("{name} no. {}", nth + 1), "it is missing"))
    };
    // Only what one thing causes in another: relays of different services publish side by side.
    let chains: [&[(&str, usize)]; 5] = [
        &[
            ("chat.created", 0),
            ("conversation.opened", 0),
            ("connection.decided", 0),
            ("chat.assigned", 0),
        ],
        &[("message.queued", 0), ("delivery.sent", 0)],
        &[("card.created", 0), ("card.moved", 0)],
        &[("conversation.closed", 0), ("conversation.opened", 1)],
        &[
            ("conversation.opened", 1),
            ("connection.decided", 1),
            ("chat.assigned", 1),
        ],
    ];
    for chain in chains {
        for pair in chain.windows(2) {
            let [(first, nth_first), (second, nth_second)] = pair else {
                continue;
            };
            let holds = at(first, *nth_first)? < at(second, *nth_second)?;
            check(holds, &format!("{first} before {second}"), || {
                "the other way round".into()
            })?;
        }
    }
    stage.out.fact(
        "order",
        "opened → decided → assigned, twice; queued → sent; closed before opened again",
    );
    Ok(())
}

/// Every event has an id of its own, and each entity's events are numbered from 1 without gaps.
fn sequences(stage: &mut Stage<'_>, events: &[Event]) -> Result<(), CliError> {
    let ids: BTreeSet<_> = events.iter().map(|event| event.id.as_str()).collect();
    check(
        ids.len() == events.len(),
        "every event published once",
        || format!("{} ids of {} events", ids.len(), events.len()),
    )?;
    let mut streams: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for event in events {
        let number = event.header("ce-sbsequence").parse().unwrap_or(0);
        streams
            .entry((
                event.header("ce-source").to_owned(),
                event.header("ce-subject").to_owned(),
            ))
            .or_default()
            .push(number);
    }
    // Only what was born in this story begins at 1: its chat and what belongs to it.
    for ((source, subject), numbers) in &streams {
        let expected: Vec<u64> = (1..).take(numbers.len()).collect();
        let ours = stage.ids.contains(subject);
        check(
            !ours || *numbers == expected,
            &format!("events of {source} for {subject} numbered from 1"),
            || format!("{numbers:?}"),
        )?;
    }
    stage.out.fact(
        "numbers",
        "each entity's events from 1, without gaps or repeats",
    );
    Ok(())
}

/// The first message, its decision, card and assignment stand in one trace.
fn trace(stage: &mut Stage<'_>, events: &[Event]) -> Result<(), CliError> {
    let first = |name: &str| {
        events
            .iter()
            .find(|event| event.name() == name)
            .map(|event| trace_id(event.header("traceparent")))
    };
    let names = [
        "conversation.opened",
        "connection.decided",
        "card.created",
        "chat.assigned",
    ];
    let traces: Vec<_> = names.iter().filter_map(|name| first(name)).collect();
    let one = traces.first().copied().unwrap_or_default();
    check(
        traces.iter().all(|trace| *trace == one),
        "one trace from the message to the assignment",
        || format!("{traces:?}"),
    )?;
    if !one.is_empty() {
        stage.out.fact(
            "trace",
            &format!("{one}, from the message to the assignment"),
        );
    }
    Ok(())
}

fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}
