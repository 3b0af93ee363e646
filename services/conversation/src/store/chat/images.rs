//! Images of chats, whose bytes the gateway keeps for as long as it is told of them.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ChatId;

/// The image of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The file.
    pub file: Uuid,
}

/// Returns images of which the gateway was told before a moment, those it was told of longest ago first.
pub async fn held_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Image>, sqlx::Error> {
    sqlx::query_as!(
        Image,
        r#"select account as "account: AccountSlug", chat_id as "chat: ChatId", image as "file!" from chat
           where image is not null and image_held_at < $1 order by image_held_at limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Notes that the gateway was told to keep the images of these chats.
pub async fn held(
    connection: &mut PgConnection,
    chats: &[ChatId],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update chat set image_held_at = $2 where chat_id = any(array(
             select chat_id from chat where chat_id = any($1) order by chat_id for no key update))",
        chats as &[ChatId],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
