//! What is removed when its time has come: uploads that nobody sent, sent files whose time is over, files that clients took
//! back, clients' photos that are shown no more, links that have expired, raw items that nothing can name any more. In small batches, so that nobody waits for it.

use chassis::outbox::{self, Outgoing};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::App;
use super::attachments::event;
use super::photos::NOT_SHOWN;
use crate::error::{DOMAIN, Error};
use crate::files::links::PUT_FOR;
use crate::store::{photos, provider_links, raw_items, uploads, withdrawn};

/// How long an upload may go unsent (architecture §10).
const UNUSED_FOR: Duration = Duration::hours(24);

/// How long one may be announced and not put: as long as its address is good, and a little for clocks that differ.
const ANNOUNCED_FOR: Duration = PUT_FOR.saturating_add(Duration::minutes(5));

/// How long a raw item stays: a week in its stream, a month among the dead letters, and some days more.
const RAW_FOR: Duration = Duration::days(45);

/// What one step removes of a kind.
const BATCH: i64 = 100;

/// What is said of a file that was sent too long ago to be kept.
const EXPIRED: &str = "FILE_EXPIRED";

/// Makes one step; returns whether there may be more to do.
pub async fn step(app: &App, now: OffsetDateTime) -> Result<bool, Error> {
    let mut connection = app.pool.acquire().await?;
    let let_go = uploads::let_go(&mut connection, now, BATCH).await?;
    drop(connection);
    let expired = expire(app, now).await?;
    let mut connection = app.pool.acquire().await?;
    let (unsent_since, announced_before) = (now - UNUSED_FOR, now - ANNOUNCED_FOR);
    let unused =
        uploads::withdraw_unused(&mut connection, unsent_since, announced_before, now, BATCH)
            .await?;
    let links = provider_links::remove_expired(&mut connection, now, BATCH).await?;
    let raw = raw_items::older(&mut connection, now - RAW_FOR, BATCH).await?;
    let taken_back = withdrawn::due(&mut connection, now, BATCH).await?;
    // Not held while the store works.
    drop(connection);
    let mut gone: Vec<Uuid> = Vec::new();
    for (id, key) in &unused {
        app.files.store.delete(key).await?;
        gone.push(*id);
    }
    let mut empty: Vec<Uuid> = Vec::new();
    for (id, key) in &taken_back {
        app.files.store.delete(key).await?;
        empty.push(*id);
    }
    for key in &raw {
        app.files.store.delete(key).await?;
    }
    let mut connection = app.pool.acquire().await?;
    uploads::remove(&mut connection, &gone).await?;
    withdrawn::done(&mut connection, &empty).await?;
    photos::remove(&mut connection, &empty, NOT_SHOWN).await?;
    raw_items::remove(&mut connection, &raw, now - RAW_FOR).await?;
    let full = usize::try_from(BATCH).unwrap_or(usize::MAX);
    Ok(expired >= full
        || unused.len() >= full
        || taken_back.len() >= full
        || raw.len() >= full
        || links.max(let_go) >= u64::try_from(BATCH).unwrap_or(u64::MAX))
}

/// Takes sent files away whose time is over, where there is one, and tells it; their bytes go with those of others. Returns
/// how many there were.
async fn expire(app: &App, now: OffsetDateTime) -> Result<usize, Error> {
    if app.files.sent_kept.is_zero() {
        return Ok(0);
    }
    let before = now - app.files.sent_kept;
    let mut tx = app.pool.begin().await?;
    let rows = withdrawn::expire_sent(&mut tx, before, EXPIRED, now, BATCH).await?;
    if !rows.is_empty() {
        let events = rows
            .iter()
            .map(event)
            .collect::<Result<Vec<Outgoing>, _>>()?;
        outbox::write(&mut tx, DOMAIN, events, now).await?;
        tx.commit().await?;
        app.relay.wake();
    }
    Ok(rows.len())
}
