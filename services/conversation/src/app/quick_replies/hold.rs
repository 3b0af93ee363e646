//! Files of quick replies are kept on.

use time::OffsetDateTime;

use super::QuickReplies;
use crate::app::holds::{self, TOLD_EVERY};
use crate::error::Error;
use crate::store::quick_replies as store;

/// Quick replies looked at together.
const BATCH: i64 = 50;

impl QuickReplies {
    /// Tells the gateway once more which files are to be kept, where a day has gone by since; returns of how many quick
    /// replies it was told. Several replicas may do so at once.
    pub async fn hold_on(&self, now: OffsetDateTime) -> Result<usize, Error> {
        let mut told = 0;
        loop {
            let mut connection = self.pool.acquire().await?;
            let due = store::held_before(&mut connection, now - TOLD_EVERY, BATCH).await?;
            drop(connection);
            if due.is_empty() {
                return Ok(told);
            }
            let files = due.iter().map(|reply| (&reply.account, &*reply.files));
            holds::tell(&*self.files, "quick replies", files).await?;
            let mut connection = self.pool.acquire().await?;
            store::held(&mut connection, &due, now).await?;
            told += due.len();
        }
    }
}
