//! Who opened conversations: contacts are found or made, and chats linked to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::Opening;
use crate::app::history;
use crate::domain::entity::{Contact, messenger};
use crate::domain::ids::{self, ChatId, ContactId};
use crate::store::history::NewEntry;
use crate::store::openings::{self as store, IdentityKey, NewChat, NewIdentity};
use crate::wire;

/// The contacts of a batch, locked.
pub(super) struct People {
    of_identity: HashMap<IdentityKey, ContactId>,
    /// All of them.
    pub contacts: HashMap<(AccountSlug, ContactId), Contact>,
    created: HashSet<(AccountSlug, ContactId)>,
}

impl People {
    /// Returns who opened a conversation, or for whom it was opened.
    pub fn of(&self, opening: &Opening) -> Result<&Contact, sqlx::Error> {
        let id = self.of_identity.get(&opening.identity_key());
        id.and_then(|id| self.contacts.get(&(opening.account.clone(), *id)))
            // An identity always has its contact; only a merge at this very moment could take it away.
            .ok_or(sqlx::Error::RowNotFound)
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
}

/// Finds the contacts of all identities, makes those that are new, and locks them all, sorted.
///
/// The same person on another channel of the messenger has the same identity: no new contact (F154).
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
    let rows: Vec<NewIdentity> = identities
        .iter()
        .map(|(key, opening)| NewIdentity {
            account: key.0.clone(),
            identity: opening.identity.clone(),
            contact: made(key),
        })
        .collect();
    let new = store::insert_identities(connection, &rows).await?;
    let mut contacts: Vec<(AccountSlug, ContactId, String)> = identities
        .iter()
        .filter(|(key, _)| new.contains(*key))
        .map(|(key, opening)| {
            (
                key.0.clone(),
                made(key),
                opening.identity.display_name().to_owned(),
            )
        })
        .collect();
    contacts.sort();
    let created = if contacts.is_empty() {
        HashSet::new()
    } else {
        store::insert_contacts(connection, &contacts, now).await?
    };
    let keys: Vec<IdentityKey> = identities.into_keys().collect();
    let of_identity = store::contacts_of(connection, &keys).await?;
    let mut to_lock: Vec<_> = of_identity
        .iter()
        .map(|(key, contact)| (key.0.clone(), *contact))
        .collect();
    to_lock.sort();
    to_lock.dedup();
    let contacts = store::lock_contacts(connection, &to_lock).await?;
    Ok(People {
        of_identity,
        contacts,
        created,
    })
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
