//! Completions: verbs, options and words by themselves, ids by asking the server.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{Args, Command, CommandFactory as _, Parser as _, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use switchboard_proto::channel_gateway::v1::ListChannelsRequest;
use switchboard_proto::conversation::v1::ListChatsRequest;
use switchboard_proto::crm_cards::v1::{
    ListCardsRequest, ListContactsRequest, ListPipelinesRequest,
};

use crate::cli::{Cli, Globals};
use crate::connect::{SERVICES, Session};
use crate::context::Settings;
use crate::error::CliError;
use crate::output::out;
use crate::token::Role;

/// How long a shell is kept waiting for ids.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Ids that are offered at most.
const OFFERED: i32 = 50;

/// For which shell.
#[derive(Args)]
#[command(
    after_help = "Put one of these into your shell's startup:\n  source <(switchboardctl completions bash)\n  \
                  source <(switchboardctl completions zsh)\n  switchboardctl completions fish | source"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Prints what a shell needs to ask this command.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let failed = || CliError::failed(format!("no completions for {name}"), "");
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(failed)?;
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.to_str());
    let program = program.unwrap_or("switchboardctl");
    let mut script = Vec::new();
    let written = shell.write_registration(
        "COMPLETE",
        "switchboardctl",
        "switchboardctl",
        program,
        &mut script,
    );
    written.map_err(|error| CliError::failed(format!("no completions: {error}"), ""))?;
    out::bytes(&script);
    Ok(())
}

/// Kinds of things that are completed by asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Chat,
    Channel,
    Agent,
    Card,
    Contact,
    Pipeline,
    Letter,
    Context,
}

impl Thing {
    /// The thing that an argument names, by the argument's own name and the noun of the verb.
    fn of(noun: &str, argument: &str) -> Option<Self> {
        Some(match (noun, argument) {
            ("context", "name") | (_, "context") => Self::Context,
            ("deadletter", "sequence" | "sequences") => Self::Letter,
            (_, "chat") | ("explain", "about") => Self::Chat,
            (_, "channel") => Self::Channel,
            (_, "agent" | "acting" | "responsible" | "to") => Self::Agent,
            (_, "card") => Self::Card,
            (_, "contact" | "buyer") => Self::Contact,
            (_, "pipeline") => Self::Pipeline,
            _ => return None,
        })
    }
}

/// The command line with what completes ids.
pub(crate) fn command() -> Command {
    completing(Cli::command(), "")
}

fn completing(command: Command, noun: &str) -> Command {
    let things: Vec<(String, Thing)> = command
        .get_arguments()
        .filter_map(|argument| {
            let id = argument.get_id().as_str();
            Some((id.to_owned(), Thing::of(noun, id)?))
        })
        .collect();
    // What is changed moves behind the others: places are written down before.
    let places: Vec<String> = command
        .get_positionals()
        .map(|argument| argument.get_id().to_string())
        .collect();
    let mut command = command;
    for (at, id) in places.into_iter().enumerate() {
        command = command.mut_arg(id, |argument| argument.index(at + 1));
    }
    for (id, thing) in things {
        command = command.mut_arg(id, |argument| {
            let asked = move |typed: &OsStr| candidates(thing, typed);
            argument.add(ArgValueCompleter::new(asked))
        });
    }
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    for verb in verbs {
        let noun = if noun.is_empty() {
            verb.clone()
        } else {
            noun.to_owned()
        };
        command = command.mut_subcommand(verb, |verb| completing(verb, &noun));
    }
    command
}

/// What fits what was typed. A shell is never told of errors: where nobody answers, nothing is offered.
fn candidates(thing: Thing, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_lowercase();
    let words: Vec<String> = std::env::args().collect();
    let found = if thing == Thing::Context {
        let names = crate::context::named::names();
        names
            .into_iter()
            .map(|name| (name, String::new()))
            .collect()
    } else {
        asked(thing, &globals(&words)).unwrap_or_default()
    };
    fitting(found, &typed)
}

fn fitting(found: Vec<(String, String)>, typed: &str) -> Vec<CompletionCandidate> {
    let fits = |id: &str, name: &str| {
        id.to_lowercase().starts_with(typed) || name.to_lowercase().starts_with(typed)
    };
    let fitting = found.into_iter().filter(|(id, name)| fits(id, name));
    fitting
        .map(|(id, name)| {
            CompletionCandidate::new(id).help((!name.is_empty()).then(|| name.into()))
        })
        .collect()
}

/// The options of the connection among words that are not a whole command yet.
fn globals(words: &[String]) -> Globals {
    const OPTIONS: [&str; 8] = [
        "--context",
        "--context-file",
        "--account",
        "--as",
        "--key",
        "--token-file",
        "--token",
        "--ca-file",
    ];
    let mut kept = vec!["switchboardctl".to_owned()];
    let mut words = words.iter().skip_while(|word| *word != "--").skip(2);
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if !OPTIONS.contains(&name) {
            continue;
        }
        kept.push(word.clone());
        if !word.contains('=') {
            kept.extend(words.next().cloned());
        }
    }
    let status = std::iter::once("status".to_owned());
    let whole = Cli::try_parse_from(kept.into_iter().chain(status));
    whole.map_or_else(
        |_| Cli::parse_from(["switchboardctl", "status"]).globals,
        |cli| cli.globals,
    )
}

/// Asks the server, for as long as somebody waits for a shell.
fn asked(thing: Thing, globals: &Globals) -> Option<Vec<(String, String)>> {
    let session = Session::new(Settings::resolve(globals).ok()?).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, list(thing, &session)).await;
        asked.ok()?.ok()
    })
}

/// Ids with what people know the things by.
async fn list(thing: Thing, session: &Session) -> Result<Vec<(String, String)>, CliError> {
    let role = Role::Account;
    Ok(match thing {
        Thing::Context => Vec::new(),
        Thing::Chat => {
            let mut client = session.conversation(&role).await?;
            let request = ListChatsRequest {
                page_size: OFFERED,
                ..ListChatsRequest::default()
            };
            let chats = client.list_chats(request).await?.into_inner().chats;
            let told = |chat: switchboard_proto::conversation::v1::Chat| {
                let client = chat.client.unwrap_or_default().name;
                let last = chat.last_message.unwrap_or_default().text;
                let last = crate::output::words::short(&last, 30);
                (chat.chat_id, format!("{client}: {last}"))
            };
            chats.into_iter().map(told).collect()
        }
        Thing::Channel => {
            let mut client = session.channel_gateway(&role).await?;
            let request = ListChannelsRequest {
                page_size: OFFERED,
                ..ListChannelsRequest::default()
            };
            let channels = client.list_channels(request).await?.into_inner().channels;
            let told = channels.into_iter();
            told.map(|channel| (channel.channel_id, channel.name))
                .collect()
        }
        Thing::Agent => {
            let agents = session.agents().await?.into_iter();
            // By name: that is what people type, and what verbs take.
            agents.map(|agent| (agent.name, agent.agent_id)).collect()
        }
        Thing::Card => {
            let mut client = session.crm_cards(&role).await?;
            let request = ListCardsRequest {
                page_size: OFFERED,
                ..ListCardsRequest::default()
            };
            let cards = client.list_cards(request).await?.into_inner().cards;
            cards
                .into_iter()
                .map(|card| (card.card_id, card.title))
                .collect()
        }
        Thing::Contact => {
            let mut client = session.crm_cards(&role).await?;
            let request = ListContactsRequest {
                page_size: OFFERED,
                ..ListContactsRequest::default()
            };
            let contacts = client.list_contacts(request).await?.into_inner().contacts;
            let told = contacts.into_iter();
            told.map(|contact| (contact.contact_id, contact.name))
                .collect()
        }
        Thing::Pipeline => {
            let mut client = session.crm_cards(&role).await?;
            let request = ListPipelinesRequest {
                page_size: OFFERED,
                ..ListPipelinesRequest::default()
            };
            let pipelines = client.list_pipelines(request).await?.into_inner().pipelines;
            let told = pipelines.into_iter();
            told.map(|pipeline| (pipeline.pipeline_id, pipeline.name))
                .collect()
        }
        Thing::Letter => {
            let mut found = Vec::new();
            for service in SERVICES {
                let letters = crate::verbs::deadletter::all(session, service).await?;
                let told = letters.into_iter().rev().take(20);
                found.extend(told.map(|letter| (letter.sequence.to_string(), letter.error)));
            }
            found
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o203_arguments_that_name_things_are_completed_by_asking() {
        for (noun, argument, thing) in [
            ("chat", "chat", Some(Thing::Chat)),
            ("explain", "about", Some(Thing::Chat)),
            ("agent", "agent", Some(Thing::Agent)),
            ("chat", "acting", Some(Thing::Agent)),
            ("deadletter", "sequence", Some(Thing::Letter)),
            ("context", "name", Some(Thing::Context)),
            ("role", "name", None),
            ("status", "watch", None),
        ] {
            assert_eq!(Thing::of(noun, argument), thing, "{noun} {argument}");
        }
        command().debug_assert();
    }

    #[test]
    fn o203_only_what_fits_is_offered_by_id_or_by_name() {
        let found = || {
            vec![
                ("0197-a".to_owned(), "Olena".to_owned()),
                ("0198-b".to_owned(), String::new()),
            ]
        };
        for (typed, ids) in [
            ("", vec!["0197-a", "0198-b"]),
            ("0198", vec!["0198-b"]),
            ("ole", vec!["0197-a"]),
            ("x", vec![]),
        ] {
            let offered = fitting(found(), typed);
            let values: Vec<_> = offered
                .iter()
                .map(|candidate| candidate.get_value().to_string_lossy().into_owned())
                .collect();
            assert_eq!(values, ids, "{typed}");
        }
    }

    #[test]
    fn o203_the_connection_is_read_from_half_a_command() {
        let words = [
            "x",
            "--",
            "switchboardctl",
            "--account",
            "acme",
            "chat",
            "show",
            "--context=live",
            "",
        ];
        let globals = globals(&words.map(str::to_owned));
        assert_eq!(globals.account.as_deref(), Some("acme"));
        assert_eq!(globals.context.as_deref(), Some("live"));
    }
}
