//! The services that are called.

use chassis::client::Internal;
use chassis::id::{AccountSlug, AgentId};
use switchboard_proto::assignment::v1::assignment_service_client::AssignmentServiceClient;
use switchboard_proto::assignment::v1::{AdmitReplyRequest, AdmitReplyResponse};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::app::send::Admission;
use crate::error::DOMAIN;

/// Assignment by gRPC.
pub struct Assignment {
    channel: Channel,
    internal: Internal,
}

impl Assignment {
    /// Makes the caller of assignment.
    pub fn new(channel: Channel, internal: Internal) -> Self {
        Self { channel, internal }
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
            .map_err(|status| passed_on(&status))
    }
}

/// Refusals are the caller's to read, details and all; that assignment is away or fails is told in our own words.
fn passed_on(status: &Status) -> Status {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            tracing::warn!(code = ?status.code(), error = status.message(), "assignment did not answer");
            chassis::grpc::unavailable(DOMAIN, "assignment")
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
