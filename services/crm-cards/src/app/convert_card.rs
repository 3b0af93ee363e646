//! Conversion of a lead into a deal, with its contact and company, in one transaction (F136-F144).
//!
//! The lead stays the same card (D05): links, history, notes and whoever refers to it go on with the deal. What is missing,
//! contact or company, is made; an act that fails at any of them leaves nothing.

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::id::AgentId;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::{Locked, lock, unknown};
use super::change_contact::{self, Change};
use super::companies;
use super::people::{Details, held_company};
use super::save_buyer::make_deals;
use super::{App, RequestKey, history, move_card, sight, staff};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::entity::{Card, CardKind, Company, Contact, Edit, NAME_MAX};
use crate::domain::fields::{Entity, Given, Stored, changed};
use crate::domain::ids::{CardId, CompanyId, ContactId, PipelineId, StatusId};
use crate::domain::money::Money;
use crate::domain::status::Status;
use crate::error::Error;
use crate::figures;
use crate::store::card_changes::{self, Kept};
use crate::store::{cards, contacts, fields, pipelines};
use crate::wire;

/// What a lead is to be converted into.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The revision of the card that the caller saw.
    pub expected: Option<i64>,
    /// What becomes of its contact.
    pub contact: WantedContact,
    /// The company that the contact belongs to from now on.
    pub company: Option<WantedCompany>,
    /// What the deal gets; with it a form was filled in, which asks for required fields (F140).
    pub deal: Option<WantedDeal>,
}

/// What becomes of the contact; what is not said stays.
#[derive(Debug, Clone, Default)]
pub struct WantedContact {
    /// An existing contact, for a lead that has none.
    pub id: Option<ContactId>,
    /// Name, phones, addresses and custom fields.
    pub details: Details,
    /// The responsible; of a new contact the card's where not said.
    pub responsible: Edit<AgentId>,
    /// Saved as a buyer from now on.
    pub buyer: bool,
}

impl WantedContact {
    /// Tells whether anything of an existing contact is to be changed.
    fn changes(&self) -> bool {
        let details = &self.details;
        self.buyer
            || self.responsible != Edit::Keep
            || details.name.is_some()
            || details.phones.is_some()
            || details.emails.is_some()
            || !details.fields.is_empty()
    }
}

/// The company of the contact.
#[derive(Debug, Clone)]
pub enum WantedCompany {
    /// One that exists.
    Existing(CompanyId),
    /// A new one, and its responsible; the card's where not said.
    New(Box<companies::Wanted>, Edit<AgentId>),
}

/// What the deal gets; what is not said stays as the lead had it.
#[derive(Debug, Clone, Default)]
pub struct WantedDeal {
    /// Title.
    pub title: Option<String>,
    /// Amount.
    pub amount: Edit<Money>,
    /// Custom fields, by key.
    pub fields: Given,
    /// The status that it goes to.
    pub status: Option<StatusId>,
    /// The pipeline that it goes to; without a status it begins there (D04).
    pub pipeline: Option<PipelineId>,
}

/// Converts a lead. What is a deal already is refused.
pub async fn convert(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    (id, wanted): (CardId, Wanted),
    now: OffsetDateTime,
) -> Result<wire_v1::ConvertCardResponse, Error> {
    let leads = sight(caller, Kind::Leads)?;
    let account = caller.account();
    let of_company = match &wanted.company {
        Some(WantedCompany::New(_, responsible)) => responsible.new_value(),
        _ => None,
    };
    let of_contact = wanted.contact.responsible.new_value();
    let agents = of_contact.into_iter().chain(of_company);
    let named = staff::named(app, caller, agents).await?;
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let found = cards::get(&mut transaction, account, id).await?;
    let found = found
        .filter(|card| leads.reaches(card.responsible))
        .ok_or_else(|| unknown(id))?;
    let place = place(&mut transaction, caller, &found, wanted.deal.as_ref()).await?;
    let other = other_contact(&mut transaction, caller, &found, wanted.contact.id).await?;
    // Contact, company, card: the order of all locks. What is locked here is locked once more, with the card, below.
    let contacts: BTreeSet<_> = [found.contact, other]
        .into_iter()
        .flatten()
        .map(|contact| (account.clone(), contact))
        .collect();
    let contacts: Vec<_> = contacts.into_iter().collect();
    contacts::lock_all(&mut transaction, &contacts).await?;
    let held = held(&mut transaction, caller, wanted.company.as_ref()).await?;
    let locked = lock(&mut transaction, caller, id, wanted.expected, other).await?;
    if locked.card.kind == CardKind::Deal {
        return Err(Error::IsDeal);
    }
    let before = found.contact.and_then(|id| locked.contact(Some(id)));
    let before = before.and_then(|contact| contact.responsible);
    named.may_get("contact.responsible_agent_id", of_contact, before)?;
    named.may_get("company.responsible_agent_id", of_company, None)?;
    let mut made = Made::default();
    let company = company(
        &mut transaction,
        caller,
        &locked.card,
        (wanted.company, held),
        &mut made,
        now,
    )
    .await?;
    let which = (wanted.contact, company.as_ref());
    let contact = contact(
        &mut transaction,
        caller,
        (&locked, other),
        which,
        &mut made,
        now,
    )
    .await?;
    let deal = (wanted.deal, place);
    let card = card(
        &mut transaction,
        caller,
        (&locked.card, &contact),
        deal,
        &mut made,
        now,
    )
    .await?;
    if made.new_buyer {
        let deals = make_deals(&mut transaction, caller, &[contact.id], now).await?;
        made.events.extend(deals);
    }
    let company = match (company, contact.company) {
        (None, Some(id)) => crate::store::companies::get(&mut transaction, account, id).await?,
        (company, _) => company,
    };
    made.events
        .push(told(caller, &made, (&card, &contact, company.as_ref())));
    let people = sight(caller, Kind::Contacts).ok();
    let sees = |responsible| people.is_some_and(|sight| sight.reaches(responsible));
    let answer = wire_v1::ConvertCardResponse {
        card: Some(wire::card(&card)),
        contact: sees(contact.responsible).then(|| wire::contact(&contact)),
        company: company
            .filter(|company| sees(company.responsible))
            .map(|company| wire::company(&company)),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, made.events, now).await?;
    figures::CONVERTED.increment(1);
    tracing::info!(account = %account, card.id = %id, contact.id = %contact.id, "lead converted");
    Ok(answer)
}

/// What the conversion made so far.
#[derive(Default)]
struct Made {
    contact: bool,
    company: bool,
    new_buyer: bool,
    events: Vec<Outgoing>,
}

fn refused(field: &'static str, description: &'static str) -> Error {
    Error::Field { field, description }
}

/// Returns where the deal goes, where that is said; the status stays until the transaction ends.
async fn place(
    connection: &mut PgConnection,
    caller: &Caller,
    card: &Card,
    deal: Option<&WantedDeal>,
) -> Result<Option<(PipelineId, Status)>, Error> {
    let account = caller.account();
    let Some(deal) = deal else { return Ok(None) };
    match (deal.status, deal.pipeline) {
        (None, None) => Ok(None),
        (None, Some(pipeline)) if pipeline == card.pipeline => Ok(None),
        (None, Some(pipeline)) => {
            let status = pipelines::status_new(connection, account, pipeline).await?;
            let no_such = || refused("deal.pipeline_id", "the account has no such pipeline");
            Ok(Some((pipeline, status.ok_or_else(no_such)?)))
        }
        (Some(status), pipeline) => {
            let named = pipeline.unwrap_or(card.pipeline);
            let held = pipelines::hold_statuses(connection, account, &[status]).await?;
            let held = held.into_iter().find(|(pipeline, _)| *pipeline == named);
            held.map(Some).ok_or_else(|| {
                let text = match pipeline {
                    Some(_) => "the pipeline has no such status",
                    None => "the card's pipeline has no such status",
                };
                refused("deal.status_id", text)
            })
        }
    }
}

/// Returns the contact that a lead without one gets: the one that is named, else that of the chat it was created from.
async fn other_contact(
    connection: &mut PgConnection,
    caller: &Caller,
    card: &Card,
    named: Option<ContactId>,
) -> Result<Option<ContactId>, Error> {
    let account = caller.account();
    let live = match named {
        None => None,
        Some(id) => Some(contacts::live(connection, account, id).await?.unwrap_or(id)),
    };
    match (card.contact, live, card.chat) {
        (Some(own), Some(id), _) if own != id => Err(refused(
            "contact.contact_id",
            "the lead has another contact: merge the two (MergeContacts)",
        )),
        (Some(_), ..) | (None, None, None) => Ok(None),
        (None, Some(id), _) => Ok(Some(id)),
        (None, None, Some(chat)) => {
            let chat = contacts::chat(connection, account, chat).await?;
            Ok(chat.map(|chat| chat.contact))
        }
    }
}

/// Holds the company that is named.
async fn held(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: Option<&WantedCompany>,
) -> Result<Option<Company>, Error> {
    let Some(WantedCompany::Existing(id)) = wanted else {
        return Ok(None);
    };
    let held = held_company(connection, caller, *id, "company.company_id");
    held.await.map(Some)
}

/// Returns the company that the contact is to belong to, where that is said; a new one is made.
async fn company(
    connection: &mut PgConnection,
    caller: &Caller,
    card: &Card,
    (wanted, held): (Option<WantedCompany>, Option<Company>),
    made: &mut Made,
    now: OffsetDateTime,
) -> Result<Option<Company>, Error> {
    let Some(WantedCompany::New(new, responsible)) = wanted else {
        return Ok(held);
    };
    access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
    let new = companies::Wanted {
        responsible: of_card(responsible, card),
        ..*new
    };
    let (company, events) = companies::make(connection, caller, new, now)
        .await
        .map_err(|error| error.within("company"))?;
    made.company = true;
    made.events.extend(events);
    Ok(Some(company))
}

/// Who answers for what is made: whoever is named, else whoever answers for the lead.
fn of_card(responsible: Edit<AgentId>, card: &Card) -> Option<AgentId> {
    responsible.over(card.responsible)
}

/// Returns the contact of the deal: changed, or made where there is none.
async fn contact(
    connection: &mut PgConnection,
    caller: &Caller,
    (locked, other): (&Locked, Option<ContactId>),
    (wanted, company): (WantedContact, Option<&Company>),
    made: &mut Made,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    let Some(id) = locked.card.contact.or(other) else {
        return new_contact(
            connection,
            caller,
            &locked.card,
            (wanted, company),
            made,
            now,
        )
        .await;
    };
    let is_named = wanted.id.is_some() && locked.card.contact.is_none();
    if !wanted.changes() && company.is_none() && !is_named {
        // It stays as it is: what the caller sees of it does not matter.
        let contact = contacts::lock(connection, caller.account(), id).await?;
        return contact.ok_or_else(|| Error::unknown("contact", "CONTACT_UNKNOWN", id));
    }
    let no_such = || refused("contact.contact_id", "the account has no such contact");
    let before = match change_contact::lock(connection, caller, id, None).await {
        Err(Error::Unknown { .. }) => return Err(no_such()),
        before => before?,
    };
    if wanted.buyer && !before.buyer {
        access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
        made.new_buyer = true;
    }
    let change = Change {
        expected: None,
        details: wanted.details,
        company: company.map_or(Edit::Keep, |company| Edit::Set(company.id)),
        responsible: wanted.responsible,
        buyer: wanted.buyer,
    };
    let (contact, events) = change_contact::changed(connection, caller, before, change, now)
        .await
        .map_err(|error| error.within("contact"))?;
    made.events.extend(events);
    Ok(contact)
}

/// Makes the contact of a lead that has none.
async fn new_contact(
    connection: &mut PgConnection,
    caller: &Caller,
    card: &Card,
    (wanted, company): (WantedContact, Option<&Company>),
    made: &mut Made,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
    let name = wanted.details.name.clone();
    let new = change_contact::Wanted {
        // A title may be longer than a name.
        name: name.unwrap_or_else(|| card.title.chars().take(NAME_MAX).collect()),
        details: wanted.details,
        company: company.map(|company| company.id),
        responsible: of_card(wanted.responsible, card),
        buyer: wanted.buyer,
    };
    let (contact, events) = change_contact::make(connection, caller, (new, ".values"), now)
        .await
        .map_err(|error| error.within("contact"))?;
    made.contact = true;
    made.events.extend(events);
    Ok(contact)
}

/// Writes the deal, with its history and events.
async fn card(
    connection: &mut PgConnection,
    caller: &Caller,
    (before, contact): (&Card, &Contact),
    (wanted, place): (Option<WantedDeal>, Option<(PipelineId, Status)>),
    made: &mut Made,
    now: OffsetDateTime,
) -> Result<Card, Error> {
    let account = caller.account();
    let stored = cards::stored_fields(connection, account, before.id).await?;
    let kept = kept_fields(connection, caller, stored, wanted.as_ref()).await?;
    let deal = wanted.unwrap_or_default();
    let mut card = Card {
        kind: CardKind::Deal,
        contact: Some(contact.id),
        title: deal.title.unwrap_or_else(|| before.title.clone()),
        amount: deal.amount.over(before.amount),
        updated_at: now,
        revision: before.revision + 1,
        ..before.clone()
    };
    if let Some((pipeline, status)) = place {
        (card.pipeline, card.status) = (pipeline, status);
    }
    let kept = Kept {
        fields: kept,
        contact_name: contact.name.clone(),
    };
    card_changes::update(connection, account, &card, &kept).await?;
    let moved = card.status.id != before.status.id;
    if moved {
        card_changes::set_statuses(connection, account, std::slice::from_ref(&card)).await?;
    }
    // Read again: values of fields are shown by what is defined.
    let read = cards::get(connection, account, card.id).await?;
    let card = read.ok_or_else(|| unknown(card.id))?;
    let entries = history::card(account, &caller.actor(), (Some(before), Some(&card)))?;
    history::write(connection, entries, now).await?;
    let updated = wire_v1::CardUpdated {
        card: Some(wire::card(&card)),
        note: None,
    };
    let updated = Outgoing::new(account, card.id, &updated).actor(caller.actor());
    made.events.push(updated);
    if moved {
        made.events.push(move_card::moved(caller, before, &card));
    }
    Ok(card)
}

async fn kept_fields(
    connection: &mut PgConnection,
    caller: &Caller,
    stored: Stored,
    deal: Option<&WantedDeal>,
) -> Result<Stored, Error> {
    let Some(deal) = deal else { return Ok(stored) };
    let known = fields::of_entity(connection, caller.account(), Entity::Card).await?;
    let kept = changed(&known, &stored, &deal.fields, true).map_err(Error::of_fields);
    kept.map_err(|error| error.within("deal"))
}

/// Tells of the conversion as a whole.
fn told(
    caller: &Caller,
    made: &Made,
    (card, contact, company): (&Card, &Contact, Option<&Company>),
) -> Outgoing {
    let converted = wire_v1::CardConverted {
        card: Some(wire::card(card)),
        contact: Some(wire::contact(contact)),
        contact_created: made.contact,
        company: company.map(wire::company),
        company_created: made.company,
    };
    Outgoing::new(caller.account(), card.id, &converted).actor(caller.actor())
}
