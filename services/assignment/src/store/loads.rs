//! Agents' loads, and the locks under which they are changed and compared.
//!
//! Whoever lets rules choose holds the account's lock alone; whoever only changes loads shares it, and locks the rows of
//! those whose load changes. So a choice among a thousand sees loads that nobody changes meanwhile, without a thousand
//! rows being locked.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::agents::{self, Agent};
use crate::domain::ChannelId;
use crate::domain::candidates::Drained;

/// Takes the locks of accounts until the transaction ends: alone for those in which rules choose, shared for the others.
pub async fn lock_accounts(
    connection: &mut PgConnection,
    choosing: &BTreeSet<AccountSlug>,
    others: &BTreeSet<AccountSlug>,
) -> Result<(), sqlx::Error> {
    let (mut accounts, mut alone) = (Vec::new(), Vec::new());
    for account in choosing {
        accounts.push(account.to_string());
        alone.push(true);
    }
    for account in others.difference(choosing) {
        accounts.push(account.to_string());
        alone.push(false);
    }
    if accounts.is_empty() {
        return Ok(());
    }
    // In the order of what is locked, so that nobody waits in a circle.
    sqlx::query!(
        "select case when k.alone then pg_advisory_xact_lock(k.key)
                     else pg_advisory_xact_lock_shared(k.key) end
         from (select hashtextextended('assignment loads ' || g.account, 0) as key, g.alone
               from unnest($1::text[], $2::boolean[]) as g(account, alone)
               order by key, g.alone desc) as k",
        &accounts,
        &alone,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Locks the loads of agents, sorted, beside others who change loads of these accounts, and returns the agents; unknown
/// ones are left out. The accounts' locks must be held.
pub async fn lock(
    connection: &mut PgConnection,
    wanted: &BTreeSet<(AccountSlug, AgentId)>,
) -> Result<BTreeMap<(AccountSlug, AgentId), Agent>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = wanted
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let agents: Vec<Uuid> = wanted.iter().map(|(_, agent)| agent.uuid()).collect();
    // Locked first and read after: a lock renews its own row only, and what was committed of the agents while it
    // was waited for has to be seen, too: capacity, presence, grants.
    sqlx::query!(
        r#"select l.agent_id from agent_load l
           join unnest($1::text[], $2::uuid[]) as wanted(account, agent_id)
             on l.account = wanted.account and l.agent_id = wanted.agent_id
           order by l.account collate "C", l.agent_id
           for update of l"#,
        &accounts,
        &agents,
    )
    .fetch_all(&mut *connection)
    .await?;
    let found = agents::some(connection, &accounts, &agents).await?;
    let keyed = |agent: Agent| ((agent.account.clone(), agent.id), agent);
    Ok(found.into_iter().map(keyed).collect())
}

/// Waits for whoever is giving these agents chats, by a rule or by hand, and lets others see only afterwards what this
/// transaction changes of the agents.
pub async fn hold_back(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agents: impl Iterator<Item = AgentId>,
) -> Result<(), sqlx::Error> {
    lock_accounts(connection, &BTreeSet::new(), &[account.clone()].into()).await?;
    let agents = agents.map(|agent| (account.clone(), agent)).collect();
    lock(connection, &agents).await.map(drop)
}

/// How an agent's load and pace change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRow {
    /// The account.
    pub account: AccountSlug,
    /// Who.
    pub agent: AgentId,
    /// How many open chats more.
    pub by: i32,
    /// Waiting chats given to them lately.
    pub drained: Drained,
}

/// Writes changed loads.
pub async fn write(connection: &mut PgConnection, rows: &[LoadRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = rows.iter().map(|row| row.account.to_string()).collect();
    let agents: Vec<Uuid> = rows.iter().map(|row| row.agent.uuid()).collect();
    let by: Vec<i32> = rows.iter().map(|row| row.by).collect();
    let drained: Vec<i32> = rows.iter().map(|row| row.drained.count).collect();
    let since: Vec<Option<OffsetDateTime>> = rows.iter().map(|row| row.drained.since).collect();
    // By how many, and not how many: a process of the version before locks other things, and loses nothing by this.
    sqlx::query!(
        "update agent_load l set load = l.load + given.by, drained = given.drained, drained_since = given.since
         from unnest($1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::timestamptz[])
              as given(account, agent_id, by, drained, since)
         where l.account = given.account and l.agent_id = given.agent_id",
        &accounts,
        &agents,
        &by,
        &drained,
        &since as &[Option<OffsetDateTime>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns how many open chats agents have in channels (kept by a trigger of `chat_assignment`). The account's lock must
/// be held: nobody else changes these numbers then.
pub async fn in_channels(
    connection: &mut PgConnection,
    channels: &[(AccountSlug, ChannelId)],
) -> Result<BTreeMap<(AccountSlug, ChannelId), BTreeMap<AgentId, i32>>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = channels
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = channels.iter().map(|(_, channel)| channel.uuid()).collect();
    let rows = sqlx::query!(
        r#"select l.account as "account: AccountSlug", l.channel_id as "channel_id: ChannelId",
               l.agent_id as "agent_id: AgentId", l.load
           from channel_load l
           join unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
             on l.account = wanted.account and l.channel_id = wanted.channel_id
           where l.load > 0"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut loads = BTreeMap::<_, BTreeMap<_, _>>::new();
    for row in rows {
        let of_channel = loads.entry((row.account, row.channel_id)).or_default();
        of_channel.insert(row.agent_id, row.load);
    }
    Ok(loads)
}
