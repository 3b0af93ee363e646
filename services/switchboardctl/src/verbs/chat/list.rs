//! Which chats a list is of, and following one.

use switchboard_proto::conversation::v1::{
    ChatChange, ListChatsRequest, WatchChatsRequest, chat::State, list_chats_request::ReadState,
};
use uuid::Uuid;

use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;
use crate::token::Role;

/// Which chats are wanted.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// Only chats in this state (repeatable)
    #[arg(long = "state", value_parser = choice!(State, "STATE_", ["unassigned", "active", "inactive"]))]
    states: Vec<State>,
    /// Only chats of this channel
    #[arg(long, value_name = "UUID")]
    channel: Option<Uuid>,
    /// Only chats of this agent (name or id); `me` or `none`
    #[arg(long, value_name = "AGENT")]
    responsible: Option<String>,
    /// Only chats whose clients wait for an answer
    #[arg(long)]
    unanswered: bool,
    /// Only chats that are unread, or that were read
    #[arg(long = "read-state", value_parser = choice!(ReadState, "READ_STATE_", ["read", "unread"]))]
    read_state: Option<ReadState>,
    /// Only open chats that the acting agent answers for or has joined
    #[arg(long, conflicts_with = "responsible")]
    mine: bool,
    /// Only chats with this label
    #[arg(long)]
    label: Option<String>,
    /// Only chats that are put off (`yes`), or that are not (`no`)
    #[arg(long, value_name = "YES|NO", value_parser = clap::builder::BoolishValueParser::new())]
    snoozed: Option<bool>,
    /// Only chats with these words, by their beginnings: in name, nick, phone or address of the client, in the chat's own
    /// name, or in names of linked contacts and cards
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
}

impl Wanted {
    /// Who asks: whose Active tab it is, where it is one.
    pub(super) async fn role(&self, session: &Session) -> Result<Role, CliError> {
        if self.mine {
            session.agent_role().await
        } else {
            session.role().await
        }
    }

    /// Makes the request, without a page.
    pub(super) async fn request(self, session: &Session) -> Result<ListChatsRequest, CliError> {
        let responsible = match self.responsible.as_deref() {
            None => String::new(),
            Some(word @ ("me" | "none")) => word.to_owned(),
            Some(agent) => session.agent_id(agent).await?.to_string(),
        };
        Ok(ListChatsRequest {
            states: self.states.into_iter().map(Into::into).collect(),
            channel_id: self.channel.map(|id| id.to_string()).unwrap_or_default(),
            responsible,
            unanswered_only: self.unanswered,
            read_state: self.read_state.unwrap_or_default().into(),
            mine: self.mine,
            label: self.label.unwrap_or_default(),
            snoozed: self.snoozed,
            text: self.text.unwrap_or_default(),
            ..ListChatsRequest::default()
        })
    }
}

/// Shows what changes in a list until the stream ends.
pub(super) async fn watch(
    wanted: Wanted,
    from: Option<String>,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let mut client = session.conversation(&wanted.role(session).await?).await?;
    let request = WatchChatsRequest {
        list: Some(wanted.request(session).await?),
        resume_token: from.unwrap_or_default(),
    };
    let mut told = client.watch_chats(request).await?.into_inner();
    while let Some(told) = told.message().await? {
        let listed = |change: ChatChange| change.chat.filter(|_| change.listed);
        let chats: Vec<_> = told.changes.into_iter().filter_map(listed).collect();
        if !chats.is_empty() {
            view.list(&chats, &told.resume_token)?;
        }
    }
    Ok(())
}
