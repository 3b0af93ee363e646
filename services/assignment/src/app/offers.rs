//! What distribution gave and nobody took in time is offered to somebody else (B04).

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::{AccountSlug, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::{ChatUnassigned, PartReason};
use time::OffsetDateTime;

use super::App;
use super::assign::Origin;
use super::board::{AgentKey, Board, Saved, Shift};
use super::memory::Memory;
use crate::domain::chat::Chat;
use crate::domain::{ChannelId, ChatId};
use crate::store::chats;
use crate::wire;

/// Chats of one transaction at most.
const AT_ONCE: i64 = 256;

impl App {
    /// Takes back what was offered and not taken by now, and lets distribution look for others. Returns how many chats.
    pub async fn pass_offers(&self, now: OffsetDateTime) -> Result<usize, sqlx::Error> {
        let mut passed = 0;
        loop {
            let mut transaction = self.pool.begin().await?;
            let ended = chats::offers_ended(&mut transaction, now, AT_ONCE).await?;
            if ended.is_empty() {
                return Ok(passed);
            }
            let saved = pass_some(&mut transaction, &self.memory, &ended, now).await?;
            transaction.commit().await?;
            self.waker.wake();
            self.drain_soon(&saved.freed, now).await;
            passed += saved.events;
            // All of them were taken meanwhile: what is left is the next look's.
            if saved.events == 0 {
                return Ok(passed);
            }
        }
    }
}

/// Takes chats back from those who let the offer pass. What was taken or handed on meanwhile is seen under the lock.
async fn pass_some(
    connection: &mut PgConnection,
    memory: &Memory,
    ended: &BTreeMap<ChatId, (AccountSlug, ChannelId)>,
    now: OffsetDateTime,
) -> Result<Saved, sqlx::Error> {
    let mut board = Board::of(connection, ended).await?;
    let over = |chat: &&Chat| chat.offered_until().is_some_and(|end| end <= now);
    let held: Vec<(ChatId, AgentKey)> = board
        .chats()
        .filter(over)
        .filter_map(|chat| Some((chat.id, (chat.account.clone(), chat.agent?))))
        .collect();
    let whose: Vec<AgentKey> = held.iter().map(|(_, agent)| agent.clone()).collect();
    board
        .lock_staff(connection, memory, &[], &whose, now)
        .await?;
    for (id, agent) in held {
        let origin = Origin::of_opening(board.chat(id));
        let Some(chat) = board.change(id) else {
            continue;
        };
        let event = v7(now);
        chat.pass_offer(Stamp::next_for_person(chat.stamp, now, event));
        let unassigned = ChatUnassigned {
            assignment: Some(wire::assignment(chat)),
            previous_agent_id: agent.1.to_string(),
            reason: PartReason::OfferPassed.into(),
        };
        let channel = chat.channel;
        let event = Outgoing::with_id(event, &agent.0, id, &unassigned)
            .actor(Actor::Rule("offer".into()))
            .cause(origin.cause)
            .trace(origin.trace);
        // Those who have waited for longer are served first, so the queue is served and not this chat alone.
        board.serve_soon(agent.0.clone());
        board.shift(&Shift {
            agent,
            channel,
            by: -1,
        });
        board.announce(event);
    }
    board.save(connection, now).await
}
