//! Tables `internal_message`, `internal_notification` and `internal_notified`.

use chassis::id::{AccountSlug, AgentId};
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::common::v1::Text;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::activity::Reach;
use crate::domain::internal_chat::{Entity, InternalMessageId};
use crate::domain::words::EntityKind;

/// Rows deleted by one statement, so that no sweep holds locks for long.
const SWEPT_AT_ONCE: i64 = 5_000;

/// A stored internal message.
#[derive(Debug, Clone, PartialEq)]
pub struct InternalMessage {
    /// Its id.
    pub id: InternalMessageId,
    /// The entity on which it was posted.
    pub entity: Entity,
    /// The entity whose responsible sees it with rights over own ones.
    pub owner: Uuid,
    /// Who wrote it, as in events.
    pub author: String,
    /// The text.
    pub text: Text,
    /// Agents to whom it was sent.
    pub agents: Vec<AgentId>,
    /// Groups to which it was sent.
    pub groups: Vec<Uuid>,
    /// When it was posted.
    pub created_at: OffsetDateTime,
}

struct Row {
    message_id: Uuid,
    entity_kind: String,
    entity_id: Uuid,
    owner_id: Uuid,
    author: String,
    body: Vec<u8>,
    agent_ids: Vec<AgentId>,
    group_ids: Vec<Uuid>,
    created_at: OffsetDateTime,
    read: bool,
    version: i64,
}

impl TryFrom<Row> for InternalMessage {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let kind = EntityKind::try_from(row.entity_kind.as_str());
        let text = Text::decode(row.body.as_slice());
        Ok(Self {
            id: row.message_id.into(),
            entity: Entity {
                kind: kind.map_err(|error| unreadable("internal_message.entity_kind", error))?,
                id: row.entity_id,
            },
            owner: row.owner_id,
            author: row.author,
            text: text.map_err(|error| unreadable("internal_message.body", error))?,
            agents: row.agent_ids,
            groups: row.group_ids,
            created_at: row.created_at,
        })
    }
}

/// Inserts a message.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    message: &InternalMessage,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into internal_message (account, message_id, entity_kind, entity_id, owner_id, author, body, agent_ids, group_ids,
                                       created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        account.as_str(),
        message.id.uuid(),
        message.entity.kind.as_str(),
        message.entity.id,
        message.owner,
        message.author,
        message.text.encode_to_vec(),
        &message.agents as &[AgentId],
        &message.groups,
        message.created_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Lists the messages of an entity before one, newest first; `ids` are its own and those of what was merged into it.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (kind, ids): (EntityKind, &[Uuid]),
    before: Uuid,
    limit: i64,
) -> Result<Vec<InternalMessage>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select m.message_id as "message_id!", m.entity_kind as "entity_kind!", m.entity_id as "entity_id!",
               m.owner_id as "owner_id!", m.author as "author!", m.body as "body!", m.agent_ids as "agent_ids!: Vec<AgentId>",
               m.group_ids as "group_ids!", m.created_at as "created_at!", false as "read!", 0::bigint as "version!"
           from unnest($3::uuid[]) as named (id)
           cross join lateral (
               select * from internal_message
               where account = $1 and entity_id = named.id and entity_kind = $2 and message_id < $4
               order by message_id desc limit $5) m
           order by m.message_id desc limit $5"#,
        account.as_str(),
        kind.as_str(),
        ids,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Notifies agents of a message, each once.
pub async fn notify(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agents: &[AgentId],
    message: &InternalMessage,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with raised as (
             insert into internal_notified as kept (account, agent_id, version)
             select $1, agent, 1 from unnest($2::uuid[]) agent order by agent
             on conflict (account, agent_id) do update set version = kept.version + 1
             returning agent_id, version)
         insert into internal_notification (account, agent_id, message_id, version, created_at)
         select $1, agent_id, $3, version, $4 from raised",
        account.as_str(),
        agents as &[AgentId],
        message.id.uuid(),
        message.created_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whose notifications: an agent's, of entities that the agent may see now.
#[derive(Debug, Clone)]
pub struct Whose<'a> {
    /// The account.
    pub account: &'a AccountSlug,
    /// The agent.
    pub agent: AgentId,
    /// What the agent's rights open.
    pub reach: Reach,
}

impl Whose<'_> {
    fn kinds(&self) -> [Vec<String>; 2] {
        [&self.reach.all, &self.reach.own].map(|kinds| {
            let kinds = kinds.iter();
            kinds.map(|kind| (*kind).to_owned()).collect()
        })
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Notified {
    /// The message.
    pub message: InternalMessage,
    /// The agent has read it.
    pub read: bool,
    /// The agent's number when it came, or was marked last.
    pub version: i64,
}

/// A checked query for notifications of a `Whose`, of entities that are seen by rights over all of a kind, or over own ones by who
/// answers for them, as the activity log knows it.
macro_rules! notifications {
    ($by:literal, $connection:ident, $whose:ident, $($argument:expr),+ $(,)?) => {{
        let [all, own] = $whose.kinds();
        let rows = sqlx::query_as!(
            Row,
            r#"select m.message_id, m.entity_kind, m.entity_id, m.owner_id, m.author, m.body,
                   m.agent_ids as "agent_ids: Vec<AgentId>", m.group_ids, m.created_at, n.read, n.version
               from internal_notification n
               join internal_message m on m.account = n.account and m.message_id = n.message_id
               where n.account = $1 and n.agent_id = $2
                 and (m.entity_kind = any($3)
                      or (m.entity_kind = any($4)
                          and exists (select from activity_owner o
                                      where o.account = $1 and o.entity_id = m.owner_id and o.responsible = $2)))
                 and "# + $by,
            $whose.account.as_str(),
            $whose.agent as AgentId,
            &all,
            &own,
            $($argument),+
        )
        .fetch_all($connection)
        .await?;
        let notified = rows.into_iter().map(|row| {
            let (read, version) = (row.read, row.version);
            Ok(Notified { message: row.try_into()?, read, version })
        });
        notified.collect()
    }};
}

/// Lists notifications of messages before one, newest first.
pub async fn notifications(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    unread_only: bool,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Notified>, sqlx::Error> {
    notifications!(
        "n.message_id < $5 and not (n.read and $6) order by n.message_id desc limit $7",
        connection,
        whose,
        before,
        unread_only,
        limit,
    )
}

/// Lists notifications of which something became after a number, in that order, and of those with this number after a message.
pub async fn changed(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    (version, message): (i64, Uuid),
    limit: i64,
) -> Result<Vec<Notified>, sqlx::Error> {
    notifications!(
        "(n.version, n.message_id) > ($5, $6) order by n.version, n.message_id limit $7",
        connection,
        whose,
        version,
        message,
        limit,
    )
}

/// Counts unread notifications, so many at most.
pub async fn unread(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
    most: i64,
) -> Result<i64, sqlx::Error> {
    let [all, own] = whose.kinds();
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from internal_notification n
               join internal_message m on m.account = n.account and m.message_id = n.message_id
               where n.account = $1 and n.agent_id = $2 and not n.read
                 and (m.entity_kind = any($3)
                      or (m.entity_kind = any($4)
                          and exists (select from activity_owner o
                                      where o.account = $1 and o.entity_id = m.owner_id and o.responsible = $2)))
               limit $5) found"#,
        whose.account.as_str(),
        whose.agent as AgentId,
        &all,
        &own,
        most,
    )
    .fetch_one(connection)
    .await
}

/// Which notifications are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// Those of these messages.
    Messages(Vec<Uuid>),
    /// Those of messages on these entities of a kind: one, and what was merged into it.
    Of(EntityKind, Vec<Uuid>),
    /// All.
    All,
}

/// Marks an agent's notifications as read, so many at most.
pub async fn mark(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
    marked: &Marked,
    most: i64,
) -> Result<(), sqlx::Error> {
    let (messages, kind, entities) = match marked {
        Marked::Messages(messages) => (Some(messages.as_slice()), None, None),
        Marked::Of(kind, entities) => (None, Some(*kind), Some(entities.as_slice())),
        Marked::All => (None, None, None),
    };
    let version = sqlx::query_scalar!(
        "insert into internal_notified as kept (account, agent_id, version) values ($1, $2, 1)
         on conflict (account, agent_id) do update set version = kept.version + 1 returning version",
        account.as_str(),
        agent as AgentId,
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        "update internal_notification set read = true, version = $3
         where account = $1 and agent_id = $2 and message_id = any(array(
             select n.message_id from internal_notification n
             join internal_message m on m.account = n.account and m.message_id = n.message_id
             where n.account = $1 and n.agent_id = $2 and not n.read
               and ($4::uuid[] is null or n.message_id = any($4))
               and ($5::text is null or (m.entity_kind = $5 and m.entity_id = any($6)))
             order by n.message_id desc limit $7))",
        account.as_str(),
        agent as AgentId,
        version,
        messages,
        kind.map(EntityKind::as_str),
        entities,
        most,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks all notifications of messages on entities that are gone as read, whosever they are: nobody can open them any more.
pub async fn mark_gone(
    connection: &mut PgConnection,
    gone: &[(AccountSlug, Entity)],
) -> Result<(), sqlx::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = gone
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let kinds: Vec<String> = gone
        .iter()
        .map(|(_, entity)| entity.kind.as_str().to_owned())
        .collect();
    let ids: Vec<Uuid> = gone.iter().map(|(_, entity)| entity.id).collect();
    sqlx::query!(
        "with unread as materialized (
             select n.account, n.agent_id, n.message_id
             from unnest($1::text[], $2::text[], $3::uuid[]) as gone (account, kind, id)
             join internal_message m on m.account = gone.account and m.entity_id = gone.id and m.entity_kind = gone.kind
             join internal_notification n on n.account = m.account and n.message_id = m.message_id and not n.read),
         raised as (
             insert into internal_notified as kept (account, agent_id, version)
             select account, agent_id, 1 from unread group by account, agent_id order by account, agent_id
             on conflict (account, agent_id) do update set version = kept.version + 1
             returning account, agent_id, version)
         update internal_notification n set read = true, version = raised.version
         from unread join raised using (account, agent_id)
         where n.account = unread.account and n.agent_id = unread.agent_id and n.message_id = unread.message_id",
        &accounts,
        &kinds,
        &ids,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// An agent of an account.
pub type Key = (AccountSlug, AgentId);

/// Returns how often something became of agents' notifications; those who never had any are left out.
pub async fn versions(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<Vec<(Key, i64)>, sqlx::Error> {
    let accounts: Vec<String> = keys
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let agents: Vec<Uuid> = keys.iter().map(|(_, agent)| agent.uuid()).collect();
    let rows = sqlx::query!(
        r#"select n.account as "account: AccountSlug", n.agent_id as "agent: AgentId", n.version
           from unnest($1::text[], $2::uuid[]) k (account, agent_id) join internal_notified n using (account, agent_id)"#,
        &accounts,
        &agents,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.account, row.agent), row.version))
        .collect())
}

/// Forgets some of the notifications from before a time; tells how many, and whether there may be more.
pub async fn sweep(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(u64, bool), sqlx::Error> {
    let swept = sqlx::query!(
        "delete from internal_notification where ctid = any(array(
             select ctid from internal_notification where created_at < $1 limit $2))",
        before,
        SWEPT_AT_ONCE,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok((swept, swept >= SWEPT_AT_ONCE.cast_unsigned()))
}
