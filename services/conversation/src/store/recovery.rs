//! What a recovery writes and asks (O3.10).

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::chat::Episode;
use crate::domain::words::OpenReason;
use crate::domain::{AgentId, ChatId, ConversationId};

/// A conversation as events tell it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its chat.
    pub chat: ChatId,
    /// The conversation.
    pub episode: Episode,
    /// Why it was opened; counts where it is not stored yet.
    pub reason: OpenReason,
    /// Who closed it.
    pub closed_by: Option<String>,
}

/// Makes conversations, or brings them to what is told, in the order of their numbers: a chat has one open one at most.
pub async fn keep_conversations(
    connection: &mut PgConnection,
    told: &BTreeMap<(AccountSlug, i64), Told>,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$account:pat_param, $told:ident| $value:expr) => {
            told.iter()
                .map(|(($account, _), $told)| $value)
                .collect::<Vec<_>>()
        };
    }
    if told.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into conversation as kept (conversation_id, account, chat_id, number, revision, reason, opener_agent,
             start_payload, opened_at, closed_at, closed_by)
         select new.* from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::uuid[],
             $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[])
             as new (conversation_id, account, chat_id, number, revision, reason, opener_agent, start_payload, opened_at,
                 closed_at, closed_by)
         order by new.number
         on conflict (conversation_id) do update
         set revision = excluded.revision, closed_at = excluded.closed_at, closed_by = excluded.closed_by
         where kept.revision < excluded.revision",
        &column!(|_, told| told.episode.id) as &[ConversationId],
        &column!(|account, _told| account.to_string()),
        &column!(|_, told| told.chat) as &[ChatId],
        &column!(|_, told| told.episode.number),
        &column!(|_, told| told.episode.revision),
        &column!(|_, told| told.reason.as_str().to_owned()),
        &column!(|_, told| told.episode.opener) as &[Option<AgentId>],
        &column!(|_, told| told.episode.start_payload.clone()),
        &column!(|_, told| told.episode.opened_at),
        &column!(|_, told| told.episode.closed_at) as &[Option<OffsetDateTime>],
        &column!(|_, told| told.closed_by.clone()) as &[Option<String>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Raises accounts' last numbers to these, so that none is given twice.
pub async fn raise_numbers(
    connection: &mut PgConnection,
    numbers: &BTreeMap<AccountSlug, i64>,
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = numbers.keys().map(ToString::to_string).collect();
    let last: Vec<i64> = numbers.values().copied().collect();
    sqlx::query!(
        "insert into account_number as known (account, last) select * from unnest($1::text[], $2::bigint[])
         on conflict (account) do update set last = greatest(known.last, excluded.last)",
        &accounts,
        &last,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Sets when chats were created.
pub async fn keep_creation(
    connection: &mut PgConnection,
    created: &BTreeMap<ChatId, OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let (ids, times): (Vec<ChatId>, Vec<OffsetDateTime>) =
        created.iter().map(|(id, at)| (*id, *at)).unzip();
    sqlx::query!(
        "update chat set created_at = new.created_at
         from unnest($1::uuid[], $2::timestamptz[]) as new (chat_id, created_at) where chat.chat_id = new.chat_id",
        &ids as &[ChatId],
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets what was to be said to clients by itself.
pub async fn forget_own_words(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from auto_reply")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from bot_wanted")
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns runs of bots that have not ended, with their chats.
pub async fn open_runs(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(Uuid, ChatId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select run_id, chat_id as "chat: ChatId" from bot_run where ended_at is null order by run_id limit $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.run_id, row.chat)).collect())
}

/// Returns the numbers of those of these conversations that are stored.
pub async fn numbers(
    connection: &mut PgConnection,
    told: &BTreeMap<ConversationId, i64>,
) -> Result<BTreeMap<ConversationId, i64>, sqlx::Error> {
    let ids: Vec<ConversationId> = told.keys().copied().collect();
    let rows = sqlx::query!(
        r#"select conversation_id as "id: ConversationId", number from conversation where conversation_id = any($1)"#,
        &ids as &[ConversationId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.number)).collect())
}
