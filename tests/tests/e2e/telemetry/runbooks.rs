//! Runbooks are followed: what stands in them as `sh` is run against a running system, and says what stands below it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use switchboard_tests::services::{Kind, binary};
use switchboard_tests::world::{Plan, World, within};

use super::{LOOKED, folder, talk};

/// A command of a runbook with what it is expected to print.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    /// Lines that stand in its output in this order; `…` is anything.
    expected: Vec<String>,
}

/// Headings that each has, in this order.
const HEADINGS: [&str; 4] = [
    "## What it means for customers",
    "## Checks",
    "## Remedies",
    "## When to call",
];

/// Reads the commands of a text, and what they are to print.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut fence: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut fence, line.trim().strip_prefix("```")) {
            (None, Some(kind)) => fence = Some((kind, Vec::new())),
            (Some((kind, lines)), Some(_)) => {
                match (*kind, steps.last_mut()) {
                    ("sh", _) => steps.push(Step {
                        command: lines.join("\n"),
                        expected: Vec::new(),
                    }),
                    ("text", Some(step)) => {
                        step.expected = lines.iter().map(|line| line.trim().to_owned()).collect();
                    }
                    _ => {}
                }
                fence = None;
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    steps
}

/// Tells which expected line does not come, if any.
fn lacking<'a>(expected: &'a [String], output: &str) -> Option<&'a str> {
    let mut lines = output.lines();
    expected
        .iter()
        .find(|pattern| !lines.any(|line| fits(pattern, line.trim())))
        .map(String::as_str)
}

fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    if parts.len() == 1 {
        return pattern == line;
    }
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for part in parts.iter().take(parts.len() - 1).skip(1) {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// The alerts of the rules.
fn alerts() -> anyhow::Result<BTreeSet<String>> {
    let rules = std::fs::read_to_string(folder("deploy/chart/alerts/rules.yaml"))?;
    let named = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    Ok(named.map(str::to_owned).collect())
}

/// What stands for a cluster: it takes only what these runbooks may ask of one.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in
  "rollout restart deployment/switchboard-channel-gateway" | \
  "rollout restart deployment/switchboard-conversation" | \
  "rollout restart deployment/switchboard-crm-cards" | \
  "rollout restart deployment/switchboard-assignment") echo "${3} restarted" ;;
  "scale deployment/switchboard-"*" --replicas "[0-9]*) echo "scaled" ;;
  "get pods --selector app.kubernetes.io/part-of=switchboard") echo "NAME READY STATUS RESTARTS AGE" ;;
  "logs --selector app.kubernetes.io/component="*" --since 15m") echo "{}" ;;
  "describe pods --selector app.kubernetes.io/component="*) ;;
  *) echo "kubectl: nobody asked for: $*" >&2; exit 1 ;;
esac
"#;

async fn run(world: &World, tools: &Path, command: &str) -> anyhow::Result<(bool, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", command])
        .stdin(Stdio::null())
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("SWITCHBOARD_CTL_TOKEN", world.system.tokens().operator())
        .env("COLUMNS", "200");
    for kind in Kind::ALL {
        let name = kind.name().to_uppercase().replace('-', "_");
        let addresses = world.system.addresses(kind).context("a running service")?;
        shell.env(
            format!("SWITCHBOARD_CTL_{name}"),
            world.system.grpc_url(kind)?,
        );
        shell.env(name, format!("http://{}", addresses.admin));
    }
    let output = shell.output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), text + &errors))
}

/// O3.7: there is a runbook for each alert, with three checks and two remedies, and what it says to type works and prints what it
/// says to expect of a healthy system.
#[tokio::test(flavor = "multi_thread")]
async fn o37_runbooks_can_be_followed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_201).await?;
    let tools = tempfile::tempdir()?;
    let kubectl = tools.path().join("kubectl");
    std::fs::write(&kubectl, KUBECTL)?;
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink(
        binary("switchboardctl")?,
        tools.path().join("switchboardctl"),
    )?;
    let alerts = alerts()?;
    assert!((1..=15).contains(&alerts.len()), "{alerts:?}");
    for alert in &alerts {
        let file = folder("deploy/runbooks").join(format!("{alert}.md"));
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("{alert}: no runbook"))?;
        assert!(text.starts_with(&format!("# {alert}\n")), "{alert}");
        let places: Vec<Option<usize>> = HEADINGS.iter().map(|it| text.find(it)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{alert}: {places:?}"
        );
        let (before, after) = text.split_once("## Remedies").unwrap_or_default();
        let (checks, remedies) = (steps(before), after);
        assert_eq!(checks.len(), 3, "{alert}: checks");
        assert!(
            checks.iter().all(|check| !check.expected.is_empty()),
            "{alert}: a check without what to expect"
        );
        let numbered = remedies
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(". "));
        assert!(numbered.count() >= 2, "{alert}: two remedies");
        for step in steps(&text) {
            within(LOOKED, &format!("{alert}: {}", step.command), async || {
                let (went_well, output) = run(&world, tools.path(), &step.command).await?;
                anyhow::ensure!(went_well, "it failed: {output}");
                if let Some(line) = lacking(&step.expected, &output) {
                    anyhow::bail!("{line:?} does not come: {output}");
                }
                Ok(Some(()))
            })
            .await?;
        }
    }
    let known = std::fs::read_dir(folder("deploy/runbooks"))?;
    for entry in known {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let alert = name.trim_end_matches(".md");
        assert!(alert == "README" || alerts.contains(alert), "{name}");
    }
    Ok(())
}

#[test]
fn o37_commands_are_read_with_what_they_print() {
    let text =
        "1. Look:\n\n   ```sh\n   a | b\n   ```\n   ```text\n   x … y\n   ```\n\n```sh\nc\n```\n";
    let read = steps(text);
    let told: Vec<_> = read.iter().map(|step| step.command.trim()).collect();
    assert_eq!(told, ["a | b", "c"]);
    assert_eq!(read[0].expected, ["x … y"]);
    assert_eq!(lacking(&read[0].expected, "w\nx 12 y\n"), None);
    assert_eq!(lacking(&read[0].expected, "x 12 z\n"), Some("x … y"));
    assert!(fits("up 1", "up 1") && !fits("up 1", "up 10"));
}
