//! What the stand-ins have in common as processes of their own: their options, the first line they print, their end.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

/// Options of every stand-in for a provider that calls a webhook.
#[derive(Debug, Args)]
pub struct Shell {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Milliseconds that stand for one second of the provider's pauses between repeated deliveries.
    #[arg(long, default_value_t = 1_000)]
    retry_unit_ms: u64,
}

impl Shell {
    /// What stands for one second of the provider's pauses.
    pub fn retry_unit(&self) -> Duration {
        Duration::from_millis(self.retry_unit_ms)
    }
}

/// Starts a stand-in, prints `{"address":"127.0.0.1:port","url":…}`, and keeps it until the process is asked to end.
/// Asked while it starts, it ends in order as well: what it started itself ends with it.
pub async fn run<S>(
    start: impl Future<Output = anyhow::Result<S>>,
    place: impl FnOnce(&S) -> (SocketAddr, String),
) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let stand_in = start.await?;
    let (address, url) = place(&stand_in);
    let mut out = std::io::stdout();
    let line = serde_json::json!({ "address": address.to_string(), "url": url });
    writeln!(out, "{line}")?;
    out.flush()?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
