//! What is told of changes of channels (B11).

use chassis::audit::{self, Entry, Subject, snapshot};
use chassis::auth::{Caller, Scope};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::App;
use super::book::aad;
use super::channels::Health;
use crate::error::DOMAIN;
use crate::grpc::convert;
use crate::store::channels::ChannelRow;

/// The scopes that change settings here.
pub const SCOPES: &[Scope] = &[Scope::CHANNELS_ADMIN];

/// What of a channel is no setting: what follows from its kind, and what was seen of it.
const LEFT_OUT: &[&str] = &[
    "channel_id",
    "create_time",
    "problem",
    "last_inbound_time",
    "last_outbound_time",
    "capabilities",
    "health",
];

/// Writes what somebody changed of a channel, in the transaction that changes it; without `before` it is created.
pub async fn write(
    connection: &mut PgConnection,
    app: &App,
    (caller, action): (&Caller, &'static str),
    (before, after): (Option<&ChannelRow>, &ChannelRow),
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let was = before.map_or(Ok(Value::Null), |row| setting(app, row))?;
    let is = setting(app, after)?;
    let subject = Subject::new(Subject::CHANNEL, &after.id, &after.name);
    let account = after.account()?;
    let entry = Entry::new(&account, caller.actor(), action, subject, (&was, &is));
    audit::write(connection, DOMAIN, vec![entry], now).await
}

fn setting(app: &App, row: &ChannelRow) -> Result<Value, sqlx::Error> {
    let mut value = snapshot(&convert::channel(row, &Health::default(), 0)?, LEFT_OUT)?;
    if let (Some(fields), Some(mark)) = (value.as_object_mut(), credentials(app, row)) {
        fields.insert("credentials".into(), mark.into());
    }
    Ok(value)
}

/// Something by which credentials are told apart, and nothing more of them; none where a channel has none. Those that
/// cannot be opened are told apart by how often they were changed.
fn credentials(app: &App, row: &ChannelRow) -> Option<String> {
    if row.released_at.is_some() {
        return None;
    }
    let opened = app.sealer.open(&row.token_sealed, &aad(row.id, "token"));
    Some(opened.map_or_else(
        |_| row.credentials.to_string(),
        |text| hex::encode(Sha256::digest(text)),
    ))
}
