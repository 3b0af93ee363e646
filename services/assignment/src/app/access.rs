//! Who may do what here: the caller's record, and this service's own tables as its source (architecture §9).

use std::time::Duration;

use chassis::access::{AccessError, AccessRecord, AccessSource, ChatAccess};
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use moka::future::Cache;
use sqlx::{PgConnection, PgPool};

use crate::domain::ChannelId;
use crate::error::{Error, Named};
use crate::store::{accounts, agents};

/// The rights of agents, read from this service's own tables: there is no copy to lag behind.
#[derive(Clone)]
pub struct OwnAccess {
    pool: PgPool,
    known: KnownAccess,
}

/// How long a replica may answer from memory: the bound for a change that another replica made.
const REMEMBERED: Duration = Duration::from_millis(500);

/// Agents remembered at once.
const REMEMBERED_AGENTS: u64 = 50_000;

/// What agents may do, in memory. Whoever changes that forgets it after the commit, so that a change is seen at once
/// where it was made, and within half a second elsewhere.
#[derive(Clone)]
pub struct KnownAccess(Cache<(AccountSlug, AgentId), Option<AccessRecord>>);

impl Default for KnownAccess {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(REMEMBERED_AGENTS)
            .time_to_live(REMEMBERED)
            .build();
        Self(cache)
    }
}

impl KnownAccess {
    /// Forgets everybody: a role may be many agents', and memory is short anyway.
    pub fn forget(&self) {
        self.0.invalidate_all();
    }
}

impl OwnAccess {
    /// Reads a database's agents, with a memory that those who change them share.
    pub const fn new(pool: PgPool, known: KnownAccess) -> Self {
        Self { pool, known }
    }

    async fn read(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let found = agents::get(&mut connection, account, agent).await?;
        Ok(found.map(|agent| agent.access()))
    }
}

#[tonic::async_trait]
impl AccessSource for OwnAccess {
    async fn access(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        let key = (account.clone(), agent);
        let found = self.known.0.try_get_with(key, self.read(account, agent));
        found
            .await
            .map_err(|error| AccessError::Away(error.to_string()))
    }

    async fn suspended(&self, account: &AccountSlug) -> Result<bool, AccessError> {
        let mut connection = self.pool.acquire().await?;
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
