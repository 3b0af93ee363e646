//! Turns taken in channels: a row for each agent's last.

use std::collections::BTreeMap;

use chassis::id::AgentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::policies::{ChannelKey, columns};
use crate::domain::ChannelId;
use crate::domain::policy::{Policy, Turn};

/// Reads the turns of locked channels that were taken after the numbers given.
pub async fn since(
    connection: &mut PgConnection,
    known: &BTreeMap<&ChannelKey, i64>,
) -> Result<Vec<(ChannelKey, AgentId, Turn)>, sqlx::Error> {
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let (accounts, channels) = columns(known.keys().copied());
    let numbers: Vec<i64> = known.values().copied().collect();
    let rows = sqlx::query!(
        r#"select t.account as "account: chassis::id::AccountSlug", t.channel_id as "channel_id: ChannelId",
               t.agent_id as "agent_id: AgentId", t.number, t.spent
           from unnest($1::text[], $2::uuid[], $3::bigint[]) as known(account, channel_id, number)
           cross join lateral (
               select t.* from channel_turn t
               where t.account = known.account and t.channel_id = known.channel_id and t.number > known.number
               -- Leads to the index by number, whatever the plan was made of: a kept plan takes a limit that it does not know
               -- for a part of the rows, and so the way that has the first ones at once.
               order by t.number limit $4
           ) as t"#,
        &accounts,
        &channels,
        &numbers,
        i64::MAX,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let turn = Turn {
            number: row.number,
            spent: row.spent,
        };
        ((row.account, row.channel_id), row.agent_id, turn)
    });
    Ok(rows.collect())
}

/// Writes the turns of locked policies that were taken after the numbers given.
pub async fn write(
    connection: &mut PgConnection,
    taken: &[(&ChannelKey, &Policy, i64)],
) -> Result<(), sqlx::Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let (accounts, channels) = columns(taken.iter().map(|(key, ..)| *key));
    let lasts: Vec<i64> = taken.iter().map(|(_, p, _)| p.turns.last).collect();
    let floors: Vec<i64> = taken.iter().map(|(_, p, _)| p.turns.floor).collect();
    sqlx::query!(
        "update distribution_policy p set turn = given.turn, floor = given.floor
         from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[])
              as given(account, channel_id, turn, floor)
         where p.account = given.account and p.channel_id = given.channel_id",
        &accounts,
        &channels,
        &lasts,
        &floors,
    )
    .execute(&mut *connection)
    .await?;
    let new = taken.iter().flat_map(|(key, policy, before)| {
        let turns = policy.turns.of.iter();
        let new = turns.filter(|(_, turn)| turn.number > *before);
        new.map(|(agent, turn)| (*key, *agent, *turn))
    });
    let new: Vec<(&ChannelKey, AgentId, Turn)> = new.collect();
    let (accounts, channels) = columns(new.iter().map(|(key, ..)| *key));
    let agents: Vec<Uuid> = new.iter().map(|(_, agent, _)| agent.uuid()).collect();
    let numbers: Vec<i64> = new.iter().map(|(.., turn)| turn.number).collect();
    let spent: Vec<i64> = new.iter().map(|(.., turn)| turn.spent).collect();
    sqlx::query!(
        "insert into channel_turn (account, channel_id, agent_id, number, spent)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[])
         on conflict (account, channel_id, agent_id) do update
         set number = excluded.number, spent = excluded.spent",
        &accounts,
        &channels,
        &agents,
        &numbers,
        &spent,
    )
    .execute(connection)
    .await
    .map(drop)
}
