//! The Bot API stand-in as a process of its own. The first line it prints is `{"address":"127.0.0.1:port","url":…}`.

use clap::Parser;
use switchboard_tests::shell::{Shell, run};
use switchboard_tests::telegram::{Options, StandIn};

/// A local stand-in for Telegram's Bot API.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    shell: Shell,
    /// Answer `chat not found` for customers who never wrote.
    #[arg(long)]
    strict_chats: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.shell.listen,
        retry_unit: arguments.shell.retry_unit(),
        strict_chats: arguments.strict_chats,
        ..Options::default()
    };
    run(StandIn::start_with(options), |it| (it.address(), it.url())).await
}
