//! Putting away what a rehearsal has made. Each thing is tried, whatever became of those before.

use switchboard_proto::assignment::v1::{Presence, SetPresenceRequest, UpdateAgentRequest};
use switchboard_proto::channel_gateway::v1::DisconnectChannelRequest;
use switchboard_proto::conversation::v1::{CloseConversationRequest, WaiveReplyRequest};
use switchboard_proto::crm_cards::v1::{DeleteCardRequest, GetChatConnectionsRequest};
use tonic::Code;

use super::play::Play;
use crate::error::CliError;
use crate::token::Role;

/// What is not there any more is put away.
fn gone(result: Result<(), CliError>) -> Result<(), CliError> {
    match result {
        Err(error) if error.code() == Some(Code::NotFound) => Ok(()),
        other => other,
    }
}

impl Play<'_> {
    /// Puts everything away; returns what could not be, in words.
    pub async fn put_away(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        let mut keep = |what: &str, result: Result<(), CliError>| {
            if let Err(error) = gone(result) {
                left.push(format!("{what} ({error})"));
            }
        };
        // First, so that nothing comes in any more.
        keep("the channel", self.disconnect().await);
        keep("the conversation", self.close().await);
        keep("the card", self.delete_cards().await);
        keep("the agent", self.dismiss().await);
        left
    }

    async fn disconnect(&self) -> Result<(), CliError> {
        let Some(channel) = self.channel else {
            return Ok(());
        };
        let mut gateway = self.session.channel_gateway(&Role::Account).await?;
        let channel_id = channel.to_string();
        gateway
            .disconnect_channel(DisconnectChannelRequest { channel_id })
            .await?;
        Ok(())
    }

    /// Closes what is open in the channel: of this rehearsal, and of one that was cut off.
    pub(super) async fn close(&mut self) -> Result<(), CliError> {
        let Some(channel) = self.channel else {
            return Ok(());
        };
        let mut conversations = self.session.conversation(&Role::Account).await?;
        let mut life = self.session.chats(&Role::Account).await?;
        for chat in self.chats(channel).await? {
            let Some(open) = chat.open_conversation else {
                continue;
            };
            self.conversation.get_or_insert(open.conversation_id);
            let chat_id = chat.chat_id;
            // Nobody answers it: closed alone it would be counted among those who wait.
            let request = WaiveReplyRequest {
                chat_id: chat_id.clone(),
                message_id: String::new(),
            };
            life.waive_reply(request).await?;
            let request = CloseConversationRequest {
                chat_id,
                conversation_id: String::new(),
            };
            conversations.close_conversation(request).await?;
        }
        Ok(())
    }

    /// Deletes the cards of the channel's chats.
    pub(super) async fn delete_cards(&self) -> Result<(), CliError> {
        let Some(channel) = self.channel else {
            return Ok(());
        };
        let mut crm = self.session.crm_cards(&Role::Account).await?;
        let mut cards = self.session.cards(&Role::Account).await?;
        for chat in self.chats(channel).await? {
            let chat_id = chat.chat_id;
            let request = GetChatConnectionsRequest { chat_id };
            let linked = crm.get_chat_connections(request).await?.into_inner().cards;
            for card in linked {
                let request = DeleteCardRequest {
                    card_id: card.card_id,
                    expected_revision: None,
                };
                gone(
                    cards
                        .delete_card(request)
                        .await
                        .map(drop)
                        .map_err(CliError::from),
                )?;
            }
        }
        // What is decided after this makes a card that nobody deletes before the next rehearsal.
        if self.conversation.is_some() {
            let decided = self.decision().await;
            let undecided = match decided {
                Ok(decided) => decided.is_none(),
                Err(error) if error.code() == Some(Code::NotFound) => true,
                Err(error) => return Err(error),
            };
            if undecided {
                let text = "nothing is decided yet: one may still be made, which the next rehearsal deletes";
                return Err(CliError::failed(text, ""));
            }
        }
        Ok(())
    }

    async fn dismiss(&self) -> Result<(), CliError> {
        let Some(agent) = &self.agent else {
            return Ok(());
        };
        let mut client = self.session.assignment(&Role::Account).await?;
        let request = SetPresenceRequest {
            agent_id: agent.clone(),
            presence: Presence::Offline.into(),
            ..SetPresenceRequest::default()
        };
        client.set_presence(request).await?;
        let request = UpdateAgentRequest {
            agent_id: agent.clone(),
            active: Some(false),
            ..UpdateAgentRequest::default()
        };
        client.update_agent(request).await?;
        Ok(())
    }
}
