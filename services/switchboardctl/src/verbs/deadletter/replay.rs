//! Replaying dead letters: those that are named, a group, a range of time, or all; with a rate, and a report.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use switchboard_proto::operator::v1::{DeadLetter, ReplayDeadLettersRequest, ReplayOutcome};

use super::{Which, groups, meant};
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::{Cell, Show, View, bar, cell, note, out, words};

/// How many letters one call replays.
const AT_ONCE: usize = 200;

/// In how many parts a second's worth is replayed where a rate is kept.
const PACED: u32 = 10;

/// So many outcomes are listed one by one; of more, those that failed.
const LISTED: usize = 20;

/// What to replay, and how.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// Sequences, as listed
    #[arg(required_unless_present_any = ["all", "group", "since", "until"], value_name = "SEQUENCE")]
    sequences: Vec<u64>,
    /// All of them, or all of the service
    #[arg(long, conflicts_with = "sequences")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// So many a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
}

impl Show for ReplayOutcome {
    const NAME: &'static str = "switchboard.operator.v1.ReplayOutcome";
    const HEADERS: &'static [&'static str] = &["SEQUENCE", "OUTCOME", "ERROR"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let outcome = match (self.handled, self.gone) {
            (true, _) => "handled",
            (_, true) => "gone",
            _ => "failed",
        };
        vec![
            cell(self.sequence),
            cell(outcome).by_word(),
            cell(if self.gone { "" } else { &self.error }),
        ]
    }
}

/// Replays what is meant.
pub(super) async fn run(args: ReplayArgs, session: &Session, view: &View) -> Result<(), CliError> {
    let mut letters = meant(session, &args.which, view.now).await?;
    // A repeat names letters that are handled by now: they are told as gone, and are no error.
    let mut gone: Vec<u64> = Vec::new();
    if !args.sequences.is_empty() {
        letters.retain(|letter| args.sequences.contains(&letter.sequence));
        let known = |sequence: &u64| letters.iter().any(|letter| letter.sequence == *sequence);
        gone = args
            .sequences
            .iter()
            .copied()
            .filter(|sequence| !known(sequence))
            .collect();
    }
    let plan = plan(&letters);
    if session.terms.dry_run {
        for line in &plan {
            note!("would replay {line}");
        }
        if plan.is_empty() {
            note!("nothing to replay");
        }
        return Ok(());
    }
    if letters.is_empty() && gone.is_empty() {
        note!("nothing to replay");
        return Ok(());
    }
    let question = format!("replay {}", plan.join("; "));
    session.terms.consent(&question, letters.len() > 1)?;
    let mut outcomes = replay(session, &letters, args.rate).await?;
    outcomes.extend(gone.into_iter().map(|sequence| ReplayOutcome {
        sequence,
        gone: true,
        error: "there is no such dead letter any more".into(),
        ..ReplayOutcome::default()
    }));
    report(&outcomes, view)
}

/// What would be replayed, by service and cause: one line each.
fn plan(letters: &[DeadLetter]) -> Vec<String> {
    let mut counted: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for letter in letters {
        *counted
            .entry((&letter.service, groups::cause(&letter.error)))
            .or_default() += 1;
    }
    let lines = counted.into_iter().map(|((service, cause), count)| {
        format!("{count} of {service}: {}", words::short(&cause, 80))
    });
    lines.collect()
}

/// Has each service replay its letters, oldest first, no faster than the rate.
async fn replay(
    session: &Session,
    letters: &[DeadLetter],
    rate: Option<u32>,
) -> Result<Vec<ReplayOutcome>, CliError> {
    let size = rate.map_or(AT_ONCE, |rate| (rate / PACED).clamp(1, 200) as usize);
    let shown = std::io::stderr().is_terminal() && letters.len() > size;
    let began = tokio::time::Instant::now();
    let mut outcomes = Vec::with_capacity(letters.len());
    for service in SERVICES {
        let of_service = letters.iter().filter(|letter| letter.service == service);
        let sequences: Vec<u64> = of_service.map(|letter| letter.sequence).collect();
        for chunk in sequences.chunks(size) {
            if let Some(rate) = rate {
                // By what was done since the beginning: a slow call is made up for, a fast one waits.
                let done = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
                tokio::time::sleep_until(began + Duration::from_secs(1) * done / rate).await;
            }
            let request = ReplayDeadLettersRequest {
                sequences: chunk.to_vec(),
            };
            let mut client = session.operator(service).await?;
            let answer = client.replay_dead_letters(request).await?.into_inner();
            outcomes.extend(answer.outcomes);
            if shown {
                out::over(&bar::counted(
                    outcomes.len(),
                    letters.len(),
                    began.elapsed(),
                ));
            }
        }
    }
    if shown {
        note!();
    }
    Ok(outcomes)
}

/// Tells what became of them: each, or of many each that failed; and how many of what.
fn report(outcomes: &[ReplayOutcome], view: &View) -> Result<(), CliError> {
    let (handled, gone, failed) = counts(outcomes);
    if view.is_table() && outcomes.len() > LISTED {
        let unhandled = outcomes
            .iter()
            .filter(|outcome| !outcome.handled && !outcome.gone);
        let unhandled: Vec<ReplayOutcome> = unhandled.cloned().collect();
        if !unhandled.is_empty() {
            view.list(&unhandled, "")?;
        }
    } else {
        view.list(outcomes, "")?;
    }
    note!("{handled} handled and removed, {gone} gone before, {failed} failed");
    if failed == 0 {
        return Ok(());
    }
    Err(CliError::failed(
        format!(
            "{failed} of {} letters could not be handled and stay where they are",
            outcomes.len()
        ),
        format!("`{} deadletter show SEQUENCE`", crate::context::program()),
    ))
}

/// How many were handled, were gone before, and failed.
fn counts(outcomes: &[ReplayOutcome]) -> (usize, usize, usize) {
    let handled = outcomes.iter().filter(|outcome| outcome.handled).count();
    let gone = outcomes.iter().filter(|outcome| outcome.gone).count();
    (handled, gone, outcomes.len() - handled - gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o305_a_dry_run_tells_how_many_of_which_cause() {
        let letter = |service: &str, error: &str| DeadLetter {
            service: service.into(),
            error: error.into(),
            ..DeadLetter::default()
        };
        let letters = [
            letter("crm-cards", "no channel 1"),
            letter("crm-cards", "no channel 2"),
            letter("conversation", "odd"),
        ];
        assert_eq!(
            plan(&letters),
            ["1 of conversation: odd", "2 of crm-cards: no channel #"]
        );
    }

    #[test]
    fn o305_what_was_replayed_before_is_no_failure() {
        let outcome = |handled, gone| ReplayOutcome {
            handled,
            gone,
            ..ReplayOutcome::default()
        };
        let outcomes = [
            outcome(true, false),
            outcome(false, true),
            outcome(false, true),
            outcome(false, false),
        ];
        assert_eq!(counts(&outcomes), (1, 2, 1));
    }
}
