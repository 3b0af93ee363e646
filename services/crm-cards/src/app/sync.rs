//! Entities take the responsible of a chat they are linked to, where its channel wants that of their kind (§8, F052-F059).

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::history;
use super::responsibles::{self, Taking};
use crate::domain::entity::{Contact, EntityKind};
use crate::domain::ids::{CardId, ChatId, ContactId, ConversationId};
pub use crate::store::parked_sync::Requested;
use crate::store::{contacts, decisions, openings, parked_sync};
use crate::wire;

/// What events of this name as their actor: a synchronisation, which goes no further (X05).
const SYNC: &str = "responsible-to-crm";

/// Puts responsibles of chats on what they are linked to, each only over a lower stamp, or parks them until it is decided what
/// that is. What is linked to nothing of a kind changes nothing and makes nothing (F054).
///
/// The caller holds the parking locks of the conversations and has handled the batch's openings: `opened` are theirs.
pub async fn handle(
    connection: &mut PgConnection,
    mut requested: Vec<Requested>,
    opened: &[(AccountSlug, ConversationId)],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    requested.extend(parked_sync::take(connection, opened).await?);
    if requested.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = requested
        .iter()
        .map(|one| (one.account.clone(), one.conversation))
        .collect();
    let decided = decisions::decided(connection, &keys).await?;
    let is_decided = |one: &Requested| decided.contains(&(one.account.clone(), one.conversation));
    let (known, early): (Vec<_>, Vec<_>) = requested.into_iter().partition(is_decided);
    parked_sync::park(connection, &newest(early, |one| one.conversation), now).await?;
    // Of several acts on one chat only the last can stay.
    let known = newest(known, |one| one.chat);
    let chats: Vec<_> = known
        .iter()
        .map(|one| (one.account.clone(), one.chat))
        .collect();
    // Contacts before cards, as everywhere.
    let mut events = put_on_contacts(connection, &known, &chats, now).await?;
    let linked = openings::linked_cards(connection, &chats).await?;
    let mut takings: BTreeMap<(AccountSlug, CardId), Taking> = BTreeMap::new();
    for one in &known {
        let cards = linked.get(&(one.account.clone(), one.chat));
        for card in cards.into_iter().flatten() {
            if !one.kinds.contains(&card.kind.into()) {
                continue;
            }
            let taking = Taking {
                account: one.account.clone(),
                card: card.card,
                agent: one.agent,
                stamp: one.stamp,
                cause: one.cause,
                trace: one.trace.clone(),
            };
            let kept = takings
                .entry((one.account.clone(), card.card))
                .or_insert_with(|| taking.clone());
            if kept.stamp < taking.stamp {
                *kept = taking;
            }
        }
    }
    let takings = takings.into_values().collect();
    events.extend(responsibles::apply(connection, takings, SYNC, now).await?);
    Ok(events)
}

/// Keeps of what is asked of one thing what has the highest stamp.
fn newest<K: Ord>(requested: Vec<Requested>, of: impl Fn(&Requested) -> K) -> Vec<Requested> {
    let mut newest: BTreeMap<(AccountSlug, K), Requested> = BTreeMap::new();
    for one in requested {
        let key = (one.account.clone(), of(&one));
        if newest.get(&key).is_none_or(|kept| kept.stamp < one.stamp) {
            newest.insert(key, one);
        }
    }
    newest.into_values().collect()
}

async fn put_on_contacts(
    connection: &mut PgConnection,
    requested: &[Requested],
    chats: &[(AccountSlug, ChatId)],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let of_person = |one: &Requested| {
        [EntityKind::Contact, EntityKind::Customer]
            .iter()
            .any(|kind| one.kinds.contains(kind))
    };
    if !requested.iter().any(of_person) {
        return Ok(Vec::new());
    }
    let of_chats = contacts::of_chats(connection, chats).await?;
    let mut wanted: BTreeMap<(AccountSlug, ContactId), &Requested> = BTreeMap::new();
    for one in requested.iter().filter(|one| of_person(one)) {
        let Some(contact) = of_chats.get(&(one.account.clone(), one.chat)) else {
            continue;
        };
        let kept = wanted.entry((one.account.clone(), *contact)).or_insert(one);
        if kept.stamp < one.stamp {
            *kept = one;
        }
    }
    let keys: Vec<_> = wanted.keys().cloned().collect();
    let locked = openings::lock_contacts(connection, &keys).await?;
    let actor = Actor::Sync(SYNC.to_owned());
    let (mut changed, mut told, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for (key, one) in wanted {
        let Some(before) = locked.get(&key) else {
            continue;
        };
        let kind = EntityKind::of_contact(before.buyer);
        if !one.kinds.contains(&kind) || before.stamp >= one.stamp {
            continue;
        }
        let mut contact: Contact = before.clone();
        contact.stamp = one.stamp;
        if contact.responsible != Some(one.agent) {
            contact.responsible = Some(one.agent);
            contact.revision += 1;
            entries.extend(history::contact(
                &key.0,
                &actor,
                (Some(before), Some(&contact)),
            )?);
            told.push((key.clone(), contact.clone(), before.responsible, one));
        }
        changed.push((key.0, contact));
    }
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    contacts::set_responsibles(connection, &changed).await?;
    history::write(connection, entries, now).await?;
    let told_keys: Vec<_> = told.iter().map(|(key, ..)| key.clone()).collect();
    let chats = contacts::chats_of(connection, &told_keys).await?;
    let mut identities = contacts::identities_of(connection, &told_keys).await?;
    let mut events = Vec::new();
    for (key, mut contact, previous, one) in told {
        contact.identities = identities.remove(&key).unwrap_or_default();
        let updated = wire_v1::ContactUpdated {
            contact: Some(wire::contact(&contact)),
        };
        let of_contact = chats.get(&key).into_iter().flatten();
        let changed = wire_v1::EntityResponsibleChanged {
            entity: Some(wire::linked_contact(&contact)),
            chat_ids: of_contact.map(ToString::to_string).collect(),
            previous_agent_id: wire::text(previous),
        };
        for event in [
            Outgoing::new(&key.0, contact.id, &updated),
            Outgoing::new(&key.0, contact.id, &changed),
        ] {
            let event = event.actor(actor.clone()).cause(one.cause);
            events.push(event.trace(one.trace.clone()));
        }
    }
    Ok(events)
}
