//! The Viber stand-in as a process of its own. The first line it prints is `{"address":"127.0.0.1:port","url":…}`.

use clap::Parser;
use switchboard_tests::shell::{Shell, run};
use switchboard_tests::viber::{Options, StandIn};

/// A local stand-in for Viber's REST Bot API.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    shell: Shell,
    /// Refuse receivers who never came.
    #[arg(long)]
    strict_receivers: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.shell.listen,
        retry_unit: arguments.shell.retry_unit(),
        strict_receivers: arguments.strict_receivers,
        ..Options::default()
    };
    run(StandIn::start_with(options), |it| (it.address(), it.url())).await
}
