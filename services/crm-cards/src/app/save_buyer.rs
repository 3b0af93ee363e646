//! Saving a contact as a buyer (F111).

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, contacts::unknown, history, sight};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Card, CardKind, Contact};
use crate::domain::ids::ContactId;
use crate::error::Error;
use crate::store::{card_changes, cards, contact_changes, contacts};
use crate::wire;

/// Saves a contact as a buyer; its leads become deals (D05). Saving twice changes nothing.
pub async fn save(
    app: &App,
    caller: &Caller,
    id: ContactId,
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let contact = contacts::lock(&mut transaction, account, id).await?;
    let mut contact = contact
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))?;
    if expected.is_some_and(|seen| seen != contact.revision) {
        return Err(Error::Overtaken("contact", contact.revision));
    }
    if contact.buyer {
        return Ok(contact);
    }
    let before = contact.clone();
    contact_changes::set_buyer(&mut transaction, account, contact.id).await?;
    contact.buyer = true;
    contact.revision += 1;
    let entries = history::contact(account, &caller.actor(), (Some(&before), Some(&contact)))?;
    history::write(&mut transaction, entries, now).await?;
    let updated = wire_v1::ContactUpdated {
        contact: Some(wire::contact(&contact)),
    };
    let mut events = vec![Outgoing::new(account, contact.id, &updated).actor(caller.actor())];
    events.extend(make_deals(&mut transaction, caller, &[contact.id], now).await?);
    app.commit(transaction, events, now).await?;
    Ok(contact)
}

/// Turns the leads of buyers, who are locked, into deals (D05), and tells of it.
pub(super) async fn make_deals(
    connection: &mut PgConnection,
    caller: &Caller,
    buyers: &[ContactId],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    if buyers.is_empty() {
        return Ok(Vec::new());
    }
    let account = caller.account();
    let (mut entries, mut events) = (Vec::new(), Vec::new());
    let mut deals = card_changes::make_deals(connection, account, buyers, now).await?;
    deals.sort();
    let deals = cards::lock(connection, &deals).await?;
    for card in deals.values() {
        let before = Card {
            kind: CardKind::Lead,
            ..card.clone()
        };
        entries.extend(history::card(
            account,
            &caller.actor(),
            (Some(&before), Some(card)),
        )?);
        let updated = wire_v1::CardUpdated {
            card: Some(wire::card(card)),
            note: None,
        };
        events.push(Outgoing::new(account, card.id, &updated).actor(caller.actor()));
    }
    history::write(connection, entries, now).await?;
    Ok(events)
}
