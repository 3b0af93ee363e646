//! Chats that an agent may not have any more go to whoever has joined longest, or back to be distributed: a batch at
//! once when the access is narrowed, the rest by the sweep.

use chassis::id::AgentId;
use time::OffsetDateTime;

use super::App;
use super::assign::Origin;
use super::board::{AgentKey, Board, Saved};
use super::change::{Doing, take_from_barred};
use super::memory::Memory;
use crate::store::agents::{self, Agent};
use crate::store::releases::{self, Release};

/// Chats of one transaction at most.
const AT_ONCE: i64 = 256;

/// Agents of one sweep at most.
const AGENTS: i64 = 100;

impl App {
    /// Takes the first chats after a commit that narrowed an agent's access. What fails or is left over is the sweep's.
    pub async fn release_soon(&self, release: &Release, now: OffsetDateTime) {
        if let Err(error) = self.release_some(release, now).await {
            tracing::warn!(%error, "chats of an agent without access are left to the next sweep");
        }
    }

    /// Takes all chats of agents whose access was narrowed.
    pub async fn release_pending(&self, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let pending = releases::pending(&mut connection, AGENTS).await?;
        drop(connection);
        for release in pending {
            while self.release_some(&release, now).await? {}
        }
        Ok(())
    }

    /// Takes some; returns whether there may be more.
    async fn release_some(
        &self,
        release: &Release,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let agent = agents::get(&mut transaction, &release.account, release.agent).await?;
        let taken = match &agent {
            Some(agent) => take_some(&mut transaction, &self.memory, agent, release, now).await?,
            None => None,
        };
        if taken.is_none() {
            releases::done(&mut transaction, release).await?;
        }
        transaction.commit().await?;
        let Some(saved) = taken else {
            return Ok(false);
        };
        self.waker.wake();
        self.drain_soon(&saved.freed, now).await;
        Ok(true)
    }
}

/// Takes chats that the agent may not have; none where there are no more.
async fn take_some(
    connection: &mut sqlx::PgConnection,
    memory: &Memory,
    agent: &Agent,
    release: &Release,
    now: OffsetDateTime,
) -> Result<Option<Saved>, sqlx::Error> {
    let ids = releases::chats(connection, agent, AT_ONCE).await?;
    if ids.is_empty() {
        return Ok(None);
    }
    let mut board = Board::of_known(connection, &release.account, &ids).await?;
    let taking_part = |chat: &crate::domain::chat::Chat| -> Vec<AgentId> {
        let joined = chat.participants.iter().copied();
        joined.chain(chat.agent).collect()
    };
    let concerned: Vec<AgentKey> = board
        .chats()
        .flat_map(taking_part)
        .map(|agent| (release.account.clone(), agent))
        .collect();
    board
        .lock_staff(connection, memory, &[], &concerned, now)
        .await?;
    let doing = Doing {
        actor: release.actor.clone(),
        origin: Origin::of_request(),
        request: String::new(),
        now,
    };
    for id in ids {
        // What was closed meanwhile is looked at when it is opened again.
        if board.chat(id).is_some_and(|chat| chat.open) {
            take_from_barred(&mut board, id, &doing);
        }
    }
    let saved = board.save(connection, now).await?;
    // Nothing to be taken after all: somebody else did, or the access is back.
    Ok((saved.events > 0).then_some(saved))
}
