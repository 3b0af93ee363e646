//! Waiting chats find somebody: when presence, capacity, access or a policy changed (§7, B04).

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::assign::{self, Occasion, Origin};
use super::board::{Board, Saved};
use super::memory::Memory;
use crate::domain::ChatId;
use crate::domain::candidates::Terms;
use crate::store::policies::ChannelKey;
use crate::store::{calendars, chats, loads, policies};

/// Chats of one transaction at most.
const AT_ONCE: u16 = 256;

impl App {
    /// Gives some waiting chats after a commit, so many that whoever asked for the change does not wait for long; more
    /// than that, and what fails, is left to the sweep: the change itself is done.
    pub async fn drain_soon(&self, accounts: &BTreeSet<AccountSlug>, now: OffsetDateTime) {
        if accounts.is_empty() {
            return;
        }
        match self.drain_once(accounts, now).await {
            Ok(given) if given >= usize::from(AT_ONCE) => self.more_wait.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "waiting chats are left to the next sweep"),
        }
    }

    /// Gives a batch of each channel; returns how many of one found somebody at most.
    async fn drain_once(
        &self,
        accounts: &BTreeSet<AccountSlug>,
        now: OffsetDateTime,
    ) -> Result<usize, sqlx::Error> {
        let mut most = 0;
        for channel in self.channels_to_drain(Some(accounts)).await? {
            most = most.max(self.drain_some(&channel, now).await?);
        }
        Ok(most)
    }

    /// Returns channels whose waiting chats may find somebody now.
    async fn channels_to_drain(
        &self,
        accounts: Option<&BTreeSet<AccountSlug>>,
    ) -> Result<Vec<ChannelKey>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut channels = policies::with_waiting_chats(&mut connection, accounts).await?;
        let named = channels.iter().cloned().collect();
        let closed = calendars::closed(&mut connection, &named).await?;
        channels.retain(|channel| !closed.contains(channel));
        Ok(channels)
    }

    /// Gives waiting chats, oldest first, to agents who can take them; of some accounts or of all.
    /// Returns how many found somebody.
    pub async fn drain(
        &self,
        accounts: Option<&BTreeSet<AccountSlug>>,
        now: OffsetDateTime,
    ) -> Result<usize, sqlx::Error> {
        let mut given = 0;
        for channel in self.channels_to_drain(accounts).await? {
            loop {
                let some = self.drain_some(&channel, now).await?;
                given += some;
                if some == 0 {
                    break;
                }
            }
        }
        Ok(given)
    }

    async fn drain_some(
        &self,
        channel: &ChannelKey,
        now: OffsetDateTime,
    ) -> Result<usize, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let saved = drain_some(&mut transaction, &self.memory, channel, now).await?;
        transaction.commit().await?;
        self.memory.keep(saved.looks).await;
        if saved.events > 0 {
            self.waker.wake();
        }
        Ok(saved.events)
    }
}

async fn drain_some(
    connection: &mut PgConnection,
    memory: &Memory,
    channel: &ChannelKey,
    now: OffsetDateTime,
) -> Result<Saved, sqlx::Error> {
    // Looked at without locks first: while everybody is busy nothing is locked in vain.
    let Some(read) = memory.policy(connection, channel).await? else {
        return Ok(Saved::default());
    };
    let policy = &read.policy;
    let (account, channel_id) = channel;
    let roster = memory.roster(connection, account).await?;
    let settings = &policy.settings;
    let limited: &[ChannelKey] = match settings.channel_capacity {
        0 => &[],
        _ => std::slice::from_ref(channel),
    };
    let mut here = loads::in_channels(connection, limited).await?;
    let here = here.remove(channel).unwrap_or_default();
    let terms = Terms {
        capacity: settings.channel_capacity,
        loads: Some(&here),
        pace: settings.waiting_per_minute,
        ..Terms::of(*channel_id)
    };
    let places: BTreeMap<Uuid, i64> = roster
        .colleagues(now)
        .into_iter()
        .filter(|(_, colleague)| terms.leave_out(colleague).is_none())
        .map(|(agent, colleague)| {
            (
                agent.uuid(),
                terms.places(&colleague).unwrap_or(AT_ONCE.into()),
            )
        })
        .collect();
    // As many chats as there are places: the others would be locked in vain.
    let limit = places.values().sum::<i64>().min(AT_ONCE.into());
    let pool_is_free = settings.distribution.chooses()
        && places
            .keys()
            .any(|agent| policy.pool.contains_key(&(*agent).into()));
    let free: Vec<Uuid> = places.into_keys().collect();
    let kept: &[Uuid] = if settings.keep_previous { &free } else { &[] };
    if !pool_is_free && kept.is_empty() {
        return Ok(Saved::default());
    }
    let waiting = chats::waiting(connection, channel, pool_is_free, kept, limit).await?;
    if waiting.is_empty() {
        return Ok(Saved::default());
    }
    let mut board = Board::of_known(connection, account, &waiting).await?;
    let mut order: Vec<_> = board
        .chats()
        .filter_map(|c| Some((c.waiting_since()?, c.id)))
        .collect();
    order.sort_unstable();
    let order: Vec<ChatId> = order.into_iter().map(|(_, id)| id).collect();
    board
        .lock_staff(connection, memory, &order, &[], now)
        .await?;
    for chat in &order {
        let origin = Origin::of_opening(board.chat(*chat));
        assign::by_rules(&mut board, *chat, Occasion::Waited, &[], origin, now);
    }
    board.save(connection, now).await
}
