//! Images of chats are files of the gateway, which keeps them for as long as it is told of them.

use chassis::auth::Caller;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::holds::{self, TOLD_EVERY};
use super::quick_replies::Files;
use crate::domain::ChatId;
use crate::error::Error;
use crate::store::chat::images;

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
        let images = due
            .iter()
            .map(|image| (&image.account, std::slice::from_ref(&image.file)));
        holds::tell(files, "chats", images).await?;
        let chats: Vec<ChatId> = due.iter().map(|image| image.chat).collect();
        let mut connection = pool.acquire().await?;
        images::held(&mut connection, &chats, now).await?;
        told += due.len();
    }
}
