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
use crate::verbs::filter;

/// Which chats are wanted, by a saved filter too.
#[derive(clap::Args)]
pub(crate) struct Listed {
    /// Those of a saved filter (name or id; `filter list`); what is given beside it goes before what it says
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
}

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

impl Listed {
    /// Makes the request, without a page, and says who asks: whose Active tab it is, where it is one.
    pub(super) async fn request(
        self,
        session: &Session,
    ) -> Result<(Role, ListChatsRequest), CliError> {
        let mut list = self.wanted.request(session).await?;
        if let Some(named) = &self.filter {
            let saved = filter::named(session, named).await?;
            list = over(saved.list.unwrap_or_default(), list);
        }
        let role = if list.mine {
            session.agent_role().await?
        } else if self.filter.is_some() && list.responsible == "me" {
            filter::role(session).await?
        } else {
            session.role().await?
        };
        Ok((role, list))
    }
}

/// Lays what was typed over what a filter says.
fn over(saved: ListChatsRequest, typed: ListChatsRequest) -> ListChatsRequest {
    fn either<T: Default + PartialEq>(typed: T, saved: T) -> T {
        if typed == T::default() { saved } else { typed }
    }
    // Whose they are is said in one of two ways.
    let whose = typed.mine || !typed.responsible.is_empty();
    let (mine, responsible) = if whose {
        (typed.mine, typed.responsible)
    } else {
        (saved.mine, saved.responsible)
    };
    ListChatsRequest {
        states: either(typed.states, saved.states),
        channel_id: either(typed.channel_id, saved.channel_id),
        responsible,
        unanswered_only: typed.unanswered_only || saved.unanswered_only,
        read_state: either(typed.read_state, saved.read_state),
        mine,
        label: either(typed.label, saved.label),
        snoozed: typed.snoozed.or(saved.snoozed),
        text: either(typed.text, saved.text),
        ..typed
    }
}

impl Wanted {
    /// Makes the request, without a page.
    pub(in crate::verbs) async fn request(
        self,
        session: &Session,
    ) -> Result<ListChatsRequest, CliError> {
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
    wanted: Listed,
    from: Option<String>,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let (role, list) = wanted.request(session).await?;
    let mut client = session.conversation(&role).await?;
    let request = WatchChatsRequest {
        list: Some(list),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b13_what_is_typed_goes_before_what_a_filter_says() {
        let saved = ListChatsRequest {
            states: vec![State::Active.into()],
            responsible: "none".into(),
            unanswered_only: true,
            label: "vip".into(),
            snoozed: Some(false),
            ..ListChatsRequest::default()
        };
        assert_eq!(over(saved.clone(), ListChatsRequest::default()), saved);
        let typed = ListChatsRequest {
            mine: true,
            label: "new".into(),
            ..ListChatsRequest::default()
        };
        let expected = ListChatsRequest {
            responsible: String::new(),
            mine: true,
            label: "new".into(),
            ..saved.clone()
        };
        assert_eq!(over(saved, typed.clone()), expected);
        let other = ListChatsRequest {
            responsible: "me".into(),
            snoozed: Some(true),
            ..ListChatsRequest::default()
        };
        let expected = ListChatsRequest {
            mine: false,
            responsible: "me".into(),
            snoozed: Some(true),
            ..typed.clone()
        };
        assert_eq!(over(typed, other), expected);
    }
}
