//! Groups of agents (D21).

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId, v7};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{
    CreateGroupRequest, CreateGroupResponse, GroupDeleted, GroupUpdated,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::access::may_change_settings;
use super::once::Once;
use super::roles::taken;
use crate::audit as told;
use crate::domain::GroupId;
use crate::error::{Error, StaffError};
use crate::store::groups::{self, Group};
use crate::store::{accounts, agents};
use crate::wire;

/// Channels that a refusal names at most.
const CHANNELS_NAMED: i64 = 20;

/// What of a group is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct GroupChange<'r> {
    /// New name.
    pub name: Option<&'r str>,
    /// Its agents from now on, with the field that names them.
    pub agents: Option<Vec<AgentId>>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

impl App {
    /// Creates a group.
    pub async fn create_group(
        &self,
        caller: &Caller,
        request: &CreateGroupRequest,
        (name, members): (&str, Vec<AgentId>),
        request_id: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<CreateGroupResponse, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let once = Once {
            caller,
            method: "CreateGroup",
            request_id,
        };
        let mut transaction = self.pool.begin().await?;
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        if accounts::get(&mut transaction, account).await?.is_none() {
            return Err(Error::UnknownAccount(account.to_string()));
        }
        let group = Group {
            id: v7(now).into(),
            name: name.to_owned(),
            agents: sorted(members),
            revision: 1,
            created_at: now,
        };
        if !groups::insert(&mut transaction, account, &group).await? {
            return Err(Error::Staff(StaffError::NameTaken(
                "group",
                name.to_owned(),
            )));
        }
        set_members(&mut transaction, caller, &group, "agent_ids").await?;
        let entry = told::group(caller, None, Some(&group))?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let answer = CreateGroupResponse {
            group: Some(wire::staff::group(&group)),
        };
        once.store(&mut transaction, &answer).await?;
        announce(&mut transaction, caller, &group, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(answer)
    }

    /// Changes a group; chats that wait may find somebody by it.
    pub async fn update_group(
        &self,
        caller: &Caller,
        id: GroupId,
        change: GroupChange<'_>,
        now: OffsetDateTime,
    ) -> Result<Group, Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let before = groups::lock(&mut transaction, account, id).await?;
        let before = before.ok_or(Error::Staff(StaffError::UnknownGroup(id)))?;
        if change.expected.is_some_and(|seen| seen != before.revision) {
            return Err(Error::Staff(StaffError::Overtaken(
                "group",
                before.revision,
            )));
        }
        let mut group = before.clone();
        if let Some(name) = change.name {
            name.clone_into(&mut group.name);
        }
        if let Some(members) = change.agents {
            group.agents = sorted(members);
        }
        if group == before {
            return Ok(before);
        }
        group.revision += 1;
        groups::update(&mut transaction, account, &group)
            .await
            .map_err(|error| taken(error, "staff_group_by_name", "group", &group.name))?;
        let entry = told::group(caller, Some(&before), Some(&group))?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        if group.agents != before.agents {
            set_members(&mut transaction, caller, &group, "members.agent_ids").await?;
        }
        announce(&mut transaction, caller, &group, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        self.drain_soon(&[account.clone()].into(), now).await;
        Ok(group)
    }

    /// Returns a group.
    pub async fn get_group(&self, caller: &Caller, id: GroupId) -> Result<Group, Error> {
        let mut connection = self.pool.acquire().await?;
        groups::get(&mut connection, caller.account(), id)
            .await?
            .ok_or(Error::Staff(StaffError::UnknownGroup(id)))
    }

    /// Returns groups after (name, id), by name.
    pub async fn list_groups(
        &self,
        caller: &Caller,
        after: (&str, Uuid),
        limit: i64,
    ) -> Result<Vec<Group>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(groups::list(&mut connection, caller.account(), after, limit).await?)
    }

    /// Returns the groups that an agent is in.
    pub async fn groups_of(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Vec<GroupId>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(groups::of_agent(&mut connection, account, agent).await?)
    }

    /// Deletes a group that no channel distributes among.
    pub async fn delete_group(
        &self,
        caller: &Caller,
        id: GroupId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        may_change_settings(caller)?;
        let account = caller.account();
        let mut transaction = self.pool.begin().await?;
        let before = groups::lock(&mut transaction, account, id).await?;
        let before = before.ok_or(Error::Staff(StaffError::UnknownGroup(id)))?;
        let channels = groups::channels(&mut transaction, account, id, CHANNELS_NAMED).await?;
        if !channels.is_empty() {
            return Err(Error::Staff(StaffError::GroupInUse(channels)));
        }
        groups::delete(&mut transaction, account, id).await?;
        let entry = told::group(caller, Some(&before), None)?;
        audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        let event = GroupDeleted {
            group_id: id.to_string(),
        };
        let event = Outgoing::new(account, id, &event).actor(caller.actor());
        outbox::write(&mut transaction, crate::NAME, vec![event], now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// Each once, by id, as they are stored.
fn sorted(mut agents: Vec<AgentId>) -> Vec<AgentId> {
    agents.sort_unstable();
    agents.dedup();
    agents
}

/// Writes the members, who must be agents of the account.
async fn set_members(
    connection: &mut PgConnection,
    caller: &Caller,
    group: &Group,
    field: &'static str,
) -> Result<(), Error> {
    let members: Vec<Uuid> = group.agents.iter().map(|agent| agent.uuid()).collect();
    let unknown = agents::unknown(connection, caller.account(), &members).await?;
    if !unknown.is_empty() {
        return Err(Error::Staff(StaffError::UnknownMembers(field, unknown)));
    }
    groups::set_members(connection, caller.account(), group).await?;
    Ok(())
}

async fn announce(
    connection: &mut PgConnection,
    caller: &Caller,
    group: &Group,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let event = GroupUpdated {
        group: Some(wire::staff::group(group)),
    };
    let event = Outgoing::new(caller.account(), group.id, &event).actor(caller.actor());
    outbox::write(connection, crate::NAME, vec![event], now).await
}
