//! How many chats there are: kept, not scanned.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::words::ChatState;
use crate::domain::{AgentId, ChannelId};

/// Changes that are folded in at once.
const FOLDED_AT_ONCE: i64 = 10_000;

/// Chats of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The state.
    pub state: ChatState,
    /// How many.
    pub chats: i64,
    /// Whose clients wait for an answer (F076).
    pub waiting: i64,
    /// Which are unread (F209).
    pub unread: i64,
}

/// Which chats are counted. None means all.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Channels that the caller was granted.
    pub granted: Option<Vec<Uuid>>,
    /// One channel.
    pub channel: Option<ChannelId>,
    /// One agent's, or nobody's.
    pub responsible: Option<Option<AgentId>>,
}

/// Returns how many chats of an account each state has, where it has any.
pub async fn of_states(
    connection: &mut PgConnection,
    account: &AccountSlug,
    counted: &Counted,
) -> Result<Vec<Count>, sqlx::Error> {
    let responsible = counted.responsible;
    let responsible = responsible.map(|agent| agent.map_or(Uuid::nil(), AgentId::uuid));
    let rows = sqlx::query!(
        r#"select t.state as "state!", sum(t.chats)::bigint as "chats!", sum(t.waiting)::bigint as "waiting!",
                  sum(t.unread)::bigint as "unread!"
           from (select responsible, channel_id, state, chats, waiting, unread from chat_count
                 where account = $1 and ($2::uuid is null or responsible = $2)
                 union all
                 select responsible, channel_id, state, chats, waiting, unread from chat_count_change
                 where account = $1 and ($2::uuid is null or responsible = $2)) t
           where ($3::uuid is null or t.channel_id = $3) and ($4::uuid[] is null or t.channel_id = any($4))
           group by t.state"#,
        account.as_str(),
        responsible,
        counted.channel as Option<ChannelId>,
        counted.granted.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Count {
                state: ChatState::try_from(row.state.as_str())
                    .map_err(|error| unreadable("chat_count.state", error))?,
                chats: row.chats,
                waiting: row.waiting,
                unread: row.unread,
            })
        })
        .collect()
}

/// Chats of one account whose clients wait for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Slug of the account.
    pub account: String,
    /// How many.
    pub chats: i64,
    /// When the client who waits longest wrote last.
    pub oldest: Option<OffsetDateTime>,
}

/// Returns the accounts in which clients wait, those with most of them first, `limit` at most.
pub async fn waiting(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"with counted as (
               select account, sum(waiting)::bigint as chats
               from (select account, waiting from chat_count
                     union all
                     select account, waiting from chat_count_change) t
               group by account having sum(waiting) > 0
               order by 2 desc, 1 limit $1)
           select account as "account!", chats as "chats!",
                  (select chat.last_client_message_at from chat
                   where chat.account = counted.account and waiting and not spam
                   order by chat.last_client_message_at, chat.chat_id limit 1) as oldest
           from counted order by chats desc, account"#,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Brings the counts up to date, so that few changes stand beside them; returns how many were folded in. One process at a
/// time does it: the others have nothing to do meanwhile.
pub async fn fold(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let alone = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('chat_count', 0)) as "alone!""#
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !alone {
        return Ok(0);
    }
    let folded = sqlx::query_scalar!(
        r#"with gone as (
               delete from chat_count_change where id = any(array(
                   select id from chat_count_change order by id limit $1)) returning *),
           kept as (
               insert into chat_count as c (account, responsible, channel_id, state, chats, waiting, unread)
               select account, responsible, channel_id, state, sum(chats), sum(waiting), sum(unread) from gone
               group by 1, 2, 3, 4
               on conflict (account, responsible, channel_id, state) do update
               set chats = c.chats + excluded.chats, waiting = c.waiting + excluded.waiting,
                   unread = c.unread + excluded.unread)
           select count(*) as "folded!" from gone"#,
        FOLDED_AT_ONCE,
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(folded.unsigned_abs())
}
