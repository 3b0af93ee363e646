//! Responsibles that entities are to take, waiting for the decision of their conversation.

use std::collections::BTreeSet;

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use chassis::trace::TraceContext;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, stamp, unreadable};
use crate::domain::entity::EntityKind;
use crate::domain::ids::{ChatId, ConversationId};

/// The responsible of a chat, to be put on linked entities.
#[derive(Debug, Clone)]
pub struct Requested {
    /// The account.
    pub account: AccountSlug,
    /// The conversation for which the chat has the responsible.
    pub conversation: ConversationId,
    /// The chat.
    pub chat: ChatId,
    /// The responsible.
    pub agent: AgentId,
    /// Kinds of entities that take it (F057).
    pub kinds: BTreeSet<EntityKind>,
    /// Stamp of the act it stems from.
    pub stamp: Stamp,
    /// The event that asked for it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

/// Keeps what is asked until the conversations are decided; of several the highest stamp stays.
pub async fn park(
    connection: &mut PgConnection,
    requested: &[Requested],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if requested.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = requested
        .iter()
        .map(|row| row.account.to_string())
        .collect();
    let conversations: Vec<Uuid> = requested
        .iter()
        .map(|row| row.conversation.uuid())
        .collect();
    let chats: Vec<Uuid> = requested.iter().map(|row| row.chat.uuid()).collect();
    let agents: Vec<Uuid> = requested.iter().map(|row| row.agent.uuid()).collect();
    // A list of lists is none of the same length for each row: words joined.
    let kinds: Vec<String> = requested
        .iter()
        .map(|row| {
            row.kinds
                .iter()
                .map(|kind| kind.as_str())
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    let times: Vec<OffsetDateTime> = requested.iter().map(|row| row.stamp.time).collect();
    let events: Vec<Uuid> = requested.iter().map(|row| row.stamp.event).collect();
    let causes: Vec<Uuid> = requested.iter().map(|row| row.cause).collect();
    let traces: Vec<Option<String>> = requested
        .iter()
        .map(|row| row.trace.traceparent())
        .collect();
    sqlx::query!(
        "insert into parked_sync as p (account, conversation, chat, agent, kinds, stamp_time, stamp_event, cause,
                                       traceparent, parked_at)
         select k.account, k.conversation, k.chat, k.agent, string_to_array(k.kinds, ','), k.stamp_time, k.stamp_event,
                k.cause, k.traceparent, $10
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::uuid[],
                     $8::uuid[], $9::text[])
           as k(account, conversation, chat, agent, kinds, stamp_time, stamp_event, cause, traceparent)
         on conflict (account, conversation) do update
         set agent = excluded.agent, kinds = excluded.kinds, stamp_time = excluded.stamp_time,
             stamp_event = excluded.stamp_event, cause = excluded.cause, traceparent = excluded.traceparent
         where (p.stamp_time, p.stamp_event) < (excluded.stamp_time, excluded.stamp_event)",
        &accounts,
        &conversations,
        &chats,
        &agents,
        &kinds,
        &times,
        &events,
        &causes,
        &traces as &[Option<String>],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes out what waited for these conversations.
pub async fn take(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ConversationId)],
) -> Result<Vec<Requested>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        "delete from parked_sync p using unnest($1::text[], $2::uuid[]) as k(account, conversation)
         where p.account = k.account and p.conversation = k.conversation
         returning p.account, p.conversation, p.chat, p.agent, p.kinds, p.stamp_time, p.stamp_event, p.cause,
                   p.traceparent",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let conversation = row.conversation;
            let kinds = row.kinds.into_iter().map(EntityKind::try_from);
            Ok(Requested {
                account: slug(row.account)?,
                conversation: conversation.into(),
                chat: row.chat.into(),
                agent: row.agent.into(),
                kinds: kinds
                    .collect::<Result<_, _>>()
                    .map_err(|error| unreadable("parked_sync", conversation, error))?,
                stamp: stamp(row.stamp_time, row.stamp_event),
                cause: row.cause,
                trace: row
                    .traceparent
                    .map_or_else(TraceContext::none, |text| TraceContext::parse(&text)),
            })
        })
        .collect()
}

/// Drops what has waited since before a time, a bounded number at once; returns how many.
pub async fn drop_older(pool: &PgPool, before: OffsetDateTime) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query!(
        "delete from parked_sync where ctid = any(array(
             select ctid from parked_sync where parked_at < $1 limit 1000))",
        before,
    )
    .execute(pool)
    .await?
    .rows_affected())
}
