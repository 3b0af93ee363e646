//! What is wrong, and what to do next: the system examined from inside by its services, and from here.

mod here;
mod report;

use std::time::{Duration, Instant};

use clap::Args;
use futures::future::join_all;
use switchboard_proto::operator::v1::{
    DiagnoseRequest, Finding, GetStatusRequest, Level, Pause, PauseKind,
};
use time::OffsetDateTime;

use super::status::verdict;
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::{View, json, say, words};
use report::{Found, Grade};

/// How long a service may take to examine what it depends on.
const ASKED: Duration = Duration::from_secs(12);

/// How far the clocks of two machines may differ.
const CLOCKS: time::Duration = time::Duration::seconds(2);

/// What is examined from here.
#[derive(Args)]
#[command(
    after_help = "Exit code: 0 all is well, 1 something should be looked at, 2 something does not work."
)]
pub(crate) struct DoctorArgs {
    /// Address of the broker's monitoring, which alone tells whether it syncs every message (`sync_interval: always`)
    #[arg(long, env = "SWITCHBOARD_CTL_NATS_MONITOR", value_name = "URL")]
    nats_monitor: Option<String>,
}

/// Runs the verb.
pub(crate) async fn run(args: DoctorArgs, session: &Session, view: View) -> Result<(), CliError> {
    let monitor = args
        .nats_monitor
        .or_else(|| session.settings.nats_monitor.clone());
    let examined = join_all(SERVICES.map(|service| examine(session, service)));
    let (examined, broker) = tokio::join!(examined, here::broker(session, monitor.as_deref()));
    let mut found = Vec::new();
    for examined in examined {
        found.extend(examined?);
    }
    found.extend(versions(&found));
    found.extend(broker);
    let addresses: Vec<String> = found
        .iter()
        .map(|one| one.finding.address.clone())
        .filter(|address| !address.is_empty())
        .collect();
    found.extend(join_all(addresses.iter().map(|address| here::webhook(address))).await);
    let merged = report::merged(found);
    print(&merged, &view)?;
    match report::worst(&merged) {
        Grade::Fail => Err(CliError::Found(2)),
        Grade::Warn => Err(CliError::Found(1)),
        Grade::Ok | Grade::Skipped => Ok(()),
    }
}

fn print(merged: &[Found], view: &View) -> Result<(), CliError> {
    if view.is_table() {
        for line in report::render(merged, view.width(), view.colour) {
            say!("{line}");
        }
        return Ok(());
    }
    let findings = merged.iter().map(|one| {
        let mut value = json::value(&one.finding)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("from".into(), one.from.clone().into());
            fields.insert("grade".into(), one.grade().word().into());
        }
        Ok(value)
    });
    let findings = findings.collect::<Result<Vec<_>, CliError>>()?;
    view.value(&serde_json::json!({
        "grade": report::worst(merged).word(), "findings": findings,
    }));
    Ok(())
}

/// Has a service examine what it depends on. Fails only where the command itself is wrong.
async fn examine(session: &Session, service: &'static str) -> Result<Vec<Found>, CliError> {
    let ask = async {
        let mut client = session.operator(service).await?;
        let status = client.get_status(GetStatusRequest {}).await?.into_inner();
        let began = (crate::clock::now(), Instant::now());
        let told = client.diagnose(DiagnoseRequest {}).await?.into_inner();
        Ok::<_, CliError>((status, told, (began.0, began.1.elapsed())))
    };
    let asked = tokio::time::timeout(ASKED.max(session.settings.timeout), ask).await;
    let asked = asked.unwrap_or_else(|_| Err(CliError::failed("no answer in time", "")));
    let (status, told, (began, took)) = match asked {
        Ok(asked) => asked,
        Err(error @ CliError::Usage { .. }) => return Err(error),
        Err(error) => {
            let finding = of("reachable", Level::Fail, &error.to_string(), &error.hint());
            return Ok(vec![Found::new(service, finding)]);
        }
    };
    let drained = readiness(&status.replicas, &status.pauses, service);
    let mut found = vec![Found::new(service, drained)];
    let now = words::time(status.time.as_ref()).unwrap_or(began);
    let held = status.pauses.iter().map(|pause| paused(pause, now));
    found.extend(held.map(|finding| Found::new(service, finding)));
    for replica in &status.replicas {
        found.push(Found::version(service, &replica.version, &replica.commit));
    }
    found.push(Found::new(
        service,
        clocks(words::time(told.time.as_ref()), began, took),
    ));
    found.extend(
        told.findings
            .into_iter()
            .chain(
                status
                    .findings
                    .into_iter()
                    .filter(|finding| finding.subject != "waiting chats"),
            )
            .map(|finding| Found::new(service, finding)),
    );
    Ok(found)
}

/// Something that is paused: nothing is broken, and somebody should remember it.
fn paused(pause: &Pause, now: OffsetDateTime) -> Finding {
    let kind = super::pause::kind_word(pause.kind());
    let next = format!(
        "it ends by itself; `switchboardctl resume {kind} {}` ends it now",
        pause.subject_id
    );
    of("paused", Level::Warn, &verdict::paused(pause, now), &next)
}

fn readiness(
    replicas: &[switchboard_proto::operator::v1::Replica],
    pauses: &[Pause],
    service: &str,
) -> Finding {
    let drained = |id: &str| {
        let mut pauses = pauses.iter();
        pauses.any(|pause| pause.kind() == PauseKind::Replica && pause.subject_id == id)
    };
    let unready = replicas
        .iter()
        .filter(|replica| !replica.ready && !drained(&replica.replica_id));
    let reasons: Vec<String> = unready
        .flat_map(|replica| &replica.checks)
        .filter(|check| !check.ok)
        .map(|check| format!("{}: {}", check.name, check.reason))
        .collect();
    if reasons.is_empty() {
        let many = if replicas.len() == 1 {
            "1 replica".into()
        } else {
            format!("{} replicas", replicas.len())
        };
        return of("reachable", Level::Ok, &format!("{many}, ready"), "");
    }
    let text = format!("not ready: {}", reasons.join("; "));
    let next = format!("look at the log of {service}; `switchboardctl status` tells since when");
    of("reachable", Level::Fail, &text, &next)
}

/// How far the service's clock is from ours: the answer was made before it came, and after we asked.
fn clocks(told: Option<OffsetDateTime>, asked: OffsetDateTime, took: Duration) -> Finding {
    let Some(told) = told else {
        return of(
            "clock",
            Level::Warn,
            "the service does not tell the time",
            "",
        );
    };
    let early = (asked - CLOCKS) - told;
    let late = told - (asked + took + CLOCKS);
    let text = |off: time::Duration, way: &str| {
        let off = off + CLOCKS;
        format!(
            "the service's clock is {} {way} this machine's",
            words::span(off)
        )
    };
    let next = "set the clocks by NTP: tokens and waits are judged by them";
    if early.is_positive() {
        return of("clock", Level::Warn, &text(early, "behind"), next);
    }
    if late.is_positive() {
        return of("clock", Level::Warn, &text(late, "ahead of"), next);
    }
    of("clock", Level::Ok, "the same as here", "")
}

/// Whether all replicas of all services, and this command, are of one version.
fn versions(found: &[Found]) -> Vec<Found> {
    let mut seen: Vec<&str> = found
        .iter()
        .filter_map(|one| one.version.as_deref())
        .collect();
    seen.sort_unstable();
    seen.dedup();
    let own = env!("CARGO_PKG_VERSION");
    let finding = match seen.as_slice() {
        [] => return Vec::new(),
        [one] if one.split(' ').next() == Some(own) => of(
            "versions",
            Level::Ok,
            &format!("all services run {one}, as this command"),
            "",
        ),
        some => of(
            "versions",
            Level::Warn,
            &format!("services run {}, this command is {own}", some.join(" and ")),
            "finish the upgrade, or use the command of the services' version",
        ),
    };
    vec![Found::new("here", finding)]
}

/// A finding of this command's own.
fn of(subject: &str, level: Level, text: &str, next: &str) -> Finding {
    Finding {
        subject: subject.into(),
        level: level.into(),
        text: text.into(),
        next_step: next.into(),
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn o106_clocks_differ_only_beyond_what_the_call_took() {
        let asked = datetime!(2026-03-02 18:00:00 UTC);
        let took = Duration::from_secs(5);
        for (told, level, text) in [
            (0, Level::Ok, "the same as here"),
            (5, Level::Ok, "the same as here"),
            (7, Level::Ok, "the same as here"),
            (-2, Level::Ok, "the same as here"),
            (
                -30,
                Level::Warn,
                "the service's clock is 30 s behind this machine's",
            ),
            (
                65,
                Level::Warn,
                "the service's clock is 1 min ahead of this machine's",
            ),
        ] {
            let told = asked + time::Duration::seconds(told);
            let found = clocks(Some(told), asked, took);
            assert_eq!(
                (found.level(), found.text.as_str()),
                (level, text),
                "{told}"
            );
        }
    }

    #[test]
    fn o106_versions_that_differ_are_told() {
        let own = env!("CARGO_PKG_VERSION");
        let of = |versions: &[&str]| {
            let found: Vec<Found> = versions
                .iter()
                .map(|version| Found::version("x", version, ""))
                .collect();
            super::versions(&found)
                .first()
                .map(|one| one.finding.level())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[own, own]), Some(Level::Ok));
        assert_eq!(of(&[own, "9.9.9"]), Some(Level::Warn));
        assert_eq!(of(&["9.9.9"]), Some(Level::Warn));
    }
}
