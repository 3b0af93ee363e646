//! What is kept of bots, and for how long: files for as long as a bot has them, runs and questions of NPS for some time after they ended.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;

use crate::app::holds::{self, TOLD_EVERY};
use crate::app::quick_replies::Files;
use crate::error::Error;
use crate::store::bots::{files as table, nps, runs};

/// Bots looked at together: a call to the gateway has 1,000 files at most, and a bot 100.
const BATCH: i64 = 10;

/// Tells the gateway once more which files of bots are to be kept, where a day has gone by since; returns of how many bots it was
/// told. Several replicas may do so at once.
pub async fn hold_on(
    pool: &PgPool,
    files: &dyn Files,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let mut told = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let due = table::held_before(&mut connection, now - TOLD_EVERY, BATCH).await?;
        drop(connection);
        if due.is_empty() {
            return Ok(told);
        }
        let named = due.iter().map(|bot| (&bot.account, &*bot.files));
        holds::tell(files, "bots", named).await?;
        let mut connection = pool.acquire().await?;
        table::held(&mut connection, &due, now).await?;
        told += due.len();
    }
}

/// Forgets runs that ended longer than `kept` ago, and questions of NPS that were asked as long ago in conversations that have ended;
/// returns how many. What was answered to NPS stays: totals count it, however long ago it was.
pub async fn sweep(pool: &PgPool, kept: Duration, now: OffsetDateTime) -> Result<u64, Error> {
    // Kept for longer than there are years: nothing is that old.
    let before = time::Duration::try_from(kept)
        .ok()
        .and_then(|kept| now.checked_sub(kept));
    let Some(before) = before else {
        return Ok(0);
    };
    let mut swept = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let (ended, more_runs) = runs::sweep(&mut connection, before).await?;
        let (asked, more_questions) = nps::sweep(&mut connection, before).await?;
        swept += ended + asked;
        if !more_runs && !more_questions {
            return Ok(swept);
        }
    }
}
