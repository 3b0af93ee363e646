//! A sandbox.

use clap::Subcommand;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;

/// Verbs of the sandbox.
#[derive(Subcommand)]
pub(crate) enum DemoVerb {
    /// Write as a customer and show the answer
    Customer {
        /// The text
        text: String,
    },
}

/// Runs a verb.
pub(crate) async fn run(_verb: DemoVerb, _session: &Session, _view: View) -> Result<(), CliError> {
    Ok(())
}
