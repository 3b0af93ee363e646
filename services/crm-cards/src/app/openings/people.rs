//! Who opened conversations: contacts are found or made, and chats linked to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::Opening;
use crate::app::{duplicates, history};
use crate::domain::entity::{Company, Contact, messenger};
use crate::domain::ids::{self, ChatId, CompanyId, ContactId};
use crate::store::contacts::{self, ROUNDS};
use crate::store::history::NewEntry;
use crate::store::openings::{self as store, IdentityKey, NewChat, NewIdentity};
use crate::store::{companies, contact_changes};
use crate::wire;

/// The contacts of a batch, locked.
pub(super) struct People {
    of_identity: HashMap<IdentityKey, ContactId>,
    /// All of them.
    pub contacts: HashMap<(AccountSlug, ContactId), Contact>,
    companies: HashMap<(AccountSlug, CompanyId), Company>,
    created: HashSet<(AccountSlug, ContactId)>,
    /// Contacts that were there and got an identity: an agent wrote to them first (F084).
    identified: HashSet<(AccountSlug, ContactId)>,
}

impl People {
    /// Returns who opened a conversation, or for whom it was opened.
    pub fn of(&self, opening: &Opening) -> Result<&Contact, sqlx::Error> {
        let id = self.of_identity.get(&opening.identity_key());
        id.and_then(|id| self.contacts.get(&(opening.account.clone(), *id)))
            // An identity always has its contact.
            .ok_or(sqlx::Error::RowNotFound)
    }

    /// Returns the company of a contact.
    pub fn company_of(&self, account: &AccountSlug, contact: &Contact) -> Option<&Company> {
        self.companies.get(&(account.clone(), contact.company?))
    }

    /// Tells of contacts that are new: their events, and the beginnings of their histories.
    pub fn created(
        &self,
        openings: &[Opening],
        events: &mut Vec<Outgoing>,
    ) -> Result<Vec<NewEntry>, sqlx::Error> {
        let mut told = HashSet::new();
        let mut entries = Vec::new();
        for opening in openings {
            let Ok(contact) = self.of(opening) else {
                continue;
            };
            let key = (opening.account.clone(), contact.id);
            if self.created.contains(&key) && told.insert(key) {
                let mut contact = contact.clone();
                contact.identities = vec![opening.identity.clone()];
                let created = wire_v1::ContactCreated {
                    contact: Some(wire::contact(&contact)),
                };
                let sides = (None, Some(&contact));
                entries.extend(history::contact(&opening.account, &opening.actor(), sides)?);
                let event = opening.event(contact.id, &created);
                events.push(event.actor(opening.actor()));
            }
        }
        Ok(entries)
    }

    /// Tells of contacts that got an identity. That their chats are linked is in their histories.
    pub async fn identified(
        &self,
        connection: &mut PgConnection,
        openings: &[Opening],
        events: &mut Vec<Outgoing>,
    ) -> Result<(), sqlx::Error> {
        let mut origins: BTreeMap<(AccountSlug, ContactId), &Opening> = BTreeMap::new();
        for opening in openings {
            let key = (opening.account.clone(), self.of(opening)?.id);
            if self.identified.contains(&key) {
                origins.entry(key).or_insert(opening);
            }
        }
        if origins.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = origins.keys().cloned().collect();
        let mut identities = contacts::identities_of(connection, &keys).await?;
        for (key, opening) in &origins {
            let mut contact = self
                .contacts
                .get(key)
                .cloned()
                .ok_or(sqlx::Error::RowNotFound)?;
            contact.identities = identities.remove(key).unwrap_or_default();
            let updated = wire_v1::ContactUpdated {
                contact: Some(wire::contact(&contact)),
            };
            let event = opening.event(contact.id, &updated);
            events.push(event.actor(opening.actor()));
        }
        Ok(())
    }
}

/// Finds the contacts of all identities, makes those that are new, and locks them all, sorted.
///
/// The same person on another channel of the messenger has the same identity: no new contact (F154). Whom an agent wrote to
/// first gets the identity, where it is nobody's yet (F084).
pub(super) async fn recognise(
    connection: &mut PgConnection,
    openings: &[Opening],
    now: OffsetDateTime,
) -> Result<People, sqlx::Error> {
    let mut identities: BTreeMap<IdentityKey, &Opening> = BTreeMap::new();
    for opening in openings {
        identities.entry(opening.identity_key()).or_insert(opening);
    }
    let made = |key: &IdentityKey| ids::contact_of(&key.0, &key.1, &key.2);
    let written_to = written_to(connection, &identities).await?;
    let rows: Vec<NewIdentity> = identities
        .iter()
        .map(|(key, opening)| NewIdentity {
            account: key.0.clone(),
            identity: opening.identity.clone(),
            contact: written_to.get(key).copied().unwrap_or_else(|| made(key)),
        })
        .collect();
    let new = store::insert_identities(connection, &rows).await?;
    let mut contacts: Vec<(AccountSlug, Contact)> = identities
        .iter()
        .filter(|(key, _)| new.contains(*key) && !written_to.contains_key(*key))
        .map(|(key, opening)| {
            let contact = Contact::of(made(key), &opening.identity, now);
            (key.0.clone(), contact)
        })
        .collect();
    contacts.sort_by(|(a, x), (b, y)| (a, x.id).cmp(&(b, y.id)));
    let created = if contacts.is_empty() {
        HashSet::new()
    } else {
        contact_changes::insert_all(connection, &contacts).await?
    };
    let identified: HashSet<(AccountSlug, ContactId)> = written_to
        .into_iter()
        .filter(|(key, _)| new.contains(key))
        .map(|(key, contact)| (key.0, contact))
        .collect();
    let keys: Vec<IdentityKey> = identities.into_keys().collect();
    for _ in 0..ROUNDS {
        let of_identity = store::contacts_of(connection, &keys).await?;
        let mut to_lock: Vec<_> = of_identity
            .iter()
            .map(|(key, contact)| (key.0.clone(), *contact))
            .collect();
        to_lock.sort();
        to_lock.dedup();
        let mut contacts = contacts::lock_all(connection, &to_lock).await?;
        // Where a merge took one away meanwhile, its identities lead elsewhere by now.
        if contacts.len() == to_lock.len() {
            let companies = companies_of(connection, &contacts).await?;
            let raised: Vec<_> = identified.iter().cloned().collect();
            contact_changes::raise(connection, &raised).await?;
            for key in &identified {
                if let Some(contact) = contacts.get_mut(key) {
                    contact.revision += 1;
                }
            }
            return Ok(People {
                of_identity,
                contacts,
                companies,
                created,
                identified,
            });
        }
    }
    Err(contacts::merged_meanwhile())
}

/// Returns the contacts whom agents wrote to first, as they are there now, by the identities that they are to get. One that is
/// deleted by now is made anew by its identity, as for anybody.
async fn written_to(
    connection: &mut PgConnection,
    identities: &BTreeMap<IdentityKey, &Opening>,
) -> Result<HashMap<IdentityKey, ContactId>, sqlx::Error> {
    let told: Vec<(&IdentityKey, (AccountSlug, ContactId))> = identities
        .iter()
        .filter_map(|(key, opening)| Some((key, (key.0.clone(), opening.contact?))))
        .collect();
    if told.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<_> = told.iter().map(|(_, contact)| contact.clone()).collect();
    let live = contacts::live_all(connection, &keys).await?;
    let there = told
        .into_iter()
        .filter_map(|(key, contact)| Some((key.clone(), *live.get(&contact)?)));
    Ok(there.collect())
}

/// Returns the companies of contacts, held: who gives one another responsible waits, and then finds the chats that are new.
async fn companies_of(
    connection: &mut PgConnection,
    contacts: &HashMap<(AccountSlug, ContactId), Contact>,
) -> Result<HashMap<(AccountSlug, CompanyId), Company>, sqlx::Error> {
    let mut keys: Vec<_> = contacts
        .iter()
        .filter_map(|((account, _), contact)| Some((account.clone(), contact.company?)))
        .collect();
    keys.sort();
    keys.dedup();
    companies::hold(connection, &keys).await
}

/// Suspects new contacts with a phone or an address that others have, too (D27).
pub(super) async fn suspect(
    connection: &mut PgConnection,
    openings: &[Opening],
    people: &People,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let mut origins: BTreeMap<(AccountSlug, ContactId), &Opening> = BTreeMap::new();
    for opening in openings {
        let key = (opening.account.clone(), people.of(opening)?.id);
        if people.created.contains(&key) {
            origins.entry(key).or_insert(opening);
        }
    }
    let points: Vec<_> = origins
        .keys()
        .filter_map(|key| Some((key.0.clone(), people.contacts.get(key)?)))
        .flat_map(|(account, contact)| duplicates::points(&account, contact))
        .collect();
    let new = duplicates::suspect(connection, &points, now).await?;
    let told = new.into_iter().filter_map(|new| {
        let opening = origins.get(&(new.account.clone(), new.contact))?;
        let told = duplicates::told(&new)?;
        Some(opening.event(new.contact, &told).actor(opening.actor()))
    });
    Ok(told.collect())
}

/// Links chats that are new to us to their contacts, and tells of it.
pub(super) async fn link_chats(
    connection: &mut PgConnection,
    openings: &[Opening],
    people: &People,
    events: &mut Vec<Outgoing>,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let mut chats: BTreeMap<(AccountSlug, ChatId), (NewChat, &Opening)> = BTreeMap::new();
    for opening in openings {
        let chat = NewChat {
            account: opening.account.clone(),
            chat: opening.chat,
            channel: opening.channel,
            client: opening.client,
            contact: people.of(opening)?.id,
            created_at: opening.chat_created_at,
            messenger: messenger(&opening.identity.scope).to_owned(),
            identity: (
                opening.identity.scope.clone(),
                opening.identity.user_id.clone(),
            ),
        };
        chats
            .entry((opening.account.clone(), opening.chat))
            .or_insert((chat, opening));
    }
    let rows: Vec<NewChat> = chats.values().map(|(chat, _)| chat.clone()).collect();
    let new = store::insert_chats(connection, &rows).await?;
    let mut entries = Vec::new();
    for (key, (_, opening)) in &chats {
        if new.contains(key) {
            let contact = people.of(opening)?;
            let linked = wire_v1::ChatLinked {
                chat_id: opening.chat.to_string(),
                entity: Some(wire::linked_contact(contact)),
            };
            let actor = opening.actor();
            entries.push(history::linked(&key.0, &actor, contact.id, opening.chat));
            events.push(opening.event(opening.chat, &linked).actor(actor));
        }
    }
    Ok(entries)
}
