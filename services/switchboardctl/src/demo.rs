//! A sandbox: the demo account, a customer to play, and the story that plays itself. The customers live in the
//! local stand-ins for the providers; no provider account is needed.

mod control;
mod customer;
mod names;
mod setup;
mod stand_in;
mod story;
pub(crate) mod wait;

use std::time::Duration;

pub(crate) use story::plain_text;

use clap::Subcommand;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;

/// Verbs of the sandbox.
#[derive(Subcommand)]
pub(crate) enum DemoVerb {
    /// Make the demo account with agents, pipeline, channel and rules; what exists is kept
    Setup,
    /// Write as a customer and show the answer
    Customer {
        /// The text
        text: String,
        /// The customer's Telegram id: the same id is the same person
        #[arg(long, default_value_t = 501, value_parser = clap::value_parser!(i64).range(1..1_000_000_000_000))]
        id: i64,
        /// The customer's name
        #[arg(long, default_value = "Daryna")]
        name: String,
        /// How long to wait for an answer, in seconds
        #[arg(long, default_value_t = 30, value_name = "SECONDS")]
        wait: u64,
    },
    /// Play the main path and one customer per channel against the running system, as a transcript; exits 0 only if every step holds
    Story {
        /// How long a step may take, in seconds
        #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
        patience: u64,
    },
}

/// Runs a verb.
pub(crate) async fn run(verb: DemoVerb, session: &Session, view: View) -> Result<(), CliError> {
    match verb {
        DemoVerb::Setup => setup::run(session, view).await,
        DemoVerb::Customer {
            text,
            id,
            name,
            wait,
        } => customer::run(session, view, &text, id, &name, Duration::from_secs(wait)).await,
        DemoVerb::Story { patience } => {
            story::run(session, view, Duration::from_secs(patience)).await
        }
    }
}
