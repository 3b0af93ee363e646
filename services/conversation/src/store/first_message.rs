//! Column `written_to` of table `chat`: the contact to whom an agent wrote when the chat began.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{ChatId, ClientId};

/// Tells whether a locked client had a conversation, on whatever line, that was not begun by writing to this contact.
pub async fn begun_otherwise(
    connection: &mut PgConnection,
    account: &AccountSlug,
    client: ClientId,
    contact: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select from chat
               where account = $1 and client_id = $2 and conversation_id is not null and written_to is distinct from $3)
           as "begun!""#,
        account.as_str(),
        client as ClientId,
        contact,
    )
    .fetch_one(connection)
    .await
}

/// Keeps to whom an agent writes in a locked chat that has had no conversation.
pub async fn keep(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
    contact: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update chat set written_to = $3 where account = $1 and chat_id = $2",
        account.as_str(),
        chat as ChatId,
        contact,
    )
    .execute(connection)
    .await
    .map(drop)
}
