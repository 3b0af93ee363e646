//! The gRPC API: parse, call the use case, answer.

pub mod calendar;
pub mod presence;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_token;
use chassis::id::{self, AccountSlug, AgentId};
use serde::{Deserialize, Serialize};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::app::admit::Reply;
use crate::app::agents::{AgentChange, NewAgent};
use crate::app::hand::HandOver;
use crate::domain::access::Grants;
use crate::domain::chat::{Opening, Told};
use crate::domain::{ChannelId, ChatId};
use crate::store::accounts::AccountRow;
use crate::wire::{self, PARSE};

/// Names are this long at most, in characters.
const NAME_MAX: usize = 100;

/// Serves `switchboard.assignment.v1.AssignmentService`.
pub struct Api(pub App);

/// Where the next page of agents begins.
#[derive(Serialize, Deserialize)]
struct ByName {
    name: String,
    id: Uuid,
}

/// Cuts what was read with one more than a page to the page, and says where the next one begins.
fn page<T, C: Serialize>(
    mut rows: Vec<T>,
    size: u32,
    cursor: impl Fn(&T) -> C,
) -> (Vec<T>, String) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| page_token(&cursor(last)));
    (rows, next.unwrap_or_default())
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

/// Reads what the caller knows of a chat's newest conversation; none before its first.
fn told(request: &pb::AdmitReplyRequest) -> Result<Option<Told>, Status> {
    if request.number == 0 {
        return Ok(None);
    }
    if request.number < 0 || request.revision < 1 {
        return Err(PARSE.refuse("number", "and revision begin at 1"));
    }
    let time = PARSE.time_opt("open_time", request.open_time.as_ref())?;
    let opener = PARSE.id_opt("opener_agent_id", &request.opener_agent_id)?;
    Ok(Some(Told {
        conversation: PARSE.id("conversation_id", &request.conversation_id)?,
        number: request.number,
        revision: request.revision,
        open: request.open,
        opening: time.map(|time| Opening {
            time,
            opener,
            event: None,
            traceparent: String::new(),
        }),
        decided: false,
    }))
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
        let (rows, next_page_token) = page(rows, size, |row| row.slug.to_string());
        let accounts = rows.iter().map(wire::account).collect();
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
        let id = PARSE.id("agent_id", &request.get_ref().agent_id)?;
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
        let after: Option<ByName> = PARSE.page_token(&request.page_token)?;
        after
            .as_ref()
            .map_or(Ok(()), |after| storable(&after.name))?;
        let after = after.unwrap_or(ByName {
            name: String::new(),
            id: Uuid::nil(),
        });
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_agents(caller.account(), (&after.name, after.id), limit)
            .await?;
        let (rows, next_page_token) = page(rows, size, |row| ByName {
            name: row.name.clone(),
            id: row.id.uuid(),
        });
        let agents = rows.iter().map(wire::agent).collect();
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
        let (rows, next_page_token) = page(rows, size, |row| row.id.uuid());
        let access = rows.iter().map(|row| wire::access(&row.access())).collect();
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
        let policy = wire::policy_of(&policy)?;
        self.0
            .set_policy(&caller, channel, &policy, clock::now())
            .await?;
        let key = (caller.account().clone(), channel);
        let policy = Some(wire::policy(&key, Some(&policy)));
        Ok(Response::new(pb::SetDistributionPolicyResponse { policy }))
    }

    async fn get_distribution_policy(
        &self,
        request: Request<pb::GetDistributionPolicyRequest>,
    ) -> Result<Response<pb::GetDistributionPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let channel = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let policy = self.0.get_policy(&caller, channel).await?;
        let key = (caller.account().clone(), channel);
        let policy = Some(wire::policy(&key, policy.as_ref()));
        Ok(Response::new(pb::GetDistributionPolicyResponse { policy }))
    }

    async fn claim_chat(
        &self,
        request: Request<pb::ClaimChatRequest>,
    ) -> Result<Response<pb::ClaimChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let request_id = PARSE.request_id(&request.request_id)?;
        let now = clock::now();
        Ok(Response::new(
            self.0
                .claim_chat(&caller, &request, (chat, request_id), now)
                .await?,
        ))
    }

    async fn assign_chat(
        &self,
        request: Request<pb::AssignChatRequest>,
    ) -> Result<Response<pb::AssignChatResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let expected = request.expected_agent_id.as_deref();
        let hand = HandOver {
            chat: PARSE.id("chat_id", &request.chat_id)?,
            agent: PARSE.id("agent_id", &request.agent_id)?,
            expected: expected
                .map(|id| PARSE.id_opt("expected_agent_id", id))
                .transpose()?,
            request_id: PARSE.request_id(&request.request_id)?,
        };
        Ok(Response::new(
            self.0
                .assign_chat(&caller, &request, hand, clock::now())
                .await?,
        ))
    }

    async fn admit_reply(
        &self,
        request: Request<pb::AdmitReplyRequest>,
    ) -> Result<Response<pb::AdmitReplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let reply = Reply {
            account: caller.account().clone(),
            chat: PARSE.id::<ChatId>("chat_id", &request.chat_id)?,
            channel: PARSE.id::<ChannelId>("channel_id", &request.channel_id)?,
            told: told(&request)?,
            agent: PARSE.id("agent_id", &request.agent_id)?,
            request_id: PARSE
                .request_id(&request.request_id)?
                .unwrap_or_default()
                .to_owned(),
        };
        Ok(Response::new(
            self.0.admit_reply(&reply, clock::now()).await?,
        ))
    }

    async fn get_chat_assignment(
        &self,
        request: Request<pb::GetChatAssignmentRequest>,
    ) -> Result<Response<pb::GetChatAssignmentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let chat = self.0.get_chat(&caller, chat).await?;
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
        let (rows, next_page_token) = page(rows, size, |row| row.id.uuid());
        let assignments = rows.iter().map(wire::assignment).collect();
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
        let (rows, next_page_token) = page(rows, size, |(id, _)| *id);
        let choices = rows.iter().map(|(_, row)| wire::choice(row)).collect();
        Ok(Response::new(pb::ExplainAssignmentResponse {
            choices,
            next_page_token,
        }))
    }
}
