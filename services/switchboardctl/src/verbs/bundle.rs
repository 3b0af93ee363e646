//! Everything that helps somebody who is not here to understand what is wrong, in one file (O3.8).

mod archive;

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use switchboard_proto::operator::v1::{
    DiagnoseRequest, GetReportRequest, GetReportResponse, GetStatusRequest, GetStatusResponse,
    ListDeadLettersRequest, ListPausesRequest, Unavailable,
};
use time::macros::format_description;

use super::status::{Silent, Told, screen};
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::bar::counted;
use crate::output::{View, json, note, out, say, words};
use archive::{Archive, statements};

/// How long one question may take.
const ASKED: Duration = Duration::from_secs(15);

/// Questions to one service.
const QUESTIONS: usize = 5;

/// Dead letters of one service at most: what they are about, not what is in them.
const LETTERS: i32 = 200;

/// Where to.
#[derive(Args)]
#[command(
    after_help = "In it, of each service: version, configuration (secrets masked), status, pauses, dead letters without their content,\n\
                  the last log lines, metrics, and the slowest statements with their plans. A README within says what is missing.\n\
                  Whoever gets it sees names of accounts and channels; lines of level debug or trace may hold what customers wrote."
)]
pub(crate) struct BundleArgs {
    /// The file, which must not be there yet; `switchboard-<time>.tar.gz` here unless given
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// What one service told.
struct OfService {
    service: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    missing: Vec<String>,
    status: Result<GetStatusResponse, String>,
}

/// Runs the verb.
pub(crate) async fn run(args: BundleArgs, session: &Session, view: View) -> Result<(), CliError> {
    let stamp = view
        .now
        .format(format_description!(
            "[year][month][day]-[hour][minute][second]"
        ))
        .unwrap_or_default();
    let name = format!("switchboard-{stamp}");
    let file = args
        .output_file
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let told = ask(session).await?;
    let mut archive = Archive::new(&name, view.now);
    let mut missing = Vec::new();
    let mut all = Vec::new();
    for one in told {
        for (name, content) in one.files {
            archive.add(&format!("{}/{name}", one.service), &content);
        }
        let lacks = one.missing.into_iter();
        missing.extend(lacks.map(|what| format!("{}: {what}", one.service)));
        all.push(Told {
            service: one.service,
            told: one.status.map_err(|reason| Silent {
                reason,
                since: None,
            }),
        });
    }
    let screen = screen::render(&all, None, false, view.now).join("\n");
    archive.add("status.txt", format!("{screen}\n").as_bytes());
    missing.extend(archive.shortened());
    archive.add("README.txt", readme(&view, &all, &missing).as_bytes());
    let bytes = archive.finish().map_err(|error| {
        CliError::failed(
            format!("the bundle was not made: {}", crate::error::plain(&error)),
            "",
        )
    })?;
    let size = words::bytes(bytes.len() as u64);
    archive::write(&file, &bytes)?;
    for what in &missing {
        note!("missing: {what}");
    }
    if view.is_table() {
        say!("{} ({size})", file.display());
    } else {
        view.value(&serde_json::json!({
            "file": file.display().to_string(), "bytes": bytes.len(), "missing": missing,
        }));
    }
    Ok(())
}

/// Asks all services at once, and shows how far that has come. One that does not answer is missing, and the others are not.
async fn ask(session: &Session) -> Result<Vec<OfService>, CliError> {
    let shown = std::io::stderr().is_terminal();
    let began = Instant::now();
    let all = SERVICES.len() * QUESTIONS;
    let (done, mut heard) = tokio::sync::mpsc::unbounded_channel::<()>();
    let asked = SERVICES.map(|service| of_service(service, session, done.clone()));
    drop(done);
    let mut asked: FuturesUnordered<_> = asked.into_iter().collect();
    let (mut told, mut answered) = (Vec::new(), 0);
    loop {
        tokio::select! {
            Some(()) = heard.recv() => {
                answered += 1;
                if shown {
                    out::over(&counted(answered, all, began.elapsed()));
                }
            }
            Some(one) = asked.next() => told.push(one?),
            else => break,
        }
    }
    if shown {
        note!();
    }
    let place = |one: &OfService| SERVICES.iter().position(|service| *service == one.service);
    told.sort_by_key(place);
    Ok(told)
}

/// Asks one service. Fails only where the command itself is wrong.
async fn of_service(
    service: &'static str,
    session: &Session,
    done: tokio::sync::mpsc::UnboundedSender<()>,
) -> Result<OfService, CliError> {
    let mut told = OfService {
        service,
        files: Vec::new(),
        missing: Vec::new(),
        status: Err(String::new()),
    };
    let client = match timed(session, session.operator(service)).await {
        Ok(client) => client,
        Err(error @ CliError::Usage { .. }) => return Err(error),
        Err(error) => {
            told.missing.push(format!("everything: {error}"));
            told.status = Err(error.to_string());
            for _ in 0..QUESTIONS {
                let _ = done.send(());
            }
            return Ok(told);
        }
    };
    let answered = |told: &mut OfService, what, answer: Result<serde_json::Value, CliError>| {
        match answer {
            Ok(value) => told.files.push((what, format!("{value:#}\n").into_bytes())),
            Err(error) => told.missing.push(format!("{what}: {error}")),
        }
        // Nobody listens where nobody watches.
        let _ = done.send(());
    };
    let status = timed(session, async {
        let mut client = client.clone();
        Ok(client.get_status(GetStatusRequest {}).await?.into_inner())
    });
    match status.await {
        Ok(status) => {
            answered(&mut told, "status.json", json::answer(&status));
            told.status = Ok(status);
        }
        Err(error) => {
            told.status = Err(error.to_string());
            answered(&mut told, "status.json", Err(error));
        }
    }
    let examined = timed(session, async {
        let mut client = client.clone();
        json::answer(&client.diagnose(DiagnoseRequest {}).await?.into_inner())
    });
    answered(&mut told, "doctor.json", examined.await);
    let pauses = timed(session, async {
        let mut client = client.clone();
        let request = ListPausesRequest { ended: true };
        json::answer(&client.list_pauses(request).await?.into_inner())
    });
    answered(&mut told, "pauses.json", pauses.await);
    let letters = timed(session, async {
        let mut client = client.clone();
        let request = ListDeadLettersRequest {
            page_size: LETTERS,
            ..ListDeadLettersRequest::default()
        };
        json::answer(&client.list_dead_letters(request).await?.into_inner())
    });
    answered(&mut told, "deadletters.json", letters.await);
    let report = timed(session, async {
        let mut client = client.clone();
        Ok(client.get_report(GetReportRequest {}).await?.into_inner())
    });
    match report.await {
        Ok(report) => reported(&mut told, report),
        Err(error) => told.missing.push(format!("report: {error}")),
    }
    let _ = done.send(());
    Ok(told)
}

async fn timed<T>(
    session: &Session,
    asked: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let answered = tokio::time::timeout(ASKED.max(session.settings.timeout), asked).await;
    answered.unwrap_or_else(|_| Err(CliError::failed("no answer in time", "")))
}

/// Files of a service's report.
fn reported(told: &mut OfService, report: GetReportResponse) {
    let lacking = report.unavailable.iter();
    told.missing
        .extend(lacking.map(|Unavailable { part, reason, .. }| format!("{part}: {reason}")));
    let lengths = report.configuration.iter().map(|set| set.key.len());
    let keys = lengths.max().unwrap_or(0);
    let mut configuration = String::new();
    for set in &report.configuration {
        let (key, value, origin) = (&set.key, &set.value, &set.origin);
        let _ = writeln!(configuration, "{key:keys$} = {value}  # {origin}");
    }
    let slow = statements(&report);
    told.files.extend([
        ("version.json", report.version.into_bytes()),
        ("configuration.txt", configuration.into_bytes()),
        ("log.jsonl", report.log_lines.concat().into_bytes()),
        ("metrics.txt", report.metrics.into_bytes()),
        ("statements.txt", slow.into_bytes()),
    ]);
}

/// What is in it, and what is not.
fn readme(view: &View, all: &[Told], missing: &[String]) -> String {
    let mut text = format!(
        "Switchboard, gathered by `switchboardctl bundle` {} on {}.\n\n\
         status.txt          the whole system on one screen\n\
         <service>/          what one replica of a service told, and of its database:\n\
         \x20 version.json      what it is\n\
         \x20 configuration.txt every key as it is set and by what; secrets are masked\n\
         \x20 status.json       all replicas, consumers, streams, outbox, last problems\n\
         \x20 doctor.json       what it depends on, tried\n\
         \x20 pauses.json       what was stopped for a while, and by whom\n\
         \x20 deadletters.json  the oldest {LETTERS} at most, without their content\n\
         \x20 log.jsonl         its last lines, as they were written\n\
         \x20 metrics.txt       its figures now\n\
         \x20 statements.txt    what its database spends its time on, with plans for any values\n\n\
         Logs and metrics are of the replica that answered; of the others:\n",
        env!("CARGO_PKG_VERSION"),
        words::rfc3339(view.now),
    );
    let others = all.iter().filter_map(|one| {
        let more = one.told.as_ref().ok()?.replicas.len().saturating_sub(1);
        (more > 0).then(|| format!("  {}: {more} not asked\n", one.service))
    });
    let others: String = others.collect();
    text.push_str(if others.is_empty() {
        "  there are none\n"
    } else {
        &others
    });
    text.push_str("\nMissing:\n");
    if missing.is_empty() {
        text.push_str("  nothing\n");
    }
    text.extend(missing.iter().map(|what| format!("  {what}\n")));
    text
}
