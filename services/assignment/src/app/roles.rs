//! Roles: what many agents may do, in one place (F179).

use chassis::access::{ChatAccess, KindAccess};
use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::{self, Outgoing};
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AgentUpdated, CreateRoleRequest, CreateRoleResponse, RoleDeleted,
    RoleUpdated,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::access::may_change_settings;
use super::once::Once;
use crate::audit as told;
use crate::domain::RoleId;
use crate::domain::access::Rights;
use crate::error::{Error, StaffError};
use crate::store::roles::{self, Hold, Role};
use crate::store::{accounts, agents, loads, releases};
use crate::wire;

/// What of a role is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct RoleChange<'r> {
    /// New name.
    pub name: Option<&'r str>,
    /// New rights on leads.
    pub leads: Option<KindAccess>,
    /// New rights on contacts.
    pub contacts: Option<KindAccess>,
    /// May change settings, or not.
    pub settings: Option<bool>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

impl App {
    /// Creates a role.
    pub async fn create_role(
        &self,
        caller: &Caller,
        request: &CreateRoleRequest,
        (name, rights): (&str, Rights),
        request_id: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<CreateRoleResponse, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let once = Once {
            caller,
            method: "CreateRole",
            request_id,
        };
        let mut transaction = self.pool.begin().await?;
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        if accounts::get(&mut transaction, account).await?.is_none() {
            return Err(Error::UnknownAccount(account.to_string()));
        }
        let role = Role {
            id: v7(now).into(),
            name: name.to_owned(),
            rights,
            revision: 1,
            agents: 0,
            created_at: now,
        };
        if !roles::insert(&mut transaction, account, &role).await? {
            return Err(Error::Staff(StaffError::NameTaken("role", name.to_owned())));
        }
        let entry = told::role(caller, None, Some(&role))?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let answer = CreateRoleResponse {
            role: Some(wire::staff::role(&role)),
        };
        once.store(&mut transaction, &answer).await?;
        let event = RoleUpdated {
            role: answer.role.clone(),
        };
        let event = Outgoing::new(account, role.id, &event).actor(caller.actor());
        outbox::write(&mut transaction, crate::NAME, vec![event], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(answer)
    }

    /// Changes a role. What its agents may do follows in the same transaction, each under their next version.
    pub async fn update_role(
        &self,
        caller: &Caller,
        id: RoleId,
        change: RoleChange<'_>,
        now: OffsetDateTime,
    ) -> Result<Role, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let before = roles::lock(&mut transaction, account, id, Hold::Change).await?;
        let before = before.ok_or(Error::Staff(StaffError::UnknownRole(id)))?;
        if change.expected.is_some_and(|seen| seen != before.revision) {
            return Err(Error::Staff(StaffError::Overtaken("role", before.revision)));
        }
        let mut role = before.clone();
        if let Some(name) = change.name {
            name.clone_into(&mut role.name);
        }
        role.rights.leads = change.leads.unwrap_or(role.rights.leads);
        role.rights.contacts = change.contacts.unwrap_or(role.rights.contacts);
        role.rights.settings = change.settings.unwrap_or(role.rights.settings);
        if role == before {
            return Ok(before);
        }
        role.revision += 1;
        roles::update(&mut transaction, account, &role)
            .await
            .map_err(|error| taken(error, "role_by_name", "role", &role.name))?;
        let entry = told::role(caller, Some(&before), Some(&role))?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let changed = agents::follow_role(&mut transaction, account, id, &role.rights).await?;
        let barred: Vec<_> = changed
            .iter()
            .filter(|agent| agent.access().chats == ChatAccess::None)
            .map(|agent| agent.id)
            .collect();
        if !barred.is_empty() {
            // Whoever gives these agents a chat looks at the access under these locks.
            loads::hold_back(&mut transaction, account, barred.iter().copied()).await?;
            let (actor, change) = (caller.actor(), v7(now));
            releases::note(&mut transaction, account, &barred, &actor, change).await?;
        }
        let event = RoleUpdated {
            role: Some(wire::staff::role(&role)),
        };
        let mut events = vec![Outgoing::new(account, id, &event)];
        for agent in &changed {
            let updated = AgentUpdated {
                agent: Some(wire::agent(agent)),
            };
            let access = AgentAccessChanged {
                access: Some(wire::access(&agent.access())),
            };
            events.push(Outgoing::new(account, agent.id, &updated));
            events.push(Outgoing::new(account, agent.id, &access));
        }
        let events = events
            .into_iter()
            .map(|event| event.actor(caller.actor()))
            .collect();
        outbox::write(&mut transaction, crate::NAME, events, now).await?;
        transaction.commit().await?;
        self.known.forget();
        self.waker.wake();
        if !barred.is_empty()
            && let Err(error) = self.release_pending(now).await
        {
            tracing::warn!(%error, "chats of agents without access are left to the next sweep");
        }
        self.drain_soon(&[account.clone()].into(), now).await;
        Ok(role)
    }

    /// Returns a role.
    pub async fn get_role(&self, caller: &Caller, id: RoleId) -> Result<Role, Error> {
        let mut connection = self.pool.acquire().await?;
        roles::get(&mut connection, caller.account(), id)
            .await?
            .ok_or(Error::Staff(StaffError::UnknownRole(id)))
    }

    /// Returns roles after (name, id), by name.
    pub async fn list_roles(
        &self,
        caller: &Caller,
        after: (&str, Uuid),
        limit: i64,
    ) -> Result<Vec<Role>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(roles::list(&mut connection, caller.account(), after, limit).await?)
    }

    /// Deletes a role that no agent has.
    pub async fn delete_role(
        &self,
        caller: &Caller,
        id: RoleId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let role = roles::lock(&mut transaction, account, id, Hold::Change).await?;
        let role = role.ok_or(Error::Staff(StaffError::UnknownRole(id)))?;
        if role.agents > 0 {
            return Err(Error::Staff(StaffError::RoleInUse(role.agents)));
        }
        roles::delete(&mut transaction, account, id).await?;
        let entry = told::role(caller, Some(&role), None)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let event = RoleDeleted {
            role_id: id.to_string(),
        };
        let event = Outgoing::new(account, id, &event).actor(caller.actor());
        outbox::write(&mut transaction, crate::NAME, vec![event], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// Reads a name that another has from the violated constraint.
pub(super) fn taken(error: sqlx::Error, constraint: &str, what: &'static str, name: &str) -> Error {
    match error.as_database_error().and_then(|e| e.constraint()) {
        Some(violated) if violated == constraint => {
            Error::Staff(StaffError::NameTaken(what, name.to_owned()))
        }
        _ => error.into(),
    }
}
