//! The gRPC API of groups.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::group_service_server::GroupService;
use tonic::{Request, Response, Status};

use super::{Api, ByName, NAME_MAX, after_name};
use crate::app::groups::GroupChange;
use crate::wire::{self, MAX_LISTED, PARSE};

#[tonic::async_trait]
impl GroupService for Api {
    async fn create_group(
        &self,
        request: Request<pb::CreateGroupRequest>,
    ) -> Result<Response<pb::CreateGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let name = PARSE.text("name", &request.name, NAME_MAX)?;
        let request_id = PARSE.request_id(&request.request_id)?;
        let members = PARSE.ids("agent_ids", &request.agent_ids, MAX_LISTED)?;
        let group = (name, members);
        let now = clock::now();
        Ok(Response::new(
            self.0
                .create_group(&caller, &request, group, request_id, now)
                .await?,
        ))
    }

    async fn update_group(
        &self,
        request: Request<pb::UpdateGroupRequest>,
    ) -> Result<Response<pb::UpdateGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("group_id", &request.group_id)?;
        let name = request.name.as_deref();
        let members = request.members.as_ref();
        let change = GroupChange {
            name: name
                .map(|name| PARSE.text("name", name, NAME_MAX))
                .transpose()?,
            agents: members
                .map(|members| PARSE.ids("members.agent_ids", &members.agent_ids, MAX_LISTED))
                .transpose()?,
            expected: request.expected_revision,
        };
        let group = self
            .0
            .update_group(&caller, id, change, clock::now())
            .await?;
        let group = Some(wire::staff::group(&group));
        Ok(Response::new(pb::UpdateGroupResponse { group }))
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::GetGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("group_id", &request.get_ref().group_id)?;
        let group = Some(wire::staff::group(&self.0.get_group(&caller, id).await?));
        Ok(Response::new(pb::GetGroupResponse { group }))
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = after_name(&request.page_token)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_groups(&caller, (&after.name, after.id), limit)
            .await?;
        let (groups, next_page_token) = page_of(&rows, size, wire::staff::group, |row| ByName {
            name: row.name.clone(),
            id: row.id.uuid(),
        });
        Ok(Response::new(pb::ListGroupsResponse {
            groups,
            next_page_token,
        }))
    }

    async fn list_agent_groups(
        &self,
        request: Request<pb::ListAgentGroupsRequest>,
    ) -> Result<Response<pb::ListAgentGroupsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let agent = PARSE.id("agent_id", &request.get_ref().agent_id)?;
        let account = caller.same_account(crate::NAME, "")?;
        let groups = self.0.groups_of(account, agent).await?;
        Ok(Response::new(pb::ListAgentGroupsResponse {
            group_ids: groups.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<pb::DeleteGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("group_id", &request.get_ref().group_id)?;
        self.0.delete_group(&caller, id, clock::now()).await?;
        Ok(Response::new(pb::DeleteGroupResponse {}))
    }
}
