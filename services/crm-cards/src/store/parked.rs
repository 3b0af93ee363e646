//! Responsibles of chats that overtook the decision of their conversation.

use chassis::id::AccountSlug;
use chassis::stamp::Stamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, stamp};
use crate::domain::ids::ConversationId;

/// Separates these advisory locks from all others of the database: "park".
const NAMESPACE: i32 = 0x7061_726b;

/// How many locks there are at most; a batch must not fill the server's lock table.
const BUCKETS: u64 = 1024;

/// A responsible that waits for its conversation's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The account.
    pub account: AccountSlug,
    /// The conversation.
    pub conversation: ConversationId,
    /// The responsible.
    pub agent: Uuid,
    /// Stamp of the act it stems from.
    pub stamp: Stamp,
    /// The event that brought it.
    pub cause: Uuid,
    /// The trace of that event.
    pub traceparent: Option<String>,
}

fn bucket(account: &AccountSlug, conversation: ConversationId) -> i32 {
    let key = chassis::id::v5("parking", &[account.as_str(), &conversation.to_string()]);
    // The remainder is below 1024.
    i32::try_from(key.as_u64_pair().1 % BUCKETS).unwrap_or(0)
}

/// Takes the parking locks of a transaction, the first locks of all, sorted.
///
/// Those who decide share a lock (the contact's lock keeps them apart), those who may park hold it alone: so a
/// responsible is either parked before the decision is looked for, or the decision is seen.
pub async fn lock(
    connection: &mut PgConnection,
    deciding: &[(AccountSlug, ConversationId)],
    parking: &[(AccountSlug, ConversationId)],
) -> Result<(), sqlx::Error> {
    let mut buckets = std::collections::BTreeMap::new();
    for (account, conversation) in deciding {
        buckets
            .entry(bucket(account, *conversation))
            .or_insert(false);
    }
    for (account, conversation) in parking {
        buckets.insert(bucket(account, *conversation), true);
    }
    if buckets.is_empty() {
        return Ok(());
    }
    let (numbers, alone): (Vec<i32>, Vec<bool>) = buckets.into_iter().unzip();
    sqlx::query!(
        "select count(case when k.alone then pg_advisory_xact_lock($1, k.bucket)::text
                           else pg_advisory_xact_lock_shared($1, k.bucket)::text end)
         from (select * from unnest($2::int[], $3::bool[]) as u(bucket, alone) order by u.bucket) k",
        NAMESPACE,
        &numbers,
        &alone,
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Keeps responsibles until their conversations are decided; of several the highest stamp stays.
pub async fn park(
    connection: &mut PgConnection,
    parked: &[Parked],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = parked.iter().map(|row| row.account.to_string()).collect();
    let conversations: Vec<Uuid> = parked.iter().map(|row| row.conversation.uuid()).collect();
    let agents: Vec<Uuid> = parked.iter().map(|row| row.agent).collect();
    let times: Vec<OffsetDateTime> = parked.iter().map(|row| row.stamp.time).collect();
    let events: Vec<Uuid> = parked.iter().map(|row| row.stamp.event).collect();
    let causes: Vec<Uuid> = parked.iter().map(|row| row.cause).collect();
    let traces: Vec<Option<String>> = parked.iter().map(|row| row.traceparent.clone()).collect();
    sqlx::query!(
        "insert into parked_responsible as p (account, conversation, agent, stamp_time, stamp_event, cause,
                                              traceparent, parked_at)
         select k.*, $8 from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::uuid[],
                                    $7::text[]) as k
         on conflict (account, conversation) do update
         set agent = excluded.agent, stamp_time = excluded.stamp_time, stamp_event = excluded.stamp_event,
             cause = excluded.cause, traceparent = excluded.traceparent
         where (p.stamp_time, p.stamp_event) < (excluded.stamp_time, excluded.stamp_event)",
        &accounts,
        &conversations,
        &agents,
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
) -> Result<Vec<Parked>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        "delete from parked_responsible p using unnest($1::text[], $2::uuid[]) as k(account, conversation)
         where p.account = k.account and p.conversation = k.conversation
         returning p.account, p.conversation, p.agent, p.stamp_time, p.stamp_event, p.cause, p.traceparent",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Parked {
                account: slug(row.account)?,
                conversation: row.conversation.into(),
                agent: row.agent,
                stamp: stamp(row.stamp_time, row.stamp_event),
                cause: row.cause,
                traceparent: row.traceparent,
            })
        })
        .collect()
}

/// Drops what has waited since before a time, a bounded number at once; returns how many.
pub async fn drop_older(pool: &PgPool, before: OffsetDateTime) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query!(
        "delete from parked_responsible where ctid = any(array(
             select ctid from parked_responsible where parked_at < $1 limit 1000))",
        before,
    )
    .execute(pool)
    .await?
    .rows_affected())
}
