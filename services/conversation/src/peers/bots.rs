//! What bots ask of other services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::consumer::Heard;
use chassis::id::AccountSlug;
use futures::future;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use switchboard_proto::assignment::v1::AssignChatRequest;
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::channel_gateway::v1::GetChannelRequest;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_client::ChannelGatewayServiceClient;
use switchboard_proto::crm_cards::v1::contact_service_client::ContactServiceClient;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use switchboard_proto::crm_cards::v1::field::{Entity, Type};
use switchboard_proto::crm_cards::v1::field_service_client::FieldServiceClient;
use switchboard_proto::crm_cards::v1::{
    FieldValue, GetChatConnectionsRequest, ListFieldsRequest, UpdateContactRequest, field_value,
};
use time::OffsetDateTime;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Assignment, CrmCards, Gateway, passed_on};
use crate::app::bots::named::Things;
use crate::app::bots::round::{Backlog, Calls};
use crate::app::quick_replies::{Files as _, Staff as _};
use crate::domain::{AgentId, ChannelId, ChatId};

/// Questions about agents, or channels, at once.
const AT_ONCE: usize = 8;

/// How long the broker is waited for when it is asked how far what clients wrote has been heard.
const BROKER: Duration = Duration::from_secs(2);

/// What bots ask of other services.
pub struct OfBots {
    /// Assignment.
    pub assignment: Arc<Assignment>,
    /// The CRM.
    pub crm: Arc<CrmCards>,
    /// The gateway.
    pub gateway: Arc<Gateway>,
}

#[tonic::async_trait]
impl Calls for OfBots {
    async fn assign(
        &self,
        account: &AccountSlug,
        chat: ChatId,
        agent: &str,
        request: &str,
    ) -> Result<(), Status> {
        let Assignment {
            channel, internal, ..
        } = &*self.assignment;
        let internal = internal.for_account(account);
        let mut client = AssignmentServiceClient::with_interceptor(channel.clone(), internal);
        let asked = AssignChatRequest {
            request_id: request.to_owned(),
            chat_id: chat.to_string(),
            agent_id: agent.to_owned(),
            expected_agent_id: None,
        };
        client.assign_chat(asked).await.map(drop)
    }

    async fn set_field(
        &self,
        account: &AccountSlug,
        chat: ChatId,
        field: &str,
        text: &str,
    ) -> Result<(), Status> {
        let CrmCards { channel, internal } = &*self.crm;
        let internal = internal.for_account(account);
        let mut client = CrmCardsServiceClient::with_interceptor(channel.clone(), internal.clone());
        let asked = GetChatConnectionsRequest {
            chat_id: chat.to_string(),
        };
        let linked = client.get_chat_connections(asked).await?.into_inner();
        // Made with the first conversation, which the CRM may not have heard of yet.
        let contact = linked
            .contact
            .ok_or_else(|| Status::unavailable("the chat has no contact yet"))?;
        let value = FieldValue {
            value: Some(field_value::Value::Text(text.to_owned())),
        };
        let change = UpdateContactRequest {
            contact_id: contact.contact_id,
            fields: [(field.to_owned(), value)].into(),
            ..UpdateContactRequest::default()
        };
        let mut client = ContactServiceClient::with_interceptor(channel.clone(), internal);
        client.update_contact(change).await.map(drop)
    }
}

#[tonic::async_trait]
impl Things for OfBots {
    async fn no_agents(
        &self,
        account: &AccountSlug,
        agents: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Status> {
        let missing = |agent: String| async move {
            // What is no id is nobody's.
            let Ok(id) = agent.parse() else {
                return Ok(Some(agent));
            };
            let name = self.assignment.name(account, id).await?;
            Ok(name.is_none().then_some(agent))
        };
        let asked = stream::iter(agents).map(missing).buffer_unordered(AT_ONCE);
        asked
            .try_filter_map(|missing| future::ready(Ok(missing)))
            .try_collect()
            .await
    }

    async fn text_fields(&self, account: &AccountSlug) -> Result<BTreeSet<String>, Status> {
        let CrmCards { channel, internal } = &*self.crm;
        let internal = internal.for_account(account);
        let mut client = FieldServiceClient::with_interceptor(channel.clone(), internal);
        let asked = ListFieldsRequest {
            entity: Entity::Contact.into(),
        };
        let answer = client.list_fields(asked).await;
        let answer = answer.map_err(|status| passed_on("crm-cards", &status))?;
        let fields = answer.into_inner().fields.into_iter();
        let texts = fields.filter(|field| field.r#type() == Type::Text);
        Ok(texts.map(|field| field.key).collect())
    }

    async fn no_channels(
        &self,
        account: &AccountSlug,
        channels: BTreeSet<ChannelId>,
    ) -> Result<BTreeSet<ChannelId>, Status> {
        let Gateway { channel, internal } = &*self.gateway;
        let missing = |id: ChannelId| {
            let internal = internal.for_account(account);
            let mut client =
                ChannelGatewayServiceClient::with_interceptor(channel.clone(), internal);
            async move {
                let asked = GetChannelRequest {
                    channel_id: id.to_string(),
                };
                match client.get_channel(asked).await {
                    Ok(_) => Ok(None),
                    Err(status) if status.code() == Code::NotFound => Ok(Some(id)),
                    Err(status) => Err(passed_on("channel-gateway", &status)),
                }
            }
        };
        let asked = stream::iter(channels)
            .map(missing)
            .buffer_unordered(AT_ONCE);
        asked
            .try_filter_map(|missing| future::ready(Ok(missing)))
            .try_collect()
            .await
    }

    async fn no_files(
        &self,
        account: &AccountSlug,
        agent: Option<AgentId>,
        mut files: BTreeSet<Uuid>,
    ) -> Result<BTreeSet<Uuid>, Status> {
        let asked: Vec<Uuid> = files.iter().copied().collect();
        for kept in self.gateway.hold(account, agent, &asked).await? {
            files.remove(&kept);
        }
        Ok(files)
    }
}

#[tonic::async_trait]
impl Backlog for Heard {
    async fn heard_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let asked = tokio::time::timeout(BROKER, self.until(now)).await;
        let error = match asked {
            Ok(Ok(until)) => return Some(until),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::warn!(
            error,
            "bots wait on for clients: the broker does not tell what is unread"
        );
        None
    }
}
