//! Reading contacts.

use chassis::auth::Caller;

use super::{App, Page, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Contact;
use crate::domain::ids::ContactId;
use crate::error::Error;
use crate::store::{Before, contacts};

/// Returns a contact that the caller may see.
pub async fn get(app: &App, caller: &Caller, id: ContactId) -> Result<Contact, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let mut connection = app.pool.acquire().await?;
    let contact = contacts::get(&mut connection, caller.account(), id).await?;
    contact
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))
}

/// Returns a page of contacts that the caller may see, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    before: Option<Before>,
    size: u32,
) -> Result<Page<Contact>, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let mut connection = app.pool.acquire().await?;
    let before = before.unwrap_or(Before::START);
    let limit = i64::from(size) + 1;
    let rows = contacts::list(
        &mut connection,
        caller.account(),
        sight.narrowed_to(),
        before,
        limit,
    )
    .await?;
    Ok(Page::of(rows, size))
}

pub(super) fn unknown(id: ContactId) -> Error {
    Error::unknown("contact", "CONTACT_UNKNOWN", id)
}
