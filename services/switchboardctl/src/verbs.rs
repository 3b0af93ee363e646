//! The verbs: one module a noun.

pub(crate) mod account;
pub(crate) mod activity;
pub(crate) mod agent;
pub(crate) mod assignment;
pub(crate) mod audit;
pub(crate) mod bot;
pub(crate) mod bundle;
pub(crate) mod calendar;
pub(crate) mod card;
pub(crate) mod channel;
pub(crate) mod chat;
pub(crate) mod company;
pub(crate) mod connection;
pub(crate) mod contact;
pub(crate) mod deadletter;
pub(crate) mod decision;
pub(crate) mod distribution;
pub(crate) mod doctor;
mod entity_chats;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod field;
pub(crate) mod filter;
pub(crate) mod find;
pub(crate) mod group;
pub(crate) mod internal;
pub(crate) mod notification;
pub(crate) mod order;
pub(crate) mod pause;
pub(crate) mod pipeline;
pub(crate) mod rehearse;
pub(crate) mod reply;
pub(crate) mod role;
pub(crate) mod rule;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod sync;

mod transfer;
mod values;

use clap::Args;

use crate::cli::{Cli, Noun};
use crate::connect::{DRY_RUN, Session};
use crate::context::Settings;
use crate::error::CliError;
use crate::output::View;

/// Which page of a list.
#[derive(Args, Clone, Debug)]
pub(crate) struct Page {
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=MOST))]
    limit: i32,
    /// As many as there are, up to 10000
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Where to go on, as the page before said
    #[arg(
        long = "page-token",
        default_value = "",
        hide_default_value = true,
        value_name = "TOKEN"
    )]
    from: String,
}

/// How many rows one command shows at most: what one terminal and one JSON array hold well.
const MOST: i64 = 10_000;
/// How many rows a service gives in one page.
const PAGE: i32 = 200;

impl Page {
    /// Tells whether a later page is asked for.
    pub fn goes_on(&self) -> bool {
        !self.from.is_empty()
    }

    /// How many rows are wanted at most.
    pub fn most(&self) -> usize {
        usize::try_from(if self.all { MOST } else { self.limit.into() }).unwrap_or(0)
    }

    /// The same place, with as many rows as there are.
    pub fn whole(self) -> Self {
        Self { all: true, ..self }
    }

    /// Asks for pages, each by its size and token, until there are as many rows as were wanted; returns them with the
    /// token of what comes after. A service may give fewer rows in a page than it was asked for.
    pub async fn read<T>(
        &self,
        mut ask: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), CliError>,
    ) -> Result<(Vec<T>, String), CliError> {
        let wanted = self.most();
        let (mut rows, mut token) = (Vec::new(), self.from.clone());
        loop {
            let left = i32::try_from(wanted.saturating_sub(rows.len())).unwrap_or(PAGE);
            let (page, next) = ask(left.min(PAGE), token).await?;
            rows.extend(page);
            token = next;
            if token.is_empty() || rows.len() >= wanted {
                return Ok((rows, token));
            }
        }
    }
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

/// Whether a verb can be told to change nothing: what it changes is in services, where every call is guarded.
pub(crate) fn has_dry_run(noun: &Noun) -> bool {
    match noun {
        Noun::Keys(_) | Noun::Demo(_) => false,
        Noun::Context(verb) => verb.only_reads(),
        _ => true,
    }
}

/// Runs what was typed.
pub(crate) async fn run(cli: Cli) -> Result<(), CliError> {
    let globals = cli.globals;
    if globals.dry_run && !has_dry_run(&cli.noun) {
        return Err(CliError::usage(
            "this verb has no dry run: it works with files and stand-ins, not with services",
            "leave --dry-run out",
        ));
    }
    let noun = match cli.noun {
        Noun::Keys(verb) => return crate::keys::run(verb),
        Noun::Token(args) => return crate::token::run(args, &globals, crate::clock::now()),
        Noun::Context(verb) => return crate::context::named::run(verb, &globals),
        Noun::Completions(args) => return crate::completions::run(&args),
        noun => noun,
    };
    let session = Session::new(Settings::resolve(&globals)?)?;
    let view = View::new(&globals);
    match Box::pin(called(noun, session, view)).await {
        // What was asked for was to change nothing.
        Err(error) if error.reason().as_deref() == Some(DRY_RUN) => Ok(()),
        ended => ended,
    }
}

async fn called(noun: Noun, session: Session, view: View) -> Result<(), CliError> {
    match noun {
        Noun::Keys(_) | Noun::Token(_) | Noun::Context(_) | Noun::Completions(_) => Ok(()),
        Noun::Doctor(args) => doctor::run(args, &session, view).await,
        Noun::Find(args) => find::run(args, &session, view).await,
        Noun::Explain(args) => explain::run(args, &session, view).await,
        Noun::Rehearse(args) => rehearse::run(args, &session, view).await,
        Noun::Status(args) => status::run(args, &session, view).await,
        Noun::Bundle(args) => bundle::run(args, &session, view).await,
        Noun::Pause(verb) => pause::run(verb, &session, view).await,
        Noun::Resume(verb) => pause::resume(verb, &session, view).await,
        Noun::Drain(args) => pause::drain(args, &session, view).await,
        Noun::Account(verb) => account::run(verb, &session, view).await,
        Noun::Agent(verb) => agent::run(verb, &session, view).await,
        Noun::Role(verb) => role::run(verb, &session, view).await,
        Noun::Group(verb) => group::run(verb, &session, view).await,
        Noun::Channel(verb) => channel::run(verb, &session, view).await,
        Noun::Pipeline(verb) => pipeline::run(verb, &session, view).await,
        Noun::Source(verb) => source::run(verb, &session, view).await,
        Noun::Field(verb) => field::run(verb, &session, view).await,
        Noun::Connection(verb) => connection::run(verb, &session, view).await,
        Noun::Distribution(verb) => distribution::run(verb, &session, view).await,
        Noun::Sync(verb) => sync::run(verb, &session, view).await,
        Noun::Bot(verb) => bot::run(verb, &session, view).await,
        Noun::Rule(verb) => rule::run(verb, &session, view).await,
        Noun::Calendar(verb) => calendar::run(verb, &session, view).await,
        Noun::Chat(verb) => chat::run(verb, &session, view).await,
        Noun::Filter(verb) => filter::run(verb, &session, view).await,
        Noun::Notification(verb) => notification::run(verb, &session, view).await,
        Noun::Internal(verb) => internal::run(verb, &session, view).await,
        Noun::Reply(verb) => reply::run(verb, &session, view).await,
        Noun::Card(verb) => card::run(verb, &session, view).await,
        Noun::Decision(verb) => decision::run(verb, &session, view).await,
        Noun::Contact(verb) => contact::run(verb, &session, view).await,
        Noun::Company(verb) => company::run(verb, &session, view).await,
        Noun::Order(verb) => order::run(verb, &session, view).await,
        Noun::Assignment(verb) => assignment::run(verb, &session, view).await,
        Noun::Activity(verb) => activity::run(verb, &session, view).await,
        Noun::Audit(verb) => audit::run(verb, &session, view).await,
        Noun::DeadLetter(verb) => deadletter::run(verb, &session, view).await,
        Noun::Events(verb) => events::run(verb, &session, view).await,
        Noun::Demo(verb) => crate::demo::run(verb, &session, view).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: i32, all: bool) -> Page {
        Page {
            limit,
            all,
            from: String::new(),
        }
    }

    #[tokio::test]
    async fn a_list_is_read_until_there_are_as_many_as_were_wanted() {
        // A service with 470 rows, which gives 100 at once at most; its token is where the next page begins.
        for (page, rows, calls, goes_on) in [
            (page(50, false), 50, 1, true),
            (page(150, false), 150, 2, true),
            (page(470, false), 470, 5, false),
            (page(50, true), 470, 5, false),
        ] {
            let mut called = 0;
            let ask = async |size: i32, token: String| {
                called += 1;
                let start: i32 = token.parse().unwrap_or(0);
                let end = 470.min(start + size.min(100));
                let next = if end < 470 {
                    end.to_string()
                } else {
                    String::new()
                };
                Ok(((start..end).collect(), next))
            };
            let (found, next) = page.read(ask).await.unwrap();
            assert_eq!((found.len(), called), (rows, calls));
            assert!(found.iter().copied().eq(0..i32::try_from(rows).unwrap()));
            assert_eq!(!next.is_empty(), goes_on);
        }
    }
}
