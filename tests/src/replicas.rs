//! More processes of one service beside its first: they share its database and its consumers.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::servers::{Process, ports};
use crate::services::{GRACE, Kind, Ports, System};

/// How long a replica may take until it is ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// A further process of a service. It ends when it is dropped.
pub struct Replica {
    kind: Kind,
    number: usize,
    ports: Ports,
    process: Option<Process>,
}

impl Replica {
    /// Reserves ports for a replica; `number` tells it from the others in the names of its logs.
    pub fn new(kind: Kind, number: usize) -> anyhow::Result<Self> {
        let reserved = ports(3)?;
        Ok(Self {
            kind,
            number,
            ports: [reserved[0], reserved[1], reserved[2]],
            process: None,
        })
    }

    /// Address of its gRPC with scheme.
    pub fn grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Starts it, with the configuration of the first process but for the ports.
    pub fn launch(&mut self, system: &System) -> anyhow::Result<()> {
        let [grpc, admin, http] = self.ports;
        let mut command = Command::new(system.program(self.kind)?);
        command.arg("serve").env_clear();
        command.envs(
            std::env::vars_os()
                .filter(|(name, _)| !name.to_string_lossy().starts_with("SWITCHBOARD_")),
        );
        command
            .envs(system.environment(self.kind)?)
            .env("SWITCHBOARD_GRPC__LISTEN", format!("127.0.0.1:{grpc}"))
            .env("SWITCHBOARD_ADMIN__LISTEN", format!("127.0.0.1:{admin}"));
        if self.kind == Kind::ChannelGateway {
            command.env("SWITCHBOARD_HTTP__LISTEN", format!("127.0.0.1:{http}"));
        }
        let name = format!("{}-{}", self.kind.name(), self.number);
        let log = system.folder().join(format!("{name}.log"));
        self.process = Some(Process::start(&name, &mut command, &log, "TERM")?);
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Ends it with `SIGTERM`; true when it drained and exited within the grace period.
    pub fn terminate(&mut self) -> anyhow::Result<bool> {
        self.process
            .take()
            .map_or(Ok(true), |mut process| process.stop(GRACE))
    }

    /// Waits until it answers 200 to `/readyz`; an error with the end of its log if it ends first.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        // A second installation in the same process is refused, and is as good as the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()?;
        let ready = format!("http://127.0.0.1:{}/readyz", self.ports[1]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(process) = self.process.as_mut() else {
                bail!("the replica was not launched");
            };
            if let Some(status) = process.ended() {
                bail!("a replica ended ({status}):\n{}", process.log_tail());
            }
            let answer = http.get(&ready).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "a replica was not ready within {PATIENCE:?}:\n{}",
                    process.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
