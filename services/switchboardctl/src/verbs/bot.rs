//! Bots, their runs, and NPS.

mod attach;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use prost_types::Timestamp;
use switchboard_proto::conversation::v1::get_nps_totals_request::Period;
use switchboard_proto::conversation::v1::{
    Bot, BotRun, CreateBotRequest, DeleteBotRequest, GetBotRequest, GetNpsTotalsRequest,
    ListBotRunsRequest, ListBotsRequest, NpsTotal, SendNpsRequest, StartBotRequest, StopBotRequest,
    UpdateBotRequest,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, RequestId};
use crate::cli::choice;
use crate::clock;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, json, say, words};

/// Verbs on bots.
#[derive(Subcommand)]
pub(crate) enum BotVerb {
    /// Create a bot from a file, or one of NPS with the usual questions
    #[command(group = clap::ArgGroup::new("what").args(["file", "nps"]).required(true))]
    Create {
        /// A file with the bot as JSON, as `bot show ID -o json` prints it
        file: Option<PathBuf>,
        /// A bot of NPS of this name
        #[arg(long, value_name = "NAME")]
        nps: Option<String>,
        /// A file to upload, which the step of this key sends beside what the bot's file names for it (repeatable). Each time it is
        /// a new file
        #[arg(long = "attach", value_name = "STEP=PATH", value_parser = attach::read, conflicts_with_all = ["nps", "request_id"])]
        attached: Vec<(String, PathBuf)>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Change a bot, whole; refused where it has changed since the file was printed
    Update {
        /// A file with the bot as JSON, as `bot show ID -o json` prints it
        file: PathBuf,
        /// A file to upload, which the step of this key sends beside what the bot's file names for it (repeatable)
        #[arg(long = "attach", value_name = "STEP=PATH", value_parser = attach::read)]
        attached: Vec<(String, PathBuf)>,
    },
    /// Show a bot; with `-o json` its scenario, too
    Show {
        /// Id of the bot
        bot: Uuid,
    },
    /// List bots
    List(Page),
    /// Delete a bot
    Delete {
        /// Id of the bot
        bot: Uuid,
    },
    /// Start a bot in a chat
    Start {
        /// Id of the bot
        bot: Uuid,
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Stop the bot of a chat
    Stop {
        /// Id of the chat
        chat: Uuid,
    },
    /// Ask a chat's client the question of NPS, as the channel's rule has it
    Nps {
        /// Id of the chat
        chat: Uuid,
    },
    /// List the runs of bots in a chat, or in the chats of a card or contact, newest first
    #[command(group = clap::ArgGroup::new("where").args(["chat", "card", "contact"]).required(true))]
    Runs {
        /// Id of the chat
        chat: Option<Uuid>,
        /// Id of a card: in all chats that are linked with it
        #[arg(long, value_name = "ID")]
        card: Option<Uuid>,
        /// Id of a contact: in all chats that are linked with it
        #[arg(long, value_name = "ID")]
        contact: Option<Uuid>,
        /// Only what is under way
        #[arg(long)]
        running: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Count what clients answered to NPS
    Totals {
        /// How far back
        #[arg(long, value_name = "TIME", default_value = "30days", value_parser = humantime::parse_duration)]
        last: Duration,
        /// What is counted together
        #[arg(long, value_parser = choice!(Period, "PERIOD_", ["day", "week", "month"]))]
        by: Option<Period>,
        /// Only of this channel (name or id)
        #[arg(long)]
        channel: Option<String>,
    },
}

impl Show for Bot {
    const NAME: &'static str = "switchboard.conversation.v1.Bot";
    const HEADERS: &'static [&'static str] =
        &["ID", "NAME", "STARTS", "STEPS", "ENABLED", "REVISION"];
    fn cells(&self, _view: &View) -> Vec<Cell> {
        let starts = match words::word(self.trigger().as_str_name(), "TRIGGER_") {
            _ if self.nps => "for NPS".to_owned(),
            word if word == "unspecified" => "by hand".to_owned(),
            word => word,
        };
        vec![
            cell(&self.bot_id),
            cell(&self.name),
            cell(starts),
            cell(self.steps.len().to_string()),
            cell(if self.enabled { "yes" } else { "no" }),
            cell(self.revision.to_string()),
        ]
    }
}

impl Show for BotRun {
    const NAME: &'static str = "switchboard.conversation.v1.BotRun";
    const HEADERS: &'static [&'static str] = &["RUN", "BOT", "STATE", "STEP", "ANSWERS", "STARTED"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let mut answers: Vec<String> = self
            .answers
            .iter()
            .map(|(step, answer)| format!("{step}: {answer}"))
            .collect();
        answers.sort();
        vec![
            cell(&self.run_id),
            cell(&self.bot_name),
            cell(words::word(self.state().as_str_name(), "STATE_")).by_word(),
            cell(&self.step),
            cell(words::short(&answers.join("; "), 60)),
            cell(words::ago(self.start_time.as_ref(), view.now)).dim(),
        ]
    }
}

impl Show for NpsTotal {
    const NAME: &'static str = "switchboard.conversation.v1.NpsTotal";
    const HEADERS: &'static [&'static str] = &[
        "FROM",
        "ASKED",
        "ANSWERED",
        "SKIPPED",
        "PROMOTERS",
        "PASSIVES",
        "DETRACTORS",
        "NPS",
    ];
    fn cells(&self, _view: &View) -> Vec<Cell> {
        let from = self
            .start_time
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let score = self
            .score
            .map_or_else(|| "-".to_owned(), |score| format!("{score:.0}"));
        let mut cells = vec![cell(from)];
        let counts = [
            self.asked,
            self.answered,
            self.skipped,
            self.promoters,
            self.passives,
            self.detractors,
        ];
        cells.extend(counts.iter().map(|count| cell(count.to_string())));
        cells.push(cell(score));
        cells
    }
}

/// Reads a bot from a file.
fn read(file: &PathBuf) -> Result<Bot, CliError> {
    let hint = "see `bot show ID -o json` for the form";
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(&format!("{}: {error}", file.display()), hint))?;
    json::message(Bot::NAME, &text).ok_or_else(|| {
        let what = format!("{} holds no bot as JSON", file.display());
        CliError::usage(&what, hint)
    })
}

/// Runs a verb.
pub(crate) async fn run(verb: BotVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    match verb {
        BotVerb::Start { .. } | BotVerb::Stop { .. } | BotVerb::Nps { .. } => {
            act(verb, session, &view).await
        }
        BotVerb::Runs {
            chat,
            card,
            contact,
            running,
            page,
        } => {
            let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
            let asked = ListBotRunsRequest {
                chat_id: text(chat),
                entity_id: text(card.or(contact)),
                running_only: running,
                ..ListBotRunsRequest::default()
            };
            runs(asked, &page, session, &view).await
        }
        BotVerb::Totals { last, by, channel } => totals((last, by, channel), session, &view).await,
        verb => settings(verb, session, &view).await,
    }
}

async fn settings(verb: BotVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let role = session.role().await?;
    let mut client = session.bots(&role).await?;
    match verb {
        BotVerb::Create {
            file,
            nps,
            attached,
            request_id,
        } => {
            let mut bot = match (file, nps) {
                (Some(file), _) => read(&file)?,
                (None, name) => Bot {
                    name: name.unwrap_or_default(),
                    nps: true,
                    enabled: true,
                    ..Bot::default()
                },
            };
            attach::all(session, &role, &mut bot, &attached).await?;
            let request = CreateBotRequest {
                request_id: request_id.get(),
                bot: Some(bot),
            };
            view.one(client.create_bot(request).await?.into_inner().bot)
        }
        BotVerb::Update { file, attached } => {
            let mut bot = read(&file)?;
            attach::all(session, &role, &mut bot, &attached).await?;
            let request = UpdateBotRequest {
                expected_revision: Some(bot.revision),
                bot: Some(bot),
            };
            view.one(client.update_bot(request).await?.into_inner().bot)
        }
        BotVerb::Show { bot } => {
            let request = GetBotRequest {
                bot_id: bot.to_string(),
            };
            view.one(client.get_bot(request).await?.into_inner().bot)
        }
        BotVerb::Delete { bot } => {
            let request = DeleteBotRequest {
                bot_id: bot.to_string(),
            };
            client.delete_bot(request).await?;
            say!("deleted");
            Ok(())
        }
        BotVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListBotsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_bots(request).await?.into_inner();
                Ok((page.bots, page.next_page_token))
            };
            let (bots, next) = page.read(ask).await?;
            view.list(&bots, &next)
        }
        // The others are no settings.
        _ => Ok(()),
    }
}

async fn act(verb: BotVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.bots(&session.agent_role().await?).await?;
    let run = match verb {
        BotVerb::Start {
            bot,
            chat,
            request_id,
        } => {
            let request = StartBotRequest {
                chat_id: chat.to_string(),
                bot_id: bot.to_string(),
                request_id: request_id.get(),
            };
            client.start_bot(request).await?.into_inner().run
        }
        BotVerb::Stop { chat } => {
            let request = StopBotRequest {
                chat_id: chat.to_string(),
            };
            let stopped = client.stop_bot(request).await?.into_inner().run;
            if stopped.is_none() {
                say!("no bot runs in this chat");
                return Ok(());
            }
            stopped
        }
        BotVerb::Nps { chat } => {
            let request = SendNpsRequest {
                chat_id: chat.to_string(),
            };
            client.send_nps(request).await?.into_inner().run
        }
        _ => None,
    };
    view.one(run)
}

async fn runs(
    asked: ListBotRunsRequest,
    page: &Page,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let mut client = session.bots(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListBotRunsRequest {
            page_size,
            page_token,
            ..asked.clone()
        };
        let page = client.list_bot_runs(request).await?.into_inner();
        Ok((page.runs, page.next_page_token))
    };
    let (runs, next) = page.read(ask).await?;
    view.list(&runs, &next)
}

async fn totals(
    (last, by, channel): (Duration, Option<Period>, Option<String>),
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let stamp = |time: OffsetDateTime| Timestamp {
        seconds: time.unix_timestamp(),
        nanos: time.nanosecond().cast_signed(),
    };
    let channel_id = match channel {
        Some(named) => session.channel_id(&named).await?.to_string(),
        None => String::new(),
    };
    let mut client = session.bots(&session.role().await?).await?;
    let request = GetNpsTotalsRequest {
        from_time: Some(stamp(clock::now() - last)),
        to_time: Some(stamp(clock::now() + Duration::from_mins(1))),
        period: by.unwrap_or_default().into(),
        channel_id,
    };
    let totals = client.get_nps_totals(request).await?.into_inner().totals;
    view.list(&totals, "")
}
