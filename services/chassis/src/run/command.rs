//! The command line that all services share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use futures::FutureExt as _;
use sqlx::migrate::Migrator;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use super::service::{Service, Stopped};
use super::{ServiceConfig, configured, version};
use crate::config::{self, reference};
use crate::lifecycle::{Lifecycle, TaskFailed};
use crate::meter;
use crate::nats::Streams;
use crate::recovery::{self, Asked, Replay};
use crate::telemetry::{self, Cause};

/// Checks the rules of the shared sections, then those of the service's own.
pub(super) fn checked<C: ServiceConfig>(config: C) -> Result<C, config::ConfigError> {
    let (database, nats) = (config.database(), config.nats());
    let auth = config.auth();
    config::rules::check(database, nats, config.relay(), config.audit(), auth)?;
    config.validate()?;
    Ok(config)
}

/// Exit code of a configuration that cannot be used.
pub(super) const BAD_CONFIGURATION: u8 = 2;

/// How long `healthcheck` waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Parser)]
#[command(version, about = None)]
struct Arguments {
    /// A TOML file read over the embedded defaults; `SWITCHBOARD_SECTION__KEY` variables stand above both.
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CONFIG_FILE",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Clone, Subcommand)]
enum Verb {
    /// Runs the service (the default)
    Serve,
    /// Applies the database's migrations and exits
    Migrate,
    /// Asks the running service whether it is ready: exit code 0 or 1
    Healthcheck,
    /// Brings the database forward that was set back to an older moment, while the service is stopped, by what the streams hold
    Recover(Recover),
    /// Tells what this program is: version, commit, build, and the schemas, events and servers it goes with
    Version {
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        output: version::Output,
    },
    /// Prints what `/metrics` tells, as a table in Markdown
    Metrics,
    /// Checks, shows and describes the configuration
    Config {
        #[command(subcommand)]
        what: configured::Verb,
    },
}

#[derive(Clone, clap::Args)]
struct Recover {
    /// The moment of the backup, as 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: OffsetDateTime,
    /// Where to list what agents did since, and all that cannot be rebuilt, one JSON object a line
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    report: Option<PathBuf>,
    /// Changes nothing: compares what is stored with what the streams tell; exit code 1 where it differs
    #[arg(long)]
    check: bool,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "is no time as 2026-03-01T12:00:00Z".to_owned())
}

/// Runs a service's process: parses the verb, loads the configuration, and exits non-zero when anything failed.
///
/// Exit codes: 0 stopped as asked, 1 failed, 2 the configuration or the command line is wrong.
pub fn main<C, S, SF, M, MF>(
    (name, embedded): (&'static str, &'static str),
    migrator: &'static Migrator,
    serve: S,
    migrate: M,
    replay: &'static dyn Replay,
) -> ExitCode
where
    C: ServiceConfig,
    S: FnOnce(C, Service) -> SF,
    SF: Future<Output = anyhow::Result<()>>,
    M: FnOnce(C) -> MF,
    MF: Future<Output = anyhow::Result<()>>,
{
    let matches = Arguments::command().name(name).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    if let Some(Verb::Version { output }) = arguments.verb {
        configured::print(&version::told(name, migrator, output));
        return ExitCode::SUCCESS;
    }
    if let Some(Verb::Config { what }) = arguments.verb {
        let shown = configured::run::<C>(name, embedded, arguments.config.as_deref(), what);
        return shown.unwrap_or_else(|error| {
            eprintln!("{name}: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        });
    }
    if matches!(arguments.verb, Some(Verb::Metrics)) {
        print!("{}", meter::table(name, C::figures()));
        return ExitCode::SUCCESS;
    }
    let loaded = config::load::<C>(embedded, arguments.config.as_deref());
    let config = match loaded.and_then(checked) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{name}: {error}");
            telemetry::terminated(
                &unread_termination_file(),
                Cause::Configuration,
                &error.to_string(),
            );
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    // One TLS provider for the process; an earlier one is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    if matches!(arguments.verb, Some(Verb::Healthcheck)) {
        return match runtime.block_on(healthcheck(config.admin())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let termination_file = config.telemetry().termination_file.clone();
    let entered = runtime.enter();
    let telemetry = match telemetry::init(name, config.telemetry()) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("{name}: configuration: {error:#}");
            let text = format!("{error:#}");
            telemetry::terminated(&termination_file, Cause::Configuration, &text);
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    drop(entered);
    tell_unheard(embedded);
    let work = async {
        match arguments.verb {
            Some(Verb::Migrate) => migrate(config).await,
            Some(Verb::Recover(asked)) => recover(name, &config, replay, asked).await,
            _ => {
                let told = (embedded, arguments.config.as_deref());
                run(name, config, told, serve).await
            }
        }
    };
    let ended = runtime.block_on(AssertUnwindSafe(work).catch_unwind());
    let ended = ended.unwrap_or_else(|_| Err(anyhow!("it panicked")));
    let code = concluded(ended, &termination_file);
    runtime.shutdown_timeout(Duration::from_secs(1));
    telemetry.shutdown();
    code
}

/// Warns of variables that look as if they were keys.
fn tell_unheard(embedded: &str) {
    let names: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    for variable in config::unheard(embedded, names.iter().map(String::as_str)) {
        tracing::warn!(
            variable,
            "is no key and is not used: two underscores stand between section and key"
        );
    }
}

/// Recovers a service's database, or checks one that was recovered.
async fn recover<C: ServiceConfig>(
    name: &'static str,
    config: &C,
    replay: &dyn Replay,
    asked: Recover,
) -> anyhow::Result<()> {
    let asked = Asked {
        from: asked.from,
        report: asked.report,
        check: asked.check,
    };
    let streams = Streams::new(config.nats().inbound_shards);
    let servers = (config.database(), config.nats());
    recovery::run(name, servers, streams, replay, &asked).await
}

/// Where the termination message goes while the configuration cannot be read: its variable alone, or the default.
fn unread_termination_file() -> PathBuf {
    std::env::var_os("SWITCHBOARD_TELEMETRY__TERMINATION_FILE").map_or_else(
        || config::Telemetry::default().termination_file,
        PathBuf::from,
    )
}

/// Logs how a service ended, leaves the cause where it failed, and returns the exit code.
fn concluded(ended: anyhow::Result<()>, termination_file: &Path) -> ExitCode {
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) if error.is::<Stopped>() => {
            tracing::info!("stopped before it was ready");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let text = format!("{error:#}");
            tracing::error!(error = text, "failed");
            let (cause, panic) = cause(&error);
            let text = panic.unwrap_or(text);
            telemetry::terminated(termination_file, cause, &text);
            ExitCode::FAILURE
        }
    }
}

/// Returns why a service ended, and what a panic said that is to blame.
fn cause(error: &anyhow::Error) -> (Cause, Option<String>) {
    let panicked = telemetry::panicked().filter(|_| format!("{error:#}").ends_with("it panicked"));
    match (panicked, error.is::<TaskFailed>()) {
        (Some(panic), _) => (Cause::Panic, Some(panic)),
        (None, true) => (Cause::Task, None),
        (None, false) => (Cause::Start, None),
    }
}

async fn run<C, S, SF>(
    name: &'static str,
    config: C,
    (embedded, file): (&'static str, Option<&Path>),
    serve: S,
) -> anyhow::Result<()>
where
    C: ServiceConfig,
    S: FnOnce(C, Service) -> SF,
    SF: Future<Output = anyhow::Result<()>>,
{
    let service = Service::new(name, &config);
    let schema = reference::schema::<C>(name, embedded)?;
    let set = reference::dump(&schema, embedded, file, &config::environment())?;
    service.configured(set);
    stop_on_signals(&service.lifecycle)?;
    // First of all: probes are answered while the service waits for what it depends on.
    service.admin().await?;
    serve(config, service).await
}

/// SIGTERM and SIGINT stop the service; a second one abandons what is still in flight.
fn stop_on_signals(lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lifecycle = lifecycle.clone();
    // Not tracked: it waits for signals even while everything else drains.
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                else => return,
            };
            if lifecycle.is_stopping() {
                tracing::warn!(signal = name, "asked again: what is in flight is abandoned");
                lifecycle.abandon_token().cancel();
            } else {
                tracing::info!(signal = name, "stopping");
                lifecycle.stop();
            }
        }
    });
    Ok(())
}

async fn healthcheck(admin: &config::Admin) -> anyhow::Result<()> {
    let address = admin_address(admin)?;
    let answer = tokio::time::timeout(PROBE_TIMEOUT, probe(address));
    let answer = answer
        .await
        .context("no answer in time")?
        .with_context(|| address.to_string())?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or((answer.as_str(), ""));
    if head.split_ascii_whitespace().nth(1) == Some("200") {
        return Ok(());
    }
    bail!("{}", body.trim());
}

/// Asks by hand: an HTTP client would cost more than these lines.
async fn probe(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn admin_address(admin: &config::Admin) -> anyhow::Result<SocketAddr> {
    let mut address = admin.listen;
    if address.port() == 0 {
        let file = super::service::address_file()
            .context("admin.listen: port 0 needs SWITCHBOARD_ADDRESS_FILE to be found again")?;
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let addresses: std::collections::BTreeMap<String, SocketAddr> =
            serde_json::from_str(&text)?;
        address = *addresses
            .get("admin")
            .context("the address file names no admin server")?;
    }
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}
