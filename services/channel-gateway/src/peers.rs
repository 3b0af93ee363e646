//! What this service asks of the others.

use chassis::client::Internal;
use chassis::id::AccountSlug;
use switchboard_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use switchboard_proto::conversation::v1::{ListOutboundCommandsRequest, OutboundCommand};
use tonic::transport::Channel;
use uuid::Uuid;

/// Commands asked for at once.
const PAGE: i32 = 200;

/// Who has the commands: conversation, or a stand-in in tests.
#[tonic::async_trait]
pub trait CommandSource: Send + Sync + 'static {
    /// Returns commands of a chat from a number on, by number.
    async fn commands(
        &self,
        account: &AccountSlug,
        chat: Uuid,
        from: i64,
    ) -> anyhow::Result<Vec<OutboundCommand>>;
}

/// The conversation service.
pub struct Conversation {
    channel: Channel,
    internal: Internal,
}

impl Conversation {
    /// Makes a client.
    pub fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
    }
}

#[tonic::async_trait]
impl CommandSource for Conversation {
    async fn commands(
        &self,
        account: &AccountSlug,
        chat: Uuid,
        from: i64,
    ) -> anyhow::Result<Vec<OutboundCommand>> {
        let internal = self.internal.for_account(account);
        let mut client =
            ConversationServiceClient::with_interceptor(self.channel.clone(), internal);
        let request = ListOutboundCommandsRequest {
            chat_id: chat.to_string(),
            from_out_seq: from,
            page_size: PAGE,
        };
        Ok(client
            .list_outbound_commands(request)
            .await?
            .into_inner()
            .commands)
    }
}
