//! The gRPC API: parse, call the use case, answer.

mod actions;
pub mod calendar;
mod groups;
pub mod presence;
mod roles;
mod sync;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use chassis::id::{self, AccountSlug, AgentId};
use serde::{Deserialize, Serialize};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::app::agents::{AgentChange, NewAgent};
use crate::domain::ChannelId;
use crate::domain::access::Grants;
use crate::error::{Error, StaffError};
use crate::store::accounts::AccountRow;
use crate::wire::{self, PARSE};

/// Names are this long at most, in characters.
const NAME_MAX: usize = 100;

/// Serves the services of `switchboard.assignment.v1`.
#[derive(Clone)]
pub struct Api(pub App);

/// Where the next page of agents begins.
#[derive(Serialize, Deserialize)]
struct ByName {
    name: String,
    id: Uuid,
}

/// Reads where a page of what is listed by name begins.
fn after_name(token: &str) -> Result<ByName, Status> {
    let after: Option<ByName> = PARSE.page_token(token)?;
    let after = after.unwrap_or(ByName {
        name: String::new(),
        id: Uuid::nil(),
    });
    storable(&after.name)?;
    Ok(after)
}

/// Refuses a page token whose text Postgres cannot take: we have made none such.
fn storable(text: &str) -> Result<(), Status> {
    if text.contains('\0') {
        return Err(PARSE.refuse("page_token", "is not one that this method returned"));
    }
    Ok(())
}

fn capacity(capacity: i32) -> Result<i32, Status> {
    if capacity < 0 {
        return Err(PARSE.refuse("capacity", "must not be negative; 0 is no limit"));
    }
    Ok(capacity)
}

#[tonic::async_trait]
impl AssignmentService for Api {
    async fn create_account(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Result<Response<pb::CreateAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let slug = AccountSlug::parse(&request.slug)
            .map_err(|error| PARSE.refuse("slug", &error.to_string()))?;
        let name = PARSE.text_opt("name", &request.name, NAME_MAX)?;
        let language = match request.language.as_str() {
            "" => "en",
            language @ ("en" | "uk") => language,
            _ => return Err(PARSE.refuse("language", "must be en or uk")),
        };
        let now = clock::now();
        let row = AccountRow {
            name: name.unwrap_or(slug.as_str()).to_owned(),
            slug,
            language: language.to_owned(),
            created_at: now,
        };
        let row = self.0.create_account(row, caller.actor(), now).await?;
        Ok(Response::new(pb::CreateAccountResponse {
            account: Some(wire::account(&row)),
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<String> = PARSE.page_token(&request.page_token)?;
        after.as_deref().map_or(Ok(()), storable)?;
        let rows = self
            .0
            .list_accounts(&after.unwrap_or_default(), i64::from(size) + 1)
            .await?;
        let (accounts, next_page_token) =
            page_of(&rows, size, wire::account, |row| row.slug.to_string());
        Ok(Response::new(pb::ListAccountsResponse {
            accounts,
            next_page_token,
        }))
    }

    async fn create_agent(
        &self,
        request: Request<pb::CreateAgentRequest>,
    ) -> Result<Response<pb::CreateAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let now = clock::now();
        let id: Option<AgentId> = PARSE.id_opt("agent_id", &request.agent_id)?;
        let new = NewAgent {
            id: id.unwrap_or_else(|| id::v7(now).into()),
            name: PARSE.text("name", &request.name, NAME_MAX)?,
            capacity: capacity(request.capacity)?,
            grants: request
                .grants
                .as_ref()
                .map_or_else(|| Ok(Grants::everything()), wire::grants)?,
            role: PARSE.id_opt("role_id", &request.role_id)?,
            rights_told: request.grants.as_ref().is_some_and(wire::tells_rights),
            request_id: PARSE.request_id(&request.request_id)?,
        };
        Ok(Response::new(
            self.0.create_agent(&caller, &request, new, now).await?,
        ))
    }

    async fn update_agent(
        &self,
        request: Request<pb::UpdateAgentRequest>,
    ) -> Result<Response<pb::UpdateAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("agent_id", &request.agent_id)?;
        let name = request
            .name
            .as_deref()
            .map(|name| PARSE.text("name", name, NAME_MAX));
        let change = AgentChange {
            name: name.transpose()?,
            active: request.active,
            capacity: request.capacity.map(capacity).transpose()?,
            grants: request.grants.as_ref().map(wire::grants).transpose()?,
            role: request
                .role_id
                .as_deref()
                .map(|role| PARSE.id_opt("role_id", role))
                .transpose()?,
            rights_told: request.grants.as_ref().is_some_and(wire::tells_rights),
        };
        let agent = self
            .0
            .update_agent(&caller, id, change, clock::now())
            .await?;
        Ok(Response::new(pb::UpdateAgentResponse {
            agent: Some(wire::agent(&agent)),
        }))
    }

    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::GetAgentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let named = PARSE.id_opt("agent_id", &request.get_ref().agent_id)?;
        let id = named.or_else(|| caller.agent());
        let id = id.ok_or_else(|| PARSE.refuse("agent_id", "is required"))?;
        let agent = self.0.get_agent(caller.account(), id).await?;
        Ok(Response::new(pb::GetAgentResponse {
            agent: Some(wire::agent(&agent)),
        }))
    }

    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = after_name(&request.page_token)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_agents(caller.account(), (&after.name, after.id), limit)
            .await?;
        let (agents, next_page_token) = page_of(&rows, size, wire::agent, |row| ByName {
            name: row.name.clone(),
            id: row.id.uuid(),
        });
        Ok(Response::new(pb::ListAgentsResponse {
            agents,
            next_page_token,
        }))
    }

    async fn set_presence(
        &self,
        request: Request<pb::SetPresenceRequest>,
    ) -> Result<Response<pb::SetPresenceResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let named: Option<AgentId> = PARSE.id_opt("agent_id", &request.agent_id)?;
        let id = named.or_else(|| caller.agent());
        let id = id.ok_or_else(|| PARSE.refuse("agent_id", "is required"))?;
        let now = clock::now();
        let by_hand = presence::by_hand(&request, now)?;
        let agent = self.0.set_presence(&caller, id, by_hand, now).await?;
        Ok(Response::new(pb::SetPresenceResponse {
            agent: Some(wire::agent(&agent)),
        }))
    }

    async fn get_agent_access(
        &self,
        request: Request<pb::GetAgentAccessRequest>,
    ) -> Result<Response<pb::GetAgentAccessResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("agent_id", &request.get_ref().agent_id)?;
        let access = self.0.get_agent(caller.account(), id).await?.access();
        Ok(Response::new(pb::GetAgentAccessResponse {
            access: Some(wire::access(&access)),
        }))
    }

    async fn list_agent_access(
        &self,
        request: Request<pb::ListAgentAccessRequest>,
    ) -> Result<Response<pb::ListAgentAccessResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<Uuid> = PARSE.page_token(&request.page_token)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_access(caller.account(), after.unwrap_or_default(), limit)
            .await?;
        let (access, next_page_token) = page_of(
            &rows,
            size,
            |row| wire::access(&row.access()),
            |row| row.id.uuid(),
        );
        Ok(Response::new(pb::ListAgentAccessResponse {
            access,
            next_page_token,
        }))
    }

    async fn set_distribution_policy(
        &self,
        request: Request<pb::SetDistributionPolicyRequest>,
    ) -> Result<Response<pb::SetDistributionPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let policy = request
            .policy
            .ok_or_else(|| PARSE.refuse("policy", "is required"))?;
        let channel: ChannelId = PARSE.id("policy.channel_id", &policy.channel_id)?;
        let rules = wire::policy::reply_rules_of(&policy);
        let settings = wire::policy::settings_of(&policy)?;
        let set = self
            .0
            .set_policy(&caller, channel, &settings, rules, clock::now());
        set.await.map_err(|error| match error {
            Error::Staff(StaffError::UnknownInPool(members)) => {
                wire::policy::unknown(&policy, &members)
            }
            error => error.into(),
        })?;
        let key = (caller.account().clone(), channel);
        let policy = Some(wire::policy::policy(&key, Some(&settings), rules));
        Ok(Response::new(pb::SetDistributionPolicyResponse { policy }))
    }

    async fn get_distribution_policy(
        &self,
        request: Request<pb::GetDistributionPolicyRequest>,
    ) -> Result<Response<pb::GetDistributionPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let channel = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let (policy, rules) = self.0.get_policy(&caller, channel).await?;
        let key = (caller.account().clone(), channel);
        let settings = policy.as_ref().map(|policy| &policy.settings);
        let policy = Some(wire::policy::policy(&key, settings, rules));
        Ok(Response::new(pb::GetDistributionPolicyResponse { policy }))
    }

    async fn claim_chat(
        &self,
        request: Request<pb::ClaimChatRequest>,
    ) -> Result<Response<pb::ClaimChatResponse>, Status> {
        actions::claim(&self.0, request).await
    }

    async fn assign_chat(
        &self,
        request: Request<pb::AssignChatRequest>,
    ) -> Result<Response<pb::AssignChatResponse>, Status> {
        actions::assign(&self.0, request).await
    }

    async fn unassign_chat(
        &self,
        request: Request<pb::UnassignChatRequest>,
    ) -> Result<Response<pb::UnassignChatResponse>, Status> {
        actions::unassign(&self.0, request).await
    }

    async fn redirect_chat(
        &self,
        request: Request<pb::RedirectChatRequest>,
    ) -> Result<Response<pb::RedirectChatResponse>, Status> {
        actions::redirect(&self.0, request).await
    }

    async fn join_chat(
        &self,
        request: Request<pb::JoinChatRequest>,
    ) -> Result<Response<pb::JoinChatResponse>, Status> {
        actions::join(&self.0, request).await
    }

    async fn add_participants(
        &self,
        request: Request<pb::AddParticipantsRequest>,
    ) -> Result<Response<pb::AddParticipantsResponse>, Status> {
        actions::add(&self.0, request).await
    }

    async fn leave_chat(
        &self,
        request: Request<pb::LeaveChatRequest>,
    ) -> Result<Response<pb::LeaveChatResponse>, Status> {
        actions::leave(&self.0, request).await
    }

    async fn admit_reply(
        &self,
        request: Request<pb::AdmitReplyRequest>,
    ) -> Result<Response<pb::AdmitReplyResponse>, Status> {
        actions::admit(&self.0, request).await
    }

    async fn get_chat_assignment(
        &self,
        request: Request<pb::GetChatAssignmentRequest>,
    ) -> Result<Response<pb::GetChatAssignmentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let mut found = self.0.get_chat(&caller, chat).await;
        let learned = self.0.learned(&caller, chat, &found, clock::now()).await;
        if learned.map_err(Error::from)? {
            found = self.0.get_chat(&caller, chat).await;
        }
        let chat = found?;
        let assignment = Some(wire::assignment(&chat));
        Ok(Response::new(pb::GetChatAssignmentResponse { assignment }))
    }

    async fn list_chat_assignments(
        &self,
        request: Request<pb::ListChatAssignmentsRequest>,
    ) -> Result<Response<pb::ListChatAssignmentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<Uuid> = PARSE.page_token(&request.page_token)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_chats(caller.account(), after.unwrap_or_default(), limit)
            .await?;
        let (assignments, next_page_token) =
            page_of(&rows, size, wire::assignment, |row| row.id.uuid());
        Ok(Response::new(pb::ListChatAssignmentsResponse {
            assignments,
            next_page_token,
        }))
    }

    async fn explain_assignment(
        &self,
        request: Request<pb::ExplainAssignmentRequest>,
    ) -> Result<Response<pb::ExplainAssignmentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let size = PARSE.page_size(request.page_size)?;
        let before: Option<i64> = PARSE.page_token(&request.page_token)?;
        let (before, limit) = (before.unwrap_or(i64::MAX), i64::from(size) + 1);
        let rows = self.0.explain(&caller, chat, before, limit).await?;
        let (choices, next_page_token) =
            page_of(&rows, size, |(_, row)| wire::choice(row), |(id, _)| *id);
        Ok(Response::new(pb::ExplainAssignmentResponse {
            choices,
            next_page_token,
        }))
    }
}
