//! Files: the object store, the links by which they are reached, and where providers' files come from.

pub mod links;
pub mod parts;
pub mod source;
pub mod store;
pub mod telegram;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config;
use crate::error::Error;
use crate::files::links::Links;
use crate::files::store::{Bytestream, Pace, Store};
use crate::store::attachments::{self, AttachmentRow};

/// How long an upload belongs to whoever puts it without a sign of life. It is renewed while the bytes come; after a crash
/// the file may be put again as soon as it has ended.
const UPLOAD_LEASE: Duration = Duration::from_mins(1);

/// What use cases know of files. Clones share it.
#[derive(Clone)]
pub struct Files {
    /// Where the bytes are.
    pub store: Store,
    /// Makes and reads signed links.
    pub links: Links,
    /// Bytes of one file at most.
    pub max_size: u64,
    /// Bytes that the uploads of one account may take together; 0 for no limit.
    pub upload_quota: u64,
    /// How long files are kept that were sent; 0 for good.
    pub sent_kept: Duration,
    /// How long a file may take.
    pub pace: Pace,
    /// How long an upload belongs to whoever puts it, unless it is renewed.
    pub upload_lease: Duration,
    /// Wakes the fetch worker of this process.
    pub due: Arc<Notify>,
}

impl Files {
    /// Makes what the configuration says.
    pub fn new(store: Store, links: Links, config: &config::Files) -> Self {
        Self {
            store,
            links,
            max_size: config.max_size,
            upload_quota: config.upload_quota,
            sent_kept: config.sent_kept,
            pace: Pace {
                idle: config.idle,
                total: config.total,
            },
            upload_lease: UPLOAD_LEASE,
            due: Arc::default(),
        }
    }

    /// Returns a file of an account that is in the store, with its bytes: for whoever sends it to a provider.
    pub async fn open(
        &self,
        pool: &PgPool,
        account: &str,
        id: Uuid,
    ) -> Result<(AttachmentRow, Bytestream), Error> {
        let row = stored(pool, account, id).await?;
        let bytes = self.store.stream(&row.object_key, None).await?;
        Ok((row, bytes))
    }

    /// Returns a link that a provider fetches a file by: unguessable, good for 30 days, for 15 at the least.
    pub async fn provider_link(
        &self,
        pool: &PgPool,
        account: &str,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<String, Error> {
        let row = stored(pool, account, id).await?;
        let mut connection = pool.acquire().await?;
        let code = links::provider_code(&mut connection, id, now).await?;
        Ok(self
            .links
            .for_provider(&code, &row.file_name, &row.media_type))
    }
}

async fn stored(pool: &PgPool, account: &str, id: Uuid) -> Result<AttachmentRow, Error> {
    let mut connection = pool.acquire().await?;
    let row = attachments::find_stored(&mut connection, id).await?;
    row.filter(|row| row.account == account)
        .ok_or(Error::NotFound("the file"))
}

/// How long a claim of a file that is fetched lasts: as long as it may take, and what it takes to write it down.
pub fn lease(pace: Pace) -> Duration {
    pace.total.saturating_mul(2) + Duration::from_secs(30)
}
