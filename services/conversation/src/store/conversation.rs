//! Conversations and their numbers.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::chat::{Chat, Episode};
use crate::domain::words::OpenReason;
use crate::domain::{AgentId, ChatId, ConversationId};

/// Takes so many numbers of each account and returns the last one of each. The rows are locked until the end of
/// the transaction: that is what keeps numbers without gaps (D20).
pub async fn take_numbers(
    connection: &mut PgConnection,
    wanted: &BTreeMap<AccountSlug, i64>,
) -> Result<BTreeMap<AccountSlug, i64>, sqlx::Error> {
    let accounts: Vec<String> = wanted.keys().map(ToString::to_string).collect();
    let counts: Vec<i64> = wanted.values().copied().collect();
    let rows = sqlx::query!(
        r#"insert into account_number as known (account, last)
           select * from unnest($1::text[], $2::bigint[])
           on conflict (account) do update set last = known.last + excluded.last
           returning account as "account: AccountSlug", last"#,
        &accounts,
        &counts,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.last))
        .collect())
}

/// Inserts the open conversations of chats.
pub async fn insert(
    connection: &mut PgConnection,
    opened: &[(&Chat, &Episode)],
    reason: OpenReason,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$chat:pat_param, $episode:pat_param| $value:expr) => {
            opened
                .iter()
                .map(|($chat, $episode)| $value)
                .collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into conversation (conversation_id, account, chat_id, number, revision, reason, opener_agent,
             start_payload, opened_at)
         select new.conversation_id, new.account, new.chat_id, new.number, new.revision, $9, new.opener_agent,
             new.start_payload, new.opened_at
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::uuid[], $7::text[],
             $8::timestamptz[])
             as new (conversation_id, account, chat_id, number, revision, opener_agent, start_payload, opened_at)",
        &column!(|_, episode| episode.id) as &[ConversationId],
        &column!(|chat, _| chat.account.to_string()),
        &column!(|chat, _| chat.id) as &[ChatId],
        &column!(|_, episode| episode.number),
        &column!(|_, episode| episode.revision),
        &column!(|_, episode| episode.opener) as &[Option<AgentId>],
        &column!(|_, episode| episode.start_payload.clone()),
        &column!(|_, episode| episode.opened_at),
        reason.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes changes of state: closed, or open again. `closed_by` as in `ce-sbactor`.
pub async fn update(
    connection: &mut PgConnection,
    changed: &[&Episode],
    closed_by: Option<&str>,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$episode:ident| $value:expr) => {
            changed.iter().map(|$episode| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "update conversation set revision = new.revision, closed_at = new.closed_at, closed_by = $4
         from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) as new (conversation_id, revision, closed_at)
         where conversation.conversation_id = new.conversation_id",
        &column!(|episode| episode.id) as &[ConversationId],
        &column!(|episode| episode.revision),
        &column!(|episode| episode.closed_at) as &[Option<OffsetDateTime>],
        closed_by,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns one conversation of a chat.
pub async fn get(
    connection: &mut PgConnection,
    chat: ChatId,
    id: ConversationId,
) -> Result<Option<Episode>, sqlx::Error> {
    sqlx::query_as!(
        Episode,
        r#"select conversation_id as "id: ConversationId", number, revision, opened_at, closed_at,
               opener_agent as "opener: AgentId", start_payload
           from conversation where chat_id = $1 and conversation_id = $2"#,
        chat as ChatId,
        id as ConversationId,
    )
    .fetch_optional(connection)
    .await
}

/// Lists conversations of a chat, newest first, below a number.
pub async fn list(
    connection: &mut PgConnection,
    chat: ChatId,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<Episode>, sqlx::Error> {
    sqlx::query_as!(
        Episode,
        r#"select conversation_id as "id: ConversationId", number, revision, opened_at, closed_at,
               opener_agent as "opener: AgentId", start_payload
           from conversation where chat_id = $1 and ($2::bigint is null or number < $2)
           order by number desc limit $3"#,
        chat as ChatId,
        below,
        limit,
    )
    .fetch_all(connection)
    .await
}
