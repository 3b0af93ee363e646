//! A private SMTP server that keeps what it gets and behaves as it is told (`tests/clients/smtp_server.py`).

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use super::dovecot::Certificate;
use super::process::{Process, ports};

/// Names a Python that has aiosmtpd, if `python3` has not.
const PYTHON: &str = "SWITCHBOARD_AIOSMTPD_PYTHON";
const PATIENCE: Duration = Duration::from_secs(20);

/// How connections to it are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// From the first byte.
    Implicit,
    /// By STARTTLS, which it requires.
    StartTls,
}

/// A mail that the server got.
#[derive(Debug, Clone)]
pub struct Received {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// The mail.
    pub raw: Vec<u8>,
}

/// A private SMTP server; it ends when dropped.
pub struct SmtpServer {
    folder: TempDir,
    certificate: Certificate,
    port: u16,
    _process: Process,
}

impl SmtpServer {
    /// Starts it on a free port. Blocks until it answers.
    pub fn start(tls: SmtpTls) -> anyhow::Result<Self> {
        let port = ports(1)?.first().copied().context("no free port")?;
        Self::start_on(port, tls)
    }

    /// Does the same on a port.
    pub fn start_on(port: u16, tls: SmtpTls) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchboard-smtp-")
            .tempdir()?;
        let certificate = Certificate::new()?;
        std::fs::write(folder.path().join("cert.pem"), &certificate.pem)?;
        std::fs::write(folder.path().join("key.pem"), &certificate.key_pem)?;
        let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/smtp_server.py");
        let mut command = Command::new(python);
        command
            .arg(script)
            .arg("--folder")
            .arg(folder.path())
            .args(["--port", &port.to_string()])
            .args([
                "--tls",
                match tls {
                    SmtpTls::None => "none",
                    SmtpTls::Implicit => "implicit",
                    SmtpTls::StartTls => "starttls",
                },
            ]);
        let log = folder.path().join("log");
        let mut process = Process::start("smtp server", &mut command, &log, "TERM")?;
        process
            .wait_until(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok())
            .with_context(|| format!("{PYTHON} names a Python that has aiosmtpd"))?;
        Ok(Self {
            folder,
            certificate,
            port,
            _process: process,
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Tells it how to behave from the next connection on: see `smtp_server.py`.
    pub fn behave(&self, how: &Value) -> anyhow::Result<()> {
        std::fs::write(self.folder.path().join("behaviour.json"), how.to_string())?;
        Ok(())
    }

    /// Returns what it got, in order.
    pub fn received(&self) -> anyhow::Result<Vec<Received>> {
        let mut all = Vec::new();
        let file = |number: usize, kind: &str| self.folder.path().join(format!("{number}.{kind}"));
        while let Ok(record) = std::fs::read(file(all.len(), "json")) {
            let record: Value = serde_json::from_slice(&record)?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let to = record["to"].as_array().into_iter().flatten();
            all.push(Received {
                from: text(&record["from"]),
                to: to.map(text).collect(),
                tls: record["tls"] == true,
                raw: std::fs::read(file(all.len(), "eml"))?,
            });
        }
        Ok(all)
    }
}
