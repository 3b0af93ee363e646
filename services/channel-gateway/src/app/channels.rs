//! Creating, reading and changing channels.

use std::collections::HashMap;

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
use time::OffsetDateTime;
use uuid::Uuid;

use super::book::aad;
use super::connection;
use super::line::Proven;
use super::{App, audited};
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::Credentials;
use crate::error::{DOMAIN, Error};
use crate::grpc::convert;
use crate::store;
use crate::store::channels::{self, ChannelRow, NewChannel};
use crate::store::health::HealthRow;
use crate::store::lines::{self, Line};
use crate::store::problems::{self, ProblemRow};

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
    /// What signs it in.
    pub credentials: Credentials,
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
    let provider_account = create.credentials.provider_account();
    let token_hash = create.credentials.token_hash();
    let mail = create.credentials.mail_line();
    let line = Line {
        kind: create.credentials.kind(),
        provider_account: &provider_account,
        token_hash: token_hash.as_deref(),
        mail: mail.as_ref(),
    };
    // Better said now than when it is enabled. What was only entered reserves nothing outside its account.
    if lines::is_taken(&mut tx, account, channel, line).await? {
        return Err(Error::AlreadyConnected(line.kind));
    }
    let new = NewChannel {
        id: channel,
        account,
        name: create.name,
        line,
        token_sealed: &app.sealer.seal(
            create.credentials.to_text().as_bytes(),
            &aad(channel, "token"),
        )?,
        secret_sealed: &app
            .sealer
            .seal(webhook_secret().as_bytes(), &aad(channel, "secret"))?,
    };
    let row = channels::insert(&mut tx, &new, now)
        .await
        .map_err(|error| taken(line.kind, error))?;
    let told = (caller, "channel.create");
    audited::write(&mut tx, app, told, (None, &row), now).await?;
    let response = CreateChannelResponse {
        channel: Some(convert::channel(
            &row,
            &Health::default(),
            app.files.max_size,
        )?),
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
        kind: new.line.kind.contract().into(),
        name: row.name.clone(),
    };
    let event = Outgoing::new(account, channel, &event).actor(caller.actor());
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(response)
}

/// What is known of a channel's health; nothing before somebody looked.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// How it was when somebody looked last.
    pub looked: Option<HealthRow>,
    /// What is wrong, the oldest first.
    pub problems: Vec<ProblemRow>,
}

/// Returns what is known of the health of channels, in their order.
pub async fn health(app: &App, rows: &[ChannelRow]) -> Result<Vec<Health>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut connection = app.pool.acquire().await?;
    let looked = store::health::of(&mut connection, &ids).await?;
    let mut looked: HashMap<Uuid, HealthRow> = looked
        .into_iter()
        .map(|row| (row.channel_id, row))
        .collect();
    let mut found: HashMap<Uuid, Vec<ProblemRow>> = HashMap::new();
    for problem in problems::of(&mut connection, &ids).await? {
        found.entry(problem.channel_id).or_default().push(problem);
    }
    let known = ids.iter().map(|id| Health {
        looked: looked.remove(id),
        problems: found.remove(id).unwrap_or_default(),
    });
    Ok(known.collect())
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

/// What is to be changed of a channel; the rest stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Name.
    pub name: Option<&'a str>,
    /// What signs it in.
    pub credentials: Option<&'a Credentials>,
    /// Whether links are shortened (F195).
    pub shorten_links: Option<bool>,
}

/// Changes a channel. New credentials of an enabled channel are proven and registered before they are stored.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: Uuid,
    change: Change<'_>,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    update_by(app, (caller, "channel.update"), id, change, now).await
}

/// Does what [`update`] does, as part of an act that is told under its own name.
pub(super) async fn update_by(
    app: &App,
    (caller, action): (&Caller, &'static str),
    id: Uuid,
    change: Change<'_>,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    same_line(&before, change.credentials)?;
    let proven = match change.credentials {
        Some(credentials) if before.state()? == ChannelState::Enabled => {
            Some(connection::register(app, &before, credentials).await?)
        }
        _ => None,
    };
    store(app, (caller, action), id, change, proven, now).await
}

/// Stores a change, with what the provider told of the new credentials where it was asked.
pub(super) async fn store(
    app: &App,
    (caller, action): (&Caller, &'static str),
    id: Uuid,
    change: Change<'_>,
    proven: Option<Proven>,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    let mut tx = app.pool.begin().await?;
    let mut row = locked(&mut tx, caller, id).await?;
    // Once more under the lock: it may have been enabled meanwhile.
    same_line(&row, change.credentials)?;
    let before = row.clone();
    if let Some(name) = change.name {
        row = channels::rename(&mut tx, id, name).await?;
    }
    if let Some(shorten_links) = change.shorten_links {
        row = channels::set_shorten_links(&mut tx, id, shorten_links).await?;
    }
    if let Some(credentials) = change.credentials {
        row = store_credentials(app, &mut tx, &row, credentials, proven.as_ref(), now).await?;
    }
    let sides = (Some(&before), &row);
    audited::write(&mut tx, app, (caller, action), sides, now).await?;
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(row)
}

async fn store_credentials(
    app: &App,
    connection: &mut PgConnection,
    row: &ChannelRow,
    given: &Credentials,
    proven: Option<&Proven>,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    // A mail provider may have put another refresh token in the place of the given one, which is void then
    // (channels.md §7.36).
    let replaced = proven.and_then(|proven| proven.replaced.as_ref());
    let credentials = replaced.unwrap_or(given);
    let told = proven.and_then(|proven| proven.provider_account.clone());
    let provider_account = match told {
        Some(told) => told,
        // Viber's id of a bot that was enabled once is known already, and its token does not tell it.
        None if credentials.kind() == ChannelKind::ViberBot && !row.provider_name.is_empty() => {
            row.provider_account.clone()
        }
        None => credentials.provider_account(),
    };
    let (token_hash, mail) = (credentials.token_hash(), credentials.mail_line());
    let line = Line {
        kind: credentials.kind(),
        provider_account: &provider_account,
        token_hash: token_hash.as_deref(),
        mail: mail.as_ref(),
    };
    let account = row.account()?;
    if lines::is_taken(connection, &account, row.id, line).await? {
        return Err(Error::AlreadyConnected(line.kind));
    }
    let new = lines::NewCredentials {
        line,
        token_sealed: &app
            .sealer
            .seal(credentials.to_text().as_bytes(), &aad(row.id, "token"))?,
        proven_at: proven.map(|_| now),
    };
    let row = lines::set_credentials(connection, row.id, &new)
        .await
        .map_err(|error| taken(line.kind, error))?;
    if let Some(webhook) = proven.and_then(|proven| proven.webhook) {
        connection::learnt(connection, &row, webhook, now).await?;
    }
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

/// Refuses credentials of another kind or of another line: keys of messages count per line, and the other one's
/// webhook may stand on another channel. A channel that was never enabled has no messages yet, no webhook, and no line that
/// others could not have.
pub(super) fn same_line(row: &ChannelRow, credentials: Option<&Credentials>) -> Result<(), Error> {
    let Some(credentials) = credentials else {
        return Ok(());
    };
    let kind = row.kind()?;
    if credentials.kind() != kind {
        return Err(Error::Invalid {
            field: "credentials",
            rule: "are of another kind than the channel",
        });
    }
    let never_enabled = row.provider_name.is_empty()
        && row.proven_at.is_none()
        && row.state()? == ChannelState::Disabled;
    let same = credentials.provider_account() == row.provider_account;
    match kind {
        // Which bot a token is of, Viber tells when it is proven.
        ChannelKind::ViberBot => Ok(()),
        _ if same || never_enabled => Ok(()),
        ChannelKind::TelegramBot => Err(Error::Invalid {
            field: "telegram_bot.token",
            rule: "is another bot's: create a channel for it",
        }),
        ChannelKind::Instagram => Err(Error::Invalid {
            field: "instagram.account_id",
            rule: "is another profile's: create a channel for it",
        }),
        ChannelKind::Email => Err(Error::Invalid {
            field: "email.address",
            rule: "is another mailbox's: create a channel for it",
        }),
    }
}

pub(super) fn taken(kind: ChannelKind, error: sqlx::Error) -> Error {
    match error
        .as_database_error()
        .and_then(|error| error.constraint())
    {
        Some(
            "channel_provider_account"
            | "channel_provider_account_once"
            | "channel_mailbox"
            | "channel_mailbox_once"
            | "channel_mail_address_once",
        ) => Error::AlreadyConnected(kind),
        Some("channel_pkey") => Error::IdTaken,
        _ => error.into(),
    }
}

/// 256 random bits in the characters that Telegram takes.
fn webhook_secret() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    hex::encode(bytes)
}
