//! Who may do what here: the caller's record, and this service's own tables as its source (architecture §9).

use chassis::access::{AccessError, AccessRecord, AccessSource, ChatAccess};
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use sqlx::{PgConnection, PgPool};

use crate::domain::ChannelId;
use crate::error::{Error, Named};
use crate::store::{accounts, agents};

/// The rights of agents, read from this service's own tables: there is no copy to lag behind.
#[derive(Debug, Clone)]
pub struct OwnAccess(pub PgPool);

#[tonic::async_trait]
impl AccessSource for OwnAccess {
    async fn access(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        let mut connection = self.0.acquire().await?;
        Ok(agents::get(&mut connection, account, agent)
            .await?
            .map(|agent| agent.access()))
    }

    async fn suspended(&self, account: &AccountSlug) -> Result<bool, AccessError> {
        let mut connection = self.0.acquire().await?;
        Ok(accounts::suspended(&mut connection, account).await?)
    }
}

/// Refuses an agent without access to chats (F175). A service of the account sees all.
pub fn may_use_chats(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if access.chats == ChatAccess::None => Err(Error::ChatAccessMissing),
        _ => Ok(()),
    }
}

/// Refuses an agent who may not change settings. A service with the scope may.
pub fn may_change_settings(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if !access.settings => Err(Error::SettingsAccessMissing),
        _ => Ok(()),
    }
}

/// Tells whether chats of a channel exist for the caller (F062).
pub fn sees_channel(caller: &Caller, channel: ChannelId) -> bool {
    caller
        .access()
        .is_none_or(|access| access.may_see_channel(channel.uuid()))
}

/// Names an agent for a refusal.
pub async fn name_of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
) -> Result<Named, sqlx::Error> {
    let found = agents::get(connection, account, agent).await?;
    Ok(Named {
        id: agent,
        name: found.map(|agent| agent.name).unwrap_or_default(),
    })
}
