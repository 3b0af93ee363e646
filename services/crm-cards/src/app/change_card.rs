//! What all changes of a card have in common: it is found, locked after its contact, and compared with what the caller saw.

use chassis::auth::Caller;
use sqlx::PgConnection;

use super::sight;
use crate::domain::access::Kind;
use crate::domain::entity::{Card, Contact};
use crate::domain::ids::{CardId, ContactId};
use crate::error::Error;
use crate::store::{cards, contacts};

/// A card that is being changed, with the contacts that are locked with it.
pub(super) struct Locked {
    /// The card.
    pub card: Card,
    /// Its contact, and the one that it is to get; without identities.
    pub contacts: Vec<Contact>,
}

impl Locked {
    /// Returns one of the contacts.
    pub fn contact(&self, id: Option<ContactId>) -> Option<&Contact> {
        self.contacts.iter().find(|contact| Some(contact.id) == id)
    }
}

/// Says that a card is not there, or not for this caller.
pub(super) fn unknown(id: CardId) -> Error {
    Error::unknown("card", "CARD_UNKNOWN", id)
}

/// Locks a card that the caller may see. Contacts come first, as in decisions: they see the card before or after (D29, X04).
pub(super) async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: CardId,
    expected: Option<i64>,
    other: Option<ContactId>,
) -> Result<Locked, Error> {
    let sight = sight(caller, Kind::Leads)?;
    let account = caller.account();
    let found = cards::get(connection, account, id).await?;
    let found = found
        .filter(|card| sight.reaches(card.responsible))
        .ok_or_else(|| unknown(id))?;
    let mut keys: Vec<_> = found
        .contact
        .into_iter()
        .chain(other)
        .map(|contact| (account.clone(), contact))
        .collect();
    keys.sort();
    keys.dedup();
    let contacts = contacts::lock_all(connection, &keys).await?;
    let key = (account.clone(), id);
    let card = cards::lock(connection, std::slice::from_ref(&key))
        .await?
        .remove(&key)
        .filter(|card| sight.reaches(card.responsible))
        .ok_or_else(|| unknown(id))?;
    // With another contact than the one that is locked a decision could stand beside this change.
    let moved_on = card.contact != found.contact;
    if moved_on || expected.is_some_and(|seen| seen != card.revision) {
        return Err(Error::Overtaken("card", card.revision));
    }
    Ok(Locked {
        card,
        contacts: contacts.into_values().collect(),
    })
}
