//! What internal chats ask of other services.

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use switchboard_proto::assignment::v1::GetGroupRequest;
use switchboard_proto::assignment::v1::group_service_client::GroupServiceClient;
use switchboard_proto::crm_cards::v1::CheckEntityAccessRequest;
use switchboard_proto::crm_cards::v1::check_entity_access_request::Entity as Asked;
use switchboard_proto::crm_cards::v1::entity_access_service_client::EntityAccessServiceClient;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Assignment, CrmCards, passed_on};
use crate::app::internal_chat::{Entities, Groups, Looked};
use crate::domain::activity::Owner;
use crate::domain::internal_chat::Entity;
use crate::domain::words::EntityKind;
use crate::error::{DOMAIN, Error};

#[tonic::async_trait]
impl Groups for Assignment {
    async fn members(
        &self,
        account: &AccountSlug,
        group: Uuid,
    ) -> Result<Option<Vec<AgentId>>, Status> {
        let internal = self.internal.for_account(account);
        let mut client = GroupServiceClient::with_interceptor(self.channel.clone(), internal);
        let asked = GetGroupRequest {
            group_id: group.to_string(),
        };
        match client.get_group(asked).await {
            Ok(answer) => {
                let group = answer.into_inner().group.unwrap_or_default();
                ids(&group.agent_ids).map(Some)
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(passed_on("assignment", &status)),
        }
    }
}

#[tonic::async_trait]
impl Entities for CrmCards {
    async fn look(
        &self,
        caller: &Caller,
        entity: Entity,
        agents: &BTreeSet<AgentId>,
    ) -> Result<Looked, Status> {
        let account = caller.account();
        // In the agent's name: CRM knows what the agent may see.
        let internal = match caller.agent() {
            Some(agent) => self.internal.for_agent(account, agent),
            None => self.internal.for_account(account),
        };
        let id = entity.id.to_string();
        let named = match entity.kind {
            EntityKind::Card => Some(Asked::CardId(id)),
            EntityKind::Contact => Some(Asked::ContactId(id)),
            EntityKind::Company => Some(Asked::CompanyId(id)),
            EntityKind::Order => Some(Asked::OrderId(id)),
            EntityKind::Channel => None,
        };
        let asked = CheckEntityAccessRequest {
            entity: named,
            agent_ids: agents.iter().map(ToString::to_string).collect(),
        };
        let mut client =
            EntityAccessServiceClient::with_interceptor(self.channel.clone(), internal);
        let answer = client.check_entity_access(asked).await;
        let answer = answer.map_err(|status| passed_on("crm-cards", &status))?;
        let answer = answer.into_inner();
        let id = answer.entity_id.parse();
        let owner = Owner::of(&answer.owner.unwrap_or_default());
        let no_owner = || Error::Broken("crm-cards does not say who answers".to_owned());
        Ok(Looked {
            id: id.map_err(|error| chassis::grpc::internal(DOMAIN, &error))?,
            merged: ids(&answer.merged_contact_ids)?,
            owner: owner.ok_or_else(no_owner)?,
            agents: ids(&answer.agent_ids)?.into_iter().collect(),
        })
    }
}

/// Reads ids that another service wrote.
fn ids<T: std::str::FromStr<Err = uuid::Error>>(texts: &[String]) -> Result<Vec<T>, Status> {
    let ids: Result<Vec<T>, _> = texts.iter().map(|id| id.parse()).collect();
    ids.map_err(|error| chassis::grpc::internal(DOMAIN, &error))
}
