//! The gRPC API of what channels keep in step with CRM.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::responsible_sync_service_server::ResponsibleSyncService;
use tonic::{Request, Response, Status};

use super::Api;
use crate::wire::{self, PARSE};

#[tonic::async_trait]
impl ResponsibleSyncService for Api {
    async fn set_responsible_sync(
        &self,
        request: Request<pb::SetResponsibleSyncRequest>,
    ) -> Result<Response<pb::SetResponsibleSyncResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let missing = || PARSE.refuse("sync", "is required");
        let sync = request.sync.as_ref().ok_or_else(missing)?;
        let channel = PARSE.id("sync.channel_id", &sync.channel_id)?;
        let policy = wire::sync::policy_of(sync)?;
        let expected = request.expected_revision;
        let row = self
            .0
            .set_sync(&caller, channel, policy, expected, clock::now())
            .await?;
        let sync = Some(wire::sync::sync(channel, &row));
        Ok(Response::new(pb::SetResponsibleSyncResponse { sync }))
    }

    async fn get_responsible_sync(
        &self,
        request: Request<pb::GetResponsibleSyncRequest>,
    ) -> Result<Response<pb::GetResponsibleSyncResponse>, Status> {
        let caller = Caller::of(&request)?;
        let channel = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let row = self.0.get_sync(&caller, channel).await?;
        let sync = Some(wire::sync::sync(channel, &row));
        Ok(Response::new(pb::GetResponsibleSyncResponse { sync }))
    }

    async fn set_contact_fields(
        &self,
        request: Request<pb::SetContactFieldsRequest>,
    ) -> Result<Response<pb::SetContactFieldsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let missing = || PARSE.refuse("contact_fields", "is required");
        let fields = request.into_inner().contact_fields.ok_or_else(missing)?;
        let now = clock::now();
        self.0
            .set_contact_fields(&caller, fields.allowed, now)
            .await?;
        let contact_fields = Some(fields);
        Ok(Response::new(pb::SetContactFieldsResponse {
            contact_fields,
        }))
    }

    async fn get_contact_fields(
        &self,
        request: Request<pb::GetContactFieldsRequest>,
    ) -> Result<Response<pb::GetContactFieldsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let allowed = self.0.get_contact_fields(&caller).await?;
        let contact_fields = Some(pb::ContactFields { allowed });
        Ok(Response::new(pb::GetContactFieldsResponse {
            contact_fields,
        }))
    }
}
