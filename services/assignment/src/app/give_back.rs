//! An agent who becomes away gives their open chats back to be distributed, where they are to (B04).

use chassis::actor::Actor;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{ChatUnassigned, PartReason};
use time::OffsetDateTime;

use super::App;
use super::assign::Origin;
use super::board::{Board, Saved, Shift};
use super::memory::Memory;
use crate::store::availability::{self, AgentKey};
use crate::wire;

/// Chats of one transaction at most.
const AT_ONCE: i64 = 100;

/// Agents of one look at most.
const AGENTS: i64 = 50;

impl App {
    /// Gives an agent's open chats back in batches, and to others what they can take. An agent who comes back in
    /// between keeps the rest.
    pub async fn give_back(
        &self,
        agent: &AgentKey,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let mut gave = false;
        loop {
            let mut transaction = self.pool.begin().await?;
            let Some(saved) = give_back_some(&mut transaction, &self.memory, agent, now).await?
            else {
                break;
            };
            transaction.commit().await?;
            if saved.events == 0 {
                break;
            }
            self.waker.wake();
            gave = true;
        }
        if gave {
            self.drain_soon(&[agent.0.clone()].into(), now).await;
        }
        Ok(())
    }

    /// Gives back what a process that died left.
    pub async fn give_back_left(&self, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let agents = availability::giving_back(&mut connection, AGENTS).await?;
        drop(connection);
        for agent in &agents {
            self.give_back(agent, now).await?;
        }
        Ok(())
    }
}

/// Gives some chats back; none where the agent gives none back any more. Commit afterwards.
async fn give_back_some(
    connection: &mut PgConnection,
    memory: &Memory,
    agent: &AgentKey,
    now: OffsetDateTime,
) -> Result<Option<Saved>, sqlx::Error> {
    // Held to the end of the batch: who comes back keeps their chats, or waits for this batch. Nobody who holds
    // chats waits for this row.
    if !availability::lock_giving_back(connection, agent).await? {
        return Ok(None);
    }
    let some = availability::open_chats(connection, agent, AT_ONCE).await?;
    if some.is_empty() {
        availability::gave_back(connection, agent).await?;
        return Ok(Some(Saved::default()));
    }
    let mut board = Board::of_known(connection, &agent.0, &some).await?;
    board
        .lock_staff(connection, memory, &[], std::slice::from_ref(agent), now)
        .await?;
    for id in some {
        // Handed to somebody else since it was looked for: it is theirs.
        let theirs = board.chat(id).filter(|c| c.counted_for() == Some(agent.1));
        let origin = Origin::of_opening(theirs);
        if theirs.is_none() {
            continue;
        }
        let Some(chat) = board.change(id) else {
            continue;
        };
        let channel = chat.channel;
        let event = v7(now);
        chat.give_back(Stamp::next_for_person(chat.stamp, now, event));
        let unassigned = ChatUnassigned {
            assignment: Some(wire::assignment(chat)),
            previous_agent_id: agent.1.to_string(),
            reason: PartReason::Away.into(),
        };
        let event = Outgoing::with_id(event, &agent.0, id, &unassigned)
            .actor(Actor::Rule("away".into()))
            .cause(origin.cause)
            .trace(origin.trace);
        board.shift(&Shift {
            agent: agent.clone(),
            channel,
            by: -1,
        });
        board.announce(event);
    }
    board.save(connection, now).await.map(Some)
}
