//! The verbs: one module a noun.

pub(crate) mod account;
pub(crate) mod agent;
pub(crate) mod assignment;
pub(crate) mod calendar;
pub(crate) mod card;
pub(crate) mod channel;
pub(crate) mod chat;
pub(crate) mod connection;
pub(crate) mod contact;
pub(crate) mod deadletter;
pub(crate) mod decision;
pub(crate) mod distribution;
pub(crate) mod events;
pub(crate) mod order;
pub(crate) mod pipeline;
pub(crate) mod source;

use clap::Args;

use crate::cli::{Cli, Noun};
use crate::connect::Session;
use crate::context::Settings;
use crate::error::CliError;
use crate::output::View;

/// Which page of a list.
#[derive(Args, Clone, Debug)]
pub(crate) struct Page {
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    pub limit: i32,
    /// Where to go on, as the page before said
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TOKEN"
    )]
    pub page_token: String,
}

/// The id that makes a creating call idempotent.
#[derive(Args, Clone, Debug)]
pub(crate) struct RequestId {
    /// Makes the call idempotent: the same id and content are answered alike
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestId {
    /// The given id, or a new one.
    pub fn get(self) -> String {
        self.request_id.unwrap_or_else(crate::clock::new_id)
    }
}

/// Runs what was typed.
pub(crate) async fn run(cli: Cli) -> Result<(), CliError> {
    let globals = cli.globals;
    let noun = match cli.noun {
        Noun::Keys(verb) => return crate::keys::run(verb),
        Noun::Token(args) => return crate::token::run(args, &globals, crate::clock::now()),
        noun => noun,
    };
    let session = Session::new(Settings::resolve(&globals)?)?;
    let view = View::new(&globals);
    match noun {
        Noun::Keys(_) | Noun::Token(_) => Ok(()),
        Noun::Account(verb) => account::run(verb, &session, view).await,
        Noun::Agent(verb) => agent::run(verb, &session, view).await,
        Noun::Channel(verb) => channel::run(verb, &session, view).await,
        Noun::Pipeline(verb) => pipeline::run(verb, &session, view).await,
        Noun::Source(verb) => source::run(verb, &session, view).await,
        Noun::Connection(verb) => connection::run(verb, &session, view).await,
        Noun::Distribution(verb) => distribution::run(verb, &session, view).await,
        Noun::Calendar(verb) => calendar::run(verb, &session, view).await,
        Noun::Chat(verb) => chat::run(verb, &session, view).await,
        Noun::Card(verb) => card::run(verb, &session, view).await,
        Noun::Decision(verb) => decision::run(verb, &session, view).await,
        Noun::Contact(verb) => contact::run(verb, &session, view).await,
        Noun::Order(verb) => order::run(verb, &session, view).await,
        Noun::Assignment(verb) => assignment::run(verb, &session, view).await,
        Noun::DeadLetter(verb) => deadletter::run(verb, &session, view).await,
        Noun::Events(verb) => events::run(verb, &session, view).await,
        Noun::Demo(verb) => crate::demo::run(verb, &session, view).await,
    }
}
