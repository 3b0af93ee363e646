//! Credentials as requests bring them, and the rarer verbs on channels.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, ConnectChannelResponse, DisconnectChannelRequest,
    DisconnectChannelResponse, EmailCredentials, InstagramCredentials, TelegramBotCredentials,
    VerifyChannelRequest, VerifyChannelResponse, ViberBotCredentials, connect_channel_request,
    create_channel_request, update_channel_request,
};
use tonic::{Request, Response, Status};

use super::{PARSE, convert};
use crate::app::{self, App, connection};
use crate::domain::credentials::{self, Credentials};
use crate::error::Error;
use crate::store::channels::ChannelRow;

/// Credentials of a request, whichever it is.
#[derive(Clone, Copy)]
pub(super) enum Given<'r> {
    /// Of a Telegram bot.
    Telegram(&'r TelegramBotCredentials),
    /// Of a Viber bot.
    Viber(&'r ViberBotCredentials),
    /// Of an Instagram profile.
    Instagram(&'r InstagramCredentials),
    /// Of a mailbox.
    Email(&'r EmailCredentials),
}

/// Reads one request's own choice of credentials.
macro_rules! given {
    ($request:ident) => {
        impl<'r> From<&'r $request::Credentials> for Given<'r> {
            fn from(given: &'r $request::Credentials) -> Self {
                use $request::Credentials as Of;
                match given {
                    Of::TelegramBot(bot) => Self::Telegram(bot),
                    Of::ViberBot(bot) => Self::Viber(bot),
                    Of::Instagram(profile) => Self::Instagram(profile),
                    Of::Email(mailbox) => Self::Email(mailbox),
                }
            }
        }
    };
}

given!(create_channel_request);
given!(update_channel_request);
given!(connect_channel_request);

/// Parses credentials, where there are any.
pub(super) fn parsed(app: &App, given: Option<Given<'_>>) -> Result<Option<Credentials>, Status> {
    given
        .map(|given| match given {
            Given::Telegram(bot) => credentials::telegram(bot),
            Given::Viber(bot) => credentials::viber(bot),
            Given::Instagram(profile) => credentials::instagram(profile),
            Given::Email(mailbox) => credentials::email(mailbox, app.plain_mail),
        })
        .transpose()
        .map_err(|wrong| PARSE.refuse(wrong.field, wrong.rule))
}

/// Writes a channel with what is known of its health.
pub(super) async fn answer(app: &App, row: ChannelRow) -> Result<Option<Channel>, Status> {
    let rows = [row];
    let known = app::channels::health(app, &rows).await?;
    let channel = rows.iter().zip(&known).next();
    let channel = channel.map(|(row, known)| convert::channel(row, known, app.files.max_size));
    Ok(channel.transpose().map_err(Error::from)?)
}

pub(super) async fn verify(
    app: &App,
    request: Request<VerifyChannelRequest>,
) -> Result<Response<VerifyChannelResponse>, Status> {
    let caller = Caller::of(&request)?;
    let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
    let now = clock::now();
    let found = app::verify::verify(app, &caller, id, now).await?;
    Ok(Response::new(convert::verified(&found, now)))
}

pub(super) async fn disconnect(
    app: &App,
    request: Request<DisconnectChannelRequest>,
) -> Result<Response<DisconnectChannelResponse>, Status> {
    let caller = Caller::of(&request)?;
    let id = PARSE.id("channel_id", &request.get_ref().channel_id)?;
    let (row, webhook_taken_back) = connection::disconnect(app, &caller, id, clock::now()).await?;
    Ok(Response::new(DisconnectChannelResponse {
        channel: answer(app, row).await?,
        webhook_taken_back,
    }))
}

pub(super) async fn connect(
    app: &App,
    request: Request<ConnectChannelRequest>,
) -> Result<Response<ConnectChannelResponse>, Status> {
    let caller = Caller::of(&request)?;
    let request = request.into_inner();
    let id = PARSE.id("channel_id", &request.channel_id)?;
    let given = request.credentials.as_ref().map(Given::from);
    let Some(credentials) = parsed(app, given)? else {
        return Err(PARSE.refuse("credentials", "are required"));
    };
    let row = connection::connect(app, &caller, id, &credentials, clock::now()).await?;
    Ok(Response::new(ConnectChannelResponse {
        channel: answer(app, row).await?,
    }))
}
