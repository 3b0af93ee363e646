//! The Graph API stand-in as a process of its own. The first line it prints is `{"address":"127.0.0.1:port","url":…}`.

use clap::Parser;
use switchboard_tests::meta::{Options, StandIn};
use switchboard_tests::shell::{Shell, run};

/// A local stand-in for Meta's Graph API and the webhooks of Instagram.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    shell: Shell,
    /// The app's secret, with which bodies are signed.
    #[arg(long, default_value = "app-secret")]
    app_secret: String,
    /// The token that the webhook must know.
    #[arg(long, default_value = "verify-token")]
    verify_token: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.shell.listen,
        retry_unit: arguments.shell.retry_unit(),
        app_secret: arguments.app_secret,
        verify_token: arguments.verify_token,
        ..Options::default()
    };
    run(StandIn::start_with(options), |it| (it.address(), it.url())).await
}
