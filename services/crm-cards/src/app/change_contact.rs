//! Making, changing and deleting contacts by hand (F106-F108, F043, F044).

use chassis::auth::Caller;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::people::{self, Details, held_company, read_fields, read_points};
use super::{App, RequestKey, contacts::unknown, duplicates, history, sight, staff};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Contact, Edit};
use crate::domain::fields::{Entity, Stored};
use crate::domain::ids::{CompanyId, ContactId};
use crate::error::Error;
use crate::store::contact_changes::{self, Links};
use crate::store::{card_changes, contacts, duplicates as suspicions};
use crate::wire;

/// A contact to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Phones, addresses and custom fields.
    pub details: Details,
    /// The company.
    pub company: Option<CompanyId>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// Saved as a buyer at once.
    pub buyer: bool,
}

/// Creates a contact without an identity.
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateContactResponse, Error> {
    access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
    let account = caller.account();
    let named = staff::named(app, caller, wanted.responsible).await?;
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    named.may_get("responsible_agent_id", wanted.responsible, None)?;
    if let Some(company) = wanted.company {
        held_company(&mut transaction, caller, company, "company_id").await?;
    }
    let (contact, events) = make(&mut transaction, caller, (wanted, ""), now).await?;
    let answer = wire_v1::CreateContactResponse {
        contact: Some(wire::contact(&contact)),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %account, contact.id = %contact.id, "contact created");
    Ok(answer)
}

/// Makes a contact whose company is held, with its history; returns it with its events. `suffix` follows the names of phones
/// and addresses in the request.
pub(super) async fn make(
    connection: &mut PgConnection,
    caller: &Caller,
    (wanted, suffix): (Wanted, &str),
    now: OffsetDateTime,
) -> Result<(Contact, Vec<Outgoing>), Error> {
    let account = caller.account();
    let points = read_points(connection, account, &wanted.details, suffix).await?;
    let given = (&wanted.details.fields, true);
    let stored = Stored::new();
    let kept = read_fields(connection, account, Entity::Contact, &stored, given).await?;
    let mut contact = Contact::new(v7(now).into(), wanted.name, now);
    contact.buyer = wanted.buyer;
    contact.company = wanted.company;
    contact.phones = points.phones.unwrap_or_default();
    contact.emails = points.emails.unwrap_or_default();
    contact.give_to(wanted.responsible, now, v7(now));
    // Nobody chose it, so that it is no act that others follow.
    let keeper = access::keeper(caller.access(), Kind::Contacts);
    contact.responsible = contact.responsible.or(keeper);
    contact_changes::put(connection, account, &contact, &kept).await?;
    let contact = read_again(connection, caller, contact, &kept).await?;
    let entries = history::contact(account, &caller.actor(), (None, Some(&contact)))?;
    history::write(connection, entries, now).await?;
    let created = wire_v1::ContactCreated {
        contact: Some(wire::contact(&contact)),
    };
    let mut events = vec![Outgoing::new(account, contact.id, &created).actor(caller.actor())];
    if contact.responsible.is_some() && contact.stamp > Stamp::ZERO {
        events.extend(given_to(connection, caller, &contact, None).await?);
    }
    let who = (account, &caller.actor());
    events.extend(duplicates::look_anew(connection, who, &contact, now).await?);
    Ok((contact, events))
}

/// Reads a contact that was written, where it has values of fields: they are shown by what is defined.
async fn read_again(
    connection: &mut PgConnection,
    caller: &Caller,
    contact: Contact,
    kept: &Stored,
) -> Result<Contact, sqlx::Error> {
    if kept.is_empty() && contact.fields.is_empty() {
        return Ok(contact);
    }
    let read = contacts::get(connection, caller.account(), contact.id).await?;
    Ok(read.unwrap_or(contact))
}

/// Tells that a contact got another responsible by hand.
pub(super) async fn given_to(
    connection: &mut PgConnection,
    caller: &Caller,
    contact: &Contact,
    previous: Option<AgentId>,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let account = caller.account();
    let key = (account.clone(), contact.id);
    let chats = contacts::chats_of(connection, std::slice::from_ref(&key)).await?;
    let chats = chats.get(&key).map_or(&[][..], Vec::as_slice);
    let entity = wire::linked_contact(contact);
    let id = Some(contact.stamp.event);
    let told = people::responsible_changed(account, &entity, (previous, chats), id).into_iter();
    Ok(told.map(|event| event.actor(caller.actor())).collect())
}

/// What of a contact is to be changed; what is not said stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revision that the caller saw.
    pub expected: Option<i64>,
    /// Name, phones, addresses and custom fields.
    pub details: Details,
    /// The company.
    pub company: Edit<CompanyId>,
    /// The responsible.
    pub responsible: Edit<AgentId>,
    /// Saved as a buyer from now on (F111): whoever asks for it makes deals of its leads.
    pub buyer: bool,
}

/// Locks a contact that the caller may see, and compares it with what the caller saw.
pub(super) async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ContactId,
    expected: Option<i64>,
) -> Result<Contact, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let contact = contacts::lock(connection, caller.account(), id).await?;
    let contact = contact
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))?;
    if expected.is_some_and(|seen| seen != contact.revision) {
        return Err(Error::Overtaken("contact", contact.revision));
    }
    Ok(contact)
}

/// Changes a contact. What is as it was already changes nothing and is no event.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: ContactId,
    change: Change,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    let responsible = change.responsible.new_value();
    let named = staff::named(app, caller, responsible).await?;
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, change.expected).await?;
    named.may_get("responsible_agent_id", responsible, before.responsible)?;
    if let Some(company) = change.company.new_value()
        && before.company != Some(company)
    {
        held_company(&mut transaction, caller, company, "company_id").await?;
    }
    let (contact, events) = changed(&mut transaction, caller, before, change, now).await?;
    if !events.is_empty() {
        app.commit(transaction, events, now).await?;
    }
    Ok(contact)
}

/// Changes a locked contact whose new company is held, with its history; returns it with its events, none where it was so
/// already.
pub(super) async fn changed(
    connection: &mut PgConnection,
    caller: &Caller,
    before: Contact,
    change: Change,
    now: OffsetDateTime,
) -> Result<(Contact, Vec<Outgoing>), Error> {
    let account = caller.account();
    let points = read_points(connection, account, &change.details, ".values").await?;
    let stored = contacts::stored_fields(connection, account, before.id).await?;
    let given = (&change.details.fields, false);
    let kept = read_fields(connection, account, Entity::Contact, &stored, given).await?;
    let mut contact = before.clone();
    if let Some(name) = change.details.name {
        contact.name = name;
    }
    contact.phones = points.phones.unwrap_or(contact.phones);
    contact.emails = points.emails.unwrap_or(contact.emails);
    contact.company = change.company.over(contact.company);
    contact.buyer |= change.buyer;
    contact.give_to(change.responsible.over(contact.responsible), now, v7(now));
    if contact == before && kept == stored {
        return Ok((before, Vec::new()));
    }
    contact.revision += 1;
    contact_changes::put(connection, account, &contact, &kept).await?;
    let contact = read_again(connection, caller, contact, &kept).await?;
    if contact.name != before.name {
        card_changes::name_contacts(connection, account, &[&contact]).await?;
    }
    let entries = history::contact(account, &caller.actor(), (Some(&before), Some(&contact)))?;
    history::write(connection, entries, now).await?;
    let updated = wire_v1::ContactUpdated {
        contact: Some(wire::contact(&contact)),
    };
    let mut events = vec![Outgoing::new(account, contact.id, &updated).actor(caller.actor())];
    if contact.responsible != before.responsible {
        events.extend(given_to(connection, caller, &contact, before.responsible).await?);
    }
    if (&contact.phones, &contact.emails) != (&before.phones, &before.emails) {
        let who = (account, &caller.actor());
        events.extend(duplicates::look_anew(connection, who, &contact, now).await?);
    }
    Ok((contact, events))
}

/// Deletes a contact that nothing is linked to.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: ContactId,
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let contact = lock(&mut transaction, caller, id, expected).await?;
    let links = contact_changes::links(&mut transaction, account, contact.id).await?;
    if links != Links::default() {
        let Links {
            identities,
            chats,
            cards,
            orders,
            merged,
        } = links;
        let linked = [
            ("identities", identities),
            ("chats", chats),
            ("cards", cards),
            ("orders", orders),
            ("merged contacts", merged),
        ];
        return Err(Error::Linked("contact", linked.to_vec()));
    }
    suspicions::forget(&mut transaction, account, contact.id).await?;
    contact_changes::delete(&mut transaction, account, contact.id, now).await?;
    let entries = history::contact(account, &caller.actor(), (Some(&contact), None))?;
    history::write(&mut transaction, entries, now).await?;
    let deleted = wire_v1::ContactDeleted {
        contact: Some(wire::contact(&contact)),
    };
    let event = Outgoing::new(account, contact.id, &deleted).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    tracing::info!(account = %account, contact.id = %contact.id, "contact deleted");
    Ok(())
}
