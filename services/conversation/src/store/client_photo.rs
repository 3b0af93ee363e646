//! Photos of clients, by chat: each channel knows its own.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ChatId;

/// What the gateway told of the photo of a chat's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Whose chat it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The file; none where the client has none any more.
    pub file: Option<Uuid>,
    /// When.
    pub told_at: OffsetDateTime,
}

/// Keeps the newest of what was told; the chats that are there already show it from now on. At most one of a chat, sorted by it.
pub async fn keep(connection: &mut PgConnection, photos: &[Photo]) -> Result<(), sqlx::Error> {
    if photos.is_empty() {
        return Ok(());
    }
    let chats: Vec<ChatId> = photos.iter().map(|photo| photo.chat).collect();
    let accounts: Vec<String> = photos
        .iter()
        .map(|photo| photo.account.to_string())
        .collect();
    let files: Vec<Option<Uuid>> = photos.iter().map(|photo| photo.file).collect();
    let times: Vec<OffsetDateTime> = photos.iter().map(|photo| photo.told_at).collect();
    let changed = sqlx::query_scalar!(
        r#"insert into client_photo as known (chat_id, account, attachment_id, told_at)
           select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[])
               as told (chat_id, account, attachment_id, told_at) order by told.chat_id
           on conflict (chat_id) do update set attachment_id = excluded.attachment_id, told_at = excluded.told_at
           where known.told_at < excluded.told_at
           returning chat_id as "chat: ChatId""#,
        &chats as &[ChatId],
        &accounts,
        &files as &[Option<Uuid>],
        &times,
    )
    .fetch_all(&mut *connection)
    .await?;
    // It stands in lists, which whoever watches one hears of.
    sqlx::query!(
        "update chat set changed = pg_current_xact_id()
         where chat_id = any(array(
             select chat_id from chat where chat_id = any($1) order by chat_id for no key update))",
        &changed as &[ChatId],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the photos of the clients of chats.
pub async fn of_chats(
    connection: &mut PgConnection,
    chats: &[ChatId],
) -> Result<BTreeMap<ChatId, Uuid>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select chat_id as "chat: ChatId", attachment_id as "file!" from client_photo
           where chat_id = any($1) and attachment_id is not null"#,
        chats as &[ChatId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.chat, row.file)).collect())
}
