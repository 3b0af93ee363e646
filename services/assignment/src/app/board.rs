//! What one transaction holds locked: chats, then their channels' cursors, then accounts and loads, each sorted
//! (architecture §3). Decisions are applied to it in memory, one after another; then it is saved as sets.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::memory::Memory;
use crate::domain::candidates::{Colleague, Drained};
use crate::domain::chat::{Chat, Heard, Told};
use crate::domain::policy::Policy;
use crate::domain::sync::SyncPolicy;
use crate::domain::{ChannelId, ChatId, ConversationId};
use crate::figures;
use crate::store::choices::{self, ChoiceRow, Look};
use crate::store::conversations::{self, ConversationRow};
use crate::store::loads::{self, LoadRow};
use crate::store::policies::ChannelKey;
use crate::store::{calendars, chats, policies, sync};

/// An agent of an account.
pub type AgentKey = (AccountSlug, AgentId);

/// What a transaction holds and has changed.
#[derive(Debug, Default)]
pub struct Board {
    chats: BTreeMap<ChatId, Held>,
    policies: BTreeMap<ChannelKey, Policy>,
    /// Channels whose turns were changed, with the number of the last turn before.
    turned: BTreeMap<ChannelKey, i64>,
    staff: BTreeMap<AccountSlug, BTreeMap<AgentId, Colleague>>,
    /// Loads and paces that were changed, as they were before.
    loads_before: BTreeMap<AgentKey, (i32, Drained)>,
    /// Changes of loads that wait until the loads are locked.
    shifts: Vec<Shift>,
    /// Open chats by agent of channels whose capacity is limited.
    channel_loads: BTreeMap<ChannelKey, BTreeMap<AgentId, i32>>,
    /// Channels that are closed by a calendar that holds their chats (B15).
    closed: BTreeSet<ChannelKey>,
    /// Channels in which others have waited for longer.
    queued: BTreeSet<ChannelKey>,
    /// Accounts whose waiting chats are to be served after this transaction.
    serve: BTreeSet<AccountSlug>,
    /// What channels of held chats keep in step with CRM.
    syncs: BTreeMap<ChannelKey, SyncPolicy>,
    conversations: BTreeMap<ConversationId, ConversationRow>,
    choices: Vec<ChoiceRow>,
    /// Where the looks are known that choices may refer to.
    memory: Option<Memory>,
    events: Vec<Outgoing>,
}

/// An agent has more or fewer open chats of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Who.
    pub agent: AgentKey,
    /// The channel.
    pub channel: ChannelId,
    /// By how many.
    pub by: i32,
}

#[derive(Debug)]
struct Held {
    chat: Chat,
    joined_before: Vec<AgentId>,
    changed: bool,
}

/// What was saved.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Accounts whose waiting chats may find somebody: an agent has fewer open chats than before, or a new chat
    /// has lined up behind others.
    pub freed: BTreeSet<AccountSlug>,
    /// Events that wait for the relay.
    pub events: usize,
    /// Looks that later choices may refer to, once the transaction is committed.
    pub looks: Vec<Look>,
}

impl Board {
    /// Locks chats, making the rows of those that are not known. Chats of another account are left out.
    pub async fn of(
        connection: &mut PgConnection,
        wanted: &BTreeMap<ChatId, (AccountSlug, ChannelId)>,
    ) -> Result<Self, sqlx::Error> {
        chats::insert_missing(connection, wanted).await?;
        let locked = chats::lock(connection, &wanted.keys().copied().collect()).await?;
        let mut board = Self::default();
        for chat in locked {
            let (account, channel) = (&chat.account, chat.channel);
            if wanted
                .get(&chat.id)
                .is_some_and(|told| *told == (account.clone(), channel))
            {
                board.hold(chat);
            } else {
                tracing::warn!(chat = %chat.id, "a chat was told of under another account or channel");
            }
        }
        board.learn_syncs(connection).await?;
        Ok(board)
    }

    /// Locks chats of an account that are known.
    pub async fn of_known(
        connection: &mut PgConnection,
        account: &AccountSlug,
        wanted: &BTreeSet<ChatId>,
    ) -> Result<Self, sqlx::Error> {
        let of_account = |chat: &ChatId| (account.clone(), *chat);
        Self::of_all_known(connection, &wanted.iter().map(of_account).collect()).await
    }

    /// Locks chats that are known, each in its account.
    pub async fn of_all_known(
        connection: &mut PgConnection,
        wanted: &BTreeSet<(AccountSlug, ChatId)>,
    ) -> Result<Self, sqlx::Error> {
        let mut board = Self::default();
        let ids = wanted.iter().map(|(_, chat)| *chat).collect();
        for chat in chats::lock(connection, &ids).await? {
            if wanted.contains(&(chat.account.clone(), chat.id)) {
                board.hold(chat);
            }
        }
        board.learn_syncs(connection).await?;
        Ok(board)
    }

    async fn learn_syncs(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let channels = self
            .chats()
            .map(|chat| (chat.account.clone(), chat.channel));
        self.syncs = sync::of_channels(connection, &channels.collect()).await?;
        Ok(())
    }

    /// Returns what a channel keeps in step with CRM, where it keeps anything.
    pub fn sync(&self, channel: &ChannelKey) -> Option<&SyncPolicy> {
        self.syncs.get(channel)
    }

    fn hold(&mut self, chat: Chat) {
        let joined_before = chat.participants.clone();
        self.chats.insert(
            chat.id,
            Held {
                chat,
                joined_before,
                changed: false,
            },
        );
    }

    /// Returns a held chat.
    pub fn chat(&self, chat: ChatId) -> Option<&Chat> {
        self.chats.get(&chat).map(|held| &held.chat)
    }

    /// Returns the held chats.
    pub fn chats(&self) -> impl Iterator<Item = &Chat> {
        self.chats.values().map(|held| &held.chat)
    }

    /// Returns a held chat in order to change it.
    pub fn change(&mut self, chat: ChatId) -> Option<&mut Chat> {
        let held = self.chats.get_mut(&chat)?;
        held.changed = true;
        Some(&mut held.chat)
    }

    /// Applies what is told of a chat's state; loads follow once they are locked.
    pub fn hear(&mut self, chat: ChatId, told: &Told) -> Heard {
        let Some(held) = self.chats.get_mut(&chat) else {
            return Heard::default();
        };
        let heard = held.chat.hear(told);
        held.changed |= heard.changed;
        let shift = |agent: AgentId, by| Shift {
            agent: (held.chat.account.clone(), agent),
            channel: held.chat.channel,
            by,
        };
        for (agent, by) in [(heard.freed, -1), (heard.taken, 1)] {
            self.shifts.extend(agent.map(|agent| shift(agent, by)));
        }
        if heard.taken.is_some() {
            // Who has joined may have to follow, where the responsible lost access while the chat was inactive.
            let joined = held.chat.participants.iter();
            self.shifts.extend(joined.map(|agent| shift(*agent, 0)));
        }
        heard
    }

    /// Keeps what is known of a conversation; of several tellings each adds what it knows.
    pub fn keep(&mut self, row: &ConversationRow) {
        if !self.chats.contains_key(&row.chat) {
            return;
        }
        let kept = self
            .conversations
            .entry(row.id)
            .or_insert_with(|| row.clone());
        kept.opened_event = kept.opened_event.or(row.opened_event);
        kept.decided_event = kept.decided_event.or(row.decided_event);
    }

    /// Locks the cursors of the channels of `to_choose`, then the accounts in which rules choose, with everybody who may be
    /// given one of these chats, then elsewhere the loads of `also` and of those whose load has to change.
    pub async fn lock_staff(
        &mut self,
        connection: &mut PgConnection,
        memory: &Memory,
        to_choose: &[ChatId],
        also: &[AgentKey],
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let choosing = to_choose.iter().filter_map(|id| self.chat(*id));
        let channels: BTreeSet<ChannelKey> = choosing
            .map(|chat| (chat.account.clone(), chat.channel))
            .collect();
        for (channel, read) in memory.lock_policies(connection, &channels).await? {
            self.policies.insert(channel, read.policy.clone());
        }
        self.closed = calendars::closed(connection, &channels).await?;
        let choosing: BTreeSet<AccountSlug> =
            channels.into_iter().map(|(account, _)| account).collect();
        let shifted = self.shifts.iter().map(|shift| &shift.agent);
        let others: BTreeSet<AgentKey> = shifted
            .chain(also)
            .filter(|(account, _)| !choosing.contains(account))
            .cloned()
            .collect();
        let accounts = others.iter().map(|(account, _)| account.clone()).collect();
        loads::lock_accounts(connection, &choosing, &accounts).await?;
        for account in &choosing {
            let roster = memory.roster(connection, account).await?;
            self.staff.insert(account.clone(), roster.colleagues(now));
        }
        for (_, agent) in loads::lock(connection, &others).await? {
            self.staff
                .entry(agent.account.clone())
                .or_default()
                .insert(agent.id, agent.colleague(now));
        }
        self.memory = Some(memory.clone());
        let limited: Vec<ChannelKey> = self
            .policies
            .iter()
            .filter(|(_, policy)| policy.settings.channel_capacity > 0)
            .map(|(channel, _)| channel.clone())
            .collect();
        self.channel_loads = loads::in_channels(connection, &limited).await?;
        for channel in limited {
            self.channel_loads.entry(channel).or_default();
        }
        for shift in std::mem::take(&mut self.shifts) {
            self.shift(&shift);
        }
        Ok(())
    }

    /// Learns in which channels of `to_choose` other chats wait already. The cursors must be locked.
    pub async fn learn_queues(
        &mut self,
        connection: &mut PgConnection,
        to_choose: &[ChatId],
    ) -> Result<(), sqlx::Error> {
        let channels = to_choose
            .iter()
            .filter_map(|id| self.chat(*id))
            .map(|chat| (chat.account.clone(), chat.channel))
            .collect();
        self.queued = chats::queued(connection, &channels, to_choose).await?;
        Ok(())
    }

    /// Tells whether a channel's chats are distributed now (B15).
    pub fn is_open(&self, channel: &ChannelKey) -> bool {
        !self.closed.contains(channel)
    }

    /// Tells whether others have waited in a channel for longer.
    pub fn has_queue(&self, channel: &ChannelKey) -> bool {
        self.queued.contains(channel)
    }

    /// Notes that an account's waiting chats are to be served after this transaction.
    pub fn serve_soon(&mut self, account: AccountSlug) {
        self.serve.insert(account);
    }

    /// Changes a load. Agents that the account does not have carry none.
    pub fn shift(&mut self, shift: &Shift) {
        let (account, agent) = &shift.agent;
        let Some(colleague) = self
            .staff
            .get_mut(account)
            .and_then(|staff| staff.get_mut(agent))
        else {
            return;
        };
        let before = (colleague.load, colleague.drained);
        self.loads_before
            .entry(shift.agent.clone())
            .or_insert(before);
        colleague.load += shift.by;
        let channel = (account.clone(), shift.channel);
        if let Some(loads) = self.channel_loads.get_mut(&channel) {
            *loads.entry(*agent).or_default() += shift.by;
        }
    }

    /// Notes that an agent was given a chat that had waited.
    pub fn drained(&mut self, key: &AgentKey, now: OffsetDateTime) {
        let (account, agent) = key;
        let staff = self.staff.get_mut(account);
        if let Some(colleague) = staff.and_then(|staff| staff.get_mut(agent)) {
            let before = (colleague.load, colleague.drained);
            self.loads_before.entry(key.clone()).or_insert(before);
            colleague.drained = colleague.drained.and_one(now);
        }
    }

    /// Returns a channel's open chats by agent, where its capacity is limited.
    pub fn loads_in(&self, channel: &ChannelKey) -> Option<&BTreeMap<AgentId, i32>> {
        self.channel_loads.get(channel)
    }

    /// Returns the locked agents of an account.
    pub fn staff(&self, account: &AccountSlug) -> Option<&BTreeMap<AgentId, Colleague>> {
        self.staff.get(account)
    }

    /// Returns the locked policy of a channel, where one was set.
    pub fn policy(&self, channel: &ChannelKey) -> Option<&Policy> {
        self.policies.get(channel)
    }

    /// Notes that an agent took their turn in a channel.
    pub fn take_turn(&mut self, channel: &ChannelKey, agent: AgentId) {
        if let Some(policy) = self.policies.get_mut(channel) {
            self.turned
                .entry(channel.clone())
                .or_insert(policy.turns.last);
            policy.take_turn(agent);
        }
    }

    /// Keeps a choice.
    pub fn explain(&mut self, choice: ChoiceRow) {
        figures::CHOICES.of([choice.rule.as_str()]).increment(1);
        self.choices.push(choice);
    }

    /// Keeps an event.
    pub fn announce(&mut self, event: Outgoing) {
        self.events.push(event);
    }

    /// Writes all that changed, the outbox last. Commit afterwards.
    pub async fn save(
        self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Saved, sqlx::Error> {
        debug_assert!(
            self.shifts.is_empty(),
            "loads are changed once they are locked"
        );
        let changed: Vec<&Held> = self.chats.values().filter(|held| held.changed).collect();
        let rows: Vec<&Chat> = changed.iter().map(|held| &held.chat).collect();
        chats::write(connection, &rows).await?;
        let gone: Vec<(ChatId, AgentId)> = changed
            .iter()
            .flat_map(|held| {
                let gone = |agent: &&AgentId| !held.chat.participants.contains(agent);
                held.joined_before
                    .iter()
                    .filter(gone)
                    .map(|agent| (held.chat.id, *agent))
            })
            .collect();
        chats::remove_participants(connection, &gone).await?;
        let new: Vec<(ChatId, AgentId)> = changed
            .iter()
            .flat_map(|held| {
                let new = |agent: &&AgentId| !held.joined_before.contains(agent);
                let joined = held.chat.participants.iter();
                joined.filter(new).map(|agent| (held.chat.id, *agent))
            })
            .collect();
        chats::add_participants(connection, &new, now).await?;
        let turned: Vec<_> = self
            .turned
            .iter()
            .filter_map(|(channel, before)| Some((channel, self.policies.get(channel)?, *before)))
            .collect();
        policies::write_turns(connection, &turned).await?;
        let mut changed = Vec::new();
        let mut freed = self.serve;
        for ((account, agent), (load, drained)) in self.loads_before {
            let colleague = self.staff.get(&account).and_then(|s| s.get(&agent));
            let Some(colleague) = colleague else {
                continue;
            };
            let by = colleague.load - load;
            if by < 0 {
                freed.insert(account.clone());
            }
            if by != 0 || colleague.drained != drained {
                changed.push(LoadRow {
                    account,
                    agent,
                    by,
                    drained: colleague.drained,
                });
            }
        }
        loads::write(connection, &changed).await?;
        let told: Vec<ConversationRow> = self.conversations.into_values().collect();
        conversations::keep(connection, &told, now).await?;
        let known = match &self.memory {
            Some(memory) => memory.looks(&self.choices).await,
            None => BTreeMap::new(),
        };
        let looks = choices::insert(connection, &self.choices, &known).await?;
        let events = self.events.len();
        outbox::write(connection, crate::NAME, self.events, now).await?;
        Ok(Saved {
            freed,
            events,
            looks,
        })
    }
}
