//! Reading what the scenes check.

use switchboard_proto::assignment::v1::{AssignmentChoice, ExplainAssignmentRequest};
use switchboard_proto::common::v1::content_part::Content;
use switchboard_proto::conversation::v1::{
    Chat, Conversation, GetChatRequest, ListConversationsRequest, ListMessagesRequest, Message,
    message, message_delivery::State,
};
use switchboard_proto::crm_cards::v1::{
    Card, Decision, ExplainCardRequest, GetCardRequest, GetChatConnectionsRequest,
    GetChatConnectionsResponse, ListDecisionsRequest, explain_card_request::About,
};

use super::super::wait::{Seen, unexpected, until};
use super::stage::Stage;
use crate::error::CliError;
use crate::output::words;
use crate::token::Role;

impl Stage<'_> {
    /// A chat.
    pub async fn chat(&self, chat_id: &str) -> Result<Chat, CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let request = GetChatRequest {
            chat_id: chat_id.to_owned(),
        };
        Ok(client
            .get_chat(request)
            .await?
            .into_inner()
            .chat
            .unwrap_or_default())
    }

    /// The messages of a chat of one kind, oldest first.
    pub async fn messages(
        &self,
        chat_id: &str,
        kind: message::Kind,
    ) -> Result<Vec<Message>, CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let request = ListMessagesRequest {
            chat_id: chat_id.to_owned(),
            page_size: 200,
            ..ListMessagesRequest::default()
        };
        let mut messages = client.list_messages(request).await?.into_inner().messages;
        messages.retain(|message| message.kind() == kind);
        messages.reverse();
        Ok(messages)
    }

    /// One of the newest messages of a chat, with all that is kept of it.
    pub async fn whole_message(
        &self,
        chat_id: &str,
        message_id: &str,
    ) -> Result<Message, CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let request = ListMessagesRequest {
            chat_id: chat_id.to_owned(),
            full_text: true,
            ..ListMessagesRequest::default()
        };
        let messages = client.list_messages(request).await?.into_inner().messages;
        messages
            .into_iter()
            .find(|message| message.message_id == message_id)
            .ok_or_else(|| unexpected("the message among the newest of its chat", "other messages"))
    }

    /// Waits until what became of a message is exactly this.
    pub async fn reached(
        &self,
        chat_id: &str,
        message_id: &str,
        wanted: State,
    ) -> Result<(), CliError> {
        let word = |state: State| words::word(state.as_str_name(), "STATE_");
        let expected = format!("the delivery state {}", word(wanted));
        until(&expected, self.patience, async || {
            let messages = self.messages(chat_id, message::Kind::Agent).await?;
            let message = messages
                .into_iter()
                .find(|message| message.message_id == message_id);
            let delivery = message
                .and_then(|message| message.delivery)
                .unwrap_or_default();
            Ok(match delivery.state() {
                state if state == wanted => Seen::Yes(()),
                State::Failed => {
                    let seen = format!("failed: {} {}", delivery.reason, delivery.detail);
                    return Err(unexpected(&expected, &seen));
                }
                other => Seen::NotYet(word(other)),
            })
        })
        .await
    }

    /// The conversations of a chat, newest first.
    pub async fn conversations(&self, chat_id: &str) -> Result<Vec<Conversation>, CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let request = ListConversationsRequest {
            chat_id: chat_id.to_owned(),
            page_size: 200,
            page_token: String::new(),
        };
        Ok(client
            .list_conversations(request)
            .await?
            .into_inner()
            .conversations)
    }

    /// What a chat is linked to.
    pub async fn connections(&self, chat_id: &str) -> Result<GetChatConnectionsResponse, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let request = GetChatConnectionsRequest {
            chat_id: chat_id.to_owned(),
        };
        Ok(client.get_chat_connections(request).await?.into_inner())
    }

    /// The decision of a conversation.
    pub async fn decision(&self, conversation_id: &str) -> Result<Option<Decision>, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let about = About::ConversationId(conversation_id.to_owned());
        Ok(client
            .explain_card(ExplainCardRequest { about: Some(about) })
            .await?
            .into_inner()
            .decision)
    }

    /// All decisions for a chat.
    pub async fn decisions(&self, chat_id: &str) -> Result<Vec<Decision>, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let request = ListDecisionsRequest {
            page_size: 200,
            page_token: String::new(),
            chat_id: chat_id.to_owned(),
        };
        Ok(client.list_decisions(request).await?.into_inner().decisions)
    }

    /// A card.
    pub async fn card(&self, card_id: &str) -> Result<Card, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let request = GetCardRequest {
            card_id: card_id.to_owned(),
        };
        Ok(client
            .get_card(request)
            .await?
            .into_inner()
            .card
            .unwrap_or_default())
    }

    /// The newest choice of an agent for a chat.
    pub async fn choice(&self, chat_id: &str) -> Result<Option<AssignmentChoice>, CliError> {
        let mut client = self.session.assignment(&Role::Account).await?;
        let request = ExplainAssignmentRequest {
            chat_id: chat_id.to_owned(),
            page_size: 1,
            page_token: String::new(),
        };
        Ok(client
            .explain_assignment(request)
            .await?
            .into_inner()
            .choices
            .into_iter()
            .next())
    }
}

/// The text of a message without the words for its files.
pub(crate) fn plain_text(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}
