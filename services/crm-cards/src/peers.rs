//! The services that are called.

use chassis::auth::Caller;
use chassis::client::Internal;
use switchboard_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use switchboard_proto::conversation::v1::{FindChatsRequest, FindChatsResponse};
use tonic::Status;
use tonic::transport::Channel;

use crate::app::entity_chats::Chats;

/// Conversation by gRPC.
pub struct Conversation {
    channel: Channel,
    internal: Internal,
}

impl Conversation {
    /// Makes the caller of conversation.
    pub const fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
    }
}

#[tonic::async_trait]
impl Chats for Conversation {
    async fn find(
        &self,
        caller: &Caller,
        wanted: FindChatsRequest,
    ) -> Result<FindChatsResponse, Status> {
        let account = caller.account();
        // In the agent's name: conversation answers what exists for them (X11).
        let internal = match caller.agent() {
            Some(agent) => self.internal.for_agent(account, agent),
            None => self.internal.for_account(account),
        };
        let mut client =
            ConversationServiceClient::with_interceptor(self.channel.clone(), internal);
        Ok(client.find_chats(wanted).await?.into_inner())
    }
}
