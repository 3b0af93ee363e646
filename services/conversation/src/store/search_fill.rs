//! Up to where what was there before the search is filled in.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{ChatId, MessageId};

/// What is filled in: words of messages, and of chats.
pub const MESSAGES: &str = "messages";
/// See [`MESSAGES`].
pub const CHATS: &str = "chats";

/// Locks what is not filled in yet, and returns below which id; none where nothing is, or another replica is at it.
pub async fn lock(connection: &mut PgConnection, what: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select before from search_fill where what = $1 for update skip locked",
        what,
    )
    .fetch_optional(connection)
    .await
}

/// Tells whether anything is not filled in yet.
pub async fn any(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from search_fill) as "any!""#)
        .fetch_one(connection)
        .await
}

/// Keeps below which id nothing is filled in yet; none ends it.
pub async fn keep(
    connection: &mut PgConnection,
    what: &str,
    before: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with ended as (delete from search_fill where what = $1 and $2::uuid is null)
         update search_fill set before = $2 where what = $1 and $2 is not null",
        what,
        before,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns ids of messages below one, the highest first.
pub async fn messages(
    connection: &mut PgConnection,
    before: Uuid,
    limit: i64,
) -> Result<Vec<MessageId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select message_id as "id: MessageId" from message where message_id < $1 order by message_id desc limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns ids of chats below one, the highest first.
pub async fn chats(
    connection: &mut PgConnection,
    before: Uuid,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "id: ChatId" from chat where chat_id < $1 order by chat_id desc limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}
