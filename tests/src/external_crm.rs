//! The example of a CRM outside (`tests/clients/external_crm`), as a process of its own that can be killed and started again on
//! the same table.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::{Process, ports};
use crate::services::Kind;
use crate::world::World;

/// Names a Python that has what the example needs.
const PYTHON: &str = "SWITCHBOARD_EXTERNAL_CRM_PYTHON";
/// It compiles the contracts first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who answers for an entity, as people see it there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Shown {
    /// The agent; none where it is nobody.
    pub agent: Option<String>,
    /// When it was said, in microseconds since 1970.
    pub time: i64,
    /// Whether Switchboard has answered to what was said there.
    pub sent: bool,
}

/// What was said there and not taken by Switchboard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// The entity.
    pub entity: String,
    /// The agent who was named.
    pub agent: Option<String>,
    /// Why nothing changed.
    pub why: String,
}

/// All that it shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Book {
    /// Entities by their ids.
    pub responsibles: BTreeMap<String, Shown>,
    /// What was not taken, in order.
    pub reports: Vec<Report>,
}

/// A running CRM outside; it ends, and its table goes, when dropped.
pub struct ExternalCrm {
    folder: TempDir,
    python: PathBuf,
    arguments: Vec<String>,
    port: u16,
    process: Process,
    http: reqwest::Client,
}

impl ExternalCrm {
    /// Starts it beside an account; `fill` reads all that Switchboard has first. None where this machine has no Python for it,
    /// which is said aloud; where a pipeline runs the tests (`CI`) that is an error. Blocks until it answers.
    pub fn start(world: &World, account: &str, fill: bool) -> anyhow::Result<Option<Self>> {
        let Some(python) = std::env::var_os(PYTHON) else {
            anyhow::ensure!(
                std::env::var_os("CI").is_none(),
                "{PYTHON} names no Python that has grpcio-tools and nats-py: scripts/test makes one"
            );
            let said = format!("SKIPPED: the CRM outside, for {PYTHON} names no Python for it\n");
            std::io::stderr().write_all(said.as_bytes())?;
            return Ok(None);
        };
        let folder = tempfile::Builder::new()
            .prefix("switchboard-external-crm-")
            .tempdir()?;
        let token_file = folder.path().join("token");
        let token = world.system.tokens();
        std::fs::write(&token_file, token.service(account, "outside", "crm:*"))?;
        let port = ports(1)?.first().copied().context("no free port")?;
        let url = world.system.grpc_url(Kind::CrmCards)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let named = |path: &Path| path.display().to_string();
        let arguments = [
            ("--folder", named(folder.path())),
            ("--proto", named(&root.join("../proto"))),
            ("--account", account.to_owned()),
            ("--grpc", url.trim_start_matches("http://").to_owned()),
            ("--token-file", named(&token_file)),
            ("--nats", world.nats.url()),
            ("--port", port.to_string()),
        ];
        let mut arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect();
        if fill {
            arguments.push("--fill".to_owned());
        }
        let python = PathBuf::from(python);
        let process = run(&python, &arguments, folder.path(), port)?;
        Ok(Some(Self {
            folder,
            python,
            arguments,
            port,
            process,
            http: reqwest::Client::builder().no_proxy().build()?,
        }))
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again, where it was left.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.process = run(&self.python, &self.arguments, self.folder.path(), self.port)?;
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Somebody there says who answers for an entity; `kind` is the number of its kind, `time` is in microseconds since 1970
    /// where that is not now.
    pub async fn say(
        &self,
        kind: i32,
        entity: &str,
        agent: &str,
        time: Option<i64>,
    ) -> anyhow::Result<()> {
        let said: Value = json!({ "kind": kind, "entity": entity, "agent": agent, "time": time });
        let answer = self.http.post(self.url()).json(&said).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// What it shows.
    pub async fn book(&self) -> anyhow::Result<Book> {
        let answer = self.http.get(self.url()).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }
}

fn run(python: &Path, arguments: &[String], folder: &Path, port: u16) -> anyhow::Result<Process> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/external_crm/external_crm.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let log = folder.join("log");
    let mut process = Process::start("CRM outside", &mut command, &log, "TERM")?;
    process.wait_until(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(process)
}
