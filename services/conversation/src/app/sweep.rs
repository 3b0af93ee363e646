//! What has waited too long for its message: an edit is stored as the message that it carries, reactions are
//! dropped and counted, deletions stay as tombstones (§3).

use std::time::Duration;

use chassis::outbox::{self, Waker};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::inbound::Batch;
use super::ingest;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::{self, parked::Parked};

/// Edits read at once.
const AT_ONCE: i64 = 100;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Edits stored as messages.
    pub edits: usize,
    /// Reactions dropped.
    pub reactions: u64,
}

/// Sweeps what was parked longer than `wait` ago. Two replicas may sweep at once: storing a message twice does
/// nothing.
pub async fn sweep(
    pool: &PgPool,
    waker: &Waker,
    wait: Duration,
    now: OffsetDateTime,
) -> Result<Swept, Error> {
    let before = now - wait;
    let mut connection = pool.acquire().await?;
    let mut swept = Swept {
        reactions: store::parked::drop_reactions(&mut connection, before).await?,
        edits: 0,
    };
    let waiting = store::parked::waiting(&mut connection).await?;
    drop(connection);
    figures::REACTIONS_DROPPED.increment(swept.reactions);
    figures::PARKED_WAITING.set(f64::from(i32::try_from(waiting).unwrap_or(i32::MAX)));
    let mut after = None;
    loop {
        let mut connection = pool.acquire().await?;
        let edits =
            store::parked::edits_before(&mut connection, before, after.as_ref(), AT_ONCE).await?;
        drop(connection);
        let Some(last) = edits.last() else {
            break;
        };
        // Page on, whatever becomes of these: what fails must not hold up what lies behind it.
        after = Some((last.channel, last.provider_key.clone()));
        for edit in &edits {
            swept.edits += usize::from(sweep_one(pool, edit, now).await?);
        }
    }
    waker.wake();
    Ok(swept)
}

/// Stores an edit as a message, by itself: one that cannot be stored must not hold up the others. Tells whether it
/// was; what can never be stored is dropped and counted, its raw item stays in the inbound stream.
async fn sweep_one(pool: &PgPool, edit: &Parked, now: OffsetDateTime) -> Result<bool, Error> {
    let mut batch = Batch::default();
    let stored = match batch.add_edit_as_message(edit) {
        Ok(()) => store_one(pool, batch, now).await,
        Err(error) => Err(error),
    };
    let Err(error) = stored else {
        return Ok(true);
    };
    let broken = matches!(error, Error::Broken(_) | Error::Stored(_));
    let outcome = if broken { "dropped" } else { "left" };
    figures::EDITS_FAILED.of([outcome]).increment(1);
    tracing::warn!(%error, outcome, item.id = %edit.item_id, "a parked edit was not stored");
    if broken {
        let mut connection = pool.acquire().await?;
        store::parked::drop_one(&mut connection, edit).await?;
    }
    Ok(false)
}

async fn store_one(pool: &PgPool, batch: Batch, now: OffsetDateTime) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let events = ingest::ingest(&mut tx, batch, now).await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    Ok(())
}
