//! Images of chats are files of the gateway, which keeps them for about a month from when it was told last: it is told again
//! every day, so that one that no chat shows any more goes by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::id::AccountSlug;
use sqlx::PgPool;
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

use super::quick_replies::Files;
use crate::domain::ChatId;
use crate::error::Error;
use crate::store::chat::images;

/// How often the gateway is told to keep an image.
const TOLD_EVERY: Duration = Duration::from_hours(24);

/// Images looked at together.
const BATCH: i64 = 50;

/// Has an image kept that the caller uploaded, or may read.
pub async fn hold(files: &dyn Files, caller: &Caller, image: Uuid) -> Result<(), Error> {
    let held = files
        .hold(caller.account(), caller.agent(), &[image])
        .await
        .map_err(Error::Refused)?;
    if held.contains(&image) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "image_attachment_id",
        rule: "must be a file that was uploaded within the last day, or is in use: upload it first",
    })
}

/// Tells the gateway once more which images are to be kept, where a day has gone by since; returns how many. Several replicas may
/// do so at once.
pub async fn hold_on(
    pool: &PgPool,
    files: &dyn Files,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let mut told = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let due = images::held_before(&mut connection, now - TOLD_EVERY, BATCH).await?;
        drop(connection);
        if due.is_empty() {
            return Ok(told);
        }
        let mut of_accounts: BTreeMap<&AccountSlug, Vec<Uuid>> = BTreeMap::new();
        for image in &due {
            of_accounts
                .entry(&image.account)
                .or_default()
                .push(image.file);
        }
        for (account, mut images) in of_accounts {
            images.sort_unstable();
            images.dedup();
            match files.hold(account, None, &images).await {
                Ok(kept) if kept.len() == images.len() => {}
                Ok(kept) => {
                    let gone = images.len() - kept.len();
                    tracing::warn!(%account, gone, "images of chats are not there any more");
                }
                Err(status) if status.code() == Code::Unavailable => {
                    return Err(Error::Refused(status));
                }
                // Of this account alone, as one that is suspended: the others go on.
                Err(status) => {
                    let why = status.message();
                    tracing::warn!(%account, why, "images of chats are not kept on");
                }
            }
        }
        let chats: Vec<ChatId> = due.iter().map(|image| image.chat).collect();
        let mut connection = pool.acquire().await?;
        images::held(&mut connection, &chats, now).await?;
        told += due.len();
    }
}
