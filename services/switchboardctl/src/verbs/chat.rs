//! Chats, their messages and conversations.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{AssignChatRequest, ChatAssignment, ClaimChatRequest};
use switchboard_proto::common::v1::{ContentPart, Text, content_part::Content};
use switchboard_proto::conversation::v1::{
    Chat, CloseConversationRequest, Conversation, GetChatRequest, ListChatsRequest, ListConversationsRequest,
    ListMessagesRequest, Message, SendMessageRequest, chat::State, message,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on chats.
#[derive(Subcommand)]
pub(crate) enum ChatVerb {
    /// List chats, newest client message first
    List {
        /// Only chats in this state (repeatable)
        #[arg(long = "state", value_parser = choice!(State, "STATE_", ["unassigned", "active", "inactive"]))]
        states: Vec<State>,
        /// Only chats of this channel
        #[arg(long, value_name = "UUID")]
        channel: Option<Uuid>,
        /// Only chats of this agent (name or id); `me` or `none`
        #[arg(long, value_name = "AGENT")]
        responsible: Option<String>,
        /// Only chats with unanswered messages
        #[arg(long)]
        unanswered: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Show one chat
    Show {
        /// Id of the chat
        chat: Uuid,
    },
    /// List messages, newest first
    Messages {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        page: Page,
    },
    /// List conversations, newest first
    Conversations {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        page: Page,
    },
    /// Become the responsible of an unassigned chat
    Claim {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Hand a chat to an agent
    Assign {
        /// Id of the chat
        chat: Uuid,
        /// Name or id of the new responsible
        agent: String,
        /// Refuse unless this agent (name or id) has it now; `none` for nobody
        #[arg(long, value_name = "AGENT")]
        expect: Option<String>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Answer the client
    Send {
        /// Id of the chat
        chat: Uuid,
        /// The text
        text: String,
        /// Id of the message that is answered
        #[arg(long, value_name = "UUID")]
        reply_to: Option<Uuid>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Close the open conversation
    Close {
        /// Id of the chat
        chat: Uuid,
        /// Id of the conversation that is meant; the open one unless given
        #[arg(long, value_name = "UUID")]
        conversation: Option<Uuid>,
    },
}

impl Show for Chat {
    const NAME: &'static str = "switchboard.conversation.v1.Chat";
    const HEADERS: &'static [&'static str] =
        &["ID", "CLIENT", "CHANNEL", "STATE", "NO", "RESPONSIBLE", "UNANSWERED", "LAST MESSAGE", "WHEN"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let number = self.open_conversation.as_ref().map(|open| format!("#{}", open.number)).unwrap_or_default();
        let last = self.last_message.as_ref();
        vec![
            cell(&self.chat_id),
            cell(self.client.as_ref().map(|client| client.name.as_str()).unwrap_or_default()),
            cell(view.name(&self.channel_id)),
            cell(words::word(self.state().as_str_name(), "STATE_")).by_word(),
            cell(number),
            cell(view.name(&self.responsible_agent_id)),
            cell(self.unanswered),
            cell(words::short(last.map(|last| last.text.as_str()).unwrap_or_default(), 60)),
            cell(words::ago(last.and_then(|last| last.time.as_ref()), view.now)).dim(),
        ]
    }
}

impl Show for Conversation {
    const NAME: &'static str = "switchboard.conversation.v1.Conversation";
    const HEADERS: &'static [&'static str] = &["ID", "NO", "OPENED", "CLOSED"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let closed = self.close_time.as_ref();
        vec![
            cell(&self.conversation_id),
            cell(format!("#{}", self.number)),
            cell(words::ago(self.open_time.as_ref(), view.now)),
            cell(closed.map_or_else(|| "open".into(), |time| words::ago(Some(time), view.now))),
        ]
    }
}

impl Show for Message {
    const NAME: &'static str = "switchboard.conversation.v1.Message";
    const HEADERS: &'static [&'static str] = &["ID", "FROM", "TEXT", "DELIVERY", "WHEN"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let from = match self.kind() {
            message::Kind::Agent => view.name(&self.agent_id),
            kind => words::word(kind.as_str_name(), "KIND_"),
        };
        let mut text = text_of(self);
        if self.edit_time.is_some() {
            text.push_str(" (edited)");
        }
        let delivery = self.delivery.as_ref();
        let state = delivery.map(|delivery| words::word(delivery.state().as_str_name(), "STATE_")).unwrap_or_default();
        vec![
            cell(&self.message_id),
            cell(from),
            cell(words::short(&text, 200)),
            cell(state).by_word(),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let failure = self.delivery.as_ref().filter(|delivery| !delivery.reason.is_empty());
        failure.map(|failure| format!("reason   {}: {}", failure.reason, failure.detail)).into_iter().collect()
    }
}

impl Show for ChatAssignment {
    const NAME: &'static str = "switchboard.assignment.v1.ChatAssignment";
    const HEADERS: &'static [&'static str] = &["CHAT", "NO", "RESPONSIBLE", "PARTICIPANTS"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let participants: Vec<_> = self.participant_agent_ids.iter().map(|id| view.name(id)).collect();
        vec![
            cell(&self.chat_id),
            cell(format!("#{}", self.number)),
            cell(view.name(&self.agent_id)),
            cell(participants.join(", ")),
        ]
    }
}

/// What a message says, in one text; files and the like by a word.
pub(crate) fn text_of(message: &Message) -> String {
    if message.delete_time.is_some() {
        return "(deleted)".into();
    }
    if let Some(system) = &message.system {
        return if system.text.is_empty() { system.kind.clone() } else { system.text.clone() };
    }
    message.parts.iter().map(part).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn part(part: &ContentPart) -> String {
    match &part.content {
        Some(Content::Text(text)) => text.text.clone(),
        Some(Content::Attachment(file)) => format!("[{}]", words::word(file.kind().as_str_name(), "KIND_")),
        Some(Content::Location(place)) => format!("[place {:.4}, {:.4}]", place.latitude, place.longitude),
        Some(Content::Contact(contact)) => format!("[contact {}]", contact.name),
        Some(Content::Sticker(sticker)) => format!("[sticker {}]", sticker.emoji),
        Some(Content::Button(button)) => format!("[button {}]", button.title),
        Some(Content::Unsupported(other)) => format!("[{}]", other.kind),
        None => String::new(),
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: ChatVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    match verb {
        ChatVerb::Claim { .. } | ChatVerb::Assign { .. } | ChatVerb::Send { .. } | ChatVerb::Close { .. } => {
            change(verb, session, &view).await
        }
        verb => read(verb, session, &view).await,
    }
}

async fn read(verb: ChatVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.conversation(&session.role().await?).await?;
    match verb {
        ChatVerb::List { states, channel, responsible, unanswered, page } => {
            let responsible = match responsible.as_deref() {
                None => String::new(),
                Some(word @ ("me" | "none")) => word.to_owned(),
                Some(agent) => session.agent_id(agent).await?.to_string(),
            };
            let request = ListChatsRequest {
                page_size: page.limit,
                page_token: page.page_token,
                states: states.into_iter().map(Into::into).collect(),
                channel_id: channel.map(|id| id.to_string()).unwrap_or_default(),
                responsible,
                unanswered_only: unanswered,
            };
            let page = client.list_chats(request).await?.into_inner();
            view.list(&page.chats, &page.next_page_token)
        }
        ChatVerb::Show { chat } => {
            view.one(client.get_chat(GetChatRequest { chat_id: chat.to_string() }).await?.into_inner().chat)
        }
        ChatVerb::Messages { chat, page } => {
            let request =
                ListMessagesRequest { chat_id: chat.to_string(), page_size: page.limit, page_token: page.page_token };
            let page = client.list_messages(request).await?.into_inner();
            view.list(&page.messages, &page.next_page_token)
        }
        ChatVerb::Conversations { chat, page } => {
            let request = ListConversationsRequest {
                chat_id: chat.to_string(),
                page_size: page.limit,
                page_token: page.page_token,
            };
            let page = client.list_conversations(request).await?.into_inner();
            view.list(&page.conversations, &page.next_page_token)
        }
        _ => Ok(()),
    }
}

async fn change(verb: ChatVerb, session: &Session, view: &View) -> Result<(), CliError> {
    match verb {
        ChatVerb::Claim { chat, request_id } => {
            let mut client = session.assignment(&session.agent_role().await?).await?;
            let request = ClaimChatRequest { request_id: request_id.get(), chat_id: chat.to_string() };
            view.one(client.claim_chat(request).await?.into_inner().assignment)
        }
        ChatVerb::Assign { chat, agent, expect, request_id } => {
            let mut client = session.assignment(&session.role().await?).await?;
            let expected_agent_id = match expect.as_deref() {
                None => None,
                Some("none") => Some(String::new()),
                Some(agent) => Some(session.agent_id(agent).await?.to_string()),
            };
            let request = AssignChatRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                agent_id: session.agent_id(&agent).await?.to_string(),
                expected_agent_id,
            };
            view.one(client.assign_chat(request).await?.into_inner().assignment)
        }
        ChatVerb::Send { chat, text, reply_to, request_id } => {
            let mut client = session.conversation(&session.agent_role().await?).await?;
            let request = SendMessageRequest {
                request_id: request_id.get(),
                chat_id: chat.to_string(),
                text: Some(Text { text, entities: Vec::new() }),
                reply_to_message_id: reply_to.map(|id| id.to_string()).unwrap_or_default(),
            };
            view.one(client.send_message(request).await?.into_inner().message)
        }
        ChatVerb::Close { chat, conversation } => {
            let mut client = session.conversation(&session.agent_role().await?).await?;
            let request = CloseConversationRequest {
                chat_id: chat.to_string(),
                conversation_id: conversation.map(|id| id.to_string()).unwrap_or_default(),
            };
            view.one(client.close_conversation(request).await?.into_inner().conversation)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::common::v1::{Attachment, attachment};
    use switchboard_proto::conversation::v1::SystemNotice;

    use super::*;

    #[test]
    fn a_message_is_told_in_one_text() {
        let content = |content| ContentPart { content: Some(content) };
        let photo = Attachment { kind: attachment::Kind::Photo.into(), ..Attachment::default() };
        let text = Text { text: "this one".into(), entities: Vec::new() };
        let message = Message {
            parts: vec![content(Content::Attachment(photo)), content(Content::Text(text)), ContentPart { content: None }],
            ..Message::default()
        };
        assert_eq!(text_of(&message), "[photo] this one");
        let deleted = Message { delete_time: Some(prost_types::Timestamp::default()), ..message.clone() };
        assert_eq!(text_of(&deleted), "(deleted)");
        let system = SystemNotice { kind: "conversation.opened".into(), ..SystemNotice::default() };
        assert_eq!(text_of(&Message { system: Some(system), ..message }), "conversation.opened");
    }
}
