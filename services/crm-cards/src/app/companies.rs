//! Companies (F034). They follow the rights on contacts (§9).

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::{AgentId, v7};
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::people::{
    self, Details, Wanted as Asked, held_company, read_fields, read_points, responsible_changed,
};
use super::{App, Page, RequestKey, history, sight, staff};
use crate::domain::access::{self, Kind, Missing};
use crate::domain::company::{DEPTH_MAX, wrong_parent};
use crate::domain::entity::{Company, Edit};
use crate::domain::fields::{Entity, Stored};
use crate::domain::ids::CompanyId;
use crate::error::Error;
use crate::store::Before;
use crate::store::companies::{self as store, Links};
use crate::store::person_lists::{self, Filter, Listed};
use crate::wire;

fn unknown(id: CompanyId) -> Error {
    Error::unknown("company", "COMPANY_UNKNOWN", id)
}

/// Returns a company that the caller may see.
pub async fn get(app: &App, caller: &Caller, id: CompanyId) -> Result<Company, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let mut connection = app.pool.acquire().await?;
    let company = store::get(&mut connection, caller.account(), id).await?;
    company
        .filter(|company| sight.reaches(company.responsible))
        .ok_or_else(|| unknown(id))
}

/// Returns a page of companies that the caller may see, newest first; only of those that belong to one where it is named.
pub async fn list(
    app: &App,
    caller: &Caller,
    (asked, parent): (Asked, Option<CompanyId>),
    before: Option<Before>,
    size: u32,
) -> Result<Page<Company>, Error> {
    let mut connection = app.pool.acquire().await?;
    let listed = people::listed(&mut connection, caller, &asked).await?;
    let Some((responsible, words)) = listed else {
        return Ok(Page::of(Vec::new(), size));
    };
    let filter = Filter {
        listed: Listed::Companies { parent },
        responsible,
        words,
    };
    let account = caller.account();
    let before = before.unwrap_or(Before::START);
    let rows = person_lists::page(
        &mut connection,
        account,
        &filter,
        before,
        i64::from(size) + 1,
    );
    let page = Page::of(rows.await?, size);
    let ids: Vec<_> = page.rows.iter().map(|(id, _)| *id).collect();
    Ok(Page {
        rows: store::in_order(&mut connection, account, &ids).await?,
        more: page.more,
    })
}

/// A company to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Phones, addresses and custom fields.
    pub details: Details,
    /// The company it belongs to.
    pub parent: Option<CompanyId>,
    /// The responsible.
    pub responsible: Option<AgentId>,
}

/// Creates a company.
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<wire_v1::CreateCompanyResponse, Error> {
    access::may_create(caller.access(), Kind::Contacts).map_err(|Missing| Error::CrmAccess)?;
    let account = caller.account();
    let named = staff::named(app, caller, wanted.responsible).await?;
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    named.may_get("responsible_agent_id", wanted.responsible, None)?;
    let (company, events) = make(&mut transaction, caller, wanted, now).await?;
    let answer = wire_v1::CreateCompanyResponse {
        company: Some(wire::company(&company)),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %account, company.id = %company.id, "company created");
    Ok(answer)
}

/// Makes a company, with its history; returns it with its events.
pub(super) async fn make(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<(Company, Vec<Outgoing>), Error> {
    let account = caller.account();
    let points = read_points(connection, account, &wanted.details, "").await?;
    let given = (&wanted.details.fields, true);
    let stored = Stored::new();
    let kept = read_fields(connection, account, Entity::Company, &stored, given).await?;
    let id = v7(now).into();
    if let Some(parent) = wanted.parent {
        check_parent(connection, caller, id, parent).await?;
    }
    let mut company = Company {
        id,
        name: wanted.name,
        parent: wanted.parent,
        phones: points.phones.unwrap_or_default(),
        emails: points.emails.unwrap_or_default(),
        fields: std::collections::BTreeMap::new(),
        responsible: None,
        stamp: Stamp::ZERO,
        created_at: now,
        revision: 1,
    };
    company.give_to(wanted.responsible, now, v7(now));
    // Nobody chose it, so that it is no act that others follow.
    let keeper = access::keeper(caller.access(), Kind::Contacts);
    company.responsible = company.responsible.or(keeper);
    store::put(connection, account, &company, &kept).await?;
    let company = read_again(connection, caller, company, &kept).await?;
    let entries = history::company(account, &caller.actor(), (None, Some(&company)))?;
    history::write(connection, entries, now).await?;
    let created = wire_v1::CompanyCreated {
        company: Some(wire::company(&company)),
    };
    let mut events = vec![Outgoing::new(account, company.id, &created).actor(caller.actor())];
    if company.responsible.is_some() && company.stamp > Stamp::ZERO {
        events.extend(given_to(connection, caller, &company, None).await?);
    }
    Ok((company, events))
}

/// Checks that a company may belong to another one. Of an account one company moves at a time: two that are put into each other
/// at once would both find no circle.
async fn check_parent(
    connection: &mut PgConnection,
    caller: &Caller,
    company: CompanyId,
    parent: CompanyId,
) -> Result<(), Error> {
    let account = caller.account();
    let field = "parent_company_id";
    audit::alone(connection, account, "companies", account).await?;
    held_company(connection, caller, parent, field).await?;
    // One more than fits: deeper it need not be looked.
    let limit = i32::try_from(DEPTH_MAX + 1).unwrap_or(i32::MAX);
    let above = store::above(connection, account, parent, limit).await?;
    let below = store::below(connection, account, company, limit).await?;
    let below = usize::try_from(below).unwrap_or(DEPTH_MAX);
    match wrong_parent(company, &above, below) {
        None => Ok(()),
        Some(description) => Err(Error::Field { field, description }),
    }
}

/// Reads a company that was written, where it has values of fields: they are shown by what is defined.
async fn read_again(
    connection: &mut PgConnection,
    caller: &Caller,
    company: Company,
    kept: &Stored,
) -> Result<Company, sqlx::Error> {
    if kept.is_empty() && company.fields.is_empty() {
        return Ok(company);
    }
    let read = store::get(connection, caller.account(), company.id).await?;
    Ok(read.unwrap_or(company))
}

/// Tells that a company got another responsible by hand.
async fn given_to(
    connection: &mut PgConnection,
    caller: &Caller,
    company: &Company,
    previous: Option<AgentId>,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let account = caller.account();
    let key = (account.clone(), company.id);
    let chats = store::chats_of(connection, std::slice::from_ref(&key)).await?;
    let chats = chats.get(&key).map_or(&[][..], Vec::as_slice);
    let entity = wire::linked_company(company);
    let id = Some(company.stamp.event);
    let told = responsible_changed(account, &entity, (previous, chats), id).into_iter();
    Ok(told.map(|event| event.actor(caller.actor())).collect())
}

/// What of a company is to be changed; what is not said stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revision that the caller saw.
    pub expected: Option<i64>,
    /// Name, phones, addresses and custom fields.
    pub details: Details,
    /// The company it belongs to.
    pub parent: Edit<CompanyId>,
    /// The responsible.
    pub responsible: Edit<AgentId>,
}

/// Locks a company that the caller may see, and compares it with what the caller saw.
async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: CompanyId,
    expected: Option<i64>,
) -> Result<Company, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let key = (caller.account().clone(), id);
    let locked = store::lock_all(connection, std::slice::from_ref(&key))
        .await?
        .remove(&key);
    let company = locked
        .filter(|company| sight.reaches(company.responsible))
        .ok_or_else(|| unknown(id))?;
    if expected.is_some_and(|seen| seen != company.revision) {
        return Err(Error::Overtaken("company", company.revision));
    }
    Ok(company)
}

/// Changes a company. What is as it was already changes nothing and is no event.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: CompanyId,
    change: Change,
    now: OffsetDateTime,
) -> Result<Company, Error> {
    let account = caller.account();
    let responsible = change.responsible.new_value();
    let named = staff::named(app, caller, responsible).await?;
    let mut transaction = app.begin().await?;
    if change.parent.new_value().is_some() {
        // Before the company: two that wait for each other's companies would wait for ever.
        audit::alone(&mut transaction, account, "companies", account).await?;
    }
    let before = lock(&mut transaction, caller, id, change.expected).await?;
    named.may_get("responsible_agent_id", responsible, before.responsible)?;
    let points = read_points(&mut transaction, account, &change.details, ".values").await?;
    let stored = store::stored_fields(&mut transaction, account, id).await?;
    let given = (&change.details.fields, false);
    let kept = read_fields(&mut transaction, account, Entity::Company, &stored, given).await?;
    if let Some(parent) = change.parent.new_value()
        && before.parent != Some(parent)
    {
        check_parent(&mut transaction, caller, id, parent).await?;
    }
    let mut company = before.clone();
    if let Some(name) = change.details.name {
        company.name = name;
    }
    company.phones = points.phones.unwrap_or(company.phones);
    company.emails = points.emails.unwrap_or(company.emails);
    company.parent = change.parent.over(company.parent);
    company.give_to(change.responsible.over(company.responsible), now, v7(now));
    if company == before && kept == stored {
        return Ok(before);
    }
    company.revision += 1;
    store::put(&mut transaction, account, &company, &kept).await?;
    let company = read_again(&mut transaction, caller, company, &kept).await?;
    let entries = history::company(account, &caller.actor(), (Some(&before), Some(&company)))?;
    history::write(&mut transaction, entries, now).await?;
    let updated = wire_v1::CompanyUpdated {
        company: Some(wire::company(&company)),
    };
    let mut events = vec![Outgoing::new(account, id, &updated).actor(caller.actor())];
    if company.responsible != before.responsible {
        events.extend(given_to(&mut transaction, caller, &company, before.responsible).await?);
    }
    app.commit(transaction, events, now).await?;
    Ok(company)
}

/// Deletes a company that no contact and no company belongs to.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: CompanyId,
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let company = lock(&mut transaction, caller, id, expected).await?;
    let links = store::links(&mut transaction, account, id).await?;
    if links != Links::default() {
        let Links {
            contacts,
            companies,
        } = links;
        let linked = [("contacts", contacts), ("companies", companies)];
        return Err(Error::Linked("company", linked.to_vec()));
    }
    store::delete(&mut transaction, account, id, now).await?;
    let entries = history::company(account, &caller.actor(), (Some(&company), None))?;
    history::write(&mut transaction, entries, now).await?;
    let deleted = wire_v1::CompanyDeleted {
        company: Some(wire::company(&company)),
    };
    let event = Outgoing::new(account, id, &deleted).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    tracing::info!(account = %account, company.id = %id, "company deleted");
    Ok(())
}
