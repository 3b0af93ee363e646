//! Presence by open streams (B04): a lease each, renewed by the replica that holds the stream.

use std::collections::BTreeSet;

use chassis::access::ChatAccess;
use chassis::auth::Caller;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::App;
use crate::domain::candidates::LeftOut;
use crate::error::Error;
use crate::store::availability::{AgentKey, Held};
use crate::store::leases::{self, Standing};

/// Streams of one agent at most.
const OF_ONE: i64 = 20;

/// Leases that are deleted at once, at most.
const FORGOTTEN: i64 = 1_000;

impl App {
    /// Opens a stream of the calling agent, until then unless it is kept.
    pub async fn open_stream(
        &self,
        caller: &Caller,
        stream: Uuid,
        expires_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(AgentKey, Held), Error> {
        let agent = caller.agent().ok_or(Error::AgentRequired)?;
        let agent = (caller.account().clone(), agent);
        let mut connection = self.pool.acquire().await?;
        if leases::count(&mut connection, &agent, now).await? >= OF_ONE {
            return Err(Error::TooManyStreams);
        }
        drop(connection);
        let presence = self.keep_stream(&agent, stream, expires_at, now).await?;
        Ok((agent, presence))
    }

    /// Keeps a stream until then; refused where the agent may not work any more. Returns what the agent's presence
    /// is.
    pub async fn keep_stream(
        &self,
        agent: &AgentKey,
        stream: Uuid,
        expires_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Held, Error> {
        let mut connection = self.pool.acquire().await?;
        let standing = leases::standings(&mut connection, &[agent.clone()].into()).await?;
        may_be_present(standing.get(agent), agent)?;
        let kept = leases::keep(&mut connection, agent, stream, expires_at).await?;
        drop(connection);
        if !kept {
            return Err(Error::UnknownAgent(agent.1));
        }
        let held = self.presence_of(&agent.0, agent.1, now).await?;
        if crate::domain::availability::availability(&held.say, now) == held.presence {
            return Ok(held);
        }
        self.settle_one(&agent.0, agent.1, |_| {}, None, now)
            .await?;
        self.presence_of(&agent.0, agent.1, now).await
    }

    /// Returns those of these agents who may not keep a stream any more.
    pub async fn barred_from_streams(
        &self,
        agents: &BTreeSet<AgentKey>,
    ) -> Result<BTreeSet<AgentKey>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let standings = leases::standings(&mut connection, agents).await?;
        let barred = agents
            .iter()
            .filter(|agent| may_be_present(standings.get(*agent), agent).is_err());
        Ok(barred.cloned().collect())
    }

    /// Ends a stream: its lease runs out after the grace time. What fails does so a little later.
    pub async fn end_stream(&self, stream: Uuid, expires_at: OffsetDateTime) {
        let ended = async {
            let mut connection = self.pool.acquire().await?;
            leases::end(&mut connection, stream, expires_at).await
        };
        if let Err(error) = ended.await {
            tracing::warn!(%error, "a presence stream's lease runs out by itself");
        }
    }

    /// Deletes leases that have run out a while ago.
    pub async fn forget_streams(&self, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        leases::forget(&mut connection, now - Duration::MINUTE, FORGOTTEN).await
    }
}

/// Refuses to keep an agent present who may not work, or not with chats (F175).
fn may_be_present(standing: Option<&Standing>, agent: &AgentKey) -> Result<(), Error> {
    match standing {
        None => Err(Error::UnknownAgent(agent.1)),
        Some(standing) if !standing.active => Err(Error::CallerBarred(LeftOut::AgentInactive)),
        Some(standing) if standing.chats == ChatAccess::None => Err(Error::ChatAccessMissing),
        Some(_) => Ok(()),
    }
}
