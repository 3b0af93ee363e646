//! A CRM outside sets responsibles by acts that happened there, with stamps of its own (architecture §8, F043-F049).
//!
//! An act that says anew who it is already is told, too: only so an act in a dialog that is older, and heard of later, ends at
//! the same responsible on all sides.

mod entities;

use std::collections::{BTreeSet, HashMap};

use chassis::access::{AccessCopy, AccessError};
use chassis::actor::Actor;
use chassis::auth::{Caller, Subject};
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::LinkedEntity;
use time::OffsetDateTime;
use uuid::Uuid;

use super::people::responsible_changed;
use super::{App, history};
use crate::domain::entity::{Card, Company, Contact};
use crate::domain::external::{Held, Outcome, Standing, outcome};
use crate::error::Error;
use crate::figures;
use crate::store::external;
use entities::{Entity, lock_cards, lock_companies};

/// Where an entity is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Leads and deals.
    Cards,
    /// Contacts and customers.
    Contacts,
    /// Companies.
    Companies,
}

/// An act of the CRM outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// Where its entity is looked for.
    pub among: Among,
    /// The entity.
    pub entity: Uuid,
    /// Who answers for it, by which act.
    pub held: Held,
}

/// What became of an act, and the entity as it is now.
pub type Settled = (Outcome, Option<LinkedEntity>);

/// Sets responsibles; returns what became of each act, in their order.
pub async fn set(
    app: &App,
    access: &AccessCopy,
    caller: &Caller,
    acts: &[Act],
    now: OffsetDateTime,
) -> Result<Vec<Settled>, Error> {
    let (Subject::Service(_), None) = (caller.subject(), caller.agent()) else {
        return Err(Error::ServicesOnly);
    };
    let account = caller.account();
    let mut batch = Batch {
        account,
        actor: &caller.actor(),
        acts,
        // Before the transaction: an agent whom the copy has not is asked for.
        staff: staff(access, account, acts).await?,
        settled: vec![(Outcome::UnknownEntity, None); acts.len()],
        events: Vec::new(),
        now,
    };
    let mut transaction = app.begin().await?;
    // Contacts before companies before cards, as everywhere.
    let named = batch.named(Among::Contacts);
    if !named.is_empty() {
        let (lead_to, locked) = external::lock_contacts(&mut transaction, account, &named).await?;
        let find = |id| lead_to.get(&id).copied();
        batch
            .settle::<Contact>(&mut transaction, Among::Contacts, locked, find)
            .await?;
    }
    let named = batch.named(Among::Companies);
    if !named.is_empty() {
        let locked = lock_companies(&mut transaction, account, named).await?;
        batch
            .settle::<Company>(&mut transaction, Among::Companies, locked, Some)
            .await?;
    }
    let named = batch.named(Among::Cards);
    if !named.is_empty() {
        let locked = lock_cards(&mut transaction, account, named).await?;
        batch
            .settle::<Card>(&mut transaction, Among::Cards, locked, Some)
            .await?;
    }
    let Batch {
        settled, events, ..
    } = batch;
    app.commit(transaction, events, now).await?;
    report(caller, acts, &settled);
    Ok(settled)
}

/// Returns what the agents are who are named; who is missing is unknown.
async fn staff(
    access: &AccessCopy,
    account: &AccountSlug,
    acts: &[Act],
) -> Result<HashMap<AgentId, Standing>, Error> {
    let agents = acts.iter().filter_map(|act| act.held.agent);
    let keys: BTreeSet<_> = agents.map(|agent| (account.clone(), agent)).collect();
    let AccessError::Away(why) = match access.several(&keys).await {
        Ok(records) => {
            let records = records.into_iter();
            let standings = records.map(|((_, agent), record)| {
                let standing = if record.active {
                    Standing::Active
                } else {
                    Standing::Inactive
                };
                (agent, standing)
            });
            return Ok(standings.collect());
        }
        Err(away) => away,
    };
    Err(Error::StaffAway(why))
}

/// The acts of one request, and what has become of them.
struct Batch<'r> {
    account: &'r AccountSlug,
    actor: &'r Actor,
    acts: &'r [Act],
    staff: HashMap<AgentId, Standing>,
    settled: Vec<Settled>,
    events: Vec<Outgoing>,
    now: OffsetDateTime,
}

impl Batch<'_> {
    /// The ids by which entities are named, sorted, each once.
    fn named(&self, among: Among) -> Vec<Uuid> {
        let acts = self.acts.iter().filter(|act| act.among == among);
        let named: BTreeSet<Uuid> = acts.map(|act| act.entity).collect();
        named.into_iter().collect()
    }

    /// Settles the acts on one sort of entities, which are locked, and writes what changes.
    async fn settle<E: Entity>(
        &mut self,
        connection: &mut PgConnection,
        among: Among,
        before: HashMap<Uuid, E>,
        find: impl Fn(Uuid) -> Option<Uuid>,
    ) -> Result<(), sqlx::Error> {
        let mut after: HashMap<Uuid, E> = HashMap::new();
        let acts = self.acts.iter().enumerate();
        let acts = acts.filter(|(_, act)| act.among == among);
        let acts = acts.filter_map(|(place, act)| Some((place, act.held, find(act.entity)?)));
        let mut acts: Vec<(usize, Held, Uuid)> = acts.collect();
        // The latest first: of several acts on one entity it is the one that stays.
        acts.sort_by_key(|(_, held, _)| std::cmp::Reverse(held.stamp));
        for (place, held, id) in &acts {
            let Some(entity) = after.get(id).or_else(|| before.get(id)) else {
                continue;
            };
            let standing = held.agent.and_then(|agent| self.staff.get(&agent).copied());
            let outcome = outcome(entity.held(), *held, standing.unwrap_or(Standing::Unknown));
            if matches!(outcome, Outcome::Applied | Outcome::Confirmed) {
                let mut entity = entity.clone();
                entity.take(*held, self.now);
                after.insert(*id, entity);
            }
            self.settled[*place].0 = outcome;
        }
        for (place, _, id) in acts {
            let entity = after.get(&id).or_else(|| before.get(&id));
            self.settled[place].1 = entity.map(Entity::linked);
        }
        self.write(connection, &before, after).await
    }

    async fn write<E: Entity>(
        &mut self,
        connection: &mut PgConnection,
        before: &HashMap<Uuid, E>,
        after: HashMap<Uuid, E>,
    ) -> Result<(), sqlx::Error> {
        if after.is_empty() {
            return Ok(());
        }
        let mut changed: Vec<(AccountSlug, E)> = after
            .into_values()
            .map(|entity| (self.account.clone(), entity))
            .collect();
        changed.sort_by_key(|(_, entity)| entity.id());
        E::write(connection, &changed).await?;
        let mut told: Vec<E> = changed.into_iter().map(|(_, entity)| entity).collect();
        let mut entries = Vec::new();
        for entity in &told {
            if let Some(before) = before.get(&entity.id()) {
                entries.extend(entity.entries(self.account, self.actor, before)?);
            }
        }
        history::write(connection, entries, self.now).await?;
        let chats = E::chats(connection, self.account, &told).await?;
        E::complete(connection, self.account, &mut told).await?;
        for entity in told {
            let previous = before.get(&entity.id()).and_then(|one| one.held().agent);
            let same = previous == entity.held().agent;
            let mut events = Vec::new();
            if !same {
                events.push(entity.updated(self.account));
            }
            // That nobody answers for it no chat takes (F051).
            if !same || previous.is_some() {
                let chats = chats.get(&entity.id()).map_or(&[][..], Vec::as_slice);
                let sides = (previous, chats);
                // Under ids of their own: one act elsewhere may be about several entities.
                events.extend(responsible_changed(
                    self.account,
                    &entity.linked(),
                    sides,
                    None,
                ));
            }
            let actor = || self.actor.clone();
            self.events
                .extend(events.into_iter().map(|event| event.actor(actor())));
        }
        Ok(())
    }
}

/// Counts what became of the acts, and says whose agents are not known here (X06).
fn report(caller: &Caller, acts: &[Act], settled: &[Settled]) {
    for (act, (outcome, _)) in acts.iter().zip(settled) {
        figures::EXTERNAL.of([outcome.as_str()]).increment(1);
        if matches!(outcome, Outcome::AgentUnknown | Outcome::AgentInactive) {
            tracing::warn!(
                account = %caller.account(), caller = %caller.actor(), entity.id = %act.entity,
                agent.id = ?act.held.agent, outcome = outcome.as_str(),
                "an external CRM names an agent who cannot answer: nothing changed"
            );
        }
    }
}
