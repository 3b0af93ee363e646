//! A channel's rule for creating cards: saving and reading it (F001–F022).

use chassis::audit;
use chassis::auth::Caller;
use time::OffsetDateTime;

use super::App;
use crate::audit as told;
use crate::domain::access;
use crate::domain::connection::Connection;
use crate::domain::ids::ChannelId;
use crate::domain::settings::{Wanted, resolve};
use crate::error::{Error, SERVICE};
use crate::store::{connections, pipelines};
use crate::wire;

/// Saves a channel's rule, whole. Nothing happens to chats that exist: it acts from the next opening on (F020, F022).
pub async fn set(
    app: &App,
    caller: &Caller,
    channel: ChannelId,
    wanted: &Wanted,
    now: OffsetDateTime,
) -> Result<Connection, Error> {
    access::may_set(caller.access()).map_err(|access::Missing| Error::SettingsAccess)?;
    reach(caller, channel)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    audit::alone(&mut transaction, account, "pipeline-connection", &channel).await?;
    let current = connections::lock(&mut transaction, account, channel).await?;
    let known = pipelines::known(&mut transaction, account, wanted.pipeline, wanted.source).await?;
    let rule = resolve(wanted, known, current.as_ref(), now).map_err(|refusal| Error::Field {
        field: refusal.field,
        description: refusal.description,
    })?;
    connections::put(&mut transaction, account, channel, &rule, now).await?;
    let before = wire::connection(channel, current.as_ref().unwrap_or(&Connection::OFF));
    let entry = told::connection(caller, &before, &wire::connection(channel, &rule))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, Vec::new(), now).await?;
    tracing::info!(
        account = %account,
        channel.id = %channel,
        mode = rule.mode.as_str(),
        "pipeline connection saved"
    );
    Ok(rule)
}

/// Returns a channel's rule; mode none where it was never set.
pub async fn get(app: &App, caller: &Caller, channel: ChannelId) -> Result<Connection, Error> {
    reach(caller, channel)?;
    let mut connection = app.pool.acquire().await?;
    let rule = connections::get(&mut connection, caller.account(), channel).await?;
    Ok(rule.unwrap_or(Connection::OFF))
}

fn reach(caller: &Caller, channel: ChannelId) -> Result<(), Error> {
    if access::reaches_channel(caller.access(), channel.uuid()) {
        Ok(())
    } else {
        Err(Error::unknown("channel", "CHANNEL_UNKNOWN", channel))
    }
}
