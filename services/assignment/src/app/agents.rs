//! Agents: created, changed, present (F061, F062, F179).

use chassis::actor::Actor;
use chassis::auth::{Caller, Scope};
use chassis::id::{AccountSlug, AgentId, v7};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AgentPresenceChanged, AgentUpdated, CreateAgentRequest, CreateAgentResponse,
};
use time::OffsetDateTime;

use super::App;
use super::access::may_change_settings;
use super::once::Once;
use crate::domain::access::Grants;
use crate::domain::words::Presence;
use crate::error::Error;
use crate::store::accounts;
use crate::store::agents::{self, Agent};
use crate::store::releases::{self, Release};
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
        let agent = Agent {
            account: account.clone(),
            id: new.id,
            name: new.name.to_owned(),
            active: true,
            presence: Presence::Offline,
            capacity: new.capacity,
            grants: new.grants,
            access_version: 1,
            suspended: false,
            load: 0,
            created_at: now,
        };
        if !agents::insert(&mut transaction, &agent).await? {
            return Err(Error::AgentExists(agent.id));
        }
        let answer = CreateAgentResponse {
            agent: Some(wire::agent(&agent)),
        };
        once.store(&mut transaction, &answer).await?;
        announce(&mut transaction, &agent, true, &caller.actor(), now).await?;
        transaction.commit().await?;
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
        let before = agents::lock(&mut transaction, account, id).await?;
        let before = before.ok_or(Error::UnknownAgent(id))?;
        let mut agent = before.clone();
        if let Some(name) = change.name {
            name.clone_into(&mut agent.name);
        }
        agent.active = change.active.unwrap_or(agent.active);
        agent.capacity = change.capacity.unwrap_or(agent.capacity);
        agent.grants = change.grants.unwrap_or(agent.grants);
        if agent == before {
            return Ok(before);
        }
        let access_changed = agent.access() != before.access();
        agent.access_version += i64::from(access_changed);
        agents::update(&mut transaction, &agent).await?;
        let release = Release {
            account: account.clone(),
            agent: id,
            actor: caller.actor(),
            change: v7(now),
        };
        if access_changed {
            // Whoever gives this agent a chat holds the load's lock and looks at the access under it.
            let key = (account.clone(), id);
            agents::lock_loads(&mut transaction, &[key].into()).await?;
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
        self.waker.wake();
        if access_changed {
            self.release_soon(&release, now).await;
        }
        self.drain_soon(&[account.clone()].into(), now).await;
        Ok(agent)
    }

    /// Sets an agent's presence: an agent their own, an administrator anybody's.
    pub async fn set_presence(
        &self,
        caller: &Caller,
        id: AgentId,
        presence: Presence,
        now: OffsetDateTime,
    ) -> Result<Agent, Error> {
        if caller.agent() != Some(id) {
            if !caller.has_scope(Scope::AGENTS_ADMIN) {
                return Err(Error::SettingsAccessMissing);
            }
            may_change_settings(caller)?;
        }
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let agent = agents::lock(&mut transaction, account, id).await?;
        let mut agent = agent.ok_or(Error::UnknownAgent(id))?;
        if agent.presence == presence {
            return Ok(agent);
        }
        agent.presence = presence;
        agents::update(&mut transaction, &agent).await?;
        let changed = AgentPresenceChanged {
            agent_id: id.to_string(),
            presence: wire::presence(presence).into(),
            time: Some(chassis::grpc::timestamp(now)),
        };
        let event = Outgoing::new(account, id, &changed).actor(caller.actor());
        outbox::write(&mut transaction, crate::NAME, vec![event], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        if presence == Presence::Online {
            self.drain_soon(&[account.clone()].into(), now).await;
            // The answer tells the load with what was just given.
            return self.get_agent(account, id).await;
        }
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
