//! The gRPC API: parses, calls a use case, answers.

pub mod convert;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{Parse, page_token};
use serde::{Deserialize, Serialize};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, CreateChannelResponse, DisableChannelRequest, DisableChannelResponse,
    EnableChannelRequest, EnableChannelResponse, GetChannelRequest, GetChannelResponse,
    ListChannelsRequest, ListChannelsResponse, ListDeliveriesRequest, ListDeliveriesResponse,
    UpdateChannelRequest, UpdateChannelResponse, create_channel_request, update_channel_request,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::channels::Create;
use crate::app::{App, channels, connection, deliveries};
use crate::domain::credentials::{self, Wrong};
use crate::error::{DOMAIN, Error};
use crate::store::channels::ChannelRow;

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
        let plain_allowed = self.0.plain_mail;
        let credentials = match &request.credentials {
            Some(create_channel_request::Credentials::TelegramBot(bot)) => {
                credentials::telegram(bot)
            }
            Some(create_channel_request::Credentials::ViberBot(bot)) => credentials::viber(bot),
            Some(create_channel_request::Credentials::Instagram(profile)) => {
                credentials::instagram(profile)
            }
            Some(create_channel_request::Credentials::Email(mailbox)) => {
                credentials::email(mailbox, plain_allowed)
            }
            None => return Err(PARSE.refuse("credentials", "are required")),
        }
        .map_err(refuse)?;
        let create = Create {
            id: PARSE.id_opt("channel_id", &request.channel_id)?,
            request_id: PARSE.request_id(&request.request_id)?,
            name: PARSE.text("name", &request.name, NAME_MAX)?,
            credentials,
            request: &request,
        };
        Ok(Response::new(
            channels::create(&self.0, &caller, create, clock::now()).await?,
        ))
    }

    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let channel = answer(&channels::get(&self.0, &caller, id).await?)?;
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
        let mut rows = channels::list(&self.0, &caller, after, i64::from(size) + 1).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| more).map(|row| ChannelCursor {
            name: row.name.clone(),
            id: row.id,
        });
        let channels = rows
            .iter()
            .map(convert::channel)
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
        let plain_allowed = self.0.plain_mail;
        let credentials = request
            .credentials
            .as_ref()
            .map(|credentials| match credentials {
                update_channel_request::Credentials::TelegramBot(bot) => credentials::telegram(bot),
                update_channel_request::Credentials::ViberBot(bot) => credentials::viber(bot),
                update_channel_request::Credentials::Instagram(profile) => {
                    credentials::instagram(profile)
                }
                update_channel_request::Credentials::Email(mailbox) => {
                    credentials::email(mailbox, plain_allowed)
                }
            })
            .transpose()
            .map_err(refuse)?;
        let row = channels::update(
            &self.0,
            &caller,
            id,
            name,
            credentials.as_ref(),
            clock::now(),
        )
        .await?;
        Ok(Response::new(UpdateChannelResponse {
            channel: answer(&row)?,
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
            channel: answer(&row)?,
        }))
    }

    async fn disable_channel(
        &self,
        request: Request<DisableChannelRequest>,
    ) -> Result<Response<DisableChannelResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let row = connection::disable(&self.0, &caller, id, clock::now()).await?;
        Ok(Response::new(DisableChannelResponse {
            channel: answer(&row)?,
        }))
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
}

fn refuse(wrong: Wrong) -> Status {
    PARSE.refuse(wrong.field, wrong.rule)
}

fn answer(
    row: &ChannelRow,
) -> Result<Option<switchboard_proto::channel_gateway::v1::Channel>, Status> {
    Ok(Some(convert::channel(row).map_err(Error::from)?))
}
