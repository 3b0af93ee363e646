//! The Bot API stand-in as a process of its own. The first line it prints is `{"address":"127.0.0.1:port","url":…}`.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use switchboard_tests::telegram::{Options, StandIn};

/// A local stand-in for Telegram's Bot API.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Milliseconds that stand for one second of Telegram's pauses between repeated deliveries.
    #[arg(long, default_value_t = 1_000)]
    retry_unit_ms: u64,
    /// Answer `chat not found` for customers who never wrote.
    #[arg(long)]
    strict_chats: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let stand_in = StandIn::start_with(Options {
        listen: arguments.listen,
        retry_unit: Duration::from_millis(arguments.retry_unit_ms),
        strict_chats: arguments.strict_chats,
        ..Options::default()
    })
    .await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{}",
        serde_json::json!({ "address": stand_in.address().to_string(), "url": stand_in.url() })
    )?;
    out.flush()?;
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
        () = stand_in.stopped() => {}
    }
    Ok(())
}
