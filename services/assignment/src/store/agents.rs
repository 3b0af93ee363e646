//! Agents, what they are granted, and their loads.

use std::collections::BTreeSet;

use chassis::access::{AccessRecord, ChannelGrant, KindAccess, View};
use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::RoleId;
use crate::domain::access::{Grants, Rights, evaluate};
use crate::domain::availability::Source;
use crate::domain::candidates::{Colleague, Drained};
use crate::domain::words::{Presence, UnknownWord};

/// An agent as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The account.
    pub account: AccountSlug,
    /// Who.
    pub id: AgentId,
    /// Name to show.
    pub name: String,
    /// False: may do nothing, gets no chats.
    pub active: bool,
    /// Presence now.
    pub presence: Presence,
    /// How many open chats distribution may give at most; 0 is no limit.
    pub capacity: i32,
    /// What is granted.
    pub grants: Grants,
    /// The role that grants leads, contacts and settings; the grants hold a copy of it.
    pub role: Option<RoleId>,
    /// Version of the evaluated access.
    pub access_version: i64,
    /// The account is suspended: the agent may do nothing.
    pub suspended: bool,
    /// Open chats now.
    pub load: i32,
    /// Waiting chats given to them lately.
    pub drained: Drained,
    /// It is their working time, by their own calendar or the account's.
    pub within_hours: bool,
    /// Where the presence comes from: what decided, why, until when.
    pub presence_source: Source,
    /// Why; empty where that was not said.
    pub presence_reason: String,
    /// Until when it was set by hand.
    pub presence_end: Option<OffsetDateTime>,
    /// When the agent was created.
    pub created_at: OffsetDateTime,
}

impl Agent {
    /// Returns what the agent may do, evaluated.
    pub fn access(&self) -> AccessRecord {
        let active = self.active && !self.suspended;
        evaluate(
            self.id,
            self.access_version.unsigned_abs(),
            active,
            &self.grants,
        )
    }

    /// Returns the agent as distribution sees them at a time.
    pub fn colleague(&self, now: OffsetDateTime) -> Colleague {
        Colleague {
            access: self.access(),
            presence: self.presence,
            capacity: self.capacity,
            load: self.load,
            within_hours: self.within_hours,
            drained: self.drained.at(now),
        }
    }
}

/// A row of `agent` with its load.
#[expect(
    clippy::struct_excessive_bools,
    reason = "columns of a row, each a fact of its own"
)]
struct Row {
    account: AccountSlug,
    agent_id: AgentId,
    name: String,
    active: bool,
    presence: String,
    capacity: i32,
    all_channels: bool,
    channel_ids: Vec<Uuid>,
    leads_create: bool,
    leads_view: String,
    contacts_create: bool,
    contacts_view: String,
    settings: bool,
    role_id: Option<Uuid>,
    access_version: i64,
    created_at: OffsetDateTime,
    suspended: bool,
    load: i32,
    drained: i32,
    drained_since: Option<OffsetDateTime>,
    within_hours: bool,
    presence_source: String,
    presence_reason: String,
    presence_end: Option<OffsetDateTime>,
}

/// Selects agents; what follows says from where, with `c.suspended` of their account and `base.open` of its calendar.
macro_rules! select_agents_from {
    ($from:tt $(+ $tail:tt)*, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select a.account as "account: AccountSlug", a.agent_id as "agent_id: AgentId", a.name,
                   a.active, a.presence, a.capacity, a.all_channels, a.channel_ids, a.leads_create,
                   a.leads_view, a.contacts_create, a.contacts_view, a.settings, a.role_id, a.access_version,
                   a.created_at, c.suspended as "suspended!", l.load, l.drained, l.drained_since,
                   a.presence_source, a.presence_reason, a.presence_end,
                   coalesce(own.open, base.open, true) as "within_hours!"
               from agent a
               join agent_load l on l.account = a.account and l.agent_id = a.agent_id
               left join calendar own
                 on own.account = a.account and own.owner = 'agent' and own.owner_id = a.agent_id
               "# + $from $(+ $tail)*,
            $($argument),*
        )
    };
}

/// Selects agents with what follows from their account and calendars; the tail says which.
macro_rules! select_agents {
    ($tail:tt, $($argument:expr),* $(,)?) => {
        select_agents_from!(
            "join account c on c.slug = a.account
             left join calendar base on base.account = a.account and base.owner = 'account'
             " + $tail,
            $($argument),*
        )
    };
}

pub(super) const fn view_word(view: View) -> &'static str {
    match view {
        View::None => "none",
        View::Own => "own",
        View::All => "all",
    }
}

pub(super) fn view_of(word: &str) -> Result<View, UnknownWord> {
    match word {
        "none" => Ok(View::None),
        "own" => Ok(View::Own),
        "all" => Ok(View::All),
        _ => Err(UnknownWord {
            set: "View",
            word: word.to_owned(),
        }),
    }
}

impl TryFrom<Row> for Agent {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let channels = if row.all_channels {
            ChannelGrant::All
        } else {
            ChannelGrant::Some(row.channel_ids.into_iter().collect::<BTreeSet<_>>())
        };
        let leads = view_of(&row.leads_view).map_err(unreadable("agent.leads_view"))?;
        let contacts = view_of(&row.contacts_view).map_err(unreadable("agent.contacts_view"))?;
        let presence = Presence::try_from(row.presence.as_str());
        Ok(Self {
            account: row.account,
            id: row.agent_id,
            name: row.name,
            active: row.active,
            presence: presence.map_err(unreadable("agent.presence"))?,
            capacity: row.capacity,
            grants: Grants {
                channels,
                leads: KindAccess {
                    create: row.leads_create,
                    view: leads,
                },
                contacts: KindAccess {
                    create: row.contacts_create,
                    view: contacts,
                },
                settings: row.settings,
            },
            role: row.role_id.map(RoleId::from),
            access_version: row.access_version,
            suspended: row.suspended,
            load: row.load,
            drained: Drained {
                count: row.drained,
                since: row.drained_since,
            },
            within_hours: row.within_hours,
            presence_source: Source::of(&row.presence_source),
            presence_reason: row.presence_reason,
            presence_end: row.presence_end,
            created_at: row.created_at,
        })
    }
}

fn channel_ids(grant: &ChannelGrant) -> Vec<Uuid> {
    match grant {
        ChannelGrant::All => Vec::new(),
        ChannelGrant::Some(channels) => channels.iter().copied().collect(),
    }
}

/// Inserts an agent with load 0; returns whether the id was new in the account.
pub async fn insert(connection: &mut PgConnection, agent: &Agent) -> Result<bool, sqlx::Error> {
    let grants = &agent.grants;
    let inserted = sqlx::query!(
        "insert into agent (account, agent_id, name, active, presence, capacity, all_channels,
             channel_ids, leads_create, leads_view, contacts_create, contacts_view, settings,
             access_version, created_at, role_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         on conflict do nothing",
        agent.account.as_str(),
        agent.id.uuid(),
        agent.name,
        agent.active,
        agent.presence.as_str(),
        agent.capacity,
        matches!(grants.channels, ChannelGrant::All),
        &channel_ids(&grants.channels),
        grants.leads.create,
        view_word(grants.leads.view),
        grants.contacts.create,
        view_word(grants.contacts.view),
        grants.settings,
        agent.access_version,
        agent.created_at,
        agent.role.map(RoleId::uuid),
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "insert into agent_load (account, agent_id, load) values ($1, $2, 0)",
        agent.account.as_str(),
        agent.id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Writes what of an agent can change.
pub async fn update(connection: &mut PgConnection, agent: &Agent) -> Result<(), sqlx::Error> {
    let grants = &agent.grants;
    sqlx::query!(
        "update agent set name = $3, active = $4, presence = $5, capacity = $6, all_channels = $7,
             channel_ids = $8, leads_create = $9, leads_view = $10, contacts_create = $11,
             contacts_view = $12, settings = $13, access_version = $14, role_id = $15
         where account = $1 and agent_id = $2",
        agent.account.as_str(),
        agent.id.uuid(),
        agent.name,
        agent.active,
        agent.presence.as_str(),
        agent.capacity,
        matches!(grants.channels, ChannelGrant::All),
        &channel_ids(&grants.channels),
        grants.leads.create,
        view_word(grants.leads.view),
        grants.contacts.create,
        view_word(grants.contacts.view),
        grants.settings,
        agent.access_version,
        agent.role.map(RoleId::uuid),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns an agent.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
) -> Result<Option<Agent>, sqlx::Error> {
    let row = select_agents!(
        "where a.account = $1 and a.agent_id = $2",
        account.as_str(),
        agent.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(Agent::try_from).transpose()
}

/// Locks an agent's row and returns the agent; the load is not locked.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
) -> Result<Option<Agent>, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "select true from agent where account = $1 and agent_id = $2 for no key update",
        account.as_str(),
        agent.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    get(connection, account, agent).await
}

/// Returns agents of an account after (name, id), by name.
pub async fn list_by_name(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: (&str, Uuid),
    limit: i64,
) -> Result<Vec<Agent>, sqlx::Error> {
    let rows = select_agents!(
        "where a.account = $1 and (a.name, a.agent_id) > ($2, $3)
         order by a.name, a.agent_id limit $4",
        account.as_str(),
        after.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Returns agents of an account after an id, by id.
pub async fn list_by_id(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Agent>, sqlx::Error> {
    let rows = select_agents!(
        "where a.account = $1 and a.agent_id > $2
         order by a.agent_id limit $3",
        account.as_str(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Returns some agents of an account whose calendar and suspension are known.
pub async fn of_known_account(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agents: &[Uuid],
    suspended: bool,
    open: Option<bool>,
) -> Result<Vec<Agent>, sqlx::Error> {
    // With two tables fewer the statement is planned in half the time, which is most of what one agent costs.
    let rows = select_agents_from!(
        "cross join (select $3::boolean as suspended) as c
         cross join (select $4::boolean as open) as base
         where a.account = $1 and a.agent_id = any($2)",
        account.as_str(),
        agents,
        suspended,
        open as Option<bool>,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Returns all agents of an account.
pub async fn of_account(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Vec<Agent>, sqlx::Error> {
    let rows = select_agents!("where a.account = $1", account.as_str())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Returns agents by their keys, in no order; unknown ones are left out.
pub async fn some(
    connection: &mut PgConnection,
    accounts: &[String],
    agents: &[Uuid],
) -> Result<Vec<Agent>, sqlx::Error> {
    let rows = select_agents!(
        "where (a.account, a.agent_id) in (select * from unnest($1::text[], $2::uuid[]))",
        accounts,
        agents,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Copies what a role grants to its agents, and returns those whose rights changed by it. The role must be locked.
pub async fn follow_role(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: RoleId,
    rights: &Rights,
) -> Result<Vec<Agent>, sqlx::Error> {
    // In the order in which all lock agents: an update takes them as it finds them.
    sqlx::query!(
        "select agent_id from agent where account = $1 and role_id = $2 order by agent_id for no key update",
        account.as_str(),
        role.uuid(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let changed: Vec<Uuid> = sqlx::query_scalar!(
        "update agent set leads_create = $3, leads_view = $4, contacts_create = $5, contacts_view = $6,
             settings = $7, access_version = access_version + 1
         where account = $1 and role_id = $2
           and (leads_create, leads_view, contacts_create, contacts_view, settings) <> ($3, $4, $5, $6, $7)
         returning agent_id",
        account.as_str(),
        role.uuid(),
        rights.leads.create,
        view_word(rights.leads.view),
        rights.contacts.create,
        view_word(rights.contacts.view),
        rights.settings,
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = select_agents!(
        "where a.account = $1 and a.agent_id = any($2)
         order by a.agent_id",
        account.as_str(),
        &changed,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Agent::try_from).collect()
}

/// Returns which of these ids are no agents of the account.
pub async fn unknown(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agents: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select wanted.agent_id as "agent_id!" from unnest($2::uuid[]) as wanted(agent_id)
           where not exists (select from agent a
                             where a.account = $1 and a.agent_id = wanted.agent_id)"#,
        account.as_str(),
        agents,
    )
    .fetch_all(connection)
    .await
}
