//! The process of the channel gateway.

use std::process::ExitCode;

use channel_gateway::config::Config;

fn main() -> ExitCode {
    chassis::run::main(
        ("channel-gateway", Config::EMBEDDED),
        &channel_gateway::store::MIGRATOR,
        channel_gateway::serve,
        channel_gateway::migrate,
        &channel_gateway::recovery::Recovery,
    )
}
