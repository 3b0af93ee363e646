//! A child process that is known by its id, logs into a file, and ends with its owner.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Ports that tests are given: below those that the system gives to outgoing connections, of which a test opens many and
/// which would take a port between its being found free and its being used.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Ports that this process has given away: two stories that begin at once get different ones.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Free TCP ports on loopback, none given twice. Another process may still take one before it is used, which its user
/// reports at start.
pub fn ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = rand::random_range(PORTS);
    let mut found = Vec::new();
    for port in (start..PORTS.end).chain(PORTS.start..start) {
        if found.len() == count {
            break;
        }
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            found.push(port);
        }
    }
    anyhow::ensure!(found.len() == count, "no free port");
    Ok(found)
}

/// A running child process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    polite: &'static str,
}

impl Process {
    /// Starts a command with its output appended to `log`. `polite` is the signal that makes it end in order.
    pub fn start(
        name: &str,
        command: &mut Command,
        log: &Path,
        polite: &'static str,
    ) -> anyhow::Result<Self> {
        let out: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .context("opening a log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            polite,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it at once, as a crash would (`SIGKILL`), and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.ended().is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// Sends a signal such as `TERM` or `STOP`.
    pub fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        if self.ended().is_some() {
            bail!("{} has ended already", self.name);
        }
        // The shell's own kill: no program of that name need be installed.
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -s {signal} {}", self.pid()))
            .status()?;
        if sent.success() {
            Ok(())
        } else {
            bail!("{} could not be sent SIG{signal}", self.name)
        }
    }

    /// Asks it to end in order and waits; kills it after `grace`. True when it ended by itself.
    pub fn stop(&mut self, grace: Duration) -> anyhow::Result<bool> {
        if self.ended().is_some() {
            return Ok(true);
        }
        self.signal(self.polite)?;
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if self.ended().is_some() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()?;
        Ok(false)
    }

    /// The last lines of its log, for an error.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `ready` is true; an error with the end of the log if it ends or takes too long.
    pub fn wait_until(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                bail!(
                    "{} ended while starting ({status}):\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready within {limit:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its data is thrown away with it: no reason to wait for an orderly end.
        let _ = self.kill();
    }
}
