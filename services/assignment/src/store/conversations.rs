//! One row per conversation: what was opened and what was decided.

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{ChannelId, ChatId, ConversationId};

/// What `opened` or `decided` tells of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// The conversation.
    pub id: ConversationId,
    /// Its account.
    pub account: AccountSlug,
    /// Its chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its number.
    pub number: i64,
    /// When it was opened.
    pub open_time: OffsetDateTime,
    /// The agent who opened it.
    pub opener: Option<AgentId>,
    /// The `conversation.opened` event, where known.
    pub opened_event: Option<Uuid>,
    /// The `connection.decided` event, where it has come.
    pub decided_event: Option<Uuid>,
}

/// Keeps what is told, at most one row per conversation, sorted by id; the first of each event stays.
pub async fn keep(
    connection: &mut PgConnection,
    rows: &[ConversationRow],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|r| r.id.uuid()).collect();
    let accounts: Vec<String> = rows.iter().map(|r| r.account.to_string()).collect();
    let chats: Vec<Uuid> = rows.iter().map(|r| r.chat.uuid()).collect();
    let channels: Vec<Uuid> = rows.iter().map(|r| r.channel.uuid()).collect();
    let numbers: Vec<i64> = rows.iter().map(|r| r.number).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.open_time).collect();
    let openers: Vec<Option<Uuid>> = rows.iter().map(|r| r.opener.map(AgentId::uuid)).collect();
    let opened: Vec<Option<Uuid>> = rows.iter().map(|r| r.opened_event).collect();
    let decided: Vec<Option<Uuid>> = rows.iter().map(|r| r.decided_event).collect();
    sqlx::query!(
        "insert into conversation as kept (conversation_id, account, chat_id, channel_id, number,
             open_time, opener_agent_id, opened_event, decided_event, stored_at)
         select g.*, $10::timestamptz
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[], $6::timestamptz[],
                     $7::uuid[], $8::uuid[], $9::uuid[]) as g
         on conflict (conversation_id) do update
         set opened_event = coalesce(kept.opened_event, excluded.opened_event),
             decided_event = coalesce(kept.decided_event, excluded.decided_event)
         where (kept.opened_event is null and excluded.opened_event is not null)
            or (kept.decided_event is null and excluded.decided_event is not null)",
        &ids,
        &accounts,
        &chats,
        &channels,
        &numbers,
        &times,
        &openers as &[Option<Uuid>],
        &opened as &[Option<Uuid>],
        &decided as &[Option<Uuid>],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns chats, oldest first, whose newest conversation was heard of before a time, is open and unassigned,
/// and whose decision has neither come nor been given up.
pub async fn overdue(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(ChatId, (AccountSlug, ChannelId))>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select a.chat_id as "chat_id: ChatId", a.account as "account: AccountSlug",
               a.channel_id as "channel_id: ChannelId"
           from conversation c join chat_assignment a
             on a.chat_id = c.chat_id and a.conversation_id = c.conversation_id
           where c.decided_event is null and c.stored_at < $1
             and a.open and a.agent_id is null and not a.provisional and not a.decided
           order by c.stored_at, c.conversation_id limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat_id, (row.account, row.channel_id)))
        .collect())
}
