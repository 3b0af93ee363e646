//! Groups of agents.

use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{ChannelId, GroupId};

/// A group as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, one of its kind in the account.
    pub name: String,
    /// Its agents, by id.
    pub agents: Vec<AgentId>,
    /// Raised with every change.
    pub revision: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

struct Row {
    group_id: GroupId,
    name: String,
    agents: Vec<Uuid>,
    revision: i64,
    created_at: OffsetDateTime,
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        Self {
            id: row.group_id,
            name: row.name,
            agents: row.agents.into_iter().map(AgentId::from).collect(),
            revision: row.revision,
            created_at: row.created_at,
        }
    }
}

/// Inserts a group without members; returns whether id and name were new in the account.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: &Group,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into staff_group (account, group_id, name, revision, created_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        account.as_str(),
        group.id.uuid(),
        group.name,
        group.revision,
        group.created_at,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Writes name and revision of a locked group; a taken name is a violated constraint.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: &Group,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update staff_group set name = $3, revision = $4 where account = $1 and group_id = $2",
        account.as_str(),
        group.id.uuid(),
        group.name,
        group.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Makes these agents, which must exist, the members of a locked group.
pub async fn set_members(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: &Group,
) -> Result<(), sqlx::Error> {
    let agents: Vec<Uuid> = group.agents.iter().map(|agent| agent.uuid()).collect();
    sqlx::query!(
        "delete from group_member where account = $1 and group_id = $2 and agent_id <> all($3)",
        account.as_str(),
        group.id.uuid(),
        &agents,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into group_member (account, group_id, agent_id)
         select $1, $2, unnest($3::uuid[]) on conflict do nothing",
        account.as_str(),
        group.id.uuid(),
        &agents,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes a group with its memberships.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from staff_group where account = $1 and group_id = $2",
        account.as_str(),
        group.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks a group and returns it.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: GroupId,
) -> Result<Option<Group>, sqlx::Error> {
    // Locked first and read after, so that what was committed while the lock was waited for is seen.
    let locked = sqlx::query_scalar!(
        r#"select true as "locked!" from staff_group where account = $1 and group_id = $2 for update"#,
        account.as_str(),
        group.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    match locked {
        Some(_) => get(connection, account, group).await,
        None => Ok(None),
    }
}

/// Returns a group.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: GroupId,
) -> Result<Option<Group>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select g.group_id as "group_id: GroupId", g.name, g.revision, g.created_at,
               array(select m.agent_id from group_member m
                     where m.account = g.account and m.group_id = g.group_id order by m.agent_id) as "agents!"
           from staff_group g where g.account = $1 and g.group_id = $2"#,
        account.as_str(),
        group.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Group::from))
}

/// Returns groups of an account after (name, id), by name.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: (&str, Uuid),
    limit: i64,
) -> Result<Vec<Group>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select g.group_id as "group_id: GroupId", g.name, g.revision, g.created_at,
               array(select m.agent_id from group_member m
                     where m.account = g.account and m.group_id = g.group_id order by m.agent_id) as "agents!"
           from staff_group g where g.account = $1 and (g.name, g.group_id) > ($2, $3)
           order by g.name, g.group_id limit $4"#,
        account.as_str(),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Group::from).collect())
}

/// Returns the groups that an agent is in.
pub async fn of_agent(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
) -> Result<Vec<GroupId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select group_id as "group_id: GroupId" from group_member
           where account = $1 and agent_id = $2 order by group_id"#,
        account.as_str(),
        agent.uuid(),
    )
    .fetch_all(connection)
    .await
}

/// Returns which of these ids are no groups of the account; those that are stay until the transaction ends.
pub async fn unknown(
    connection: &mut PgConnection,
    account: &AccountSlug,
    groups: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let known = sqlx::query_scalar!(
        "select group_id from staff_group where account = $1 and group_id = any($2)
         order by group_id for key share",
        account.as_str(),
        groups,
    )
    .fetch_all(connection)
    .await?;
    let missing = groups.iter().filter(|group| !known.contains(group));
    Ok(missing.copied().collect())
}

/// Returns channels that distribute among a group, some of them.
pub async fn channels(
    connection: &mut PgConnection,
    account: &AccountSlug,
    group: GroupId,
    limit: i64,
) -> Result<Vec<ChannelId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct channel_id as "channel_id: ChannelId" from pool_entry
           where account = $1 and group_id = $2 order by 1 limit $3"#,
        account.as_str(),
        group.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await
}
