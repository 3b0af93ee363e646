//! Reading contacts.

use chassis::auth::Caller;

use super::people::{self, Wanted as Asked};
use super::{App, Page, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Contact;
use crate::domain::ids::{CompanyId, ContactId};
use crate::error::Error;
use crate::store::person_lists::{self, Filter, Listed};
use crate::store::{Before, contacts};

/// Returns a contact that the caller may see; by an id that was merged into another one, that one.
pub async fn get(app: &App, caller: &Caller, id: ContactId) -> Result<Contact, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let mut connection = app.pool.acquire().await?;
    let contact = contacts::get(&mut connection, caller.account(), id).await?;
    contact
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))
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
