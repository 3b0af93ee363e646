//! Distribution policies, each with its channel's turns.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::unreadable;
use crate::domain::ChannelId;
use crate::domain::choose::Policy;
use crate::domain::words::Distribution;

/// A channel of an account.
pub type ChannelKey = (AccountSlug, ChannelId);

struct Row {
    account: AccountSlug,
    channel_id: ChannelId,
    distribution: String,
    agent_ids: Vec<Uuid>,
    keep_previous: bool,
    turn: i64,
    last_turns: Json<BTreeMap<AgentId, i64>>,
}

impl TryFrom<Row> for (ChannelKey, Policy) {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let distribution = Distribution::try_from(row.distribution.as_str())
            .map_err(unreadable("distribution_policy.distribution"))?;
        let policy = Policy {
            distribution,
            pool: row.agent_ids.into_iter().map(AgentId::from).collect(),
            keep_previous: row.keep_previous,
            turn: row.turn,
            last_turns: row.last_turns.0,
        };
        Ok(((row.account, row.channel_id), policy))
    }
}

/// Sets a channel's policy; turns that were taken stay.
pub async fn set(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
    policy: &Policy,
) -> Result<(), sqlx::Error> {
    let pool: Vec<Uuid> = policy.pool.iter().map(|agent| agent.uuid()).collect();
    sqlx::query!(
        "insert into distribution_policy (account, channel_id, distribution, agent_ids, keep_previous)
         values ($1, $2, $3, $4, $5)
         on conflict (account, channel_id) do update
         set distribution = excluded.distribution, agent_ids = excluded.agent_ids,
             keep_previous = excluded.keep_previous",
        account.as_str(),
        channel.uuid(),
        policy.distribution.as_str(),
        &pool,
        policy.keep_previous,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns a channel's policy.
pub async fn get(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
) -> Result<Option<Policy>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select account as "account: AccountSlug", channel_id as "channel_id: ChannelId",
               distribution, agent_ids, keep_previous, turn,
               last_turns as "last_turns: Json<BTreeMap<AgentId, i64>>"
           from distribution_policy where account = $1 and channel_id = $2"#,
        account.as_str(),
        channel.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| <(ChannelKey, Policy)>::try_from(row).map(|(_, policy)| policy))
        .transpose()
}

/// Locks the policies of channels, sorted, and returns those that were set.
pub async fn lock(
    connection: &mut PgConnection,
    wanted: &BTreeSet<ChannelKey>,
) -> Result<BTreeMap<ChannelKey, Policy>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = wanted
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let channels: Vec<Uuid> = wanted.iter().map(|(_, channel)| channel.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select p.account as "account: AccountSlug", p.channel_id as "channel_id: ChannelId",
               p.distribution, p.agent_ids, p.keep_previous, p.turn,
               p.last_turns as "last_turns: Json<BTreeMap<AgentId, i64>>"
           from distribution_policy p
           join unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
             on p.account = wanted.account and p.channel_id = wanted.channel_id
           order by p.account collate "C", p.channel_id
           for update of p"#,
        &accounts,
        &channels,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Writes the turns of locked policies.
pub async fn write_turns(
    connection: &mut PgConnection,
    policies: &[(&ChannelKey, &Policy)],
) -> Result<(), sqlx::Error> {
    if policies.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = policies
        .iter()
        .map(|((account, _), _)| account.to_string())
        .collect();
    let channels: Vec<Uuid> = policies
        .iter()
        .map(|((_, channel), _)| channel.uuid())
        .collect();
    let turns: Vec<i64> = policies.iter().map(|(_, policy)| policy.turn).collect();
    let last_turns: Vec<serde_json::Value> = policies
        .iter()
        .map(|(_, policy)| serde_json::to_value(&policy.last_turns))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "update distribution_policy p set turn = given.turn, last_turns = given.last_turns
         from unnest($1::text[], $2::uuid[], $3::bigint[], $4::jsonb[])
              as given(account, channel_id, turn, last_turns)
         where p.account = given.account and p.channel_id = given.channel_id",
        &accounts,
        &channels,
        &turns,
        &last_turns,
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
