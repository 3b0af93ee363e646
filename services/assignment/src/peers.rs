//! The services that are called.

use chassis::client::Internal;
use chassis::id::AccountSlug;
use switchboard_proto::conversation::v1::GetChatRequest;
use switchboard_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::app::learn::{KnownThere, Source};
use crate::domain::ChatId;
use crate::domain::chat::Told;
use crate::wire::PARSE;

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
impl Source for Conversation {
    async fn chat(
        &self,
        account: &AccountSlug,
        chat: ChatId,
    ) -> Result<Option<KnownThere>, Status> {
        let internal = self.internal.for_account(account);
        let mut client =
            ConversationServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = GetChatRequest {
            chat_id: chat.to_string(),
        };
        let found = match client.get_chat(asked).await {
            Ok(found) => found.into_inner().chat,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(status),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let Some(open) = found.open_conversation else {
            return Ok(None);
        };
        Ok(Some(KnownThere {
            channel: PARSE.id("channel_id", &found.channel_id)?,
            told: Told {
                conversation: PARSE.id("conversation_id", &open.conversation_id)?,
                number: open.number,
                revision: open.revision,
                open: true,
                // The event tells it, with what is not known here: who opened it.
                opening: None,
                decided: false,
            },
        }))
    }
}
