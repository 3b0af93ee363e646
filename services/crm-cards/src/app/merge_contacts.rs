//! Two contacts that are one person become one (B08), and a chat's contact is bound to a buyer who is known already (F113).

use chassis::auth::Caller;
use chassis::id::{AccountSlug, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::change_contact::given_to;
use super::people::held_company;
use super::save_buyer::make_deals;
use super::{App, contacts::unknown, duplicates, history, reached_chat, see_chats, sight};
use crate::domain::access::Kind;
use crate::domain::entity::{Card, Contact};
use crate::domain::ids::{CardId, ChatId, ContactId};
use crate::domain::merge::{Values, joined, wrong_binding};
use crate::error::Error;
use crate::store::merges::{self, MOVED_AT_ONCE, Merge, Moved};
use crate::store::{
    card_changes, cards, contact_changes, contacts, duplicates as suspicions, orders,
};
use crate::wire;

/// A contact with the revision that the caller saw, if it said one.
pub type Seen = (ContactId, Option<i64>);

/// Merges a contact into another one. Where they are one already it changes nothing.
pub async fn merge(
    app: &App,
    caller: &Caller,
    (from, into): (Seen, Seen),
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    if from.0 == into.0 {
        return Err(Error::Field {
            field: "into_contact_id",
            description: "a contact is not merged into itself",
        });
    }
    let mut transaction = app.begin().await?;
    let (source, target) = lock(&mut transaction, caller, from, into).await?;
    if source.id == target.id {
        // They were merged before.
        return Ok(target);
    }
    let (target, events) = merged(&mut transaction, caller, &source, &target, now).await?;
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %caller.account(), contact.id = %target.id, merged.id = %source.id, "contacts merged");
    Ok(target)
}

/// Who is bound to a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This contact.
    Contact(ContactId),
    /// The contact of this chat.
    Chat(ChatId),
}

/// Binds a contact to a buyer: it is merged into the buyer.
pub async fn bind(
    app: &App,
    caller: &Caller,
    bound: Bound,
    buyer: ContactId,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    let mut transaction = app.begin().await?;
    let contact = match bound {
        Bound::Contact(contact) => contact,
        Bound::Chat(id) => {
            see_chats(caller)?;
            let chat = reached_chat(&mut transaction, caller, id).await?;
            chat.ok_or_else(|| Error::unknown("chat", "CHAT_UNKNOWN", id))?
                .contact
        }
    };
    if contact == buyer && matches!(bound, Bound::Contact(_)) {
        return Err(Error::Field {
            field: "buyer_contact_id",
            description: "a contact is not bound to itself",
        });
    }
    let (source, target) = lock(&mut transaction, caller, (contact, None), (buyer, None)).await?;
    if source.id == target.id {
        // They were merged before.
        return Ok(target);
    }
    if let Some(wrong) = wrong_binding(&source, &target) {
        return Err(Error::NotBound(wrong));
    }
    let (target, events) = merged(&mut transaction, caller, &source, &target, now).await?;
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %caller.account(), contact.id = %target.id, bound.id = %source.id, "bound to a buyer");
    Ok(target)
}

/// Locks two contacts that the caller may see, in the order of their ids; where both ids lead to one, it is both.
async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    from: Seen,
    into: Seen,
) -> Result<(Contact, Contact), Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let account = caller.account();
    let mut found = Vec::with_capacity(2);
    for (id, _) in [from, into] {
        let live = contacts::live(connection, account, id).await?;
        found.push(live.ok_or_else(|| unknown(id))?);
    }
    let [source, target] = [found[0], found[1]];
    merges::lock_both(connection, account, [source, target]).await?;
    let mut read = Vec::with_capacity(2);
    for ((id, expected), live) in [(from, source), (into, target)] {
        let contact = contacts::get(connection, account, live).await?;
        let contact = contact.filter(|contact| sight.reaches(contact.responsible));
        let contact = contact.ok_or_else(|| unknown(id))?;
        // Another merge was faster: what was locked is not what the ids lead to now.
        if contact.id != live || expected.is_some_and(|seen| seen != contact.revision) {
            return Err(Error::Overtaken("contact", contact.revision));
        }
        read.push(contact);
    }
    match (read.pop(), read.pop()) {
        (Some(target), Some(source)) => Ok((source, target)),
        _ => Err(unknown(from.0)),
    }
}

/// Merges two locked contacts: what the one that goes has moves, and what the one that stays lacks is filled.
async fn merged(
    connection: &mut PgConnection,
    caller: &Caller,
    source: &Contact,
    target: &Contact,
    now: OffsetDateTime,
) -> Result<(Contact, Vec<Outgoing>), Error> {
    let account = caller.account();
    let size = merges::size(connection, account, source.id).await?;
    if size > MOVED_AT_ONCE {
        return Err(Error::TooMuchToMerge(size));
    }
    let own = contacts::stored_fields(connection, account, target.id).await?;
    let others = contacts::stored_fields(connection, account, source.id).await?;
    let goes = Values::of(source, others);
    let stays = Values::of(target, own);
    let (values, mut gained) = joined(&goes, &stays);
    if let Some(company) = gained.company {
        match held_company(connection, caller, company, "company_id").await {
            Ok(_) => {}
            // It is gone, or hidden from who merges: the contact stays without one.
            Err(Error::Field { .. }) => gained.company = None,
            Err(error) => return Err(error),
        }
    }
    let mut moved = merges::move_all(connection, account, source.id, target.id, now).await?;
    let visits = suspicions::move_visits(connection, account, source.id, target.id).await?;
    (moved.visits, gained.visitors) = visits;
    suspicions::forget(connection, account, source.id).await?;
    let mut after = target.clone();
    after.company = stays.company.or(gained.company);
    after.phones = values.phones;
    after.emails = values.emails;
    after.buyer = values.buyer;
    after.identities.extend(source.identities.iter().cloned());
    after
        .identities
        .sort_by(|a, b| (&a.scope, &a.user_id).cmp(&(&b.scope, &b.user_id)));
    if after.responsible != values.responsible {
        after.responsible = values.responsible;
        let in_place = target.stamp.max(source.stamp);
        after.stamp = Stamp::next_for_person(in_place, now, v7(now));
    }
    after.revision += 1;
    contact_changes::put(connection, account, &after, &values.fields).await?;
    let merge = Merge {
        source: source.id,
        target: target.id,
        moved,
        gained,
    };
    merges::keep(
        connection,
        account,
        &merge,
        &caller.actor().to_string(),
        now,
    )
    .await?;
    let after = contacts::get(connection, account, target.id)
        .await?
        .ok_or_else(|| unknown(target.id))?;
    let entries = history::merged(account, &caller.actor(), (target, &after), source.id)?;
    history::write(connection, entries, now).await?;
    let told = wire_v1::ContactMerged {
        contact: Some(wire::contact(&after)),
        merged_contact_id: source.id.to_string(),
        chat_ids: texts(&merge.moved.chats),
        card_ids: texts(&merge.moved.cards),
        order_ids: texts(&merge.moved.orders),
    };
    let mut events = vec![Outgoing::new(account, after.id, &told).actor(caller.actor())];
    events.extend(tell_moved(connection, caller, &merge.moved, (source, &after), now).await?);
    if after.buyer {
        events.extend(make_deals(connection, caller, &[after.id], now).await?);
    }
    if after.responsible != target.responsible {
        events.extend(given_to(connection, caller, &after, target.responsible).await?);
    }
    let who = (account, &caller.actor());
    events.extend(duplicates::look_whole(connection, who, &after, now).await?);
    Ok((after, events))
}

pub(super) fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Tells of cards, orders and chats that moved from one contact to another.
pub(super) async fn tell_moved(
    connection: &mut PgConnection,
    caller: &Caller,
    moved: &Moved,
    (source, target): (&Contact, &Contact),
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let actor = caller.actor();
    card_changes::name_contacts(connection, account, &[target]).await?;
    let (mut entries, mut events) = (Vec::new(), Vec::new());
    let keys = keys(account, &moved.cards);
    let locked = cards::lock(connection, &keys).await?;
    for card in keys.iter().filter_map(|key| locked.get(key)) {
        let before = Card {
            contact: Some(source.id),
            ..card.clone()
        };
        entries.extend(history::card(account, &actor, (Some(&before), Some(card)))?);
        let updated = wire_v1::CardUpdated {
            card: Some(wire::card(card)),
            note: None,
        };
        events.push(Outgoing::new(account, card.id, &updated));
    }
    for order in orders::in_order(connection, account, &moved.orders).await? {
        let mut before = order.clone();
        before.contact = source.id;
        entries.extend(history::order(
            account,
            &actor,
            (Some(&before), Some(&order)),
        )?);
        let updated = wire_v1::OrderUpdated {
            order: Some(wire::order(&order)),
        };
        events.push(Outgoing::new(account, order.id, &updated));
    }
    for chat in &moved.chats {
        let unlinked = wire_v1::ChatUnlinked {
            chat_id: chat.to_string(),
            entity: Some(wire::linked_contact(source)),
        };
        let linked = wire_v1::ChatLinked {
            chat_id: chat.to_string(),
            entity: Some(wire::linked_contact(target)),
        };
        events.push(Outgoing::new(account, chat, &unlinked));
        events.push(Outgoing::new(account, chat, &linked));
    }
    history::write(connection, entries, now).await?;
    let events = events.into_iter();
    Ok(events.map(|event| event.actor(actor.clone())).collect())
}

fn keys(account: &AccountSlug, cards: &[Uuid]) -> Vec<(AccountSlug, CardId)> {
    let mut keys: Vec<_> = cards
        .iter()
        .map(|card| (account.clone(), CardId::from(*card)))
        .collect();
    keys.sort();
    keys
}
