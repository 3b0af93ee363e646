//! A private NATS server with `JetStream` that syncs every message, as everything we ship is configured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::process::{Process, ports};

/// Names the program if it is not `nats-server` on `PATH`.
const PROGRAM: &str = "SWITCHBOARD_NATS_SERVER_BIN";
const PATIENCE: Duration = Duration::from_secs(20);

/// A private NATS server; it ends, and its data goes, when dropped.
pub struct NatsServer {
    folder: TempDir,
    port: u16,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server on a free port. Blocks until it answers.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchboard-nats-")
            .tempdir()?;
        let port = ports(1)?.first().copied().context("no free port")?;
        let configuration = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: tests\npid_file: \"{0}/pid\"\n\
             jetstream {{ store_dir: \"{0}/store\", sync_interval: always, max_file_store: 8GB }}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("nats.conf"), configuration)?;
        let mut server = Self {
            folder,
            port,
            process: None,
        };
        server.run()?;
        Ok(server)
    }

    /// Starts a server by the configuration that is shipped (`deploy/nats/nats.conf`): each service has its own user, with the
    /// rights that stand there and [`NatsServer::PASSWORD`].
    pub fn start_as_shipped() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchboard-nats-")
            .tempdir()?;
        let ports = ports(2)?;
        let [port, http] = ports.as_slice() else {
            anyhow::bail!("no free ports");
        };
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/nats/nats.conf");
        let shipped = std::fs::read_to_string(shipped).context("deploy/nats/nats.conf")?;
        let configuration = shipped
            .replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:8222", &format!("127.0.0.1:{http}"));
        std::fs::write(folder.path().join("nats.conf"), configuration)?;
        let mut server = Self {
            folder,
            port: *port,
            process: None,
        };
        server.run()?;
        Ok(server)
    }

    /// The password of every user of the shipped configuration; it has to be escaped in an address.
    pub const PASSWORD: &str = "p@ss/word";

    /// The address for a user of the shipped configuration.
    pub fn url_of(&self, user: &str) -> String {
        format!("nats://{user}:p%40ss%2Fword@127.0.0.1:{}", self.port)
    }

    /// Gives a user of the shipped configuration another password and has the server read it: who is connected with the former one is
    /// cut off.
    pub fn change_password(&mut self, user: &str, password: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join("nats.conf");
        let variable = format!("$NATS_{}_PASSWORD", user.replace('-', "_").to_uppercase());
        let configuration = std::fs::read_to_string(&path)?;
        anyhow::ensure!(configuration.contains(&variable), "{variable} is not there");
        std::fs::write(
            path,
            configuration.replace(&variable, &format!("{password:?}")),
        )?;
        let process = self.process.as_mut().context("the server does not run")?;
        process.signal("HUP")
    }

    /// What the server has logged.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("log"))?)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let program =
            std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from("nats-server"), PathBuf::from);
        let folder = self.folder.path();
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("nats.conf"));
        // Read by the shipped configuration alone.
        command.env("NATS_STORE_DIR", folder.join("store"));
        for user in [
            "CHANNEL_GATEWAY",
            "CONVERSATION",
            "CRM_CARDS",
            "ASSIGNMENT",
            "OPERATOR",
            "INTEGRATOR",
        ] {
            command.env(format!("NATS_{user}_PASSWORD"), Self::PASSWORD);
        }
        let mut process = Process::start("nats-server", &mut command, &folder.join("log"), "TERM")?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        process.wait_until(PATIENCE, || greets(address))?;
        self.process = Some(process);
        Ok(())
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The process, while the server runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it again on the same port and data (killing it first if it runs). Blocks until it answers.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.run()
    }
}

/// A server greets with `INFO {…}` when it is ready, and says there that `JetStream` is on.
fn greets(address: SocketAddr) -> bool {
    let limit = Duration::from_millis(200);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(limit));
    let mut greeting = [0_u8; 4096];
    let read = stream.read(&mut greeting).unwrap_or(0);
    let _ = stream.write_all(b"PING\r\n");
    let greeting = String::from_utf8_lossy(greeting.get(..read).unwrap_or_default());
    greeting.starts_with("INFO ") && greeting.contains("\"jetstream\":true")
}
