//! Table `response_wait`: waits that are timed. The database itself adds and removes them (`time_waits`).

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::channel_rule::Limits;
use crate::domain::{AgentId, ChannelId, ChatId, ConversationId};

/// A wait for which it is to be worked out when it is exceeded.
#[derive(Debug, Clone)]
pub struct Unplanned {
    /// The chat.
    pub chat: ChatId,
    /// Its account.
    pub account: AccountSlug,
    /// Its channel.
    pub channel: ChannelId,
    /// Since when.
    pub since: OffsetDateTime,
    /// For the first answer of its conversation.
    pub first: bool,
    /// What the channel's rule allows.
    pub limits: Limits,
}

/// A wait that has exceeded its limit.
#[derive(Debug, Clone)]
pub struct Exceeded {
    /// The chat.
    pub chat: ChatId,
    /// Its account.
    pub account: AccountSlug,
    /// Its channel.
    pub channel: ChannelId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Number of the conversation.
    pub number: i64,
    /// Who answers for the chat.
    pub responsible: Option<AgentId>,
    /// Since when.
    pub since: OffsetDateTime,
    /// For the first answer of its conversation.
    pub first: bool,
    /// What the channel's rule allows.
    pub limits: Limits,
    /// When that was over.
    pub due_at: OffsetDateTime,
}

/// Locks waits that are not planned, the oldest first; those in other hands are left to them.
pub async fn unplanned(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unplanned>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select w.chat_id as "chat: ChatId", w.account as "account: AccountSlug", w.channel_id as "channel: ChannelId",
               w.since, w.first, r.first_seconds, r.next_seconds
           from response_wait w join channel_rule r on r.account = w.account and r.channel_id = w.channel_id
           where not w.planned and w.exceeded_at is null
           order by w.since limit $1 for update of w skip locked"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let waits = rows.into_iter().map(|row| Unplanned {
        chat: row.chat,
        account: row.account,
        channel: row.channel,
        since: row.since,
        first: row.first,
        limits: Limits {
            first: row.first_seconds,
            next: row.next_seconds,
        },
    });
    Ok(waits.collect())
}

/// Notes when locked waits are exceeded; never where that is none.
pub async fn plan(
    connection: &mut PgConnection,
    planned: &[(ChatId, Option<OffsetDateTime>)],
) -> Result<(), sqlx::Error> {
    let (chats, due): (Vec<ChatId>, Vec<Option<OffsetDateTime>>) = planned.iter().copied().unzip();
    sqlx::query!(
        "update response_wait w set planned = true, due_at = p.due_at
         from unnest($1::uuid[], $2::timestamptz[]) p(chat_id, due_at) where w.chat_id = p.chat_id",
        &chats as &[ChatId],
        &due as &[Option<OffsetDateTime>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks waits that have exceeded their limit by now, the one that is due longest first, and returns them. Each is returned once.
/// They are looked up one by one (`any(array(…))`): joined, a plan for any limit reads all waits and all chats, each second.
pub async fn exceeded(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Exceeded>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with due as materialized (
               select chat_id from response_wait
               where planned and exceeded_at is null and due_at <= $1
               order by due_at limit $2 for update skip locked
           ), marked as (
               update response_wait w set exceeded_at = $1 where w.chat_id = any(array(select chat_id from due))
               returning w.*
           )
           select w.chat_id as "chat!: ChatId", w.account as "account!: AccountSlug",
               w.channel_id as "channel!: ChannelId", w.conversation_id as "conversation!: ConversationId",
               w.number as "number!", w.since as "since!", w.first as "first!", w.due_at as "due_at!",
               c.responsible as "responsible: AgentId", coalesce(r.first_seconds, 0) as "first_seconds!",
               coalesce(r.next_seconds, 0) as "next_seconds!"
           from marked w
           join chat c on c.chat_id = w.chat_id
           left join channel_rule r on r.account = w.account and r.channel_id = w.channel_id
           order by w.due_at, w.chat_id"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let waits = rows.into_iter().map(|row| Exceeded {
        chat: row.chat,
        account: row.account,
        channel: row.channel,
        conversation: row.conversation,
        number: row.number,
        responsible: row.responsible,
        since: row.since,
        first: row.first,
        limits: Limits {
            first: row.first_seconds,
            next: row.next_seconds,
        },
        due_at: row.due_at,
    });
    Ok(waits.collect())
}

/// Has it worked out anew when the waits of accounts are exceeded: their hours have changed.
pub async fn replan_accounts(
    connection: &mut PgConnection,
    accounts: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update response_wait w set planned = false
         from (select chat_id from response_wait where account = any($1) and exceeded_at is null
               order by chat_id for update) mine
         where w.chat_id = mine.chat_id",
        accounts,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Has it worked out anew when the waits of a channel are exceeded; those that its rule times no more are timed no more.
pub async fn replan_channel(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: ChannelId,
    limits: Limits,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with mine as materialized (
             select chat_id from response_wait where account = $1 and channel_id = $2 and exceeded_at is null
             order by chat_id for update
         ), untimed as (
             delete from response_wait w using mine
             where w.chat_id = mine.chat_id and case when w.first then $3 = 0 else $4 = 0 end
             returning w.chat_id
         )
         update response_wait w set planned = false from mine
         where w.chat_id = mine.chat_id and w.chat_id not in (select chat_id from untimed)",
        account.as_str(),
        channel as ChannelId,
        limits.first,
        limits.next,
    )
    .execute(connection)
    .await
    .map(drop)
}
