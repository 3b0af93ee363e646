//! Reading contacts.

use std::collections::HashMap;

use chassis::auth::Caller;

use super::people::{self, Wanted as Asked};
use super::{App, Page, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Contact;
use crate::domain::ids::{CompanyId, ContactId};
use crate::error::Error;
use crate::store::person_lists::{self, Filter, Listed};
use crate::store::{Before, contacts, openings};

/// Returns a contact that the caller may see; by an id that was merged into another one, that one.
pub async fn get(app: &App, caller: &Caller, id: ContactId) -> Result<Contact, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let mut connection = app.pool.acquire().await?;
    let contact = contacts::get(&mut connection, caller.account(), id).await?;
    contact
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))
}

/// Scope in which a person who writes mails is known by the address.
const MAIL_SCOPE: &str = "email";

/// An address of a contact by which another one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressOwner {
    /// The address.
    pub address: String,
    /// The other contact's id and name, where the caller sees it.
    pub other: Option<(ContactId, String)>,
}

/// Returns which e-mail addresses of a contact are identities of others. Whose they are is told where the caller sees them.
pub async fn address_owners(
    app: &App,
    caller: &Caller,
    contact: &Contact,
) -> Result<Vec<AddressOwner>, Error> {
    if contact.emails.is_empty() {
        return Ok(Vec::new());
    }
    let sight = sight(caller, Kind::Contacts)?;
    let account = caller.account();
    let keys = contact.emails.iter();
    let keys: Vec<_> = keys
        .map(|email| (account.clone(), MAIL_SCOPE.to_owned(), email.clone()))
        .collect();
    let mut connection = app.pool.acquire().await?;
    let mut owners = openings::contacts_of(&mut connection, &keys).await?;
    owners.retain(|_, owner| *owner != contact.id);
    let ids: Vec<_> = owners.values().map(|owner| owner.uuid()).collect();
    let others = contacts::in_order(&mut connection, account, &ids).await?;
    let others: HashMap<ContactId, Contact> = others
        .into_iter()
        .filter(|other| sight.reaches(other.responsible))
        .map(|other| (other.id, other))
        .collect();
    let owned = keys.into_iter().filter_map(|key| {
        let owner = owners.get(&key)?;
        Some(AddressOwner {
            address: key.2,
            other: others.get(owner).map(|it| (it.id, it.name.clone())),
        })
    });
    Ok(owned.collect())
}

/// Which contacts are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What contacts and companies are asked for alike.
    pub asked: Asked,
    /// Only of this company.
    pub company: Option<CompanyId>,
    /// Only buyers, or only others.
    pub buyer: Option<bool>,
}

/// Returns a page of contacts that the caller may see, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    before: Option<Before>,
    size: u32,
) -> Result<Page<Contact>, Error> {
    let mut connection = app.pool.acquire().await?;
    let listed = people::listed(&mut connection, caller, &wanted.asked).await?;
    let Some((responsible, words)) = listed else {
        return Ok(Page::of(Vec::new(), size));
    };
    let filter = Filter {
        listed: Listed::Contacts {
            buyer: wanted.buyer,
            company: wanted.company,
        },
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
        rows: contacts::in_order(&mut connection, account, &ids).await?,
        more: page.more,
    })
}

pub(super) fn unknown(id: ContactId) -> Error {
    Error::unknown("contact", "CONTACT_UNKNOWN", id)
}
