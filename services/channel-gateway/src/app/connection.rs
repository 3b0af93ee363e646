//! Enabling, disabling, disconnecting and connecting channels: our state and the provider's webhook.

use chassis::auth::Caller;
use chassis::outbox::{self, Outgoing};
use switchboard_proto::channel_gateway::v1::ChannelEnabled;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::book::aad;
use super::channels::{get, locked, may_change, same_line, taken, updated};
use super::{line, trouble};
use crate::domain::channel::ChannelState;
use crate::domain::credentials::Credentials;
use crate::error::{DOMAIN, Error};
use crate::store::channels::{self, ChannelRow};
use crate::store::{health, lanes, problems, sealed};

/// What is told of a channel that an administrator disconnected.
const DISCONNECTED: &str = "An administrator disconnected the channel: connect it again to use it.";

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
    let proven = line::prove_channel(app, &known).await?;
    // Providers call as soon as the webhook stands: by then the channel must be enabled for everybody.
    let mut tx = app.pool.begin().await?;
    if locked(&mut tx, caller, id).await?.credentials != before.credentials {
        // The token that was proven is not the channel's any more, and may become another channel's.
        return Err(Error::Changed);
    }
    if let Some(told) = &proven.provider_account {
        channels::set_provider_account(&mut tx, id, told)
            .await
            .map_err(taken)?;
    }
    let row = channels::set_state(&mut tx, id, ChannelState::Enabled, &proven.name, "").await?;
    let event = ChannelEnabled {
        channel_id: id.to_string(),
        kind: row.kind()?.contract().into(),
        name: row.name.clone(),
    };
    let event = Outgoing::new(caller.account(), id, &event).actor(caller.actor());
    // Proven and registered anew: what was wrong is over, and told again should it be there still (B10).
    let over = problems::end_all(&mut tx, id).await?;
    health::anew(&mut tx, id, &row.account, now).await?;
    lanes::resume(&mut tx, id).await?;
    let mut events = vec![event];
    events.extend(trouble::over(over, now)?);
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    if let Err(error) = line::listen(app, id, &known.access, &known.secret).await {
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
        && let Err(error) = line::part(app, &known.access).await
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
    problems::end_all(&mut tx, id).await?;
    health::anew(&mut tx, id, &row.account, now).await?;
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(row)
}

/// Takes the webhook back, as well as that can be done, and forgets the credentials. Channel and history stay; what waits to
/// be sent fails on its turn, and may be retried. Returns also whether the provider took it back. Safe to repeat.
pub async fn disconnect(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(ChannelRow, bool), Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    if before.released_at.is_some() {
        return Ok((before, true));
    }
    let parted = match app.book.keep(&before) {
        Some(known) => line::part(app, &known.access).await,
        None => Err(Error::Seal(chassis::seal::SealError::Refused)),
    };
    if let Err(error) = &parted {
        // Whatever the provider says, from here on nobody is heard and nobody can sign in.
        tracing::warn!(%error, channel.id = %id, "webhook could not be taken back");
    }
    let nothing = app.sealer.seal(b"", &aad(id, "token"))?;
    let mut tx = app.pool.begin().await?;
    let row = locked(&mut tx, caller, id).await?;
    if row.credentials != before.credentials {
        // Somebody stored others meanwhile, whose webhook was not taken back.
        return Err(Error::Changed);
    }
    let row = sealed::forget(&mut tx, id, &nothing, DISCONNECTED, now).await?;
    problems::end_all(&mut tx, id).await?;
    health::anew(&mut tx, id, &row.account, now).await?;
    lanes::resume(&mut tx, id).await?;
    let event = trouble::disconnected(&row.account, id, DISCONNECTED)?.actor(caller.actor());
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok((row, parted.is_ok()))
}

/// Connects a channel again with credentials of the same line, and enables it. They are proven before they are stored.
pub async fn connect(
    app: &App,
    caller: &Caller,
    id: Uuid,
    credentials: &Credentials,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    same_line(&before, Some(credentials))?;
    if before.state()? != ChannelState::Enabled {
        prove_same(app, &before, credentials).await?;
    }
    let row = super::channels::update(app, caller, id, None, Some(credentials), None, now).await?;
    if row.state()? == ChannelState::Enabled {
        return Ok(row);
    }
    enable(app, caller, id, now).await
}

/// Proves new credentials and registers the webhook with them.
pub(super) async fn register(
    app: &App,
    row: &ChannelRow,
    credentials: &Credentials,
) -> Result<(), Error> {
    let known = app
        .book
        .keep(row)
        .ok_or(Error::Seal(chassis::seal::SealError::Refused))?;
    prove_same(app, row, credentials).await?;
    line::listen(app, row.id, credentials, &known.secret).await
}

/// Proves credentials, which must be of the line that the channel has had since it was first enabled.
async fn prove_same(app: &App, row: &ChannelRow, credentials: &Credentials) -> Result<(), Error> {
    let proven = line::prove(app, credentials).await?;
    if proven
        .provider_account
        .is_some_and(|told| !row.provider_name.is_empty() && told != row.provider_account)
    {
        return Err(Error::Invalid {
            field: "viber_bot.token",
            rule: "is another bot's: create a channel for it",
        });
    }
    Ok(())
}
