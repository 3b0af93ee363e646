//! A private S3 server that checks signatures and behaves as it is told (`tests/clients/s3_server.py`).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, ports};

/// Names a Python that has moto.
const PYTHON: &str = "SWITCHBOARD_MOTO_PYTHON";
/// Says that this machine can have none.
const WITHOUT: &str = "SWITCHBOARD_WITHOUT_S3";
/// It loads half of Amazon's services first.
const PATIENCE: Duration = Duration::from_mins(1);

/// Its one bucket.
const BUCKET: &str = "switchboard";
/// Where that is: none that clients take by themselves.
const REGION: &str = "eu-central-1";

/// The keys that it knows.
#[derive(Debug, Clone, Deserialize)]
struct Keys {
    id: String,
    secret: String,
}

/// What the bucket holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// Bytes of each object, by its key.
    pub objects: BTreeMap<String, u64>,
    /// Keys of uploads whose parts lie there.
    pub uploads: Vec<String>,
}

/// A private S3 server; it ends, and its objects go, when dropped.
pub struct S3Server {
    folder: TempDir,
    keys: Keys,
    port: u16,
    _process: Process,
}

impl S3Server {
    /// Starts it on a free port; none where this machine has no moto, which is said aloud. Where a pipeline runs the
    /// tests (`CI`) that is an error. Blocks until it answers.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(python) = std::env::var_os(PYTHON) else {
            anyhow::ensure!(
                std::env::var_os("CI").is_none() || std::env::var_os(WITHOUT).is_some(),
                "{PYTHON} names no Python that has moto: scripts/test makes one"
            );
            // Not by a macro, whose output is kept from whoever looks at tests that pass.
            let said =
                format!("SKIPPED: a test of S3, for {PYTHON} names no Python that has moto\n");
            std::io::stderr().write_all(said.as_bytes())?;
            return Ok(None);
        };
        let port = ports(1)?.first().copied().context("no free port")?;
        let folder = tempfile::Builder::new()
            .prefix("switchboard-s3-")
            .tempdir()?;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/s3_server.py");
        let mut command = Command::new(python);
        command
            .arg(script)
            .arg("--folder")
            .arg(folder.path())
            .args(["--port", &port.to_string()])
            .args(["--bucket", BUCKET, "--region", REGION]);
        let log = folder.path().join("log");
        let mut process = Process::start("S3 server", &mut command, &log, "TERM")?;
        process.wait_until(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        let keys = std::fs::read(folder.path().join("keys.json"))?;
        Ok(Some(Self {
            keys: serde_json::from_slice(&keys)?,
            folder,
            port,
            _process: process,
        }))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// Where the bucket is.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// Variables with the keys that it knows.
    pub fn keys(&self) -> [(String, String); 2] {
        [
            ("AWS_ACCESS_KEY_ID".to_owned(), self.keys.id.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.keys.secret.clone()),
        ]
    }

    /// Tells it how to behave from the next request on: see `s3_server.py`.
    pub fn behave(&self, how: &Value) -> anyhow::Result<()> {
        // Moved there as a whole: a request may be read meanwhile.
        let beside = self.folder.path().join("behaviour.tmp");
        std::fs::write(&beside, how.to_string())?;
        std::fs::rename(beside, self.folder.path().join("behaviour.json"))?;
        Ok(())
    }

    /// What the bucket holds.
    pub async fn stored(&self) -> anyhow::Result<Stored> {
        let asked = reqwest::get(format!("{}/control/bucket", self.url()));
        let answer = asked.await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}
