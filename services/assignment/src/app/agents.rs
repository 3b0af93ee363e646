//! Agents: created and changed (F061, F062, F179).

use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AgentUpdated, CreateAgentRequest, CreateAgentResponse,
};
use time::OffsetDateTime;

use super::App;
use super::access::may_change_settings;
use super::once::Once;
use crate::domain::access::Grants;
use crate::domain::availability::Availability;
use crate::error::Error;
use crate::store::accounts;
use crate::store::agents::{self, Agent};
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
        let first = Availability::none();
        let agent = Agent {
            account: account.clone(),
            id: new.id,
            name: new.name.to_owned(),
            active: true,
            presence: first.presence,
            capacity: new.capacity,
            grants: new.grants,
            access_version: 1,
            suspended: false,
            load: 0,
            within_hours: true,
            presence_source: first.source,
            presence_reason: first.reason,
            presence_end: first.end,
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
