//! The services that are called.

mod bots;
mod internal_chat;

pub use bots::OfBots;

use std::sync::Arc;
use std::time::Duration;

use chassis::client::Internal;
use chassis::id::{AccountSlug, AgentId};
use moka::future::Cache;
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::calendar_service_client::CalendarServiceClient;
use switchboard_proto::assignment::v1::group_service_client::GroupServiceClient;
use switchboard_proto::assignment::v1::{
    AdmitReplyRequest, AdmitReplyResponse, CalendarOwner, GetAgentRequest, GetCalendarRequest,
    ListAgentGroupsRequest, calendar_owner,
};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_client::ChannelGatewayServiceClient;
use switchboard_proto::channel_gateway::v1::{
    GetChannelRequest, HoldUploadsRequest, channel as gateway_channel,
};
use switchboard_proto::crm_cards::v1::GetContactRequest;
use switchboard_proto::crm_cards::v1::crm_cards_service_client::CrmCardsServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::app::internal_chat::Groups as _;
use crate::app::quick_replies::{Files, Staff};
use crate::app::send::Admission;
use crate::app::start_chat::{Contacts, Line, Lines};
use crate::app::working_hours::Hours;
use crate::domain::ChannelId;
use crate::domain::first_message::{Contact, Other};
use crate::error::DOMAIN;
use crate::store::working_hours::{Owner, Word};
use crate::wire;

/// How long a replica remembers which groups an agent is in: whoever types a search asks often.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Agents remembered at once.
const CAPACITY: u64 = 10_000;

/// Assignment by gRPC.
pub struct Assignment {
    channel: Channel,
    internal: Internal,
    groups: Cache<(AccountSlug, AgentId), Arc<[Uuid]>>,
}

impl Assignment {
    /// Makes the caller of assignment.
    pub fn new(channel: Channel, internal: Internal) -> Self {
        let groups = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(REMEMBERED)
            .build();
        Self {
            channel,
            internal,
            groups,
        }
    }
}

#[tonic::async_trait]
impl Admission for Assignment {
    async fn admit(
        &self,
        account: &AccountSlug,
        agent: AgentId,
        request: AdmitReplyRequest,
    ) -> Result<AdmitReplyResponse, Status> {
        let internal = self.internal.for_agent(account, agent);
        let mut client = AssignmentServiceClient::with_interceptor(self.channel.clone(), internal);
        let answer = client.admit_reply(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| passed_on("assignment", &status))
    }
}

#[tonic::async_trait]
impl Staff for Assignment {
    async fn groups(&self, account: &AccountSlug, agent: AgentId) -> Result<Arc<[Uuid]>, Status> {
        let key = (account.clone(), agent);
        if let Some(known) = self.groups.get(&key).await {
            return Ok(known);
        }
        let internal = self.internal.for_account(account);
        let mut client = GroupServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = ListAgentGroupsRequest {
            agent_id: agent.to_string(),
        };
        let answer = client.list_agent_groups(asked).await;
        let groups = answer
            .map_err(|status| passed_on("assignment", &status))?
            .into_inner()
            .group_ids;
        let groups: Result<Vec<Uuid>, _> = groups.iter().map(|id| id.parse()).collect();
        let groups: Arc<[Uuid]> = groups
            .map_err(|error| chassis::grpc::internal(DOMAIN, &error))?
            .into();
        self.groups.insert(key, groups.clone()).await;
        Ok(groups)
    }

    async fn has_group(&self, account: &AccountSlug, group: Uuid) -> Result<bool, Status> {
        Ok(self.members(account, group).await?.is_some())
    }

    async fn name(&self, account: &AccountSlug, agent: AgentId) -> Result<Option<String>, Status> {
        let internal = self.internal.for_account(account);
        let mut client = AssignmentServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = GetAgentRequest {
            agent_id: agent.to_string(),
        };
        match client.get_agent(asked).await {
            Ok(answer) => Ok(answer.into_inner().agent.map(|agent| agent.name)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(passed_on("assignment", &status)),
        }
    }
}

#[tonic::async_trait]
impl Hours for Assignment {
    async fn calendar(&self, owner: &Owner) -> Result<Word, Status> {
        let internal = self.internal.for_account(&owner.account);
        let mut client = CalendarServiceClient::with_interceptor(self.channel.clone(), internal);
        let named = match owner.channel {
            Some(channel) => calendar_owner::Owner::ChannelId(channel.to_string()),
            None => calendar_owner::Owner::Account(true),
        };
        let asked = GetCalendarRequest {
            owner: Some(CalendarOwner { owner: Some(named) }),
        };
        match client.get_calendar(asked).await {
            Ok(answer) => Ok(wire::hours(
                &answer.into_inner().calendar.unwrap_or_default(),
                false,
            )),
            Err(status) if status.code() == Code::NotFound => Ok(Word::NONE),
            Err(status) => Err(passed_on("assignment", &status)),
        }
    }
}

/// The gateway by gRPC.
pub struct Gateway {
    channel: Channel,
    internal: Internal,
}

impl Gateway {
    /// Makes the caller of the gateway.
    pub const fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
    }
}

#[tonic::async_trait]
impl Files for Gateway {
    async fn hold(
        &self,
        account: &AccountSlug,
        agent: Option<AgentId>,
        files: &[Uuid],
    ) -> Result<Vec<Uuid>, Status> {
        // In the agent's name: the gateway knows whose files those are.
        let internal = match agent {
            Some(agent) => self.internal.for_agent(account, agent),
            None => self.internal.for_account(account),
        };
        let mut client =
            ChannelGatewayServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = HoldUploadsRequest {
            attachment_ids: files.iter().map(Uuid::to_string).collect(),
        };
        let answer = client.hold_uploads(asked).await;
        let held = answer
            .map_err(|status| passed_on("channel-gateway", &status))?
            .into_inner()
            .attachment_ids;
        let held: Result<Vec<Uuid>, _> = held.iter().map(|id| id.parse()).collect();
        held.map_err(|error| chassis::grpc::internal(DOMAIN, &error))
    }
}

#[tonic::async_trait]
impl Lines for Gateway {
    async fn line(
        &self,
        account: &AccountSlug,
        agent: AgentId,
        channel: ChannelId,
    ) -> Result<Line, Status> {
        let internal = self.internal.for_agent(account, agent);
        let mut client =
            ChannelGatewayServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = GetChannelRequest {
            channel_id: channel.to_string(),
        };
        let answer = client.get_channel(asked).await;
        let channel = answer
            .map_err(|status| passed_on("channel-gateway", &status))?
            .into_inner()
            .channel
            .unwrap_or_default();
        Ok(Line {
            kind: wire::channel_kind(channel.kind),
            enabled: channel.state() == gateway_channel::State::Enabled,
            writes_first: channel.capabilities.is_some_and(|can| can.writes_first),
        })
    }
}

/// The CRM by gRPC.
pub struct CrmCards {
    channel: Channel,
    internal: Internal,
}

impl CrmCards {
    /// Makes the caller of the CRM.
    pub const fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
    }
}

#[tonic::async_trait]
impl Contacts for CrmCards {
    async fn contact(
        &self,
        account: &AccountSlug,
        agent: AgentId,
        contact: Uuid,
    ) -> Result<Contact, Status> {
        // In the agent's name: the CRM knows whom they see.
        let internal = self.internal.for_agent(account, agent);
        let mut client = CrmCardsServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = GetContactRequest {
            contact_id: contact.to_string(),
        };
        let answer = client.get_contact(asked).await;
        let answer = answer
            .map_err(|status| passed_on("crm-cards", &status))?
            .into_inner();
        let contact = answer.contact.unwrap_or_default();
        let id = contact.contact_id.parse();
        let identities = contact.identities.into_iter();
        let others = answer.address_owners.into_iter().map(|owner| {
            let other = owner.contact_id.parse().ok().map(|id| Other {
                id,
                name: owner.name,
            });
            (owner.address, other)
        });
        Ok(Contact {
            id: id.map_err(|error| chassis::grpc::internal(DOMAIN, &error))?,
            name: contact.name,
            emails: contact.emails,
            identities: identities.map(|it| (it.scope, it.user_id)).collect(),
            others: others.collect(),
        })
    }
}

/// Refusals are the caller's to read, details and all; that the other is away or fails is told in our own words.
fn passed_on(who: &'static str, status: &Status) -> Status {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            tracing::warn!(code = ?status.code(), error = status.message(), who, "no answer");
            chassis::grpc::unavailable(DOMAIN, who)
        }
        // Our own token was not accepted: that is no fault of the caller's.
        Code::Unauthenticated | Code::Internal => chassis::grpc::internal(DOMAIN, status),
        // Without its metadata, which is of that call.
        code => Status::with_details(
            code,
            status.message(),
            bytes::Bytes::copy_from_slice(status.details()),
        ),
    }
}
