//! Enabling, disabling, disconnecting and connecting channels: our state and the provider's webhook.

use chassis::auth::Caller;
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::ChannelEnabled;
use time::OffsetDateTime;
use uuid::Uuid;

use super::book::aad;
use super::channels::{Change, get, locked, may_change, same_line, taken, updated};
use super::line::Proven;
use super::{App, audited, line, trouble};
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::Credentials;
use crate::domain::health::Webhook;
use crate::error::{DOMAIN, Error};
use crate::store::channels::{self, ChannelRow};
use crate::store::lines::{self, Line};
use crate::store::problems::Source;
use crate::store::{health, lanes, mailboxes, problems, sealed};

/// What is told of a channel that an administrator disconnected.
const DISCONNECTED: &str = "An administrator disconnected the channel: connect it again to use it.";

/// Checks the credentials and registers the webhook. Safe to repeat.
pub async fn enable(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<ChannelRow, Error> {
    enable_by(app, (caller, "channel.enable"), id, now).await
}

/// Does what [`enable`] does, as part of an act that is told under its own name.
async fn enable_by(
    app: &App,
    (caller, action): (&Caller, &'static str),
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
    same_bot(&before, &proven)?;
    // Providers call as soon as the webhook stands: by then the channel must be enabled for everybody.
    let mut tx = app.pool.begin().await?;
    let found = locked(&mut tx, caller, id).await?;
    if found.credentials != before.credentials {
        // The token that was proven is not the channel's any more, and may become another channel's.
        return Err(Error::Changed);
    }
    let (token_hash, mail) = (known.access.token_hash(), known.access.mail_line());
    let told = proven.provider_account.as_deref();
    let proven_line = Line {
        kind: known.kind,
        provider_account: told.unwrap_or(&before.provider_account),
        token_hash: token_hash.as_deref(),
        mail: mail.as_ref(),
    };
    let row = lines::enable(&mut tx, id, proven_line, &proven.name, now)
        .await
        .map_err(|error| taken(known.kind, error))?;
    let sides = (Some(&found), &row);
    audited::write(&mut tx, app, (caller, action), sides, now).await?;
    let event = ChannelEnabled {
        channel_id: id.to_string(),
        kind: row.kind()?.contract().into(),
        name: row.name.clone(),
    };
    let event = Outgoing::new(caller.account(), id, &event).actor(caller.actor());
    // Proven and registered anew: what was wrong is over, and told again should it be there still (B10).
    let over = problems::end_all(&mut tx, id).await?;
    let fence = health::anew(&mut tx, id, &row.account, now).await?;
    lanes::resume(&mut tx, id).await?;
    if known.kind == ChannelKind::Email {
        mailboxes::proven(&mut tx, id).await?;
    }
    let mut events = vec![event];
    events.extend(trouble::over(over, now)?);
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    match line::listen(app, id, &known.access, &known.secret).await {
        Ok(webhook) => {
            let mut connection = app.pool.acquire().await?;
            health::learnt(&mut connection, id, fence, webhook.as_str(), now).await?;
            Ok(row)
        }
        Err(error) => {
            // One that was enabled before has its webhook still.
            if before.state()? != ChannelState::Enabled {
                take_back(app, caller, id, before.credentials, now).await?;
            }
            Err(error)
        }
    }
}

/// Has a channel looked at anew whose provider was just told where to call, and shows that until somebody has.
pub(super) async fn learnt(
    connection: &mut PgConnection,
    row: &ChannelRow,
    webhook: Webhook,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let fence = health::anew(connection, row.id, &row.account, now).await?;
    Ok(health::learnt(connection, row.id, fence, webhook.as_str(), now).await?)
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
    let enabled = ChannelRow {
        state: ChannelState::Enabled.as_str().to_owned(),
        ..row.clone()
    };
    let told = (caller, "channel.enable-failed");
    audited::write(&mut tx, app, told, (Some(&enabled), &row), now).await?;
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok(())
}

/// Takes the webhook back. What still arrives is kept as unsupported. Returns also whether the provider took it back.
pub async fn disable(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(ChannelRow, bool), Error> {
    may_change(caller)?;
    let before = get(app, caller, id).await?;
    let parted = part(app, &before).await;
    let mut tx = app.pool.begin().await?;
    let row = locked(&mut tx, caller, id).await?;
    // Refused credentials are refused still, whether anybody is to be heard or not: only new ones end that.
    let problem = match &parted {
        Err(Error::Refused(refusal)) if row.problem.is_empty() => refusal.detail,
        _ => row.problem.as_str(),
    };
    let disabled = channels::disable(&mut tx, id, problem).await?;
    let told = (caller, "channel.disable");
    audited::write(&mut tx, app, told, (Some(&row), &disabled), now).await?;
    let row = disabled;
    for source in [Source::Check, Source::Delivery] {
        problems::end(&mut tx, source, &[id], None).await?;
    }
    health::anew(&mut tx, id, &row.account, now).await?;
    outbox::write(&mut tx, DOMAIN, vec![updated(caller, &row)?], now).await?;
    tx.commit().await?;
    app.relay.wake();
    app.book.keep(&row);
    Ok((row, parted.is_ok()))
}

/// Takes a channel's webhook back. Whatever the provider says to that, from here on nobody is heard.
async fn part(app: &App, row: &ChannelRow) -> Result<(), Error> {
    let parted = match app.book.keep(row) {
        Some(known) => line::part(app, &known.access).await,
        None => Err(Error::Seal(chassis::seal::SealError::Refused)),
    };
    parted.inspect_err(|error| {
        tracing::warn!(%error, channel.id = %row.id, "webhook could not be taken back");
    })
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
    let parted = part(app, &before).await;
    let nothing = app.sealer.seal(b"", &aad(id, "token"))?;
    let mut tx = app.pool.begin().await?;
    let row = locked(&mut tx, caller, id).await?;
    if row.credentials != before.credentials {
        // Somebody stored others meanwhile, whose webhook was not taken back.
        return Err(Error::Changed);
    }
    let forgotten = sealed::forget(&mut tx, id, &nothing, DISCONNECTED, now).await?;
    let told = (caller, "channel.disconnect");
    audited::write(&mut tx, app, told, (Some(&row), &forgotten), now).await?;
    let row = forgotten;
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
    let told = (caller, "channel.connect");
    let change = Change {
        credentials: Some(credentials),
        ..Change::default()
    };
    if before.state()? == ChannelState::Enabled {
        return super::channels::update_by(app, told, id, change, now).await;
    }
    let proven = prove_same(app, &before, credentials).await?;
    super::channels::store(app, told, id, change, Some(proven), now).await?;
    enable_by(app, told, id, now).await
}

/// Proves new credentials and registers the webhook with them.
pub(super) async fn register(
    app: &App,
    row: &ChannelRow,
    credentials: &Credentials,
) -> Result<Proven, Error> {
    let known = app
        .book
        .keep(row)
        .ok_or(Error::Seal(chassis::seal::SealError::Refused))?;
    let proven = prove_same(app, row, credentials).await?;
    let webhook = line::listen(app, row.id, credentials, &known.secret).await?;
    Ok(Proven {
        webhook: Some(webhook),
        ..proven
    })
}

/// Proves credentials, which must be of the line that the channel has had since it was first enabled.
async fn prove_same(
    app: &App,
    row: &ChannelRow,
    credentials: &Credentials,
) -> Result<Proven, Error> {
    let proven = line::prove(app, credentials).await?;
    same_bot(row, &proven)?;
    Ok(proven)
}

/// Refuses credentials of another line than the channel has had since it was first enabled, where only the provider tells
/// that: a Viber token does not say whose it is.
fn same_bot(row: &ChannelRow, proven: &Proven) -> Result<(), Error> {
    match &proven.provider_account {
        Some(told) if !row.provider_name.is_empty() && *told != row.provider_account => {
            Err(Error::Invalid {
                field: "viber_bot.token",
                rule: "is another bot's: create a channel for it",
            })
        }
        _ => Ok(()),
    }
}
