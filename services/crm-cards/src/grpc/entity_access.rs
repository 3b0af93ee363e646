//! The gRPC API of who may see entities.

use chassis::auth::Caller;
use chassis::id::AgentId;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::check_entity_access_request::Entity;
use switchboard_proto::crm_cards::v1::entity_access_service_server::EntityAccessService;
use tonic::{Request, Response};

use super::{Answer, Handlers, PARSE};
use crate::app::entity_access;
use crate::app::history::About;

/// Agents that are asked about at once, at most.
const AGENTS_MAX: usize = 500;

#[tonic::async_trait]
impl EntityAccessService for Handlers {
    async fn check_entity_access(
        &self,
        request: Request<pb::CheckEntityAccessRequest>,
    ) -> Answer<pb::CheckEntityAccessResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let about = match &request.entity {
            Some(Entity::CardId(id)) => About::Card(PARSE.id("card_id", id)?),
            Some(Entity::ContactId(id)) => About::Contact(PARSE.id("contact_id", id)?),
            Some(Entity::OrderId(id)) => About::Order(PARSE.id("order_id", id)?),
            Some(Entity::CompanyId(id)) => About::Company(PARSE.id("company_id", id)?),
            None => return Err(PARSE.refuse("entity", "is required")),
        };
        let agents: Vec<AgentId> = PARSE.ids("agent_ids", &request.agent_ids, AGENTS_MAX)?;
        let looked = entity_access::look(&self.app, &caller, about, &agents).await?;
        Ok(Response::new(pb::CheckEntityAccessResponse {
            entity_id: looked.id.to_string(),
            merged_contact_ids: looked.merged.iter().map(ToString::to_string).collect(),
            owner: Some(looked.owner),
            agent_ids: looked.agents.iter().map(ToString::to_string).collect(),
        }))
    }
}
