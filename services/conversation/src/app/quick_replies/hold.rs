//! Files of quick replies are kept by the gateway for about a month from when it was told last: it is told again every day.
//! So the files of one that was deleted, or that was never saved, go by themselves, whoever was away meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::id::AccountSlug;
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

use super::QuickReplies;
use crate::error::Error;
use crate::store::quick_replies as store;

/// How often the gateway is told to keep a file.
const TOLD_EVERY: Duration = Duration::from_hours(24);

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
            let mut files: BTreeMap<&AccountSlug, Vec<Uuid>> = BTreeMap::new();
            for reply in &due {
                let of_account = files.entry(&reply.account).or_default();
                of_account.extend(&reply.files);
            }
            for (account, mut files) in files {
                files.sort_unstable();
                files.dedup();
                match self.files.hold(account, None, &files).await {
                    Ok(kept) if kept.len() == files.len() => {}
                    Ok(kept) => {
                        let gone = files.len() - kept.len();
                        tracing::warn!(%account, gone, "files of quick replies are not there any more");
                    }
                    Err(status) if status.code() == Code::Unavailable => {
                        return Err(Error::Refused(status));
                    }
                    // Of this account alone, as one that is suspended: the others go on.
                    Err(status) => {
                        let why = status.message();
                        tracing::warn!(%account, why, "files of quick replies are not kept on");
                    }
                }
            }
            let mut connection = self.pool.acquire().await?;
            store::held(&mut connection, &due, now).await?;
            told += due.len();
        }
    }
}
