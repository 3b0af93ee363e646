//! Dead letters: what services could not handle.

mod groups;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use switchboard_proto::operator::v1::{
    DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
    ReplayOutcome,
};
use tonic::Code;

use super::Page;
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, json, note, words};

/// How many letters one call replays.
const REPLAY: usize = 200;

/// Verbs on dead letters.
#[derive(Subcommand)]
pub(crate) enum DeadLetterVerb {
    /// List dead letters, oldest first
    List {
        /// Of this service; of all unless given
        #[arg(long, value_parser = service)]
        service: Option<&'static str>,
        /// Count them by cause instead
        #[arg(long, conflicts_with = "from")]
        grouped: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Show one dead letter, decoded
    Show {
        /// Only of this service; else the sequence tells whose it is
        #[arg(long, value_parser = service)]
        service: Option<&'static str>,
        /// Its sequence, as listed
        sequence: u64,
    },
    /// Handle dead letters again; those that succeed are removed
    Replay {
        /// Only of this service; else the sequences tell whose they are
        #[arg(long, value_parser = service)]
        service: Option<&'static str>,
        /// Sequences, as listed
        #[arg(required_unless_present = "all", value_name = "SEQUENCE")]
        sequences: Vec<u64>,
        /// All of them, or all of the service
        #[arg(long, conflicts_with = "sequences")]
        all: bool,
        /// Only tell what would be replayed
        #[arg(long)]
        dry_run: bool,
    },
}

/// Reads the name of a service.
pub(super) fn service(text: &str) -> Result<&'static str, String> {
    SERVICES
        .into_iter()
        .find(|service| *service == text)
        .ok_or_else(|| format!("one of: {}", SERVICES.join(", ")))
}

impl Show for DeadLetter {
    const NAME: &'static str = "switchboard.operator.v1.DeadLetter";
    const OPTIONAL: &'static [&'static str] = &["ACCOUNT", "TRIES", "TYPE", "WHEN"];
    const HEADERS: &'static [&'static str] = &[
        "SEQUENCE", "SERVICE", "ACCOUNT", "TYPE", "TRIES", "ERROR", "WHEN",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(self.sequence),
            cell(&self.service),
            cell(&self.account),
            cell(self.event_type.rsplit('.').next().unwrap_or_default()),
            cell(self.attempts),
            cell(&self.error),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let mut lines = vec![
            format!("consumer  {}", self.consumer),
            format!(
                "origin    {} {}[{}] {}",
                self.origin_stream, self.origin_sequence, self.origin_index, self.subject
            )
            .trim_end()
            .to_owned(),
            format!("event     {} {}", self.event_type, self.event_id),
        ];
        lines.extend(
            self.headers
                .iter()
                .collect::<BTreeMap<_, _>>()
                .into_iter()
                .map(|(key, value)| format!("  {key}: {value}")),
        );
        match json::decode(&self.event_type, &self.payload) {
            Some(value) => {
                lines.push(format!("{value:#}"));
                lines.extend(raw(&value));
            }
            None => lines.push(format!(
                "payload   {} bytes, not decodable as {}",
                self.payload.len(),
                self.event_type
            )),
        }
        lines
    }
}

/// What the provider sent, where the letter holds it as text.
fn raw(payload: &serde_json::Value) -> Option<String> {
    let bytes = STANDARD.decode(payload.get("raw")?.as_str()?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    Some(format!("raw       {text}"))
}

impl Show for ReplayOutcome {
    const NAME: &'static str = "switchboard.operator.v1.ReplayOutcome";
    const HEADERS: &'static [&'static str] = &["SEQUENCE", "HANDLED", "ERROR"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![
            cell(self.sequence),
            cell(words::yes(self.handled)).by_word(),
            cell(&self.error),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: DeadLetterVerb,
    session: &Session,
    view: View,
) -> Result<(), CliError> {
    match verb {
        DeadLetterVerb::List {
            service: None,
            page,
            ..
        } if page.goes_on() => Err(CliError::usage(
            "a page token is of one service",
            "name it: --service SERVICE",
        )),
        DeadLetterVerb::List {
            service,
            grouped,
            page,
        } => {
            let services = service.map_or_else(|| SERVICES.to_vec(), |service| vec![service]);
            if grouped {
                let mut letters = Vec::new();
                for service in services {
                    letters.extend(all(session, service).await?);
                }
                return groups::show(&letters, &view);
            }
            let (mut letters, mut next) = (Vec::new(), String::new());
            for service in services {
                let mut client = session.operator(service).await?;
                let ask = async |page_size, page_token| {
                    let request = ListDeadLettersRequest {
                        page_size,
                        page_token,
                        account: String::new(),
                    };
                    let page = client.list_dead_letters(request).await?.into_inner();
                    Ok((page.dead_letters, page.next_page_token))
                };
                let (found, more) = page.read(ask).await?;
                letters.extend(found);
                if !more.is_empty() {
                    next = format!("{more} (--service {service})");
                }
            }
            view.list(&letters, &next)
        }
        DeadLetterVerb::Show { service, sequence } => {
            view.one(Some(find(session, service, sequence).await?))
        }
        DeadLetterVerb::Replay {
            service,
            sequences,
            all: everything,
            dry_run,
        } => {
            let wanted = if everything {
                every(session, service).await?
            } else if let Some(service) = service {
                BTreeMap::from([(service, sequences)])
            } else {
                // One listing a service, however many are asked for: a letter knows whose it is.
                let known = every(session, None).await?;
                owners(known, &sequences)?
            };
            if dry_run {
                for (service, sequences) in &wanted {
                    note!("would replay {} of {service}", sequences.len());
                }
                return Ok(());
            }
            replay(session, &wanted, &view).await
        }
    }
}

/// A letter, from the service that has it. All share one stream: a sequence is of one service only.
async fn find(
    session: &Session,
    service: Option<&'static str>,
    sequence: u64,
) -> Result<DeadLetter, CliError> {
    let services = service.map_or_else(|| SERVICES.to_vec(), |service| vec![service]);
    let mut away = None;
    for service in services {
        let ask = async {
            let mut client = session.operator(service).await?;
            let answer = client
                .get_dead_letter(GetDeadLetterRequest { sequence })
                .await?;
            Ok::<_, CliError>(answer.into_inner().dead_letter)
        };
        match ask.await {
            Ok(Some(letter)) => return Ok(letter),
            Ok(None) => {}
            Err(error) if error.code() == Some(Code::NotFound) => {}
            // The next one may have it; if none has, this one may.
            Err(error @ CliError::Unreachable { .. }) => away = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(away.unwrap_or_else(|| unknown(&[sequence])))
}

fn unknown(sequences: &[u64]) -> CliError {
    let words: Vec<_> = sequences.iter().map(ToString::to_string).collect();
    CliError::failed(
        format!("there is no dead letter {}", words.join(", ")),
        format!("`{} deadletter list`", crate::context::program()),
    )
}

/// The sequences of all letters, by service.
async fn every(
    session: &Session,
    service: Option<&'static str>,
) -> Result<BTreeMap<&'static str, Vec<u64>>, CliError> {
    let services = service.map_or_else(|| SERVICES.to_vec(), |service| vec![service]);
    let mut found = BTreeMap::new();
    for service in services {
        let letters = all(session, service).await?;
        let sequences: Vec<_> = letters.iter().map(|letter| letter.sequence).collect();
        if !sequences.is_empty() {
            found.insert(service, sequences);
        }
    }
    Ok(found)
}

/// Those of the known letters that are wanted, by service; fails where one is unknown.
fn owners(
    mut known: BTreeMap<&'static str, Vec<u64>>,
    wanted: &[u64],
) -> Result<BTreeMap<&'static str, Vec<u64>>, CliError> {
    for sequences in known.values_mut() {
        sequences.retain(|it| wanted.contains(it));
    }
    known.retain(|_, sequences| !sequences.is_empty());
    let missing: Vec<u64> = wanted
        .iter()
        .filter(|it| !known.values().flatten().any(|found| found == *it))
        .copied()
        .collect();
    if missing.is_empty() {
        Ok(known)
    } else {
        Err(unknown(&missing))
    }
}

/// All letters of a service.
async fn all(session: &Session, service: &'static str) -> Result<Vec<DeadLetter>, CliError> {
    let mut client = session.operator(service).await?;
    let (mut letters, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDeadLettersRequest {
            page_size: 200,
            page_token,
            account: String::new(),
        };
        let page = client.list_dead_letters(request).await?.into_inner();
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(letters);
        }
    }
}

async fn replay(
    session: &Session,
    wanted: &BTreeMap<&'static str, Vec<u64>>,
    view: &View,
) -> Result<(), CliError> {
    let mut outcomes = Vec::new();
    for (service, sequences) in wanted {
        let mut client = session.operator(service).await?;
        for chunk in sequences.chunks(REPLAY) {
            let request = ReplayDeadLettersRequest {
                sequences: chunk.to_vec(),
            };
            let answer = client.replay_dead_letters(request).await?.into_inner();
            outcomes.extend(answer.outcomes);
        }
    }
    view.list(&outcomes, "")?;
    let left = outcomes.iter().filter(|outcome| !outcome.handled).count();
    if left == 0 {
        return Ok(());
    }
    Err(CliError::failed(
        format!(
            "{left} of {} letters could not be handled and stay where they are",
            outcomes.len()
        ),
        format!("`{} deadletter show SEQUENCE`", crate::context::program()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_replayed_by_the_service_that_gave_it_up() {
        let known = || BTreeMap::from([("conversation", vec![4, 7]), ("crm-cards", vec![5])]);
        for (wanted, expected) in [
            (&[5][..], Some(vec![("crm-cards", vec![5])])),
            (
                &[7, 5],
                Some(vec![("conversation", vec![7]), ("crm-cards", vec![5])]),
            ),
            (&[7, 6], None),
        ] {
            let found = owners(known(), wanted).ok();
            assert_eq!(found.map(|found| found.into_iter().collect()), expected);
        }
        let text = owners(known(), &[6]).unwrap_err().render();
        assert!(text.contains("no dead letter 6"), "{text}");
    }
}
