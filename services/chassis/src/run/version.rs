//! The verb `version`: what this program is, and what it needs and speaks (O1.7).

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use switchboard_proto::EVENTS;

use super::COMMIT;
use super::database::POSTGRES_MIN;
use crate::nats::{BATCHES_SINCE, OLDEST};

/// How it is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Lines
    Text,
    /// One JSON object
    Json,
}

/// What this program is.
pub(super) fn told(name: &str, migrator: &Migrator, output: Output) -> String {
    let told = facts(name, migrator);
    if output == Output::Json {
        return format!("{told:#}\n");
    }
    let text = |pointer: &str| {
        let value = told.pointer(pointer);
        value.map_or_else(String::new, |value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    let commit = match text("/commit") {
        commit if commit.is_empty() => "unknown: built without SWITCHBOARD_COMMIT".to_owned(),
        commit => commit,
    };
    let mut lines = String::new();
    let _ = write!(
        lines,
        "{name} {}\ncommit    {commit}\nbuild     {}\nschema    chassis {}, {name} {}\n\
         events    version {}, {} kinds published\nneeds     PostgreSQL {}, NATS {} (batches from {})\n",
        text("/version"),
        text("/build"),
        text("/schema/chassis"),
        text("/schema/service"),
        text("/events/version"),
        text("/events/published"),
        text("/needs/postgresql"),
        text("/needs/nats"),
        text("/needs/nats_for_batches"),
    );
    lines
}

fn facts(name: &str, migrator: &Migrator) -> Value {
    let last = |migrator: &Migrator| migrator.iter().map(|one| one.version).max();
    let dotted = |(major, minor, patch): (i64, i64, i64)| format!("{major}.{minor}.{patch}");
    // A kind is published by the service it names; what each service publishes, by this one too.
    let published = EVENTS
        .iter()
        .filter(|event| event.service == name || event.service == "*");
    json!({
        "service": name,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": COMMIT,
        "build": env!("CHASSIS_BUILD"),
        "schema": { "chassis": last(&crate::MIGRATOR), "service": last(migrator) },
        "events": { "version": "v1", "published": published.count() },
        "needs": {
            "postgresql": (POSTGRES_MIN / 10_000).to_string(),
            "nats": dotted(OLDEST),
            "nats_for_batches": dotted(BATCHES_SINCE),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o107_a_version_tells_what_the_program_is_and_needs() {
        let facts = facts("conversation", &crate::MIGRATOR);
        let last = crate::MIGRATOR.iter().count();
        assert_eq!(facts["schema"]["chassis"], last);
        assert!(facts["events"]["published"].as_u64() > Some(10), "{facts}");
        let text = told("conversation", &crate::MIGRATOR, Output::Text);
        for line in [
            format!("conversation {}\n", env!("CARGO_PKG_VERSION")),
            "needs     PostgreSQL 15, NATS 2.11.0 (batches from 2.15.0)\n".to_owned(),
            format!("schema    chassis {last}, conversation {last}\n"),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
        let parsed: Value =
            serde_json::from_str(&told("x", &crate::MIGRATOR, Output::Json)).unwrap();
        assert_eq!(parsed["needs"]["postgresql"], "15");
    }
}
