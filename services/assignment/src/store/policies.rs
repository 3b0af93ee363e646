//! Distribution policies, each with its channel's turns.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::pools::fill_pools;
use super::{turns, unreadable};
use crate::domain::ChannelId;
use crate::domain::policy::{Member, Policy, Settings, Turns};
use crate::domain::words::Distribution;
pub use turns::write as write_turns;

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
    revision: i64,
}

/// A policy as it was read, to be remembered: its pool and its turns need not be read again while nothing changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The policy, as committed.
    pub policy: Policy,
    /// Raised whenever the policy is set.
    pub(super) revision: i64,
    /// The sum of the revisions of the pool's groups.
    pub(super) groups: i64,
}

impl TryFrom<Row> for (ChannelKey, Read) {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let distribution = Distribution::try_from(row.distribution.as_str())
            .map_err(unreadable("distribution_policy.distribution"))?;
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
                of: BTreeMap::new(),
            },
        };
        let read = Read {
            policy,
            revision: row.revision,
            groups: 0,
        };
        Ok(((row.account, row.channel_id), read))
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
             waiting_per_minute = excluded.waiting_per_minute, offer_seconds = excluded.offer_seconds,
             revision = distribution_policy.revision + 1",
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

/// Returns a channel's policy. Its turns are not read: they are of use under the lock only.
pub async fn get(
    connection: &mut PgConnection,
    key: &ChannelKey,
    known: Option<&Read>,
) -> Result<Option<Read>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select account as "account: AccountSlug", channel_id as "channel_id: ChannelId",
               distribution, keep_previous, channel_capacity, waiting_per_minute, offer_seconds, turn, floor,
               revision
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
    let known = known.map(|known| (key, known)).into_iter().collect();
    fill_pools(connection, &mut found, &known).await?;
    Ok(found.remove(key))
}

/// Locks the policies of channels, sorted, and returns those that were set; with what is known of them, only what
/// changed since is read.
pub async fn lock(
    connection: &mut PgConnection,
    wanted: &BTreeSet<ChannelKey>,
    known: &BTreeMap<&ChannelKey, &Read>,
) -> Result<BTreeMap<ChannelKey, Read>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, channels) = columns(wanted.iter());
    let rows = sqlx::query_as!(
        Row,
        r#"select p.account as "account: AccountSlug", p.channel_id as "channel_id: ChannelId",
               p.distribution, p.keep_previous, p.channel_capacity, p.waiting_per_minute, p.offer_seconds,
               p.turn, p.floor, p.revision
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
    // Read after the lock: whoever set a policy, or took a turn, held it.
    fill_pools(connection, &mut locked, known).await?;
    fill_turns(connection, &mut locked, known).await?;
    Ok(locked)
}

/// Returns keys as columns.
pub(super) fn columns<'k>(keys: impl Iterator<Item = &'k ChannelKey>) -> (Vec<String>, Vec<Uuid>) {
    keys.map(|(account, channel)| (account.to_string(), channel.uuid()))
        .unzip()
}

/// Adds the turns of those who are in the pool: those of others are kept in their rows until they come back.
async fn fill_turns(
    connection: &mut PgConnection,
    policies: &mut BTreeMap<ChannelKey, Read>,
    known: &BTreeMap<&ChannelKey, &Read>,
) -> Result<(), sqlx::Error> {
    let mut since = BTreeMap::new();
    for (key, read) in &mut *policies {
        let turns = &mut read.policy.turns;
        // Agents who came into the pool have turns that were not remembered.
        let same = |known: &&&Read| known.revision == read.revision && known.groups == read.groups;
        match known.get(key).filter(same) {
            Some(known) if known.policy.turns.last <= turns.last => {
                turns.of.clone_from(&known.policy.turns.of);
                if known.policy.turns.last < turns.last {
                    since.insert(key, known.policy.turns.last);
                }
            }
            _ => {
                since.insert(key, 0);
            }
        }
    }
    let rows = turns::since(connection, &since).await?;
    for (key, agent, turn) in rows {
        if let Some(read) = policies.get_mut(&key)
            && read.policy.pool.contains_key(&agent)
        {
            read.policy.turns.of.insert(agent, turn);
        }
    }
    Ok(())
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
