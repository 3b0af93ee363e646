//! A private `PostgreSQL` server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::process::{Process, ports};

/// Names the folder with `initdb` and `postgres` if it is neither on `PATH` nor Debian's.
const PROGRAMS: &str = "SWITCHBOARD_PG_BIN";
/// What a server may hold in memory of its own, unless told otherwise.
const MEMORY: &str = "128MB";
const PATIENCE: Duration = Duration::from_secs(30);

/// A private `PostgreSQL` server, user `postgres`, trusting loopback; it ends, and its data goes, when dropped.
/// Commits are synced as in production unless made by [`PostgresServer::start_unsynced`].
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    synced: bool,
    memory: &'static str,
    process: Option<Process>,
}

impl PostgresServer {
    /// Makes a cluster and starts it on a free port. Blocks until it answers.
    pub fn start() -> anyhow::Result<Self> {
        Self::create(true, MEMORY)
    }

    /// The same with so much memory of its own (`shared_buffers`), for large tables.
    pub fn start_with_memory(memory: &'static str) -> anyhow::Result<Self> {
        Self::create(true, memory)
    }

    /// The same with `fsync` off, for tests that kill no server.
    pub fn start_unsynced() -> anyhow::Result<Self> {
        Self::create(false, MEMORY)
    }

    fn create(synced: bool, memory: &'static str) -> anyhow::Result<Self> {
        // The folder must be reachable by user postgres when we are root: the temporary folder is, a clone may not be.
        let folder = tempfile::Builder::new()
            .prefix("switchboard-postgres-")
            .tempdir()?;
        let port = ports(1)?.first().copied().context("no free port")?;
        if is_root()? {
            let owned = Command::new("chown")
                .arg("postgres:")
                .arg(folder.path())
                .status()?;
            if !owned.success() {
                bail!("there is no user postgres to run PostgreSQL as (it refuses to run as root)");
            }
        }
        let mut initdb = as_postgres(&program("initdb")?)?;
        initdb.arg("-D").arg(folder.path().join("data"));
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        let made = initdb
            .current_dir("/")
            .output()
            .context("starting initdb")?;
        if !made.status.success() {
            bail!("initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
        }
        let mut server = Self {
            folder,
            port,
            synced,
            memory,
            process: None,
        };
        server.run()?;
        Ok(server)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let mut command = as_postgres(&program("postgres")?)?;
        command
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-p")
            .arg(self.port.to_string());
        command.arg("-k").arg(folder);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=200",
            &format!("shared_buffers={}", self.memory),
            // Loaded, it costs nothing until a database makes the extension, as `scripts/bench --statements` does.
            "shared_preload_libraries=pg_stat_statements",
        ] {
            command.args(["-c", setting]);
        }
        if !self.synced {
            command.args([
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
            ]);
        }
        command.current_dir("/");
        let log = std::env::temp_dir().join(format!("switchboard-postgres-{}.log", self.port));
        let mut process = Process::start("postgres", &mut command, &log, "INT")?;
        let (probe, port) = (program("psql")?, self.port.to_string());
        process.wait_until(PATIENCE, || answers(&probe, &port))?;
        self.process = Some(process);
        Ok(())
    }

    /// `postgres://postgres@127.0.0.1:port`, without a database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Has user `postgres` log in with a password from now on, and ends all connections. Asked again, it changes the password.
    pub async fn ask_for_password(
        &self,
        former: Option<&str>,
        password: &str,
    ) -> anyhow::Result<()> {
        let login = former
            .map(|former| format!(":{former}"))
            .unwrap_or_default();
        let address = format!(
            "postgres://postgres{login}@127.0.0.1:{}/postgres",
            self.port
        );
        let mut connection = PgConnection::connect(&address).await?;
        let set = format!("alter role postgres password '{password}'");
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut connection)
            .await?;
        // In place, so that the file stays the server's own.
        let rules = self.folder.path().join("data/pg_hba.conf");
        std::fs::write(rules, "host all all 127.0.0.1/32 scram-sha-256\n")?;
        let ended = "select pg_reload_conf(), (select count(pg_terminate_backend(pid)) from pg_stat_activity
             where pid <> pg_backend_pid() and backend_type = 'client backend')";
        sqlx::raw_sql(ended).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// The address of one database of this server.
    pub fn database_url(&self, database: &str) -> String {
        format!("{}/{database}", self.url())
    }

    /// Makes an empty database and returns its address.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        create_database(&self.url(), name).await
    }

    /// The process, while the server runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.kill()?;
        // Its children notice and end by themselves; until they have, a new server refuses to start.
        let gone = self.folder.path().join("data/postmaster.pid");
        wait_for_children(&gone)
    }

    /// Starts it again on the same port and data (killing it first if it runs). Blocks until it answers.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.run()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let log = process.log().to_owned();
            // In order, but at once: its children end with it, and its shared memory is given back.
            let _ = process.signal("QUIT");
            let _ = process.stop(Duration::from_secs(5));
            let _ = std::fs::remove_file(log);
        }
    }
}

/// Makes an empty database on any server and returns its address.
pub(crate) async fn create_database(server: &str, name: &str) -> anyhow::Result<String> {
    if !name
        .bytes()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    {
        bail!("{name:?} is no database name");
    }
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(format!("{server}/{name}"))
}

/// Waits until the shared memory segment of a killed server is free: the first line of `postmaster.pid` names the
/// server, and processes whose parent it was have its data folder open.
fn wait_for_children(pid_file: &Path) -> anyhow::Result<()> {
    let data = pid_file.parent().context("a data folder")?.to_owned();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while std::time::Instant::now() < deadline {
        let busy = std::fs::read_dir("/proc")?
            .filter_map(Result::ok)
            .any(|process| {
                std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == data)
            });
        if !busy {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn answers(psql: &Path, port: &str) -> bool {
    let asked = Command::new(psql)
        .args([
            "-X",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            port,
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-c",
            "select 1",
        ])
        .output();
    asked.is_ok_and(|answer| answer.status.success())
}

pub(super) fn is_root() -> anyhow::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self")
        .context("reading /proc")?
        .uid()
        == 0)
}

/// `PostgreSQL` refuses to run as root: then it runs as user postgres.
fn as_postgres(program: &Path) -> anyhow::Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "--",
        ])
        .arg(program);
    Ok(command)
}

/// A program of `PostgreSQL`: from the folder named by the environment, Debian's newest, or `PATH`. Debian's `PATH` has
/// wrappers for `psql` only, and some distributions wrap the others in ways that refuse root: `PATH` comes last.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let named = std::env::var_os(PROGRAMS).map(PathBuf::from);
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .filter_map(Result::ok)
                .map(|version| version.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    debian.sort_by_key(|bin| {
        let version = bin
            .parent()
            .and_then(Path::file_name)
            .and_then(|v| v.to_str())
            .and_then(|v| v.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = named
        .into_iter()
        .chain(debian)
        .chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| {
            format!("PostgreSQL's {name} was not found; set {PROGRAMS} to the folder that has it")
        })
}
