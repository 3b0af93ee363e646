//! Distribution policies, each with its channel's turns.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::unreadable;
use crate::domain::policy::{Member, Policy, PoolEntry, Settings, Turn, Turns};
use crate::domain::words::Distribution;
use crate::domain::{ChannelId, GroupId};

/// A channel of an account.
pub type ChannelKey = (AccountSlug, ChannelId);

struct Row {
    account: AccountSlug,
    channel_id: ChannelId,
    distribution: String,
    keep_previous: bool,
    channel_capacity: i32,
    waiting_per_minute: i32,
    offer_seconds: i32,
    turn: i64,
    floor: i64,
    last_turns: Json<BTreeMap<AgentId, i64>>,
    spent: Json<BTreeMap<AgentId, i64>>,
}

impl TryFrom<Row> for (ChannelKey, Policy) {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let distribution = Distribution::try_from(row.distribution.as_str())
            .map_err(unreadable("distribution_policy.distribution"))?;
        let spent = row.spent.0;
        let turn = |(agent, number)| {
            let spent = spent.get(&agent).copied().unwrap_or(0);
            (agent, Turn { number, spent })
        };
        let policy = Policy {
            settings: Settings {
                distribution,
                pool: Vec::new(),
                keep_previous: row.keep_previous,
                channel_capacity: row.channel_capacity,
                waiting_per_minute: row.waiting_per_minute,
                offer_seconds: row.offer_seconds,
            },
            pool: BTreeMap::new(),
            turns: Turns {
                last: row.turn,
                floor: row.floor,
                of: row.last_turns.0.into_iter().map(turn).collect(),
            },
        };
        Ok(((row.account, row.channel_id), policy))
    }
}

/// Sets a channel's policy, whole; turns that were taken stay. The agents and groups must exist.
pub async fn set(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
    settings: &Settings,
) -> Result<(), sqlx::Error> {
    let (mut agents, mut groups, mut weights, mut by_name) = (vec![], vec![], vec![], vec![]);
    for entry in &settings.pool {
        let (agent, group) = match entry.member {
            Member::Agent(agent) => (Some(agent.uuid()), None),
            Member::Group(group) => (None, Some(group.uuid())),
        };
        by_name.extend(agent);
        agents.push(agent);
        groups.push(group);
        weights.push(entry.weight);
    }
    sqlx::query!(
        "insert into distribution_policy (account, channel_id, distribution, agent_ids, keep_previous,
             channel_capacity, waiting_per_minute, offer_seconds)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (account, channel_id) do update
         set distribution = excluded.distribution, agent_ids = excluded.agent_ids,
             keep_previous = excluded.keep_previous, channel_capacity = excluded.channel_capacity,
             waiting_per_minute = excluded.waiting_per_minute, offer_seconds = excluded.offer_seconds",
        account.as_str(),
        channel.uuid(),
        settings.distribution.as_str(),
        &by_name,
        settings.keep_previous,
        settings.channel_capacity,
        settings.waiting_per_minute,
        settings.offer_seconds,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from pool_entry where account = $1 and channel_id = $2",
        account.as_str(),
        channel.uuid(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into pool_entry (account, channel_id, place, agent_id, group_id, weight)
         select $1, $2, g.place, g.agent_id, g.group_id, g.weight
         from unnest($3::uuid[], $4::uuid[], $5::integer[]) with ordinality
              as g(agent_id, group_id, weight, place)",
        account.as_str(),
        channel.uuid(),
        &agents as &[Option<Uuid>],
        &groups as &[Option<Uuid>],
        &weights,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns a channel's policy.
pub async fn get(
    connection: &mut PgConnection,
    key: &ChannelKey,
) -> Result<Option<Policy>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select account as "account: AccountSlug", channel_id as "channel_id: ChannelId",
               distribution, keep_previous, channel_capacity, waiting_per_minute, offer_seconds, turn, floor,
               last_turns as "last_turns: Json<BTreeMap<AgentId, i64>>",
               spent as "spent: Json<BTreeMap<AgentId, i64>>"
           from distribution_policy where account = $1 and channel_id = $2"#,
        key.0.as_str(),
        key.1.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let mut found: BTreeMap<_, _> = row
        .map(TryInto::try_into)
        .transpose()?
        .into_iter()
        .collect();
    fill_pools(connection, &mut found).await?;
    Ok(found.remove(key))
}

/// Locks the policies of channels, sorted, and returns those that were set.
pub async fn lock(
    connection: &mut PgConnection,
    wanted: &BTreeSet<ChannelKey>,
) -> Result<BTreeMap<ChannelKey, Policy>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, channels) = columns(wanted.iter());
    let rows = sqlx::query_as!(
        Row,
        r#"select p.account as "account: AccountSlug", p.channel_id as "channel_id: ChannelId",
               p.distribution, p.keep_previous, p.channel_capacity, p.waiting_per_minute, p.offer_seconds,
               p.turn, p.floor,
               p.last_turns as "last_turns: Json<BTreeMap<AgentId, i64>>",
               p.spent as "spent: Json<BTreeMap<AgentId, i64>>"
           from distribution_policy p
           join unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
             on p.account = wanted.account and p.channel_id = wanted.channel_id
           order by p.account collate "C", p.channel_id
           for update of p"#,
        &accounts,
        &channels,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut locked = rows
        .into_iter()
        .map(TryInto::try_into)
        .collect::<Result<_, _>>()?;
    // Read after the lock: whoever set a policy held it.
    fill_pools(connection, &mut locked).await?;
    Ok(locked)
}

fn columns<'k>(keys: impl Iterator<Item = &'k ChannelKey>) -> (Vec<String>, Vec<Uuid>) {
    keys.map(|(account, channel)| (account.to_string(), channel.uuid()))
        .unzip()
}

/// Reads who takes part: the entries as they were set, and the agents they come to now.
async fn fill_pools(
    connection: &mut PgConnection,
    policies: &mut BTreeMap<ChannelKey, Policy>,
) -> Result<(), sqlx::Error> {
    if policies.is_empty() {
        return Ok(());
    }
    let (accounts, channels) = columns(policies.keys());
    let rows = sqlx::query!(
        r#"select e.account as "account: AccountSlug", e.channel_id as "channel_id: ChannelId", e.place, e.weight,
               e.agent_id as "agent_id: AgentId", e.group_id as "group_id: GroupId",
               m.agent_id as "member_id?: AgentId"
           from pool_entry e
           join unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
             on e.account = wanted.account and e.channel_id = wanted.channel_id
           left join group_member m on m.account = e.account and m.group_id = e.group_id
           order by e.account, e.channel_id, e.place"#,
        &accounts,
        &channels,
    )
    .fetch_all(connection)
    .await?;
    let mut seen = None;
    for row in rows {
        let place = (row.account.clone(), row.channel_id, row.place);
        let Some(policy) = policies.get_mut(&(row.account, row.channel_id)) else {
            continue;
        };
        let named = row.agent_id.map(Member::Agent);
        let member = named.or(row.group_id.map(Member::Group));
        // A group comes once for each of its agents.
        if seen.as_ref() != Some(&place) {
            seen = Some(place);
            policy.settings.pool.extend(member.map(|member| PoolEntry {
                member,
                weight: row.weight,
            }));
        }
        if let Some(agent) = row.agent_id.or(row.member_id) {
            let weight = policy.pool.entry(agent).or_insert(row.weight);
            *weight = (*weight).max(row.weight);
        }
    }
    Ok(())
}

/// Writes the turns of locked policies.
pub async fn write_turns(
    connection: &mut PgConnection,
    policies: &[(&ChannelKey, &Policy)],
) -> Result<(), sqlx::Error> {
    if policies.is_empty() {
        return Ok(());
    }
    let (accounts, channels) = columns(policies.iter().map(|(key, _)| *key));
    let turns: Vec<i64> = policies.iter().map(|(_, p)| p.turns.last).collect();
    let floors: Vec<i64> = policies.iter().map(|(_, p)| p.turns.floor).collect();
    let of_each = |what: fn(&Turn) -> i64| -> Result<Vec<serde_json::Value>, sqlx::Error> {
        let json = |policy: &Policy| {
            let of = policy.turns.of.iter();
            let map: BTreeMap<_, _> = of.map(|(agent, turn)| (*agent, what(turn))).collect();
            serde_json::to_value(map).map_err(|error| sqlx::Error::Encode(error.into()))
        };
        policies.iter().map(|(_, policy)| json(policy)).collect()
    };
    sqlx::query!(
        "update distribution_policy p set turn = given.turn, floor = given.floor,
             last_turns = given.last_turns, spent = given.spent
         from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::jsonb[], $6::jsonb[])
              as given(account, channel_id, turn, floor, last_turns, spent)
         where p.account = given.account and p.channel_id = given.channel_id",
        &accounts,
        &channels,
        &turns,
        &floors,
        &of_each(|turn| turn.number)?,
        &of_each(|turn| turn.spent)?,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns channels that have waiting chats and a policy that may find somebody; of some accounts or of all.
pub async fn with_waiting_chats(
    connection: &mut PgConnection,
    accounts: Option<&BTreeSet<AccountSlug>>,
) -> Result<Vec<ChannelKey>, sqlx::Error> {
    let accounts: Option<Vec<String>> =
        accounts.map(|accounts| accounts.iter().map(ToString::to_string).collect());
    let rows = sqlx::query!(
        r#"select p.account as "account: AccountSlug", p.channel_id as "channel_id: ChannelId"
           from distribution_policy p
           where ($1::text[] is null or p.account = any($1))
             and (p.distribution <> 'off' or p.keep_previous)
             and exists (select from chat_assignment c
                         where c.account = p.account and c.channel_id = p.channel_id
                           and c.waiting_since is not null)
           order by p.account, p.channel_id"#,
        accounts.as_deref() as Option<&[String]>,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.channel_id))
        .collect())
}
