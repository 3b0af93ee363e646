//! Changing a card (F025, F116).

use chassis::auth::Caller;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::{Locked, lock};
use super::{App, history, sight, staff};
use crate::domain::access::Kind;
use crate::domain::entity::{Card, CardKind, Edit};
use crate::domain::fields::{Entity, Given, changed};
use crate::domain::ids::{CardId, ContactId, SourceId};
use crate::domain::money::Money;
use crate::error::Error;
use crate::store::card_changes::{self, Kept};
use crate::store::{cards, contacts, fields, pipelines};
use crate::wire;

/// What of a card is to be changed; what is not said stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revision that the caller saw.
    pub expected: Option<i64>,
    /// Title.
    pub title: Option<String>,
    /// Amount.
    pub amount: Edit<Money>,
    /// Source (F025).
    pub source: Edit<SourceId>,
    /// Contact.
    pub contact: Edit<ContactId>,
    /// Responsible.
    pub responsible: Edit<AgentId>,
    /// Custom fields, by key.
    pub fields: Given,
}

/// Changes a card. What is as it was already changes nothing and is no event.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: CardId,
    mut change: Change,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let account = caller.account();
    let responsible = change.responsible.new_value();
    let named = staff::named(app, caller, responsible).await?;
    let mut transaction = app.begin().await?;
    if let Edit::Set(id) = change.contact {
        let live = contacts::live(&mut transaction, account, id).await?;
        change.contact = Edit::Set(live.unwrap_or(id));
    }
    let other = change.contact.new_value();
    let locked = lock(&mut transaction, caller, id, change.expected, other).await?;
    let before = locked.card.clone();
    let stored = cards::stored_fields(&mut transaction, account, id).await?;
    let kept = if change.fields.is_empty() {
        stored.clone()
    } else {
        let known = fields::of_entity(&mut transaction, account, Entity::Card).await?;
        changed(&known, &stored, &change.fields, false).map_err(Error::of_fields)?
    };
    check(&mut transaction, caller, &locked, &change).await?;
    named.may_get("responsible_agent_id", responsible, before.responsible)?;
    let mut card = changed_card(&locked, change, now);
    if card == before && kept == stored {
        return Ok(before);
    }
    card.revision += 1;
    card.updated_at = now;
    let name = locked.contact(card.contact);
    let kept = Kept {
        fields: kept,
        contact_name: name.map(|contact| contact.name.clone()).unwrap_or_default(),
    };
    card_changes::update(&mut transaction, account, &card, &kept).await?;
    // Read again: values of fields are shown by what is defined.
    let card = cards::get(&mut transaction, account, id)
        .await?
        .ok_or_else(|| super::change_card::unknown(id))?;
    let entries = history::card(account, &caller.actor(), (Some(&before), Some(&card)))?;
    history::write(&mut transaction, entries, now).await?;
    let events = events(&mut transaction, caller, &before, &card).await?;
    app.commit(transaction, events, now).await?;
    Ok(card)
}

/// Checks what the change refers to.
async fn check(
    connection: &mut PgConnection,
    caller: &Caller,
    locked: &Locked,
    change: &Change,
) -> Result<(), Error> {
    let refuse = |field, description| Err(Error::Field { field, description });
    if let Some(source) = change.source.new_value()
        && locked.card.source != Some(source)
    {
        let known = pipelines::known(connection, caller.account(), None, Some(source)).await?;
        if !known.source_exists {
            return refuse("source_id", "the account has no such source");
        }
    }
    if let Some(id) = change.contact.new_value()
        && locked.card.contact != Some(id)
    {
        let people = sight(caller, Kind::Contacts).ok();
        let seen = locked
            .contact(Some(id))
            .is_some_and(|contact| people.is_some_and(|sight| sight.reaches(contact.responsible)));
        if !seen {
            return refuse("contact_id", "the account has no such contact");
        }
    }
    Ok(())
}

/// The card as it is to be. Once a deal it stays one, whoever its contact is (D05).
fn changed_card(locked: &Locked, change: Change, now: OffsetDateTime) -> Card {
    let mut card = locked.card.clone();
    if let Some(title) = change.title {
        card.title = title;
    }
    card.amount = change.amount.over(card.amount);
    card.source = change.source.over(card.source);
    card.contact = change.contact.over(card.contact);
    let contact = locked.contact(card.contact);
    if contact.is_some_and(|contact| contact.buyer) {
        card.kind = CardKind::Deal;
    }
    let responsible = change.responsible.over(card.responsible);
    if card.responsible != responsible {
        card.responsible = responsible;
        card.stamp = Stamp::next_for_person(card.stamp, now, v7(now));
    }
    card
}

async fn events(
    connection: &mut PgConnection,
    caller: &Caller,
    before: &Card,
    card: &Card,
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let updated = wire_v1::CardUpdated {
        card: Some(wire::card(card)),
        note: None,
    };
    let mut events = vec![Outgoing::new(account, card.id, &updated).actor(caller.actor())];
    if before.responsible != card.responsible {
        let key = (account.clone(), card.id);
        let chats = cards::chats_of(connection, std::slice::from_ref(&key)).await?;
        let chats = chats.get(&key).into_iter().flatten();
        let changed = wire_v1::EntityResponsibleChanged {
            entity: Some(wire::linked_card(card)),
            chat_ids: chats.map(ToString::to_string).collect(),
            previous_agent_id: wire::text(before.responsible),
        };
        // The act that the stamp names is this event.
        let event = Outgoing::with_id(card.stamp.event, account, card.id, &changed);
        events.push(event.actor(caller.actor()));
    }
    Ok(events)
}
