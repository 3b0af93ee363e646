//! What one transaction holds locked: chats, then their channels' cursors, then agents' loads, each sorted
//! (architecture §3). Decisions are applied to it in memory, one after another; then it is saved as sets.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::candidates::{Colleague, Drained};
use crate::domain::chat::{Chat, Heard, Told};
use crate::domain::policy::Policy;
use crate::domain::{ChannelId, ChatId, ConversationId};
use crate::store::agents::LoadRow;
use crate::store::choices::{self, ChoiceRow};
use crate::store::conversations::{self, ConversationRow};
use crate::store::policies::ChannelKey;
use crate::store::{agents, calendars, chats, policies};

/// An agent of an account.
pub type AgentKey = (AccountSlug, AgentId);

/// What a transaction holds and has changed.
#[derive(Debug, Default)]
pub struct Board {
    chats: BTreeMap<ChatId, Held>,
    policies: BTreeMap<ChannelKey, Policy>,
    turned: BTreeSet<ChannelKey>,
    staff: BTreeMap<AccountSlug, BTreeMap<AgentId, Colleague>>,
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
    conversations: BTreeMap<ConversationId, ConversationRow>,
    choices: Vec<ChoiceRow>,
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
        Ok(board)
    }

    /// Locks chats of an account that are known.
    pub async fn of_known(
        connection: &mut PgConnection,
        account: &AccountSlug,
        wanted: &BTreeSet<ChatId>,
    ) -> Result<Self, sqlx::Error> {
        let mut board = Self::default();
        for chat in chats::lock(connection, wanted).await? {
            if chat.account == *account {
                board.hold(chat);
            }
        }
        Ok(board)
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

    /// Locks the cursors of the channels of `to_choose`, then the loads of everybody who may be given one of
    /// these chats, of `also`, and of those whose load has to change.
    pub async fn lock_staff(
        &mut self,
        connection: &mut PgConnection,
        to_choose: &[ChatId],
        also: &[AgentKey],
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let choosing: Vec<&Chat> = to_choose.iter().filter_map(|id| self.chat(*id)).collect();
        let channels = choosing
            .iter()
            .map(|c| (c.account.clone(), c.channel))
            .collect();
        let mut wanted: BTreeSet<AgentKey> = also.iter().cloned().collect();
        for chat in &choosing {
            let opener = chat.opening.as_ref().and_then(|opening| opening.opener);
            let named = [opener, chat.previous].into_iter().flatten();
            wanted.extend(named.map(|agent| (chat.account.clone(), agent)));
        }
        self.policies = policies::lock(connection, &channels).await?;
        self.closed = calendars::closed(connection, &channels).await?;
        for ((account, _), policy) in &self.policies {
            wanted.extend(policy.pool.keys().map(|agent| (account.clone(), *agent)));
        }
        wanted.extend(self.shifts.iter().map(|shift| shift.agent.clone()));
        for (key, agent) in agents::lock_loads(connection, &wanted).await? {
            self.loads_before.insert(key, (agent.load, agent.drained));
            self.staff
                .entry(agent.account.clone())
                .or_default()
                .insert(agent.id, agent.colleague(now));
        }
        let limited: Vec<ChannelKey> = self
            .policies
            .iter()
            .filter(|(_, policy)| policy.settings.channel_capacity > 0)
            .map(|(channel, _)| channel.clone())
            .collect();
        self.channel_loads = agents::loads_in_channels(connection, &limited).await?;
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
        colleague.load += shift.by;
        let channel = (account.clone(), shift.channel);
        if let Some(loads) = self.channel_loads.get_mut(&channel) {
            *loads.entry(*agent).or_default() += shift.by;
        }
    }

    /// Notes that an agent was given a chat that had waited.
    pub fn drained(&mut self, (account, agent): &AgentKey, now: OffsetDateTime) {
        let staff = self.staff.get_mut(account);
        if let Some(colleague) = staff.and_then(|staff| staff.get_mut(agent)) {
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
            policy.take_turn(agent);
            self.turned.insert(channel.clone());
        }
    }

    /// Keeps a choice.
    pub fn explain(&mut self, choice: ChoiceRow) {
        metrics::counter!("assignment_choices_total", "rule" => choice.rule.as_str()).increment(1);
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
            .policies
            .iter()
            .filter(|(channel, _)| self.turned.contains(channel))
            .collect();
        policies::write_turns(connection, &turned).await?;
        let mut loads = Vec::new();
        let mut freed = self.serve;
        for ((account, agent), before) in self.loads_before {
            let colleague = self.staff.get(&account).and_then(|s| s.get(&agent));
            let Some(colleague) = colleague else {
                continue;
            };
            let load = colleague.load;
            // A minute that is over is not worth a write of its own.
            let gave = colleague.drained != Drained::default();
            let drained = if gave { colleague.drained } else { before.1 };
            if load < before.0 {
                freed.insert(account.clone());
            }
            if (load, drained) != before {
                loads.push(LoadRow {
                    account,
                    agent,
                    load,
                    drained,
                });
            }
        }
        agents::write_loads(connection, &loads).await?;
        let told: Vec<ConversationRow> = self.conversations.into_values().collect();
        conversations::keep(connection, &told, now).await?;
        choices::insert(connection, &self.choices).await?;
        let events = self.events.len();
        outbox::write(connection, crate::NAME, self.events, now).await?;
        Ok(Saved { freed, events })
    }
}
