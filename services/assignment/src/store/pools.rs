//! Who takes part in channels' distribution: pools as they were set, and the agents they come to.

use std::collections::BTreeMap;

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;

use super::policies::{ChannelKey, Read, columns};
use crate::domain::policy::{Member, PoolEntry};
use crate::domain::{ChannelId, GroupId};

/// Adds to policies who takes part: what is known where nothing has changed since, else what is read.
pub(super) async fn fill_pools(
    connection: &mut PgConnection,
    policies: &mut BTreeMap<ChannelKey, Read>,
    known: &BTreeMap<&ChannelKey, &Read>,
) -> Result<(), sqlx::Error> {
    let mut of_groups = Vec::new();
    for (key, read) in &mut *policies {
        let same = |known: &&&Read| known.revision == read.revision;
        if let Some(known) = known.get(key).filter(same) {
            read.policy
                .settings
                .pool
                .clone_from(&known.policy.settings.pool);
            read.policy.pool.clone_from(&known.policy.pool);
            read.groups = known.groups;
        }
        let is_group = |entry: &PoolEntry| matches!(entry.member, Member::Group(_));
        // A pool that is not known yet may have groups as well.
        let pool = &read.policy.settings.pool;
        if pool.is_empty() || pool.iter().any(is_group) {
            of_groups.push(key.clone());
        }
    }
    let mut unread = Vec::new();
    let revisions = group_revisions(connection, &of_groups).await?;
    for key in of_groups {
        let Some(read) = policies.get_mut(&key) else {
            continue;
        };
        let revision = revisions.get(&key).copied().unwrap_or(0);
        if read.policy.pool.is_empty() || read.groups != revision {
            read.groups = revision;
            read.policy.settings.pool.clear();
            read.policy.pool.clear();
            unread.push(key);
        }
    }
    read(connection, policies, &unread).await
}

/// Returns the sum of the revisions of each pool's groups: each change of a group raises it.
async fn group_revisions(
    connection: &mut PgConnection,
    channels: &[ChannelKey],
) -> Result<BTreeMap<ChannelKey, i64>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, ids) = columns(channels.iter());
    let rows = sqlx::query!(
        r#"select e.account as "account: AccountSlug", e.channel_id as "channel_id: ChannelId",
               sum(g.revision)::bigint as "revision!"
           from unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
           join pool_entry e on e.account = wanted.account and e.channel_id = wanted.channel_id
           join staff_group g on g.account = e.account and g.group_id = e.group_id
           group by e.account, e.channel_id"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| ((row.account, row.channel_id), row.revision))
        .collect())
}

async fn read(
    connection: &mut PgConnection,
    policies: &mut BTreeMap<ChannelKey, Read>,
    channels: &[ChannelKey],
) -> Result<(), sqlx::Error> {
    if channels.is_empty() {
        return Ok(());
    }
    let (accounts, ids) = columns(channels.iter());
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
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut seen = None;
    for row in rows {
        let place = (row.account.clone(), row.channel_id, row.place);
        let Some(read) = policies.get_mut(&(row.account, row.channel_id)) else {
            continue;
        };
        let policy = &mut read.policy;
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
