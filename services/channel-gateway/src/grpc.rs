//! The gRPC API: parses, calls a use case, answers.

mod channels;
pub mod convert;
mod files;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{Parse, page_token};
use serde::{Deserialize, Serialize};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService;
use switchboard_proto::channel_gateway::v1::{
    ConnectChannelRequest, ConnectChannelResponse, CreateAttachmentLinkRequest,
    CreateAttachmentLinkResponse, CreateChannelRequest, CreateChannelResponse, CreateUploadRequest,
    CreateUploadResponse, DisableChannelRequest, DisableChannelResponse, DisconnectChannelRequest,
    DisconnectChannelResponse, EnableChannelRequest, EnableChannelResponse, GetAttachmentRequest,
    GetAttachmentResponse, GetChannelRequest, GetChannelResponse, HoldUploadsRequest,
    HoldUploadsResponse, ListChannelsRequest, ListChannelsResponse, ListDeliveriesRequest,
    ListDeliveriesResponse, RefetchAttachmentRequest, RefetchAttachmentResponse,
    UpdateChannelRequest, UpdateChannelResponse, VerifyChannelRequest, VerifyChannelResponse,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::channels::{Change, Create};
use crate::app::{self, App, connection, deliveries};
use crate::error::{DOMAIN, Error};
use channels::{Given, answer};

const PARSE: Parse = Parse::new(DOMAIN);

/// Characters of a channel's name at most.
const NAME_MAX: usize = 100;

/// The handlers.
pub struct Api(pub App);

#[derive(Serialize, Deserialize)]
struct ChannelCursor {
    name: String,
    id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct DeliveryCursor {
    out_seq: i64,
    part: i32,
}

#[tonic::async_trait]
impl ChannelGatewayService for Api {
    async fn create_channel(
        &self,
        request: Request<CreateChannelRequest>,
    ) -> Result<Response<CreateChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let credentials = request.credentials.as_ref().map(Given::from);
        let Some(credentials) = channels::parsed(&self.0, credentials)? else {
            return Err(PARSE.refuse("credentials", "are required"));
        };
        let create = Create {
            id: PARSE.id_opt("channel_id", &request.channel_id)?,
            request_id: PARSE.request_id(&request.request_id)?,
            name: PARSE.text("name", &request.name, NAME_MAX)?,
            credentials,
            request: &request,
        };
        Ok(Response::new(
            app::channels::create(&self.0, &caller, create, clock::now()).await?,
        ))
    }

    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let row = app::channels::get(&self.0, &caller, id).await?;
        let channel = answer(&self.0, row).await?;
        Ok(Response::new(GetChannelResponse { channel }))
    }

    async fn list_channels(
        &self,
        request: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<ChannelCursor> = PARSE.page_token(&request.page_token)?;
        let after = after
            .as_ref()
            .map(|cursor| (cursor.name.as_str(), cursor.id));
        let mut rows = app::channels::list(&self.0, &caller, after, i64::from(size) + 1).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| more).map(|row| ChannelCursor {
            name: row.name.clone(),
            id: row.id,
        });
        let known = app::channels::health(&self.0, &rows).await?;
        let channels = rows
            .iter()
            .zip(&known)
            .map(|(row, known)| convert::channel(row, known, self.0.files.max_size))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(Error::from)?;
        let next_page_token = next.as_ref().map(page_token).unwrap_or_default();
        Ok(Response::new(ListChannelsResponse {
            channels,
            next_page_token,
        }))
    }

    async fn update_channel(
        &self,
        request: Request<UpdateChannelRequest>,
    ) -> Result<Response<UpdateChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("channel_id", &request.channel_id)?;
        let name = PARSE.text_opt("name", &request.name, NAME_MAX)?;
        let credentials = request.credentials.as_ref().map(Given::from);
        let credentials = channels::parsed(&self.0, credentials)?;
        let row = app::channels::update(
            &self.0,
            &caller,
            id,
            Change {
                name,
                credentials: credentials.as_ref(),
                shorten_links: request.shorten_links,
            },
            clock::now(),
        )
        .await?;
        Ok(Response::new(UpdateChannelResponse {
            channel: answer(&self.0, row).await?,
        }))
    }

    async fn enable_channel(
        &self,
        request: Request<EnableChannelRequest>,
    ) -> Result<Response<EnableChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let row = connection::enable(&self.0, &caller, id, clock::now()).await?;
        Ok(Response::new(EnableChannelResponse {
            channel: answer(&self.0, row).await?,
        }))
    }

    async fn disable_channel(
        &self,
        request: Request<DisableChannelRequest>,
    ) -> Result<Response<DisableChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let (row, webhook_taken_back) =
            connection::disable(&self.0, &caller, id, clock::now()).await?;
        Ok(Response::new(DisableChannelResponse {
            channel: answer(&self.0, row).await?,
            webhook_taken_back,
        }))
    }

    async fn verify_channel(
        &self,
        request: Request<VerifyChannelRequest>,
    ) -> Result<Response<VerifyChannelResponse>, Status> {
        channels::verify(&self.0, request).await
    }

    async fn disconnect_channel(
        &self,
        request: Request<DisconnectChannelRequest>,
    ) -> Result<Response<DisconnectChannelResponse>, Status> {
        channels::disconnect(&self.0, request).await
    }

    async fn connect_channel(
        &self,
        request: Request<ConnectChannelRequest>,
    ) -> Result<Response<ConnectChannelResponse>, Status> {
        channels::connect(&self.0, request).await
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let size = PARSE.page_size(request.page_size)?;
        let before: Option<DeliveryCursor> = PARSE.page_token(&request.page_token)?;
        let before = before.map(|cursor| (cursor.out_seq, cursor.part));
        let mut rows =
            deliveries::list(&self.0, &caller, chat, before, i64::from(size) + 1).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| more).map(|row| DeliveryCursor {
            out_seq: row.out_seq,
            part: row.part,
        });
        let deliveries = rows
            .iter()
            .map(convert::delivery)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(Error::from)?;
        let next_page_token = next.as_ref().map(page_token).unwrap_or_default();
        Ok(Response::new(ListDeliveriesResponse {
            deliveries,
            next_page_token,
        }))
    }

    async fn create_upload(
        &self,
        request: Request<CreateUploadRequest>,
    ) -> Result<Response<CreateUploadResponse>, Status> {
        files::create_upload(&self.0, request).await
    }

    async fn get_attachment(
        &self,
        request: Request<GetAttachmentRequest>,
    ) -> Result<Response<GetAttachmentResponse>, Status> {
        files::get_attachment(&self.0, request).await
    }

    async fn create_attachment_link(
        &self,
        request: Request<CreateAttachmentLinkRequest>,
    ) -> Result<Response<CreateAttachmentLinkResponse>, Status> {
        files::create_attachment_link(&self.0, request).await
    }

    async fn refetch_attachment(
        &self,
        request: Request<RefetchAttachmentRequest>,
    ) -> Result<Response<RefetchAttachmentResponse>, Status> {
        files::refetch_attachment(&self.0, request).await
    }

    async fn hold_uploads(
        &self,
        request: Request<HoldUploadsRequest>,
    ) -> Result<Response<HoldUploadsResponse>, Status> {
        files::hold_uploads(&self.0, request).await
    }
}
