//! Leases of open presence streams: renewed by the replica that holds the stream, so that they run out when it dies.

use std::collections::{BTreeMap, BTreeSet};

use chassis::access::{ChatAccess, KindAccess};
use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::agents::view_of;
use super::availability::AgentKey;
use super::unreadable;
use crate::domain::access::chats_of;

/// Whether an agent may work at all, and with chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The agent and the account are active.
    pub active: bool,
    /// Their access to chats.
    pub chats: ChatAccess,
}

/// Returns how agents stand; unknown ones are left out.
pub async fn standings(
    connection: &mut PgConnection,
    agents: &BTreeSet<AgentKey>,
) -> Result<BTreeMap<AgentKey, Standing>, sqlx::Error> {
    let accounts: Vec<String> = agents.iter().map(|agent| agent.0.to_string()).collect();
    let ids: Vec<Uuid> = agents.iter().map(|agent| agent.1.uuid()).collect();
    let rows = sqlx::query!(
        r#"select a.account as "account: AccountSlug", a.agent_id as "agent_id: AgentId",
               a.active and not c.suspended as "active!",
               a.leads_create, a.leads_view, a.contacts_create, a.contacts_view
           from unnest($1::text[], $2::uuid[]) as wanted(account, agent_id)
           join agent a on a.account = wanted.account and a.agent_id = wanted.agent_id
           join account c on c.slug = a.account"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let leads = KindAccess {
                create: row.leads_create,
                view: view_of(&row.leads_view).map_err(unreadable("agent.leads_view"))?,
            };
            let contacts = KindAccess {
                create: row.contacts_create,
                view: view_of(&row.contacts_view).map_err(unreadable("agent.contacts_view"))?,
            };
            let standing = Standing {
                active: row.active,
                chats: chats_of(leads, contacts),
            };
            Ok(((row.account, row.agent_id), standing))
        })
        .collect()
}

/// Keeps a stream's lease until then, for an agent who may work.
pub async fn keep(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
    stream: Uuid,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "insert into presence_lease (stream_id, account, agent_id, expires_at)
         select $3, a.account, a.agent_id, $4 from agent a join account c on c.slug = a.account
         where a.account = $1 and a.agent_id = $2 and a.active and not c.suspended
         on conflict (stream_id) do update set expires_at = excluded.expires_at",
        account.as_str(),
        agent.uuid(),
        stream,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// Lets a stream's lease run out then.
pub async fn end(
    connection: &mut PgConnection,
    stream: Uuid,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update presence_lease set expires_at = $2 where stream_id = $1",
        stream,
        expires_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns how many leases an agent has.
pub async fn count(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from presence_lease
           where account = $1 and agent_id = $2 and expires_at > $3"#,
        account.as_str(),
        agent.uuid(),
        now,
    )
    .fetch_one(connection)
    .await
}

/// Deletes leases that have run out.
pub async fn forget(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from presence_lease where stream_id in
             (select stream_id from presence_lease where expires_at <= $1 limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(connection)
    .await
    .map(drop)
}
