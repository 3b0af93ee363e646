//! Internal chats of CRM's entities.

use clap::Subcommand;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::entity_reference::Kind;
use switchboard_proto::conversation::v1::{
    EntityReference, InternalMessage, InternalNotification, ListInternalMessagesRequest,
    ListInternalNotificationsRequest, MarkInternalNotificationsRequest, PostInternalMessageRequest,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on internal chats.
#[derive(Subcommand)]
pub(crate) enum InternalVerb {
    /// Write to agents on an entity; the client never sees it
    Post {
        /// The entity, as card:ID, contact:ID, company:ID or order:ID
        #[arg(value_parser = entity)]
        entity: EntityReference,
        /// The text
        text: String,
        /// To whom, by name or id (repeatable)
        #[arg(long = "to", value_name = "AGENT", required_unless_present = "groups")]
        agents: Vec<String>,
        /// To all of a group, by name or id (repeatable)
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List what was written on an entity, newest first
    List {
        /// The entity, as card:ID, contact:ID, company:ID or order:ID
        #[arg(value_parser = entity)]
        entity: EntityReference,
        #[command(flatten)]
        page: Page,
    },
    /// List the internal messages that the agent was notified of
    Notifications {
        /// Only unread ones
        #[arg(long)]
        unread: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Mark notifications as read
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Read {
        /// Ids of their messages
        #[arg(group = "which")]
        messages: Vec<Uuid>,
        /// All of an entity, as card:ID
        #[arg(long, group = "which", value_parser = entity, value_name = "KIND:ID")]
        entity: Option<EntityReference>,
        /// All of them
        #[arg(long, group = "which")]
        all: bool,
    },
}

/// Reads an entity: `card:ID`.
fn entity(text: &str) -> Result<EntityReference, String> {
    let wrong = || "card:ID, contact:ID, company:ID or order:ID".to_owned();
    let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
    let kind = Kind::from_str_name(&format!("KIND_{}", kind.to_uppercase()));
    let kind = kind.filter(|kind| *kind != Kind::Unspecified);
    let id = Uuid::try_parse(id).map_err(|_| wrong())?;
    Ok(EntityReference {
        kind: kind.ok_or_else(wrong)?.into(),
        entity_id: id.to_string(),
    })
}

/// An entity in one cell: `card:ID`.
fn named(entity: Option<&EntityReference>) -> String {
    let Some(entity) = entity else {
        return String::new();
    };
    let kind = entity.kind().as_str_name().trim_start_matches("KIND_");
    format!("{}:{}", kind.to_lowercase(), entity.entity_id)
}

/// Who wrote a message, and its text.
fn said(message: &InternalMessage, view: &View) -> [String; 2] {
    let by = match message.agent_id.as_str() {
        "" => message.actor.clone(),
        agent => view.name(agent),
    };
    let text = message.text.as_ref().map(|text| text.text.clone());
    [by, text.unwrap_or_default()]
}

impl Show for InternalMessage {
    const NAME: &'static str = "switchboard.conversation.v1.InternalMessage";
    const HEADERS: &'static [&'static str] = &["ID", "WHEN", "FROM", "TO", "TEXT"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let [by, text] = said(self, view);
        let agents = self.addressed_agent_ids.iter().map(|id| view.name(id));
        let groups = self.addressed_group_ids.iter();
        let to = agents.chain(groups.map(|id| format!("group {id}")));
        vec![
            cell(&self.internal_message_id),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
            cell(by),
            cell(to.collect::<Vec<_>>().join(", ")),
            cell(text),
        ]
    }
}

impl Show for InternalNotification {
    const NAME: &'static str = "switchboard.conversation.v1.InternalNotification";
    const HEADERS: &'static [&'static str] = &["MESSAGE", "WHEN", "ON", "FROM", "TEXT", "READ"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let message = self.message.clone().unwrap_or_default();
        let [by, text] = said(&message, view);
        vec![
            cell(&message.internal_message_id),
            cell(words::ago(message.create_time.as_ref(), view.now)).dim(),
            cell(named(message.entity.as_ref())),
            cell(by),
            cell(text),
            cell(words::yes(self.read)),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: InternalVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let role = match &verb {
        InternalVerb::Post { .. } | InternalVerb::List { .. } => session.role().await?,
        InternalVerb::Notifications { .. } | InternalVerb::Read { .. } => {
            session.agent_role().await?
        }
    };
    let mut client = session.internal_chats(&role).await?;
    match verb {
        InternalVerb::Post {
            entity,
            text,
            agents,
            groups,
            request_id,
        } => {
            let (mut agent_ids, mut group_ids) = (Vec::new(), Vec::new());
            for agent in &agents {
                agent_ids.push(session.agent_id(agent).await?.to_string());
            }
            for group in &groups {
                group_ids.push(session.group_id(group).await?.to_string());
            }
            let request = PostInternalMessageRequest {
                request_id: request_id.get(),
                entity: Some(entity),
                text: Some(Text {
                    text,
                    entities: Vec::new(),
                }),
                agent_ids,
                group_ids,
            };
            let posted = client.post_internal_message(request).await?.into_inner();
            view.one(posted.message)
        }
        InternalVerb::List { entity, page } => {
            let ask = async |page_size, page_token| {
                let request = ListInternalMessagesRequest {
                    page_size,
                    page_token,
                    entity: Some(entity.clone()),
                };
                let page = client.list_internal_messages(request).await?.into_inner();
                Ok((page.messages, page.next_page_token))
            };
            let (messages, next) = page.read(ask).await?;
            view.list(&messages, &next)
        }
        InternalVerb::Notifications { unread, page } => {
            let ask = async |page_size, page_token| {
                let request = ListInternalNotificationsRequest {
                    page_size,
                    page_token,
                    unread_only: unread,
                };
                let page = client.list_internal_notifications(request).await?;
                let page = page.into_inner();
                Ok((page.notifications, page.next_page_token))
            };
            let (notifications, next) = page.read(ask).await?;
            view.list(&notifications, &next)
        }
        InternalVerb::Read {
            messages,
            entity,
            all,
        } => {
            let request = MarkInternalNotificationsRequest {
                internal_message_ids: messages.iter().map(Uuid::to_string).collect(),
                entity,
                all,
            };
            let marked = client.mark_internal_notifications(request).await?;
            view.one(marked.into_inner().unread)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f180_an_entity_is_read_and_written() {
        let id = "0197e7a4-0000-7000-8000-000000000000";
        for kind in ["card", "contact", "company", "order"] {
            let text = format!("{kind}:{id}");
            assert_eq!(named(Some(&entity(&text).unwrap())), text);
        }
        for text in ["card", id, "card:7", "unspecified:7", &format!("chat:{id}")] {
            assert!(entity(text).is_err(), "{text}");
        }
    }
}
