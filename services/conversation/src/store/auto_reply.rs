//! Table `auto_reply`: conversations that may be answered by itself (B15).

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::chat::{Chat, Episode};
use crate::domain::{ChannelId, ChatId, ConversationId};

/// A conversation that may be answered by itself.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its account.
    pub account: AccountSlug,
    /// Its channel.
    pub channel: ChannelId,
    /// Its chat.
    pub chat: ChatId,
    /// When it was opened.
    pub opened_at: OffsetDateTime,
}

/// Notes conversations that clients have opened, where their channels' rules have something to say.
pub async fn consider(
    connection: &mut PgConnection,
    opened: &[(&Chat, &Episode)],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$chat:ident, $episode:ident| $value:expr) => {
            opened
                .iter()
                .map(|($chat, $episode)| $value)
                .collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into auto_reply (conversation_id, account, channel_id, chat_id, opened_at)
         select n.* from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[])
             as n(conversation_id, account, channel_id, chat_id, opened_at)
         join channel_rule r on r.account = n.account and r.channel_id = n.channel_id
             and (r.greeting <> '' or r.off_hours_reply <> '')
         on conflict do nothing",
        &column!(|_chat, episode| episode.id) as &[ConversationId],
        &column!(|chat, _episode| chat.account.to_string()),
        &column!(|chat, _episode| chat.channel) as &[ChannelId],
        &column!(|chat, _episode| chat.id) as &[ChatId],
        &column!(|_chat, episode| episode.opened_at),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes conversations out, the oldest first; those in other hands are left to them.
pub async fn take(connection: &mut PgConnection, limit: i64) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Waiting,
        r#"with taken as materialized (
               select conversation_id from auto_reply order by opened_at limit $1 for update skip locked
           )
           delete from auto_reply a using taken where a.conversation_id = taken.conversation_id
           returning a.conversation_id as "conversation: ConversationId", a.account as "account: AccountSlug",
               a.channel_id as "channel: ChannelId", a.chat_id as "chat: ChatId", a.opened_at"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
