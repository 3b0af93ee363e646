//! The gRPC API of roles.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::role_service_server::RoleService;
use tonic::{Request, Response, Status};

use super::{Api, ByName, NAME_MAX, after_name};
use crate::app::roles::RoleChange;
use crate::domain::access::Rights;
use crate::wire::{self, PARSE};

#[tonic::async_trait]
impl RoleService for Api {
    async fn create_role(
        &self,
        request: Request<pb::CreateRoleRequest>,
    ) -> Result<Response<pb::CreateRoleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let name = PARSE.text("name", &request.name, NAME_MAX)?;
        let request_id = PARSE.request_id(&request.request_id)?;
        let rights = Rights {
            leads: wire::kind("leads.view", request.leads.as_ref())?,
            contacts: wire::kind("contacts.view", request.contacts.as_ref())?,
            settings: request.settings,
        };
        let role = (name, rights);
        let now = clock::now();
        Ok(Response::new(
            self.0
                .create_role(&caller, &request, role, request_id, now)
                .await?,
        ))
    }

    async fn update_role(
        &self,
        request: Request<pb::UpdateRoleRequest>,
    ) -> Result<Response<pb::UpdateRoleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("role_id", &request.role_id)?;
        let kind = |field, kind: Option<&pb::KindAccess>| {
            kind.map(|kind| wire::kind(field, Some(kind))).transpose()
        };
        let name = request.name.as_deref();
        let change = RoleChange {
            name: name
                .map(|name| PARSE.text("name", name, NAME_MAX))
                .transpose()?,
            leads: kind("leads.view", request.leads.as_ref())?,
            contacts: kind("contacts.view", request.contacts.as_ref())?,
            settings: request.settings,
            expected: request.expected_revision,
        };
        let role = self
            .0
            .update_role(&caller, id, change, clock::now())
            .await?;
        let role = Some(wire::staff::role(&role));
        Ok(Response::new(pb::UpdateRoleResponse { role }))
    }

    async fn get_role(
        &self,
        request: Request<pb::GetRoleRequest>,
    ) -> Result<Response<pb::GetRoleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("role_id", &request.get_ref().role_id)?;
        let role = Some(wire::staff::role(&self.0.get_role(&caller, id).await?));
        Ok(Response::new(pb::GetRoleResponse { role }))
    }

    async fn list_roles(
        &self,
        request: Request<pb::ListRolesRequest>,
    ) -> Result<Response<pb::ListRolesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = after_name(&request.page_token)?;
        let limit = i64::from(size) + 1;
        let rows = self
            .0
            .list_roles(&caller, (&after.name, after.id), limit)
            .await?;
        let (roles, next_page_token) = page_of(&rows, size, wire::staff::role, |row| ByName {
            name: row.name.clone(),
            id: row.id.uuid(),
        });
        Ok(Response::new(pb::ListRolesResponse {
            roles,
            next_page_token,
        }))
    }

    async fn delete_role(
        &self,
        request: Request<pb::DeleteRoleRequest>,
    ) -> Result<Response<pb::DeleteRoleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("role_id", &request.get_ref().role_id)?;
        self.0.delete_role(&caller, id, clock::now()).await?;
        Ok(Response::new(pb::DeleteRoleResponse {}))
    }
}
