//! Notifications: chats that wait, or have a comment to NPS, and are an agent's or nobody's, and table `notification_mark`.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::chat::Position;
use crate::domain::{AgentId, ChatId};

/// Whose notifications: an agent's, in the channels that they were granted.
#[derive(Debug, Clone)]
pub struct Whose<'a> {
    /// The account.
    pub account: &'a AccountSlug,
    /// The agent.
    pub agent: AgentId,
    /// The channels; none means all.
    pub granted: Option<Vec<Uuid>>,
}

/// One notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notified {
    /// The chat.
    pub chat: ChatId,
    /// When its client wrote last.
    pub time: OffsetDateTime,
    /// The agent has read it as it stands.
    pub read: bool,
    /// The client waits longer than the channel's rule has it.
    pub exceeded: bool,
    /// It tells of a comment to NPS: nobody waits.
    pub comment: bool,
}

/// After every chat: where the first page begins.
const END: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999999 UTC);

/// Lists notifications, the newest message first.
pub async fn list(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    unread_only: bool,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Notified>, sqlx::Error> {
    let (time, id) = after.unwrap_or((END, ChatId::from(Uuid::max())));
    // Parts and not one with an `or`: each comes from its index in the list's order. A chat with a comment has no open conversation, and
    // is in no other part.
    sqlx::query_as!(
        Notified,
        r#"select n.chat_id as "chat!: ChatId", n.time as "time!", n.read as "read!", n.exceeded as "exceeded!",
               n.comment as "comment!"
           from ((select c.chat_id, c.last_client_message_at as time, coalesce(m.sequence >= c.last_client_sequence, false) as read,
                         w.exceeded_at is not null as exceeded, false as comment
                  from chat c
                  left join notification_mark m on m.account = $1 and m.agent_id = $2 and m.chat_id = c.chat_id
                  left join response_wait w on w.chat_id = c.chat_id
                  where c.account = $1 and c.responsible = $2 and c.waiting and not c.spam and not c.snoozed and c.state <> 'inactive'
                    and (c.last_client_message_at, c.chat_id) < ($3, $4)
                    and ($5::uuid[] is null or c.channel_id = any($5))
                    and (not $6 or m.sequence is null or m.sequence < c.last_client_sequence)
                  order by c.last_client_message_at desc, c.chat_id desc limit $7)
                 union all
                 (select c.chat_id, c.last_client_message_at, coalesce(m.sequence >= c.last_client_sequence, false),
                         w.exceeded_at is not null, false
                  from chat c
                  left join notification_mark m on m.account = $1 and m.agent_id = $2 and m.chat_id = c.chat_id
                  left join response_wait w on w.chat_id = c.chat_id
                  where c.account = $1 and c.responsible is null and c.waiting and not c.spam and not c.snoozed and c.state <> 'inactive'
                    and (c.last_client_message_at, c.chat_id) < ($3, $4)
                    and ($5::uuid[] is null or c.channel_id = any($5))
                    and (not $6 or m.sequence is null or m.sequence < c.last_client_sequence)
                  order by c.last_client_message_at desc, c.chat_id desc limit $7)
                 union all
                 (select c.chat_id, c.last_client_message_at, coalesce(m.sequence >= c.last_client_sequence, false),
                         false, true
                  from chat c
                  left join notification_mark m on m.account = $1 and m.agent_id = $2 and m.chat_id = c.chat_id
                  where c.account = $1 and c.responsible = $2 and c.commented and not c.spam
                    and (c.last_client_message_at, c.chat_id) < ($3, $4)
                    and ($5::uuid[] is null or c.channel_id = any($5))
                    and (not $6 or m.sequence is null or m.sequence < c.last_client_sequence)
                  order by c.last_client_message_at desc, c.chat_id desc limit $7)
                 union all
                 (select c.chat_id, c.last_client_message_at, coalesce(m.sequence >= c.last_client_sequence, false),
                         false, true
                  from chat c
                  left join notification_mark m on m.account = $1 and m.agent_id = $2 and m.chat_id = c.chat_id
                  where c.account = $1 and c.responsible is null and c.commented and not c.spam
                    and (c.last_client_message_at, c.chat_id) < ($3, $4)
                    and ($5::uuid[] is null or c.channel_id = any($5))
                    and (not $6 or m.sequence is null or m.sequence < c.last_client_sequence)
                  order by c.last_client_message_at desc, c.chat_id desc limit $7)) n
           order by n.time desc, n.chat_id desc limit $7"#,
        whose.account.as_str(),
        whose.agent as AgentId,
        time,
        id as ChatId,
        whose.granted.as_deref(),
        unread_only,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns those of these chats that have a notification for the agent.
pub async fn of_chats(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    chats: &[ChatId],
) -> Result<BTreeMap<ChatId, Notified>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Notified,
        r#"select c.chat_id as "chat: ChatId", c.last_client_message_at as time,
               coalesce(m.sequence >= c.last_client_sequence, false) as "read!",
               w.exceeded_at is not null as "exceeded!", c.commented as "comment!"
           from chat c
           left join notification_mark m on m.account = $1 and m.agent_id = $2 and m.chat_id = c.chat_id
           left join response_wait w on w.chat_id = c.chat_id
           where c.chat_id = any($3) and c.account = $1 and (c.responsible = $2 or c.responsible is null)
             and (c.waiting and not c.snoozed and c.state <> 'inactive' or c.commented) and not c.spam
             and ($4::uuid[] is null or c.channel_id = any($4))"#,
        whose.account.as_str(),
        whose.agent as AgentId,
        chats as &[ChatId],
        whose.granted.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.chat, row)).collect())
}

/// Marks chats as read up to what their clients have written.
pub async fn mark(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
    chats: &[ChatId],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into notification_mark as kept (account, agent_id, chat_id, sequence)
         select c.account, $2, c.chat_id, c.last_client_sequence from chat c
         where c.chat_id = any($3) and c.account = $1 order by c.chat_id
         on conflict (account, agent_id, chat_id) do update set sequence = excluded.sequence
         where kept.sequence < excluded.sequence",
        account.as_str(),
        agent as AgentId,
        chats as &[ChatId],
    )
    .execute(connection)
    .await
    .map(drop)
}
