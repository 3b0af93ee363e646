//! Hearing of conversations: opened, continued, closed, decided. A batch is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::id::AccountSlug;
use time::OffsetDateTime;

use super::App;
use super::assign::{self, Occasion, Origin};
use super::board::{Board, Saved};
use super::change::{Doing, take_from_barred};
use super::memory::Memory;
use crate::domain::chat::Told;
use crate::domain::{ChannelId, ChatId};
use crate::store::conversations::ConversationRow;

/// What an event tells.
#[derive(Debug, Clone)]
pub struct Report {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The channel.
    pub channel: ChannelId,
    /// The conversation's state.
    pub told: Told,
    /// What is kept of the conversation, from `opened` and `decided`.
    pub row: Option<ConversationRow>,
    /// The event.
    pub origin: Origin,
}

impl App {
    /// Applies reports in any order and any number of repeats, lets the rules choose (§7), then gives waiting
    /// chats to those who have become free.
    pub async fn hear(&self, reports: Vec<Report>, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let saved = hear(&mut transaction, &self.memory, reports, now).await?;
        transaction.commit().await?;
        self.memory.keep(saved.looks).await;
        if saved.events > 0 {
            self.waker.wake();
        }
        self.drain_soon(&saved.freed, now).await;
        Ok(())
    }
}

async fn hear(
    connection: &mut sqlx::PgConnection,
    memory: &Memory,
    reports: Vec<Report>,
    now: OffsetDateTime,
) -> Result<Saved, sqlx::Error> {
    let wanted: BTreeMap<ChatId, (AccountSlug, ChannelId)> = reports
        .iter()
        .map(|report| (report.chat, (report.account.clone(), report.channel)))
        .collect();
    let mut board = Board::of(connection, &wanted).await?;
    let mut reopened: BTreeSet<ChatId> = BTreeSet::new();
    let mut to_choose: BTreeMap<ChatId, Origin> = BTreeMap::new();
    for report in reports {
        if let Some(row) = &report.row {
            board.keep(row);
        }
        let heard = board.hear(report.chat, &report.told);
        if heard.taken.is_some() {
            reopened.insert(report.chat);
        }
        if heard.choose {
            to_choose.insert(report.chat, report.origin);
        } else if heard.confirm {
            assign::confirm(&mut board, report.chat, report.origin, now);
        }
    }
    // The oldest first: who opened first is served first.
    let mut order: Vec<ChatId> = to_choose.keys().copied().collect();
    let opened = |id: &ChatId| {
        board
            .chat(*id)
            .and_then(|c| c.opening.as_ref().map(|o| o.time))
    };
    order.sort_by_key(|id| (opened(id), *id));
    board
        .lock_staff(connection, memory, &order, &[], now)
        .await?;
    for chat in reopened {
        // Access may have been taken away while the chat was inactive.
        let doing = Doing {
            actor: Actor::Rule("access".to_owned()),
            origin: Origin::of_opening(board.chat(chat)),
            request: String::new(),
            now,
        };
        take_from_barred(&mut board, chat, &doing);
    }
    board.learn_queues(connection, &order).await?;
    for chat in order {
        if let Some(origin) = to_choose.remove(&chat) {
            assign::by_rules(&mut board, chat, Occasion::New, origin, now);
        }
    }
    board.save(connection, now).await
}
