//! Labels of chats, and chats that are put off.

use std::time::Duration;

use clap::Subcommand;
use prost_types::Timestamp;
use switchboard_proto::conversation::v1::{
    ChatLabel, LabelChatRequest, ListLabelsRequest, SnoozeChatRequest, WakeChatRequest,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::clock;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell};
use crate::verbs::Page;

/// Verbs on labels and on chats that are put off.
#[derive(Subcommand)]
pub(crate) enum AsideVerb {
    /// Give a chat labels, or take some off
    #[command(group = clap::ArgGroup::new("labels").args(["add", "remove"]).multiple(true).required(true))]
    Label {
        /// Id of the chat
        chat: Uuid,
        /// A label that it gets: a word or some (repeatable)
        add: Vec<String>,
        /// A label that it loses (repeatable)
        #[arg(long, value_name = "LABEL")]
        remove: Vec<String>,
    },
    /// List the labels that chats have
    Labels {
        /// Only those that begin so
        beginning: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Put a chat out of sight until the client writes, or until a time before that
    Snooze {
        /// Id of the chat
        chat: Uuid,
        /// For how long, as 45m, 2h or 3days
        #[arg(long = "for", value_name = "TIME", value_parser = lasting, conflicts_with = "until")]
        lasting: Option<Duration>,
        /// Until when, as 2026-03-02T18:00:00+02:00
        #[arg(long, value_name = "TIME", value_parser = at)]
        until: Option<OffsetDateTime>,
    },
    /// Take a chat up again that was put out of sight
    Wake {
        /// Id of the chat
        chat: Uuid,
    },
}

fn at(text: &str) -> Result<OffsetDateTime, &'static str> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "a time as 2026-03-02T18:00:00+02:00")
}

impl Show for ChatLabel {
    const NAME: &'static str = "switchboard.conversation.v1.ChatLabel";
    const HEADERS: &'static [&'static str] = &["LABEL"];
    fn cells(&self, _view: &View) -> Vec<Cell> {
        vec![cell(&self.name)]
    }
}

/// Runs a verb.
pub(super) async fn run(verb: AsideVerb, session: &Session, view: &View) -> Result<(), CliError> {
    if let AsideVerb::Labels { beginning, page } = verb {
        return labels(beginning, &page, session, view).await;
    }
    let mut client = session.chats(&session.agent_role().await?).await?;
    let chat = match verb {
        AsideVerb::Label { chat, add, remove } => {
            let request = LabelChatRequest {
                chat_id: chat.to_string(),
                add_labels: add,
                remove_labels: remove,
            };
            client.label_chat(request).await?.into_inner().chat
        }
        AsideVerb::Snooze {
            chat,
            lasting,
            until,
        } => {
            let until = until.or_else(|| lasting.map(|lasting| clock::now() + lasting));
            let request = SnoozeChatRequest {
                chat_id: chat.to_string(),
                wake_time: until.map(|until| Timestamp {
                    seconds: until.unix_timestamp(),
                    nanos: until.nanosecond().cast_signed(),
                }),
            };
            client.snooze_chat(request).await?.into_inner().chat
        }
        AsideVerb::Wake { chat } => {
            let request = WakeChatRequest {
                chat_id: chat.to_string(),
            };
            client.wake_chat(request).await?.into_inner().chat
        }
        AsideVerb::Labels { .. } => None,
    };
    view.one(chat)
}

async fn labels(
    beginning: Option<String>,
    page: &Page,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let mut client = session.chats(&session.role().await?).await?;
    let beginning = beginning.unwrap_or_default();
    let ask = async |page_size, page_token| {
        let request = ListLabelsRequest {
            page_size,
            page_token,
            beginning: beginning.clone(),
        };
        let page = client.list_labels(request).await?.into_inner();
        Ok((page.labels, page.next_page_token))
    };
    let (labels, next) = page.read(ask).await?;
    view.list(&labels, &next)
}

/// The longest time for which the service lets a chat sleep is shorter; a longer one would not even be a date.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

/// Reads a time from now on.
fn lasting(text: &str) -> Result<Duration, String> {
    let lasting = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lasting > LONGEST {
        return Err("is longer than ten years".to_owned());
    }
    Ok(lasting)
}
