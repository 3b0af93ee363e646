//! Creating, reading and changing channels.

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::auth::Caller;
use chassis::id;
use chassis::outbox::{self, Outgoing};
use chassis::request::{self, Claim};
use prost::Message as _;
use rand::Rng as _;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{
    ChannelConnected, ChannelUpdated, CreateChannelRequest, CreateChannelResponse,
};
use switchboard_proto::common::v1::ChannelKind;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::book::aad;
use super::connection;
use crate::domain::channel::{ChannelState, bot_id};
use crate::error::{DOMAIN, Error};
use crate::grpc::convert;
use crate::store::channels::{self, ChannelRow, NewChannel};

/// The method whose request ids are remembered.
const CREATE: &str = "CreateChannel";

/// A channel to be created, already parsed.
pub struct Create<'a> {
    /// The id that the caller chose.
    pub id: Option<Uuid>,
    /// The request id.
    pub request_id: Option<&'a str>,
    /// Name.
    pub name: &'a str,
    /// The bot's token.
    pub token: &'a str,
    /// The request as it came, for telling a repeat.
    pub request: &'a CreateChannelRequest,
}

/// Creates a channel, disabled, so that its rules can be set before the first customer writes (B02).
pub async fn create(
    app: &App,
    caller: &Caller,
    create: Create<'_>,
    now: OffsetDateTime,
) -> Result<CreateChannelResponse, Error> {
    may_change(caller)?;
    let provider_account = token_of(create.token)?;
    let account = caller.account();
    let mut tx = app.pool.begin().await?;
    if let Some(request_id) = create.request_id {
        let hash = request::hash(create.request);
        match request::claim(&mut tx, account, CREATE, request_id, &hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => {
                return CreateChannelResponse::decode(answer)
                    .map_err(|error| crate::store::unreadable(error).into());
            }
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.to_owned())),
        }
    }
    let channel = create.id.unwrap_or_else(|| id::v7(now));
    let new = NewChannel {
        id: channel,
        account,
        name: create.name,
        provider_account,
        token_sealed: &app
            .sealer
            .seal(create.token.as_bytes(), &aad(channel, "token"))?,
        secret_sealed: &app
            .sealer
            .seal(webhook_secret().as_bytes(), &aad(channel, "secret"))?,
    };
    let row = channels::insert(&mut tx, &new, now).await.map_err(taken)?;
    let response = CreateChannelResponse {
        channel: Some(convert::channel(&row)?),
    };
    if let Some(request_id) = create.request_id {
        request::store(
            &mut tx,
            account,
            CREATE,
            request_id,
            &response.encode_to_vec(),
        )
        .await?;
    }
    let event = ChannelConnected {
        channel_id: channel.to_string(),
        kind: ChannelKind::TelegramBot.into(),
        name: row.name.clone(),
    };
    let event = Outgoing::new(account, channel, &event).actor(caller.actor());
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(response)
}

/// Returns a channel that the caller may see.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<ChannelRow, Error> {
    let mut connection = app.pool.acquire().await?;
    visible(caller, id)?;
    channels::find(&mut connection, caller.account(), id)
        .await?
        .ok_or(Error::NotFound("the channel"))
}

/// Returns a page of the channels that the caller may see, by name; one row more than asked tells of a next page.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<(&str, Uuid)>,
    limit: i64,
) -> Result<Vec<ChannelRow>, Error> {
    let granted: Option<Vec<Uuid>> = match caller.access().map(|access| &access.channels) {
        None | Some(ChannelGrant::All) => None,
        Some(ChannelGrant::Some(granted)) => Some(granted.iter().copied().collect()),
    };
    let mut connection = app.pool.acquire().await?;
    Ok(channels::page(
        &mut connection,
        caller.account(),
        granted.as_deref(),
        after,
        limit,
    )
    .await?)
}

/// Changes name, token, or whether links are shortened (F195). A new token of an enabled channel is proven and registered before it is stored.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: Uuid,
    name: Option<&str>,
    token: Option<&str>,
    shorten_links: Option<bool>,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    let provider_account = token.map(token_of).transpose()?;
    same_bot(&before, provider_account)?;
    if let Some(token) = token
        && before.state()? == ChannelState::Enabled
    {
        connection::register(app, &before, &token.to_owned().into()).await?;
    }
    let mut tx = app.pool.begin().await?;
    let mut row = locked(&mut tx, caller, id).await?;
    // Once more under the lock: it may have been enabled meanwhile.
    same_bot(&row, provider_account)?;
    if let Some(name) = name {
        row = channels::rename(&mut tx, id, name).await?;
    }
    if let Some(shorten_links) = shorten_links {
        row = channels::set_shorten_links(&mut tx, id, shorten_links).await?;
    }
    if let (Some(token), Some(provider_account)) = (token, provider_account) {
        let sealed = app.sealer.seal(token.as_bytes(), &aad(id, "token"))?;
        row = channels::set_credentials(&mut tx, id, provider_account, &sealed)
            .await
            .map_err(taken)?;
    }
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(row)
}

/// Returns a channel locked until the transaction ends.
pub(super) async fn locked(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<ChannelRow, Error> {
    let row = channels::find_locked(connection, caller.account(), id).await?;
    row.ok_or(Error::NotFound("the channel"))
}

/// The event of a change.
pub(super) fn updated(caller: &Caller, row: &ChannelRow) -> Result<Outgoing, Error> {
    let event = ChannelUpdated {
        channel_id: row.id.to_string(),
        name: row.name.clone(),
        enabled: row.state()? == ChannelState::Enabled,
    };
    Ok(Outgoing::new(caller.account(), row.id, &event).actor(caller.actor()))
}

/// Refuses agents whose role has no settings.
pub(super) fn may_change(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if !access.settings => Err(Error::Forbidden("SETTINGS_ACCESS_MISSING")),
        _ => Ok(()),
    }
}

/// Refuses channels that the agent is not granted: for it they do not exist.
pub(super) fn visible(caller: &Caller, channel: Uuid) -> Result<(), Error> {
    match caller.access() {
        Some(access) if !access.may_see_channel(channel) => Err(Error::NotFound("the channel")),
        _ => Ok(()),
    }
}

/// Refuses agents who may do nothing in chats.
pub(super) fn may_read_chats(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if access.chats == ChatAccess::None => {
            Err(Error::Forbidden("CHAT_ACCESS_MISSING"))
        }
        _ => Ok(()),
    }
}

/// Refuses the token of another bot: keys of messages count per bot, and the other one's webhook may stand on another
/// channel. A channel that was never enabled has no messages yet, and no webhook; there the database sees to it that
/// no two channels have the same bot.
fn same_bot(row: &ChannelRow, provider_account: Option<&str>) -> Result<(), Error> {
    let never_enabled = row.provider_name.is_empty() && row.state()? == ChannelState::Disabled;
    match provider_account {
        Some(account) if account != row.provider_account && !never_enabled => Err(Error::Invalid {
            field: "telegram_bot.token",
            rule: "is another bot's: create a channel for it",
        }),
        _ => Ok(()),
    }
}

fn token_of(token: &str) -> Result<&str, Error> {
    bot_id(token).ok_or(Error::Invalid {
        field: "telegram_bot.token",
        rule: "must be a bot's token as BotFather gives it",
    })
}

fn taken(error: sqlx::Error) -> Error {
    match error
        .as_database_error()
        .and_then(|error| error.constraint())
    {
        Some("channel_provider_account") => Error::AlreadyConnected,
        Some("channel_pkey") => Error::IdTaken,
        _ => error.into(),
    }
}

/// 256 random bits in the characters that Telegram takes.
fn webhook_secret() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    hex::encode(bytes)
}
