//! The rules run without the decision when it does not come in time (architecture §4, §8).

use time::{Duration, OffsetDateTime};

use super::App;
use super::assign::{self, Occasion, Origin};
use super::board::Board;
use crate::domain::chat::Chat;
use crate::figures;
use crate::store::conversations;

/// How long `connection.decided` is waited for after the conversation was heard of.
pub const PATIENCE: Duration = Duration::seconds(15);

/// Conversations of one round at most.
const AT_ONCE: i64 = 256;

impl App {
    /// Lets the rules choose for chats whose decision is overdue, the oldest first; returns how many there were.
    ///
    /// The rows of the chats are the lock: what another replica has done meanwhile is seen under it.
    pub async fn choose_overdue(&self, now: OffsetDateTime) -> Result<usize, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let overdue = conversations::overdue(&mut transaction, now - PATIENCE, AT_ONCE).await?;
        if overdue.is_empty() {
            return Ok(0);
        }
        let wanted = overdue
            .iter()
            .map(|(chat, channel)| (*chat, channel.clone()))
            .collect();
        let mut board = Board::of(&mut transaction, &wanted).await?;
        let mut ripe = Vec::new();
        for (id, _) in overdue {
            let waits = |chat: &Chat| {
                chat.open && chat.agent.is_none() && !chat.is_ripe() && chat.opening.is_some()
            };
            if board.chat(id).is_some_and(waits) {
                if let Some(chat) = board.change(id) {
                    chat.provisional = true;
                }
                ripe.push(id);
            }
        }
        board
            .lock_staff(&mut transaction, &self.memory, &ripe, &[], now)
            .await?;
        board.learn_queues(&mut transaction, &ripe).await?;
        for id in &ripe {
            let origin = Origin::of_opening(board.chat(*id));
            assign::by_rules(&mut board, *id, Occasion::New, &[], origin, now);
        }
        let saved = board.save(&mut transaction, now).await?;
        transaction.commit().await?;
        self.memory.keep(saved.looks).await;
        self.waker.wake();
        self.drain_soon(&saved.freed, now).await;
        figures::OVERDUE.increment(ripe.len() as u64);
        Ok(ripe.len())
    }
}
