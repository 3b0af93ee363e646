//! Hearing of conversations: opened, continued, closed, decided. A batch is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::id::AccountSlug;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::assign::{self, Occasion, Origin};
use super::board::{Board, Saved};
use super::change::{Doing, take_from_barred};
use super::memory::Memory;
use super::sync;
use crate::domain::chat::Told;
use crate::domain::sync::{Linked, Wanted};
use crate::domain::{ChannelId, ChatId};
use crate::store::conversations::ConversationRow;
use crate::store::policies::ChannelKey;

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
    /// Entities that the chat is linked to, from `decided`.
    pub linked: Vec<Linked>,
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
    let mut told: BTreeMap<ChannelKey, Vec<Linked>> = BTreeMap::new();
    for report in reports.iter().filter(|report| !report.linked.is_empty()) {
        let key = (report.account.clone(), report.channel);
        told.entry(key).or_default().extend(report.linked.clone());
    }
    let newest = sync::known(connection, &told, now).await?;
    let mut board = Board::of(connection, &wanted).await?;
    let mut crm: BTreeMap<ChatId, (Vec<Wanted>, Origin)> = BTreeMap::new();
    let mut to_confirm: BTreeMap<ChatId, Origin> = BTreeMap::new();
    let mut reopened: BTreeSet<ChatId> = BTreeSet::new();
    let mut to_choose: BTreeMap<ChatId, Origin> = BTreeMap::new();
    for report in reports {
        if let Some(row) = &report.row {
            board.keep(row);
        }
        let heard = board.hear(report.chat, &report.told);
        if let Some(wanted) = from_crm(&board, &report, &newest) {
            crm.insert(report.chat, (wanted, report.origin.clone()));
        }
        if heard.taken.is_some() {
            reopened.insert(report.chat);
        }
        if heard.choose {
            to_choose.insert(report.chat, report.origin);
        } else if heard.confirm {
            to_confirm.insert(report.chat, report.origin);
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
    let steps = crm
        .iter()
        .map(|(chat, (wanted, _))| (*chat, wanted.as_slice()));
    let also = sync::agents(&board, steps);
    board
        .lock_staff(connection, memory, &order, &also, now)
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
            let crm = crm
                .remove(&chat)
                .map(|(wanted, _)| wanted)
                .unwrap_or_default();
            assign::by_rules(&mut board, chat, Occasion::New, &crm, origin, now);
        }
    }
    // Somebody answers already: what CRM says counts where its act is the later one, and a provisional choice yields.
    for (chat, (wanted, origin)) in crm {
        if sync::take(&mut board, chat, (&wanted, false), &origin, now) {
            to_confirm.remove(&chat);
        }
    }
    for (chat, origin) in to_confirm {
        assign::confirm(&mut board, chat, &origin, now);
    }
    board.save(connection, now).await
}

/// Returns the responsibles that the chat of a decided opening may take from CRM; none where the opening is not the newest.
fn from_crm(
    board: &Board,
    report: &Report,
    newest: &BTreeMap<(AccountSlug, Uuid), Linked>,
) -> Option<Vec<Wanted>> {
    let chat = board.chat(report.chat)?;
    if report.linked.is_empty() || !chat.open || chat.number != report.told.number {
        return None;
    }
    let newest_of = |linked: &Linked| {
        let known = newest.get(&(report.account.clone(), linked.entity));
        let later = known.filter(|known| known.stamp > linked.stamp);
        // The kind is what it is linked as: a lead that has become a deal meanwhile is told again.
        Linked {
            kind: linked.kind,
            ..later.unwrap_or(linked).clone()
        }
    };
    let linked: Vec<Linked> = report.linked.iter().map(newest_of).collect();
    sync::of_chat(board, report.chat, &linked)
}
