//! Notifications of an agent.

use clap::Subcommand;
use switchboard_proto::conversation::v1::{
    ListNotificationsRequest, MarkNotificationsRequest, Notification, UnreadNotifications,
};
use uuid::Uuid;

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on notifications.
#[derive(Subcommand)]
pub(crate) enum NotificationVerb {
    /// List the agent's notifications: chats of their own and of nobody whose clients wait, or have commented on NPS
    List {
        /// Only unread ones
        #[arg(long)]
        unread: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Mark notifications as read
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Read {
        /// Ids of their chats
        #[arg(group = "which")]
        chats: Vec<Uuid>,
        /// All of them
        #[arg(long, group = "which")]
        all: bool,
    },
}

impl Show for Notification {
    const NAME: &'static str = "switchboard.conversation.v1.Notification";
    const HEADERS: &'static [&'static str] = &[
        "CHAT", "CLIENT", "MESSAGES", "LAST", "OF", "LATE", "NPS", "READ",
    ];
    const SPARSE: &'static [&'static str] = &["NPS"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let chat = self.chat.clone().unwrap_or_default();
        let client = chat.client.clone().unwrap_or_default();
        let last = chat.last_message.clone().unwrap_or_default();
        vec![
            cell(&chat.chat_id),
            cell(if chat.name.is_empty() {
                client.name
            } else {
                chat.name.clone()
            }),
            cell(chat.unanswered.to_string()),
            cell(last.text),
            cell(view.name(&chat.responsible_agent_id)),
            cell(words::yes(self.response_time_exceeded)),
            cell(if self.nps_comment { "comment" } else { "" }),
            cell(words::yes(self.read)),
        ]
    }
}

impl Show for UnreadNotifications {
    const NAME: &'static str = "switchboard.conversation.v1.UnreadNotifications";
    const HEADERS: &'static [&'static str] = &["UNREAD"];
    fn cells(&self, _view: &View) -> Vec<Cell> {
        let more = if self.more { "+" } else { "" };
        vec![cell(format!("{}{more}", self.count))]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: NotificationVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.notifications(&session.agent_role().await?).await?;
    match verb {
        NotificationVerb::List { unread, page } => {
            let ask = async |page_size, page_token| {
                let request = ListNotificationsRequest {
                    page_size,
                    page_token,
                    unread_only: unread,
                };
                let page = client.list_notifications(request).await?.into_inner();
                Ok((page.notifications, page.next_page_token))
            };
            let (notifications, next) = page.read(ask).await?;
            view.list(&notifications, &next)
        }
        NotificationVerb::Read { chats, all } => {
            let request = MarkNotificationsRequest {
                chat_ids: chats.iter().map(Uuid::to_string).collect(),
                all,
            };
            view.one(
                client
                    .mark_notifications(request)
                    .await?
                    .into_inner()
                    .unread,
            )
        }
    }
}
