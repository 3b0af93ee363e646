//! A card that a rule made takes the responsible whom the channel's rule gave its chat (F026, §8).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use chassis::trace::TraceContext;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::history;
use crate::domain::ids::{CardId, ConversationId};
use crate::store::parked::{self, Parked};
use crate::store::{card_changes, cards, decisions};
use crate::wire;

/// What events of this name as their actor: a synchronisation, which is never synchronised back (§8).
pub(crate) const SYNC: &str = "card-from-chat";

/// A chat's responsible, chosen by a rule for one conversation.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// The account.
    pub account: AccountSlug,
    /// The conversation.
    pub conversation: ConversationId,
    /// The responsible.
    pub agent: AgentId,
    /// Stamp of the act it stems from.
    pub stamp: Stamp,
    /// The event that told of it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

/// A responsible for a card.
#[derive(Debug, Clone)]
pub struct Taking {
    /// The account.
    pub account: AccountSlug,
    /// The card.
    pub card: CardId,
    /// The responsible.
    pub agent: AgentId,
    /// Stamp of the act it stems from.
    pub stamp: Stamp,
    /// The event that led to it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

/// Returns which cards take the responsibles that rules gave to chats: those of the conversations, unless one is parked until its
/// conversation is decided.
///
/// The caller holds the parking locks of the conversations. A conversation that was decided without a card needs none.
pub async fn takings(
    connection: &mut PgConnection,
    assigned: Vec<Assigned>,
    now: OffsetDateTime,
) -> Result<Vec<Taking>, sqlx::Error> {
    let mut newest: BTreeMap<(AccountSlug, ConversationId), Assigned> = BTreeMap::new();
    for one in assigned {
        // Stamp zero is a provisional choice: nothing is above it yet, so it never applies.
        if one.stamp <= Stamp::ZERO {
            continue;
        }
        let key = (one.account.clone(), one.conversation);
        if newest.get(&key).is_none_or(|kept| kept.stamp < one.stamp) {
            newest.insert(key, one);
        }
    }
    if newest.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = newest.keys().cloned().collect();
    let decided = decisions::cards_of(connection, &keys).await?;
    let mut takings = Vec::new();
    let mut early = Vec::new();
    for (key, one) in newest {
        match decided.get(&key) {
            Some(Some(card)) => takings.push(Taking {
                account: one.account,
                card: *card,
                agent: one.agent,
                stamp: one.stamp,
                cause: one.cause,
                trace: one.trace,
            }),
            Some(None) => {}
            None => early.push(Parked {
                account: one.account,
                conversation: one.conversation,
                agent: one.agent.uuid(),
                stamp: one.stamp,
                cause: one.cause,
                traceparent: one.trace.traceparent(),
            }),
        }
    }
    if !early.is_empty() {
        parked::park(connection, &early, now).await?;
    }
    Ok(takings)
}

/// Puts responsibles on cards for several reasons: all cards are locked before the first of them changes, in the order of their
/// keys, and with them those that the caller changes besides.
pub async fn apply_all(
    connection: &mut PgConnection,
    reasons: Vec<(&str, Vec<Taking>)>,
    besides: impl Iterator<Item = (AccountSlug, CardId)>,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let takings = reasons.iter().flat_map(|(_, takings)| takings);
    let cards: BTreeSet<_> = takings
        .map(|taking| (taking.account.clone(), taking.card))
        .chain(besides)
        .collect();
    if cards.is_empty() {
        return Ok(Vec::new());
    }
    let cards: Vec<_> = cards.into_iter().collect();
    cards::lock(connection, &cards).await?;
    let mut events = Vec::new();
    for (reason, takings) in reasons {
        events.extend(apply(connection, takings, reason, now).await?);
    }
    Ok(events)
}

/// Puts responsibles on cards, each only over a lower stamp; one that is in place already is no event (§8). `sync` is what
/// events name as their actor.
pub async fn apply(
    connection: &mut PgConnection,
    takings: Vec<Taking>,
    sync: &str,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    if takings.is_empty() {
        return Ok(Vec::new());
    }
    let takings: HashMap<(AccountSlug, CardId), Taking> = takings
        .into_iter()
        .map(|taking| ((taking.account.clone(), taking.card), taking))
        .collect();
    let mut keys: Vec<_> = takings.keys().cloned().collect();
    keys.sort();
    let locked = cards::lock(connection, &keys).await?;
    let mut changed = Vec::new();
    let mut told = Vec::new();
    let mut entries = Vec::new();
    let actor = Actor::Sync(sync.to_owned());
    for key in keys {
        let (Some(card), Some(taking)) = (locked.get(&key), takings.get(&key)) else {
            continue;
        };
        if card.stamp >= taking.stamp {
            continue;
        }
        let before = card;
        let previous = card.responsible;
        let mut card = card.clone();
        card.stamp = taking.stamp;
        if previous != Some(taking.agent) {
            card.responsible = Some(taking.agent);
            card.updated_at = now;
            card.revision += 1;
            entries.extend(history::card(&key.0, &actor, (Some(before), Some(&card)))?);
            told.push((key.clone(), card.clone(), previous, taking));
        }
        changed.push((key.0, card));
    }
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    card_changes::set_responsibles(connection, &changed).await?;
    history::write(connection, entries, now).await?;
    let told_keys: Vec<_> = told.iter().map(|(key, ..)| key.clone()).collect();
    let chats = cards::chats_of(connection, &told_keys).await?;
    let mut events = Vec::new();
    for (key, card, previous, taking) in told {
        let updated = wire_v1::CardUpdated {
            card: Some(wire::card(&card)),
            note: None,
        };
        let changed = wire_v1::EntityResponsibleChanged {
            entity: Some(wire::linked_card(&card)),
            chat_ids: chats
                .get(&key)
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect(),
            previous_agent_id: wire::text(previous),
        };
        for event in [
            Outgoing::new(&key.0, card.id, &updated),
            Outgoing::new(&key.0, card.id, &changed),
        ] {
            let event = event.actor(actor.clone()).cause(taking.cause);
            events.push(event.trace(taking.trace.clone()));
        }
    }
    Ok(events)
}
