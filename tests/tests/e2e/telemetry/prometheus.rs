//! A Prometheus that reads the services, with the rules that are shipped: panels have data, and nothing fires in health.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use switchboard_tests::servers::{Process, ports};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Plan, World, within};
use tempfile::TempDir;

use super::{LOOKED, folder, talk};

/// Panels that are empty while nothing goes wrong, or on ways that this story does not go.
const EMPTY_IN_HEALTH: [&str; 4] = [
    "Webhooks that were not accepted",
    "Calls that failed for our reasons",
    "Outcomes",
    "What keeps it from being ready",
];

/// A Prometheus of its own.
struct Prometheus {
    _process: Process,
    _folder: TempDir,
    url: String,
}

impl Prometheus {
    /// Starts Debian's, which reads every service each second.
    async fn start(world: &World) -> anyhow::Result<Self> {
        let place = tempfile::tempdir()?;
        let targets = Kind::ALL.iter().map(|kind| {
            let addresses = world.system.addresses(*kind).context("a running service")?;
            Ok(format!("\"{}\"", addresses.admin))
        });
        let targets = targets.collect::<anyhow::Result<Vec<_>>>()?.join(", ");
        let rules = folder("deploy/chart/alerts/rules.yaml").canonicalize()?;
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}\"]\n\
             scrape_configs:\n  - job_name: switchboard\n    static_configs: [{{targets: [{targets}]}}]\n",
            rules.display()
        );
        let file = place.path().join("prometheus.yml");
        std::fs::write(&file, configuration)?;
        let port = ports(1)?.remove(0);
        let mut command = std::process::Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                place.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let log = place.path().join("prometheus.log");
        let process = Process::start("prometheus", &mut command, &log, "TERM")
            .context("Debian's package prometheus has it: scripts/test installs it")?;
        let made = Self {
            _process: process,
            _folder: place,
            url: format!("http://127.0.0.1:{port}"),
        };
        within(Duration::from_secs(20), "Prometheus", async || {
            let ready = reqwest::get(format!("{}/-/ready", made.url)).await?;
            Ok(ready.status().is_success().then_some(()))
        })
        .await?;
        Ok(made)
    }

    /// What a query says.
    async fn ask(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let address = format!("{}/api/v1/query", self.url);
        let asked = reqwest::Url::parse_with_params(&address, [("query", query)])?;
        let answer: Value = reqwest::get(asked).await?.json().await?;
        let result = answer["data"]["result"].as_array();
        Ok(result
            .with_context(|| format!("{query}: {answer}"))?
            .clone())
    }
}

/// The panels of all dashboards: (dashboard, panel, query).
fn panels() -> anyhow::Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder("deploy/chart/dashboards"))? {
        let board: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let title = board["title"].as_str().unwrap_or_default();
        for panel in board["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().context("a query")?;
                let query = query
                    .replace("$__rate_interval", "1m")
                    .replace("$__range", "10m");
                let panel = panel["title"].as_str().unwrap_or_default();
                all.push((title.to_owned(), panel.to_owned(), query));
            }
        }
    }
    Ok(all)
}

/// O2.6, O2.7: with a real Prometheus every panel has data, but for those of what goes wrong, and no alert fires or is about to.
#[tokio::test(flavor = "multi_thread")]
async fn o26_panels_have_data_and_o27_alerts_are_quiet() -> anyhow::Result<()> {
    let world = World::start().await?;
    let prometheus = Prometheus::start(&world).await?;
    // From now on what is counted is seen to grow.
    within(LOOKED, "a first look at every service", async || {
        let seen = prometheus.ask("service_ready == 1").await?.len();
        Ok((seen == Kind::ALL.len()).then_some(()))
    })
    .await?;
    let account = world.account(Plan::default()).await?;
    for customer in 7_401..7_404 {
        talk(&world, &account, customer).await?;
    }
    let panels = panels()?;
    assert!(panels.len() > 60, "{}", panels.len());
    within(Duration::from_mins(1), "data for every panel", async || {
        let mut empty = Vec::new();
        for (board, panel, query) in &panels {
            let fault = EMPTY_IN_HEALTH.contains(&panel.as_str()) || query.ends_with("> 0");
            if !fault && prometheus.ask(query).await?.is_empty() {
                empty.push(format!("{board}: {panel}: {query}"));
            }
        }
        anyhow::ensure!(empty.is_empty(), "{empty:#?}");
        Ok(Some(()))
    })
    .await?;
    let firing = prometheus.ask("ALERTS").await?;
    assert!(firing.is_empty(), "{firing:#?}");
    let rules = prometheus
        .ask("switchboard:webhooks_refused:ratio_1h")
        .await?;
    assert_eq!(rules[0]["value"][1], "0", "{rules:?}");
    Ok(())
}
