//! Whoever gets an internal message on an entity takes part in the entity from then on (F183). A group's agents do, those whom it
//! had when the message was posted: cards know agents alone.
//!
//! Taking part opens nothing: who may see an entity is said by rights alone, and conversation lets nobody be written to who may
//! not see it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use chassis::inbox;
use chassis::outbox::Outgoing;
use chassis::trace::TraceContext;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::history;
use crate::domain::fields::Entity;
use crate::domain::ids::CardId;
use crate::domain::participants::joined;
use crate::store::cards;
use crate::store::participants::{self as table, Key};
use crate::wire;

/// The inbox of these events: somebody who was taken off since is not added again by a repeat.
const CONSUMER: &str = "crm-cards-internal-messages";

/// An internal message that was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The account.
    pub account: AccountSlug,
    /// Kind of the entity.
    pub entity: Entity,
    /// The entity.
    pub subject: Uuid,
    /// To whom it went.
    pub agents: Vec<AgentId>,
    /// Who wrote it.
    pub actor: Actor,
    /// The event that told of it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

impl Posted {
    /// Returns the card, where it is one.
    pub fn card(&self) -> Option<(AccountSlug, CardId)> {
        (self.entity == Entity::Card).then(|| (self.account.clone(), self.subject.into()))
    }

    fn key(&self) -> Key {
        (self.account.clone(), self.entity, self.subject)
    }
}

/// Lets addressees take part. What there is no room for is left out, and logged. The caller has locked the cards, with all others
/// that the transaction changes.
pub async fn handle(
    connection: &mut PgConnection,
    mut posted: Vec<Posted>,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    if posted.is_empty() {
        return Ok(Vec::new());
    }
    let causes: Vec<Uuid> = posted.iter().map(|one| one.cause).collect();
    let new = inbox::unseen(connection, CONSUMER, &causes).await?;
    posted.retain(|one| new.contains(&one.cause));
    let of_cards: BTreeSet<_> = posted.iter().filter_map(Posted::card).collect();
    let of_cards: Vec<_> = of_cards.into_iter().collect();
    let mut cards = cards::lock(connection, &of_cards).await?;
    let others = posted.iter().filter(|one| one.card().is_none());
    let others: BTreeSet<Key> = others.map(Posted::key).collect();
    let others: Vec<Key> = others.into_iter().collect();
    let mut known = table::lock(connection, &others).await?;

    let (mut events, mut entries) = (Vec::new(), Vec::new());
    let (mut changed, mut changed_cards) = (BTreeSet::new(), BTreeSet::new());
    for one in &posted {
        let mut card = one.card().and_then(|key| cards.get_mut(&key));
        let before = match &card {
            Some(card) => Some(card.participants.as_slice()),
            None => known.get(&one.key()).map(Vec::as_slice),
        };
        // A card that was deleted meanwhile has nobody.
        let Some(before) = before else { continue };
        let (after, left_out) = joined(before, &one.agents);
        if !left_out.is_empty() {
            let (account, entity) = (&one.account, one.subject);
            tracing::warn!(%account, %entity, ?left_out, "no more agents can take part: those were notified alone");
        }
        if after == before {
            continue;
        }
        let of = (one.entity, one.subject);
        entries.push(history::joined(
            &one.account,
            &one.actor,
            of,
            (before, &after),
        ));
        if let Some(card) = &mut card {
            card.participants = after;
            card.revision += 1;
            card.updated_at = now;
            changed_cards.insert((one.account.clone(), card.id));
            let updated = wire_v1::CardUpdated {
                card: Some(wire::card(card)),
                note: None,
            };
            let event = Outgoing::new(&one.account, card.id, &updated);
            let event = event.actor(one.actor.clone()).cause(one.cause);
            events.push(event.trace(one.trace.clone()));
        } else {
            known.insert(one.key(), after);
            changed.insert(one.key());
        }
    }
    let of_cards = changed_cards.iter();
    let of_cards = of_cards.filter_map(|key| Some((&key.0, cards.get(key)?)));
    table::set_of_cards(connection, &of_cards.collect::<Vec<_>>()).await?;
    let others = changed.iter();
    let others = others.filter_map(|key| Some((key, known.get(key)?.as_slice())));
    table::set(connection, &others.collect::<BTreeMap<_, _>>()).await?;
    history::write(connection, entries, now).await?;
    Ok(events)
}
