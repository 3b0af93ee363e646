//! Dead letters: what services could not handle.

mod groups;
mod replay;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use switchboard_proto::operator::v1::{DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest};
use time::OffsetDateTime;
use tonic::Code;

use super::Page;
use super::audit::Moment;
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::table::harmless;
use crate::output::{Cell, Show, View, cell, json, note, out, words};
use replay::ReplayArgs;

/// Bytes of a payload that cannot be decoded that are shown.
const RAW: usize = 300;

/// Verbs on dead letters.
#[derive(Subcommand)]
pub(crate) enum DeadLetterVerb {
    /// List dead letters, oldest first
    List {
        /// Count them by cause instead: how many, the first and the last
        #[arg(long, conflicts_with = "from")]
        grouped: bool,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        page: Page,
    },
    /// Show one dead letter, decoded
    Show {
        /// Only of this service; else the sequence tells whose it is
        #[arg(long, value_parser = service)]
        service: Option<&'static str>,
        /// Write what the provider sent, or else the event, byte by byte, and nothing else
        #[arg(long)]
        raw: bool,
        /// Its sequence, as listed
        sequence: u64,
    },
    /// Handle dead letters again; those that succeed are removed. Safe to run twice
    #[command(after_help = "Examples:\n  switchboardctl deadletter replay 17 18\n  \
                      switchboardctl deadletter replay --group 3f9a1c02 --dry-run\n  \
                      switchboardctl deadletter replay --all --since 2h --until 30m --rate 20")]
    Replay(ReplayArgs),
}

/// Which letters are meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Which {
    /// Of this service; of all unless given
    #[arg(long, value_parser = service)]
    service: Option<&'static str>,
    /// Of one cause, by its id in `list --grouped`
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Given up from then on, as 2h, 30d or 2026-03-02T18:00:00+02:00
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Given up before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Which {
    /// Tells whether a letter is meant.
    fn means(&self, letter: &DeadLetter, now: OffsetDateTime) -> bool {
        let time = words::time(letter.time.as_ref());
        let from = |moment: Option<Moment>| words::time(moment?.stamp(now).as_ref());
        let group = self.group.as_ref();
        group.is_none_or(|group| groups::id(letter) == *group)
            && from(self.since).is_none_or(|since| time.is_some_and(|time| time >= since))
            && from(self.until).is_none_or(|until| time.is_some_and(|time| time < until))
    }

    /// Whether something narrows the letters beside their service.
    fn narrows(&self) -> bool {
        self.group.is_some() || self.since.is_some() || self.until.is_some()
    }

    fn services(&self) -> Vec<&'static str> {
        self.service
            .map_or_else(|| SERVICES.to_vec(), |service| vec![service])
    }
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
            None => lines.push(undecoded(&self.event_type, &self.payload)),
        }
        lines
    }
}

/// What the provider sent, where the letter holds it: as text where it is some.
fn raw(payload: &serde_json::Value) -> Option<String> {
    let encoded = payload.get("raw")?.as_str()?;
    let bytes = STANDARD.decode(encoded).ok()?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => format!("raw       {}", harmless(&text)),
        Err(_) => format!("raw       {encoded} (base64)"),
    })
}

/// What the provider sent, where the letter holds it; else the event.
fn as_it_came(letter: &DeadLetter) -> Vec<u8> {
    let decoded = json::decode(&letter.event_type, &letter.payload);
    let raw = decoded.and_then(|value| STANDARD.decode(value.get("raw")?.as_str()?).ok());
    raw.unwrap_or_else(|| letter.payload.to_vec())
}

/// A payload that is none of its type, as it can be read.
fn undecoded(kind: &str, payload: &[u8]) -> String {
    let what = format!("payload   {} bytes, not decodable as {kind}", payload.len());
    if payload.is_empty() {
        return what;
    }
    let shown = payload.get(..RAW).unwrap_or(payload);
    let more = if shown.len() < payload.len() {
        "…"
    } else {
        ""
    };
    let encoded = STANDARD.encode(shown);
    format!("{what}\nraw       {encoded}{more} (base64; all of it by --raw)")
}

/// Runs a verb.
pub(crate) async fn run(
    verb: DeadLetterVerb,
    session: &Session,
    view: View,
) -> Result<(), CliError> {
    match verb {
        DeadLetterVerb::List { which, page, .. } if page.goes_on() && which.service.is_none() => {
            Err(CliError::usage(
                "a page token is of one service",
                "name it: --service SERVICE",
            ))
        }
        DeadLetterVerb::List {
            grouped: true,
            which,
            ..
        } => groups::show(&meant(session, &which, view.now).await?, &view),
        DeadLetterVerb::List { which, page, .. } if which.narrows() => {
            let mut letters = meant(session, &which, view.now).await?;
            let more = letters.len() > page.most();
            letters.truncate(page.most());
            view.list(&letters, "")?;
            if more {
                note!("there are more: --all, or a larger --limit");
            }
            Ok(())
        }
        DeadLetterVerb::List { which, page, .. } => list(session, &which, &page, &view).await,
        DeadLetterVerb::Show {
            service,
            raw,
            sequence,
        } => {
            let letter = find(session, service, sequence).await?;
            if raw {
                out::bytes(&as_it_came(&letter));
                return Ok(());
            }
            view.one(Some(letter))
        }
        DeadLetterVerb::Replay(args) => replay::run(args, session, &view).await,
    }
}

/// A page of letters, as their services list them.
async fn list(session: &Session, which: &Which, page: &Page, view: &View) -> Result<(), CliError> {
    let (mut letters, mut next) = (Vec::new(), String::new());
    for service in which.services() {
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

/// All letters that are meant, oldest first.
async fn meant(
    session: &Session,
    which: &Which,
    now: OffsetDateTime,
) -> Result<Vec<DeadLetter>, CliError> {
    let mut letters = Vec::new();
    for service in which.services() {
        let mut found = all(session, service).await?;
        found.retain(|letter| which.means(letter, now));
        letters.extend(found);
    }
    letters.sort_by_key(|letter| letter.sequence);
    Ok(letters)
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

/// All letters of a service.
pub(crate) async fn all(
    session: &Session,
    service: &'static str,
) -> Result<Vec<DeadLetter>, CliError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o305_letters_are_meant_by_cause_and_time() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::hours(10);
        let letter = |error: &str, hour: i64| DeadLetter {
            service: "crm-cards".into(),
            error: error.into(),
            time: Some(prost_types::Timestamp {
                seconds: hour * 3_600,
                nanos: 0,
            }),
            ..DeadLetter::default()
        };
        let group = groups::id(&letter("no channel 17", 1));
        for (group, since, until, error, hour, meant) in [
            (None, None, None, "x", 1, true),
            (Some(&group), None, None, "no channel 49", 1, true),
            (Some(&group), None, None, "no client", 1, false),
            (None, Some("3h"), None, "x", 7, true),
            (None, Some("3h"), None, "x", 6, false),
            (None, Some("3h"), Some("1h"), "x", 9, false),
            (None, Some("3h"), Some("1h"), "x", 8, true),
        ] {
            let which = Which {
                service: None,
                group: group.cloned(),
                since: since.map(|text| text.parse().unwrap()),
                until: until.map(|text| text.parse().unwrap()),
            };
            assert_eq!(
                which.means(&letter(error, hour), now),
                meant,
                "{which:?} {error} {hour}"
            );
        }
    }

    #[test]
    fn o305_what_cannot_be_decoded_is_shown_raw() {
        assert_eq!(undecoded("X", b""), "payload   0 bytes, not decodable as X");
        assert!(undecoded("X", b"abc").contains("raw       YWJj (base64"));
        assert!(undecoded("X", &[0; 400]).contains('…'));
    }
}
