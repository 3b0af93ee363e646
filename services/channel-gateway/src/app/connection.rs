//! Enabling and disabling channels: our state and the provider's webhook.

use chassis::auth::Caller;
use chassis::outbox::{self, Outgoing};
use secrecy::{ExposeSecret as _, SecretString};
use switchboard_proto::channel_gateway::v1::ChannelEnabled;
use switchboard_proto::common::v1::ChannelKind;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::channels::{get, locked, may_change, updated};
use crate::domain::channel::ChannelState;
use crate::domain::refusal::Class;
use crate::domain::telegram::errors::ApiError;
use crate::domain::telegram::errors::{CREDENTIALS_REFUSED, classify};
use crate::error::{DOMAIN, Error};
use crate::provider::CallError;
use crate::store::channels::{self, ChannelRow};

/// Checks the credentials and registers the webhook. Safe to repeat.
pub async fn enable(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    let known = app
        .book
        .keep(&before)
        .ok_or(Error::Seal(chassis::seal::SealError::Refused))?;
    let name = prove(app, &known.token).await?;
    // Telegram calls as soon as the webhook stands: by then the channel must be enabled for everybody.
    let mut tx = app.pool.begin().await?;
    if locked(&mut tx, caller, id).await?.credentials != before.credentials {
        // The token that was proven is not the channel's any more, and may become another channel's.
        return Err(Error::Changed);
    }
    let row = channels::set_state(&mut tx, id, ChannelState::Enabled, &name, "").await?;
    let event = ChannelEnabled {
        channel_id: id.to_string(),
        kind: ChannelKind::TelegramBot.into(),
        name: row.name.clone(),
    };
    let event = Outgoing::new(caller.account(), id, &event).actor(caller.actor());
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    if let Err(error) = set_webhook(app, id, &known.token, &known.secret).await {
        // One that was enabled before has its webhook still.
        if before.state()? != ChannelState::Enabled {
            take_back(app, caller, id, before.credentials, now).await?;
        }
        return Err(error);
    }
    Ok(row)
}

/// Disables a channel whose webhook could not be set, unless somebody changed it meanwhile.
async fn take_back(
    app: &App,
    caller: &Caller,
    id: Uuid,
    credentials: i64,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut tx = app.pool.begin().await?;
    let Some(row) = channels::take_back(&mut tx, id, credentials).await? else {
        return Ok(());
    };
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(())
}

/// Takes the webhook back. What still arrives is kept as unsupported.
pub async fn disable(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    if let Some(known) = app.book.keep(&before)
        && let Err(error) = app.bots.delete_webhook(&known.token).await
    {
        // Whatever the provider says, from here on nobody is heard.
        tracing::warn!(%error, channel.id = %id, "webhook could not be taken back");
    }
    let mut tx = app.pool.begin().await?;
    locked(&mut tx, caller, id).await?;
    let row = channels::set_state(
        &mut tx,
        id,
        ChannelState::Disabled,
        &before.provider_name,
        "",
    )
    .await?;
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(row)
}

/// Proves a new token and registers the webhook with it.
pub(super) async fn register(
    app: &App,
    row: &ChannelRow,
    token: &SecretString,
) -> Result<(), Error> {
    let known = app
        .book
        .keep(row)
        .ok_or(Error::Seal(chassis::seal::SealError::Refused))?;
    prove(app, token).await?;
    set_webhook(app, row.id, token, &known.secret).await
}

async fn prove(app: &App, token: &SecretString) -> Result<String, Error> {
    app.bots.get_me(token).await.map_err(refused)
}

async fn set_webhook(
    app: &App,
    id: Uuid,
    token: &SecretString,
    secret: &SecretString,
) -> Result<(), Error> {
    let url = format!("{}/in/telegram/{id}", app.public_url);
    app.bots
        .set_webhook(token, &url, secret.expose_secret())
        .await
        .map_err(refused)
}

fn refused(error: CallError<ApiError>) -> Error {
    match error {
        CallError::Refused(error)
            if error.code == 400 && error.description.to_lowercase().contains("token") =>
        {
            Error::Refused(CREDENTIALS_REFUSED)
        }
        CallError::Refused(error) => match classify(&error) {
            Class::Refused(refusal) | Class::Disconnected(refusal) => Error::Refused(refusal),
            _ => Error::ProviderAway,
        },
        CallError::NotReached | CallError::Unknown(_) => Error::ProviderAway,
    }
}
