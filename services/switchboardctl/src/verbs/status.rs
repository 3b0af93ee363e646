//! How the whole system is, on one screen.

pub(super) mod screen;
pub(super) mod verdict;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use switchboard_proto::operator::v1::{Finding, GetStatusRequest, GetStatusResponse};
use time::OffsetDateTime;

use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::{Show, View, json, say, words};

/// How long a service may take to tell how it is.
const ASKED: Duration = Duration::from_secs(5);

/// What to show, and how often.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Show it again every so many seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

/// What one service told, or why it did not.
pub(crate) struct Told {
    /// Name of the service.
    pub service: &'static str,
    /// What it told.
    pub told: Result<GetStatusResponse, Silent>,
}

/// A service that told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    /// Why.
    pub reason: String,
    /// Since when, as far as this command has watched.
    pub since: Option<OffsetDateTime>,
}

impl Show for GetStatusResponse {
    const NAME: &'static str = "switchboard.operator.v1.GetStatusResponse";
    const HEADERS: &'static [&'static str] = &["SERVICE"];
    fn cells(&self, _: &View) -> Vec<crate::output::Cell> {
        vec![crate::output::cell(&self.service)]
    }
}

impl Show for Finding {
    const NAME: &'static str = "switchboard.operator.v1.Finding";
    const HEADERS: &'static [&'static str] = &["SUBJECT"];
    fn cells(&self, _: &View) -> Vec<crate::output::Cell> {
        vec![crate::output::cell(&self.subject)]
    }
}

/// Runs the verb.
pub(crate) async fn run(args: StatusArgs, session: &Session, view: View) -> Result<(), CliError> {
    let Some(seconds) = args.watch else {
        let all = ask(session, &BTreeMap::new()).await?;
        return print(&all, &view, crate::clock::now());
    };
    let mut silent = BTreeMap::new();
    let mut every = tokio::time::interval(Duration::from_secs(seconds));
    loop {
        every.tick().await;
        let all = ask(session, &silent).await?;
        let now = crate::clock::now();
        silent = all
            .iter()
            .filter_map(|one| Some((one.service, one.told.as_ref().err()?.since.unwrap_or(now))))
            .collect();
        if view.is_table() && std::io::stdout().is_terminal() {
            // The screen is emptied, and begun at its top.
            say!("\u{1b}[2J\u{1b}[H");
        }
        print(&all, &view, now)?;
    }
}

/// Asks all services at once. What is wrong with the command itself ends it; what is wrong with a service is its status.
async fn ask(
    session: &Session,
    silent: &BTreeMap<&'static str, OffsetDateTime>,
) -> Result<Vec<Told>, CliError> {
    let asked = SERVICES.map(async |service| {
        let ask = async {
            let mut client = session.operator(service).await?;
            let told = client.get_status(GetStatusRequest {}).await?;
            Ok::<_, CliError>(told.into_inner())
        };
        let told = tokio::time::timeout(ASKED.min(session.settings.timeout), ask).await;
        let told = told.unwrap_or_else(|_| Err(CliError::failed("no answer in time", "")));
        (service, told)
    });
    let mut all = Vec::new();
    for (service, told) in join_all(asked).await {
        let told = match told {
            Err(error @ CliError::Usage { .. }) => return Err(error),
            Err(error) => Err(Silent {
                reason: error.to_string(),
                since: silent.get(service).copied(),
            }),
            Ok(told) => Ok(told),
        };
        all.push(Told { service, told });
    }
    Ok(all)
}

fn print(all: &[Told], view: &View, now: OffsetDateTime) -> Result<(), CliError> {
    if view.is_table() {
        for line in screen::render(all, view.width(), view.colour, now) {
            say!("{line}");
        }
    } else {
        let services = all.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let wrong = verdict::wrong(all, now);
        view.value(&serde_json::json!({
            "well": wrong.is_empty(), "problems": wrong, "services": services,
        }));
    }
    if all.iter().all(|one| one.told.is_err()) {
        return Err(CliError::failed(
            "no service can be reached",
            "`switchboardctl doctor` tells what to look at",
        ));
    }
    Ok(())
}

fn value(one: &Told) -> Result<serde_json::Value, CliError> {
    match &one.told {
        Ok(told) => json::value(told),
        Err(silent) => Ok(serde_json::json!({
            "service": one.service, "unreachable": silent.reason,
            "sinceTime": silent.since.map(words::rfc3339),
        })),
    }
}
