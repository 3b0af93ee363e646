//! Contacts and their companies take the responsible of a chat (F052-F059).

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{Requested, SYNC};
use crate::app::history;
use crate::app::people::responsible_changed;
use crate::domain::entity::{Company, Contact, EntityKind};
use crate::domain::ids::{ChatId, CompanyId, ContactId};
use crate::store::contacts::OfChats;
use crate::store::{companies, contact_changes, contacts};
use crate::wire;

/// Puts responsibles of chats on the contacts who write there, and on the contacts' companies.
pub(super) async fn put_on(
    connection: &mut PgConnection,
    requested: &[Requested],
    chats: &[(AccountSlug, ChatId)],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let of_people = [
        EntityKind::Contact,
        EntityKind::Customer,
        EntityKind::Company,
    ];
    let wants = |one: &Requested| of_people.iter().any(|kind| one.kinds.contains(kind));
    if !requested.iter().any(wants) {
        return Ok(Vec::new());
    }
    let found = contacts::lock_of_chats(connection, chats).await?;
    let mut events = put_on_contacts(connection, requested, &found, now).await?;
    events.extend(put_on_companies(connection, requested, &found, now).await?);
    Ok(events)
}

/// Keeps of what is asked of one thing what has the highest stamp.
fn newest<K: Ord>(
    requested: &[Requested],
    of: impl Fn(&Requested) -> Option<K>,
) -> BTreeMap<(AccountSlug, K), &Requested> {
    let mut wanted: BTreeMap<(AccountSlug, K), &Requested> = BTreeMap::new();
    for one in requested {
        let Some(key) = of(one) else { continue };
        let kept = wanted.entry((one.account.clone(), key)).or_insert(one);
        if kept.stamp < one.stamp {
            *kept = one;
        }
    }
    wanted
}

async fn put_on_contacts(
    connection: &mut PgConnection,
    requested: &[Requested],
    found: &OfChats,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let of = |one: &Requested| {
        let contact = found.of_chat.get(&(one.account.clone(), one.chat))?;
        let known = found.contacts.get(&(one.account.clone(), *contact))?;
        let kind = EntityKind::of_contact(known.buyer);
        one.kinds.contains(&kind).then_some(*contact)
    };
    let wanted: BTreeMap<(AccountSlug, ContactId), &Requested> = newest(requested, of);
    let actor = Actor::Sync(SYNC.to_owned());
    let (mut changed, mut told, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for (key, one) in wanted {
        let Some(before) = found.contacts.get(&key) else {
            continue;
        };
        if before.stamp >= one.stamp {
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
    contact_changes::set_responsibles(connection, &changed).await?;
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
        let chats = chats.get(&key).map_or(&[][..], Vec::as_slice);
        let mut all = vec![Outgoing::new(&key.0, contact.id, &updated)];
        let entity = wire::linked_contact(&contact);
        all.extend(responsible_changed(
            &key.0,
            &entity,
            (previous, chats),
            None,
        ));
        events.extend(all.into_iter().map(|event| by_sync(event, &actor, one)));
    }
    Ok(events)
}

async fn put_on_companies(
    connection: &mut PgConnection,
    requested: &[Requested],
    found: &OfChats,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let of = |one: &Requested| {
        let contact = found.of_chat.get(&(one.account.clone(), one.chat))?;
        let known = found.contacts.get(&(one.account.clone(), *contact))?;
        known
            .company
            .filter(|_| one.kinds.contains(&EntityKind::Company))
    };
    let wanted: BTreeMap<(AccountSlug, CompanyId), &Requested> = newest(requested, of);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = wanted.keys().cloned().collect();
    let locked = companies::lock_all(connection, &keys).await?;
    let actor = Actor::Sync(SYNC.to_owned());
    let (mut changed, mut told, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for (key, one) in wanted {
        let Some(before) = locked.get(&key) else {
            continue;
        };
        if before.stamp >= one.stamp {
            continue;
        }
        let mut company: Company = before.clone();
        company.stamp = one.stamp;
        if company.responsible != Some(one.agent) {
            company.responsible = Some(one.agent);
            company.revision += 1;
            entries.extend(history::company(
                &key.0,
                &actor,
                (Some(before), Some(&company)),
            )?);
            told.push((key.clone(), company.clone(), before.responsible, one));
        }
        changed.push((key.0, company));
    }
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    companies::set_responsibles(connection, &changed).await?;
    history::write(connection, entries, now).await?;
    let told_keys: Vec<_> = told.iter().map(|(key, ..)| key.clone()).collect();
    let chats = companies::chats_of(connection, &told_keys).await?;
    let mut events = Vec::new();
    for (key, company, previous, one) in told {
        let updated = wire_v1::CompanyUpdated {
            company: Some(wire::company(&company)),
        };
        let chats = chats.get(&key).map_or(&[][..], Vec::as_slice);
        let mut all = vec![Outgoing::new(&key.0, company.id, &updated)];
        let entity = wire::linked_company(&company);
        all.extend(responsible_changed(
            &key.0,
            &entity,
            (previous, chats),
            None,
        ));
        events.extend(all.into_iter().map(|event| by_sync(event, &actor, one)));
    }
    Ok(events)
}

fn by_sync(event: Outgoing, actor: &Actor, one: &Requested) -> Outgoing {
    let event = event.actor(actor.clone()).cause(one.cause);
    event.trace(one.trace.clone())
}
