//! Saved filters of lists of chats (B13).

use clap::Subcommand;
use switchboard_proto::conversation::v1::{
    ChatFilter, DeleteChatFilterRequest, ListChatFiltersRequest, ListChatsRequest,
    SaveChatFilterRequest, list_chats_request::ReadState,
};
use uuid::Uuid;

use super::chat::list::Wanted;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};
use crate::token::Role;

/// Verbs on saved filters.
#[derive(Subcommand)]
pub(crate) enum FilterVerb {
    /// Keep what a list of chats is narrowed to under a name: the acting agent's own, unless all share it
    Create {
        /// Name
        name: String,
        /// All agents share it; needs settings
        #[arg(long)]
        shared: bool,
        /// Its id: the same id again changes it
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// List the acting agent's filters and those that all share, by name
    List,
    /// Rename a filter, or keep another list under it
    Update {
        /// Name or id
        filter: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// What it is narrowed to from now on, whole; where nothing of it is given, that stays
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Delete a filter
    Delete {
        /// Name or id
        filter: String,
    },
}

impl Show for ChatFilter {
    const NAME: &'static str = "switchboard.conversation.v1.ChatFilter";
    const HEADERS: &'static [&'static str] = &["ID", "NAME", "WHOSE", "CHATS"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let list = self.list.clone().unwrap_or_default();
        vec![
            cell(&self.filter_id),
            cell(&self.name),
            cell(if self.shared { "all" } else { "own" }),
            cell(told(&list, |id| view.name(id))),
        ]
    }
}

/// Says what a list is narrowed to, as it is typed.
fn told(list: &ListChatsRequest, name: impl Fn(&str) -> String) -> String {
    let mut options: Vec<String> = Vec::new();
    for state in list.states() {
        options.push(format!(
            "--state {}",
            words::word(state.as_str_name(), "STATE_")
        ));
    }
    let responsible = match list.responsible.as_str() {
        word @ ("" | "me" | "none") => word.to_owned(),
        agent => name(agent),
    };
    let channel = match list.channel_id.as_str() {
        "" => String::new(),
        id => name(id),
    };
    let read = match list.read_state() {
        ReadState::Unspecified => String::new(),
        state => words::word(state.as_str_name(), "READ_STATE_"),
    };
    let snoozed = list.snoozed.map(|yes| if yes { "yes" } else { "no" });
    for (option, value) in [
        ("channel", channel.as_str()),
        ("responsible", &responsible),
        ("read-state", &read),
        ("label", &list.label),
        ("snoozed", snoozed.unwrap_or_default()),
        ("text", &list.text),
    ] {
        if !value.is_empty() {
            let quote = if value.contains(' ') { "'" } else { "" };
            options.push(format!("--{option} {quote}{value}{quote}"));
        }
    }
    for (option, set) in [("mine", list.mine), ("unanswered", list.unanswered_only)] {
        if set {
            options.push(format!("--{option}"));
        }
    }
    options.join(" ")
}

/// Who asks for filters: the agent who acts, who has own ones, else the account.
pub(super) async fn role(session: &Session) -> Result<Role, CliError> {
    if session.settings.acting.is_some() {
        session.agent_role().await
    } else {
        session.role().await
    }
}

/// Finds a filter by its name or id.
pub(super) async fn named(session: &Session, named: &str) -> Result<ChatFilter, CliError> {
    let mut client = session.chats(&role(session).await?).await?;
    let found = client.list_chat_filters(ListChatFiltersRequest {}).await?;
    pick(found.into_inner().filters, named)
}

fn pick(filters: Vec<ChatFilter>, named: &str) -> Result<ChatFilter, CliError> {
    let wanted = named.to_lowercase();
    let fits =
        |filter: &ChatFilter| filter.filter_id == wanted || filter.name.to_lowercase() == wanted;
    let mut fitting: Vec<_> = filters.into_iter().filter(fits).collect();
    match (fitting.pop(), fitting.pop()) {
        (Some(filter), None) => Ok(filter),
        (Some(_), Some(_)) => Err(CliError::usage(
            &format!("several filters are named {named}"),
            "use the id: `switchboardctl filter list`",
        )),
        (None, _) => Err(CliError::usage(
            &format!("no filter is named {named}"),
            "see `switchboardctl filter list`; own ones are seen with --as AGENT",
        )),
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: FilterVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    match verb {
        FilterVerb::List => {
            let mut client = session.chats(&role(session).await?).await?;
            let found = client.list_chat_filters(ListChatFiltersRequest {}).await?;
            view.list(&found.into_inner().filters, "")
        }
        FilterVerb::Create {
            name,
            shared,
            id,
            wanted,
        } => {
            let filter = ChatFilter {
                filter_id: id.map(|id| id.to_string()).unwrap_or_default(),
                name,
                shared,
                list: Some(wanted.request(session).await?),
            };
            view.one(save(session, filter).await?)
        }
        FilterVerb::Update {
            filter,
            name,
            wanted,
        } => {
            let mut filter = named(session, &filter).await?;
            let wanted = wanted.request(session).await?;
            if wanted != ListChatsRequest::default() {
                filter.list = Some(wanted);
            }
            filter.name = name.unwrap_or(filter.name);
            view.one(save(session, filter).await?)
        }
        FilterVerb::Delete { filter } => {
            let filter = named(session, &filter).await?;
            let mut client = session.chats(&of(session, filter.shared).await?).await?;
            let filter_id = filter.filter_id;
            let request = DeleteChatFilterRequest { filter_id };
            client.delete_chat_filter(request).await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
    }
}

async fn save(session: &Session, filter: ChatFilter) -> Result<Option<ChatFilter>, CliError> {
    let role = of(session, filter.shared).await?;
    let request = SaveChatFilterRequest {
        filter: Some(filter),
    };
    let mut client = session.chats(&role).await?;
    Ok(client.save_chat_filter(request).await?.into_inner().filter)
}

/// Who changes a filter: an own one its agent, a shared one whoever has settings.
async fn of(session: &Session, shared: bool) -> Result<Role, CliError> {
    if shared {
        session.role().await
    } else {
        session.agent_role().await
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::conversation::v1::chat::State;

    use super::*;

    #[test]
    fn b13_a_filter_is_told_as_its_list_is_typed() {
        let list = ListChatsRequest {
            states: vec![State::Active.into()],
            responsible: "a1".into(),
            label: "big deal".into(),
            snoozed: Some(false),
            unanswered_only: true,
            read_state: ReadState::Unread.into(),
            ..ListChatsRequest::default()
        };
        let name = |id: &str| format!("name of {id}");
        assert_eq!(
            told(&list, name),
            "--state active --responsible 'name of a1' --read-state unread --label 'big deal' --snoozed no --unanswered"
        );
        let mine = ListChatsRequest {
            mine: true,
            responsible: "me".into(),
            ..ListChatsRequest::default()
        };
        assert_eq!(told(&mine, name), "--responsible me --mine");
        assert_eq!(told(&ListChatsRequest::default(), name), "");
    }

    #[test]
    fn b13_a_filter_is_named_by_its_name_or_its_id() {
        let filter = |id: &str, name: &str| ChatFilter {
            filter_id: id.into(),
            name: name.into(),
            ..ChatFilter::default()
        };
        let all = || vec![filter("1", "VIP"), filter("2", "Late"), filter("3", "late")];
        assert_eq!(pick(all(), "vip").unwrap().filter_id, "1");
        assert_eq!(pick(all(), "2").unwrap().filter_id, "2");
        for (named, word) in [("late", "several"), ("nobody's", "no filter")] {
            let refused = pick(all(), named).unwrap_err().render();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
