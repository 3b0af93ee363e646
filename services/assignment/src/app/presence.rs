//! Presence: set by hand, following working hours or streams (B04). Every path settles it by the one function.

use std::collections::BTreeSet;

use chassis::actor::Actor;
use chassis::audit;
use chassis::auth::{Caller, Scope};
use chassis::grpc::{timestamp, timestamp_opt};
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::assignment::v1::AgentPresenceChanged;
use time::OffsetDateTime;

use super::App;
use super::access::may_change_settings;
use crate::audit as told;
use crate::domain::availability::{Follows, Set, availability};
use crate::domain::words::Presence;
use crate::error::Error;
use crate::store::agents::Agent;
use crate::store::availability::{self, AgentKey, Held};
use crate::store::loads;
use crate::wire;

/// Agents of one transaction at most.
const AT_ONCE: i64 = 500;

/// What somebody sets an agent's presence to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByHand {
    /// This, until then or for good.
    Set(Set, Option<OffsetDateTime>),
    /// What the agent follows.
    Automatic,
}

/// What settling brought about, to be acted on after the commit.
#[derive(Debug, Default)]
pub struct Settled {
    /// Accounts in which somebody came online.
    pub online: BTreeSet<AccountSlug>,
    /// Agents whose chats are to be given back.
    pub give_back: BTreeSet<AgentKey>,
    /// Something was announced.
    pub announced: bool,
}

/// Decides on the presence of locked agents and writes what changed, the outbox last. Commit afterwards.
///
/// `before` is what was locked, `held` the same with what the caller changed in it. Without an actor the rule acts
/// that decided.
async fn settle(
    connection: &mut PgConnection,
    before: &[Held],
    held: Vec<Held>,
    actor: Option<&Actor>,
    now: OffsetDateTime,
) -> Result<Settled, sqlx::Error> {
    let (mut settled, mut changed, mut events) = (Settled::default(), Vec::new(), Vec::new());
    let mut turned = BTreeSet::new();
    for (before, mut held) in before.iter().zip(held) {
        let over = held.say.until.as_ref().is_some_and(|(_, end)| *end <= now);
        held.say.until = held.say.until.filter(|_| !over);
        held.presence = availability(&held.say, now);
        let (was, is) = (before.presence.presence, held.presence.presence);
        if is != Presence::Away {
            held.giving_back = false;
        } else if was != Presence::Away && held.say.follows.away_gives_back {
            held.giving_back = true;
        }
        if *before == held {
            continue;
        }
        if was != is {
            turned.insert(held.agent.0.clone());
        }
        if was != is && is == Presence::Online {
            settled.online.insert(held.agent.0.clone());
        }
        if held.giving_back {
            settled.give_back.insert(held.agent.clone());
        }
        if before.presence != held.presence {
            events.push(announcement(&held, over, actor, now));
        }
        changed.push(held);
    }
    // Whoever gives chats by a rule just now has looked at these agents as they were: what they are given is waited for,
    // so that it can be given back, and later choices see them as they are.
    loads::lock_accounts(connection, &BTreeSet::new(), &turned).await?;
    availability::write(connection, &changed).await?;
    settled.announced = !events.is_empty();
    outbox::write(connection, crate::NAME, events, now).await?;
    Ok(settled)
}

fn announcement(held: &Held, over: bool, actor: Option<&Actor>, now: OffsetDateTime) -> Outgoing {
    let (account, agent) = &held.agent;
    let changed = AgentPresenceChanged {
        agent_id: agent.to_string(),
        presence: wire::presence(held.presence.presence).into(),
        time: Some(timestamp(now)),
        reason: held.presence.reason.clone(),
        end_time: timestamp_opt(held.presence.end),
        source: wire::presence_source(held.presence.source).into(),
    };
    let rule = if over {
        "presence-end"
    } else {
        held.presence.source.as_str()
    };
    let actor = actor.cloned();
    Outgoing::new(account, agent, &changed).actor(actor.unwrap_or_else(|| Actor::Rule(rule.into())))
}

impl App {
    /// Sets an agent's presence: an agent their own, an administrator anybody's.
    pub async fn set_presence(
        &self,
        caller: &Caller,
        id: AgentId,
        by_hand: ByHand,
        now: OffsetDateTime,
    ) -> Result<Agent, Error> {
        if caller.agent() != Some(id) {
            if !caller.has_scope(Scope::AGENTS_ADMIN) {
                return Err(Error::SettingsAccessMissing);
            }
            may_change_settings(caller)?;
        }
        let change = |held: &mut Held| match by_hand {
            ByHand::Set(set, Some(end)) => held.say.until = Some((set, end)),
            ByHand::Set(set, None) => (held.say.standing, held.say.until) = (Some(set), None),
            ByHand::Automatic => (held.say.standing, held.say.until) = (None, None),
        };
        self.settle_one(caller.account(), id, change, Some(&caller.actor()), now)
            .await?;
        // The answer tells the load with what was just given.
        self.get_agent(caller.account(), id).await
    }

    /// Sets what an agent's presence follows, and lets it follow.
    pub async fn set_follows(
        &self,
        caller: &Caller,
        id: AgentId,
        follows: Follows,
        now: OffsetDateTime,
    ) -> Result<Agent, Error> {
        may_change_settings(caller)?;
        let change = |held: &mut Held| held.say.follows = follows;
        self.settle_one(caller.account(), id, change, Some(&caller.actor()), now)
            .await?;
        self.get_agent(caller.account(), id).await
    }

    /// Returns what has a say in an agent's presence.
    pub async fn presence_of(
        &self,
        account: &AccountSlug,
        id: AgentId,
        now: OffsetDateTime,
    ) -> Result<Held, Error> {
        let mut connection = self.pool.acquire().await?;
        let wanted = [(account.clone(), id)].into();
        let mut found = availability::read(&mut connection, &wanted, now).await?;
        found.pop().ok_or(Error::UnknownAgent(id))
    }

    /// Decides on one agent's presence anew after a change of what has a say.
    pub(super) async fn settle_one(
        &self,
        account: &AccountSlug,
        id: AgentId,
        change: impl FnOnce(&mut Held),
        actor: Option<&Actor>,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        let wanted = [(account.clone(), id)].into();
        let before = availability::lock(&mut transaction, &wanted, now).await?;
        let mut held = before.clone();
        let one = held.first_mut().ok_or(Error::UnknownAgent(id))?;
        let followed = one.say.follows;
        change(one);
        if let Some(actor) = actor
            && followed != one.say.follows
        {
            let [before, after] =
                [followed, one.say.follows].map(|follows| wire::presence_options(id, follows));
            let entry = told::follows(account, actor.clone(), before, after)?;
            audit::write(&mut transaction, crate::NAME, vec![entry], now).await?;
        }
        let settled = settle(&mut transaction, &before, held, actor, now).await?;
        transaction.commit().await?;
        self.after(settled, now).await;
        Ok(())
    }

    /// Decides on the presence of everybody for whom an end has come or what they follow says something else.
    pub async fn settle_all(&self, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        loop {
            let mut transaction = self.pool.begin().await?;
            let some = availability::unsettled(&mut transaction, now, AT_ONCE).await?;
            if some.is_empty() {
                return Ok(());
            }
            let before = availability::lock(&mut transaction, &some, now).await?;
            let settled = settle(&mut transaction, &before, before.clone(), None, now).await?;
            transaction.commit().await?;
            // Nothing to announce: what was found is another replica's work by now, or is left to the next look.
            let done = !settled.announced || some.len() < usize::try_from(AT_ONCE).unwrap_or(0);
            self.after(settled, now).await;
            if done {
                return Ok(());
            }
        }
    }

    /// Acts on what settling brought about. What fails is left to the sweep.
    async fn after(&self, settled: Settled, now: OffsetDateTime) {
        if settled.announced {
            self.waker.wake();
        }
        for agent in &settled.give_back {
            if let Err(error) = self.give_back(agent, now).await {
                tracing::warn!(%error, "chats are left to be given back by the next sweep");
            }
        }
        self.drain_soon(&settled.online, now).await;
    }
}
