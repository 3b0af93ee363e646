//! Agents: created and changed (F061, F062, F179).

use chassis::actor::Actor;
use chassis::audit;
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId, v7};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AgentUpdated, CreateAgentRequest, CreateAgentResponse,
};
use time::OffsetDateTime;

use super::App;
use super::access::may_change_settings;
use super::once::Once;
use crate::audit as told;
use crate::domain::RoleId;
use crate::domain::access::Grants;
use crate::domain::availability::Availability;
use crate::domain::candidates::Drained;
use crate::error::{Error, StaffError};
use crate::store::accounts;
use crate::store::agents::{self, Agent};
use crate::store::loads;
use crate::store::releases::{self, Release};
use crate::store::roles::{self, Hold};
use crate::wire;

/// A parsed request to create an agent.
#[derive(Debug, Clone)]
pub struct NewAgent<'r> {
    /// Their id.
    pub id: AgentId,
    /// Their name.
    pub name: &'r str,
    /// How many open chats distribution may give at most; 0 is no limit.
    pub capacity: i32,
    /// What is granted.
    pub grants: Grants,
    /// The role from which all but channels comes.
    pub role: Option<RoleId>,
    /// The request grants more than channels.
    pub rights_told: bool,
    /// The request id.
    pub request_id: Option<&'r str>,
}

/// What of an agent is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct AgentChange<'r> {
    /// New name.
    pub name: Option<&'r str>,
    /// Active or not.
    pub active: Option<bool>,
    /// New capacity.
    pub capacity: Option<i32>,
    /// New grants.
    pub grants: Option<Grants>,
    /// New role, or none from now on.
    pub role: Option<Option<RoleId>>,
    /// The request grants more than channels.
    pub rights_told: bool,
}

impl App {
    /// Creates an agent, offline.
    pub async fn create_agent(
        &self,
        caller: &Caller,
        request: &CreateAgentRequest,
        new: NewAgent<'_>,
        now: OffsetDateTime,
    ) -> Result<CreateAgentResponse, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let once = Once {
            caller,
            method: "CreateAgent",
            request_id: new.request_id,
        };
        let mut transaction = self.pool.begin().await?;
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        if accounts::get(&mut transaction, account).await?.is_none() {
            return Err(Error::UnknownAccount(account.to_string()));
        }
        let grants = match new.role {
            Some(role) => {
                under(&mut transaction, account, role, new.grants, new.rights_told).await?
            }
            None => new.grants,
        };
        let first = Availability::none();
        let agent = Agent {
            account: account.clone(),
            id: new.id,
            name: new.name.to_owned(),
            active: true,
            presence: first.presence,
            capacity: new.capacity,
            grants,
            role: new.role,
            access_version: 1,
            suspended: false,
            load: 0,
            drained: Drained::default(),
            within_hours: true,
            presence_source: first.source,
            presence_reason: first.reason,
            presence_end: first.end,
            created_at: now,
        };
        if !agents::insert(&mut transaction, &agent).await? {
            return Err(Error::AgentExists(agent.id));
        }
        let entry = told::agent(caller, None, &agent)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let answer = CreateAgentResponse {
            agent: Some(wire::agent(&agent)),
        };
        once.store(&mut transaction, &answer).await?;
        announce(&mut transaction, &agent, true, &caller.actor(), now).await?;
        transaction.commit().await?;
        self.known.forget();
        self.waker.wake();
        Ok(answer)
    }

    /// Changes an agent. What they may do is evaluated anew, under the next version where it changed.
    pub async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        change: AgentChange<'_>,
        now: OffsetDateTime,
    ) -> Result<Agent, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        // Roles are locked before agents, as where a role changes.
        if let Some(Some(role)) = change.role {
            roles::lock(&mut transaction, account, role, Hold::Share).await?;
        }
        let before = agents::lock(&mut transaction, account, id).await?;
        let before = before.ok_or(Error::UnknownAgent(id))?;
        let mut agent = before.clone();
        if let Some(name) = change.name {
            name.clone_into(&mut agent.name);
        }
        agent.active = change.active.unwrap_or(agent.active);
        agent.capacity = change.capacity.unwrap_or(agent.capacity);
        agent.grants = granted(&mut transaction, &before, &change).await?;
        agent.role = change.role.unwrap_or(agent.role);
        if agent == before {
            return Ok(before);
        }
        let access_changed = agent.access() != before.access();
        agent.access_version += i64::from(access_changed);
        agents::update(&mut transaction, &agent).await?;
        let entry = told::agent(caller, Some(&before), &agent)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let release = Release {
            account: account.clone(),
            agent: id,
            actor: caller.actor(),
            change: v7(now),
        };
        if access_changed {
            // Whoever gives this agent a chat looks at the access under these locks.
            loads::hold_back(&mut transaction, account, [id].into_iter()).await?;
            let (actor, change) = (&release.actor, release.change);
            releases::note(&mut transaction, account, &[id], actor, change).await?;
        }
        announce(
            &mut transaction,
            &agent,
            access_changed,
            &caller.actor(),
            now,
        )
        .await?;
        transaction.commit().await?;
        self.known.forget();
        self.waker.wake();
        if access_changed {
            self.release_soon(&release, now).await;
        }
        self.drain_soon(&[account.clone()].into(), now).await;
        Ok(agent)
    }

    /// Returns an agent.
    pub async fn get_agent(&self, account: &AccountSlug, id: AgentId) -> Result<Agent, Error> {
        let mut connection = self.pool.acquire().await?;
        agents::get(&mut connection, account, id)
            .await?
            .ok_or(Error::UnknownAgent(id))
    }
}

/// Returns what an agent is granted after a change: all but channels comes from the role while there is one.
async fn granted(
    connection: &mut PgConnection,
    before: &Agent,
    change: &AgentChange<'_>,
) -> Result<Grants, Error> {
    let told = change.grants.clone();
    match change.role.unwrap_or(before.role) {
        None => Ok(told.unwrap_or_else(|| before.grants.clone())),
        Some(_) if change.rights_told => Err(Error::Staff(StaffError::RightsOfRole)),
        Some(role) if change.role.is_some() => {
            let own = told.unwrap_or_else(|| before.grants.clone());
            under(connection, &before.account, role, own, false).await
        }
        // The copy of the role's rights stands in the agent's row, which is locked: a change of the role waits.
        Some(_) => Ok(told.map_or_else(
            || before.grants.clone(),
            |told| before.grants.clone().on(told.channels),
        )),
    }
}

/// Returns grants under a role, which is held until the transaction ends.
async fn under(
    connection: &mut PgConnection,
    account: &AccountSlug,
    role: RoleId,
    own: Grants,
    rights_told: bool,
) -> Result<Grants, Error> {
    if rights_told {
        return Err(Error::Staff(StaffError::RightsOfRole));
    }
    let found = roles::lock(connection, account, role, Hold::Share).await?;
    let found = found.ok_or(Error::Staff(StaffError::NoSuchRole(role)))?;
    Ok(own.with(found.rights))
}

/// Announces an agent as they are now, and what they may do where that is new.
async fn announce(
    connection: &mut PgConnection,
    agent: &Agent,
    access_changed: bool,
    actor: &Actor,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let updated = AgentUpdated {
        agent: Some(wire::agent(agent)),
    };
    let mut events = vec![Outgoing::new(&agent.account, agent.id, &updated).actor(actor.clone())];
    if access_changed {
        let changed = AgentAccessChanged {
            access: Some(wire::access(&agent.access())),
        };
        events.push(Outgoing::new(&agent.account, agent.id, &changed).actor(actor.clone()));
    }
    outbox::write(connection, crate::NAME, events, now).await
}
