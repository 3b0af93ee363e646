//! The command line of Switchboard: `switchboardctl <noun> <verb>`.
//!
//! It speaks to the services by their public gRPC API, reads events from the broker, and makes the keys and tokens
//! of an installation without an identity provider.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod clock;
mod completions;
mod connect;
mod context;
mod demo;
mod error;
mod keys;
mod output;
mod token;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use cli::Cli;
use output::note;

fn main() -> ExitCode {
    // A shell that asks what fits is answered, and nothing is run.
    clap_complete::CompleteEnv::with_factory(completions::command).complete();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            note!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(verbs::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.render();
            if !text.is_empty() {
                note!("{text}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
