//! Handlers about files.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{Parse, timestamp};
use switchboard_proto::channel_gateway::v1::{
    CreateAttachmentLinkRequest, CreateAttachmentLinkResponse, CreateUploadRequest,
    CreateUploadResponse, GetAttachmentRequest, GetAttachmentResponse, HoldUploadsRequest,
    HoldUploadsResponse, RefetchAttachmentRequest, RefetchAttachmentResponse,
};
use tonic::{Request, Response, Status};

use crate::app::uploads::Announced;
use crate::app::{App, attachments, uploads};
use crate::error::DOMAIN;

/// Files that are held at once at most.
const HELD_MAX: usize = 1_000;

const PARSE: Parse = Parse::new(DOMAIN);

/// Characters of a file's name at most.
const NAME_MAX: usize = 200;

/// Characters of a media type at most.
const TYPE_MAX: usize = 200;

pub(super) async fn create_upload(
    app: &App,
    request: Request<CreateUploadRequest>,
) -> Result<Response<CreateUploadResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let announced = Announced {
        file_name: PARSE.text("file_name", &request.file_name, NAME_MAX)?,
        size: request.size,
        media_type: PARSE
            .text_opt("media_type", &request.media_type, TYPE_MAX)?
            .unwrap_or_default(),
    };
    let (id, put_url, end) = uploads::create(app, &caller, announced, clock::now()).await?;
    Ok(Response::new(CreateUploadResponse {
        attachment_id: id.to_string(),
        put_url,
        expire_time: Some(timestamp(end)),
    }))
}

pub(super) async fn get_attachment(
    app: &App,
    request: Request<GetAttachmentRequest>,
) -> Result<Response<GetAttachmentResponse>, Status> {
    let caller = Caller::of(&request)?;
    let id = PARSE.id("attachment_id", &request.get_ref().attachment_id)?;
    let row = attachments::get(app, &caller, id).await?;
    Ok(Response::new(GetAttachmentResponse {
        attachment: Some(attachments::as_told(&row)),
    }))
}

pub(super) async fn create_attachment_link(
    app: &App,
    request: Request<CreateAttachmentLinkRequest>,
) -> Result<Response<CreateAttachmentLinkResponse>, Status> {
    let caller = Caller::of(&request)?;
    let id = PARSE.id("attachment_id", &request.get_ref().attachment_id)?;
    let (url, end) = attachments::link(app, &caller, id, clock::now()).await?;
    Ok(Response::new(CreateAttachmentLinkResponse {
        url,
        expire_time: Some(timestamp(end)),
    }))
}

pub(super) async fn refetch_attachment(
    app: &App,
    request: Request<RefetchAttachmentRequest>,
) -> Result<Response<RefetchAttachmentResponse>, Status> {
    let caller = Caller::of(&request)?;
    let id = PARSE.id("attachment_id", &request.get_ref().attachment_id)?;
    let row = attachments::refetch(app, &caller, id, clock::now()).await?;
    Ok(Response::new(RefetchAttachmentResponse {
        attachment: Some(attachments::as_told(&row)),
    }))
}

pub(super) async fn hold_uploads(
    app: &App,
    request: Request<HoldUploadsRequest>,
) -> Result<Response<HoldUploadsResponse>, Status> {
    let caller = Caller::of(&request)?;
    let ids = &request.get_ref().attachment_ids;
    let ids = PARSE.ids("attachment_ids", ids, HELD_MAX)?;
    let held = uploads::hold(app, &caller, &ids, clock::now()).await?;
    Ok(Response::new(HoldUploadsResponse {
        attachment_ids: held.iter().map(ToString::to_string).collect(),
    }))
}
