//! Who is in a chat at this moment (B19).

use switchboard_proto::conversation::v1::{
    ChatPresence, ReportChatPresenceRequest, WatchChatPresenceRequest, chat_presence::Activity,
};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};

/// Who is there, or what is said of the acting agent.
#[derive(clap::Args)]
pub(crate) struct PresenceArgs {
    /// Id of the chat
    chat: Uuid,
    #[command(flatten)]
    said: Said,
    /// Go on showing who is there, with every change
    #[arg(long, conflicts_with = "said")]
    watch: bool,
}

/// What is said of the acting agent, if anything.
#[derive(clap::Args)]
#[group(id = "said", multiple = false)]
struct Said {
    /// Say that the acting agent writes there; it holds for some seconds, and is said again as long as it lasts
    #[arg(long)]
    typing: bool,
    /// Say that the acting agent looks at it
    #[arg(long)]
    viewing: bool,
    /// Say that the acting agent has left it
    #[arg(long)]
    left: bool,
}

impl Said {
    const fn activity(&self) -> Option<Activity> {
        match (self.typing, self.viewing, self.left) {
            (true, ..) => Some(Activity::Typing),
            (_, true, _) => Some(Activity::Viewing),
            (_, _, true) => Some(Activity::Left),
            _ => None,
        }
    }
}

impl Show for ChatPresence {
    const NAME: &'static str = "switchboard.conversation.v1.ChatPresence";
    const HEADERS: &'static [&'static str] = &["AGENT", "DOES"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(view.name(&self.agent_id)),
            cell(words::word(self.activity().as_str_name(), "ACTIVITY_")),
        ]
    }
}

/// Runs the verb.
pub(super) async fn run(
    args: PresenceArgs,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let chat_id = args.chat.to_string();
    if let Some(activity) = args.said.activity() {
        let role = session.agent_role().await?;
        let mut client = session.chat_presence(&role).await?;
        let request = ReportChatPresenceRequest {
            chat_id,
            activity: activity.into(),
        };
        let told = client.report_chat_presence(request).await?;
        return view.one(told.into_inner().presence);
    }
    let mut client = session.chat_presence(&session.role().await?).await?;
    let request = WatchChatPresenceRequest { chat_id };
    let mut told = client.watch_chat_presence(request).await?.into_inner();
    // The first answer is who is there now.
    let mut begun = false;
    while let Some(told) = told.message().await? {
        if begun && view.is_table() {
            say!();
        }
        begun = true;
        view.list(&told.present, "")?;
        if !args.watch {
            break;
        }
    }
    Ok(())
}
