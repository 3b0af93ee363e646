//! Recovery (O3.10): contacts, cards and decisions as this service's own events tell them, in their order. Nothing is decided
//! anew about a conversation that was decided about: so no card doubles, and none that was made is missing.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::openings::Opening;
use crate::domain::entity::messenger;
use crate::store::decisions::{self, Decided};
use crate::store::openings::{self, NewChat, NewIdentity};
use crate::store::recovery::{self, ToldCard, ToldContact};

/// What a page of events tells, each kind in its order.
#[derive(Debug, Default)]
pub struct Words {
    /// Contacts as they were after each event.
    pub contacts: Vec<ToldContact>,
    /// Cards as they were after each event.
    pub cards: Vec<ToldCard>,
    /// Decisions, with the openings that they are about as far as those are known.
    pub decisions: Vec<(AccountSlug, Decided, Option<Opening>)>,
}

/// Applies what a page tells.
pub async fn apply(connection: &mut PgConnection, words: Words) -> Result<(), sqlx::Error> {
    let mut contacts = BTreeMap::new();
    for told in words.contacts {
        contacts.insert((told.account.clone(), told.id), told);
    }
    let contacts: Vec<ToldContact> = contacts.into_values().collect();
    if !contacts.is_empty() {
        let identities: Vec<NewIdentity> = contacts.iter().flat_map(ToldContact::own).collect();
        openings::insert_identities(connection, &identities).await?;
        recovery::keep_contacts(connection, &contacts).await?;
    }
    chats(connection, &words.decisions).await?;
    let mut cards = BTreeMap::<(AccountSlug, Uuid), ToldCard>::new();
    for told in words.cards {
        let key = (told.account.clone(), told.id.uuid());
        let made = cards.get(&key).and_then(|before| before.conversation);
        let conversation = told.conversation.or(made);
        cards.insert(
            key,
            ToldCard {
                conversation,
                ..told
            },
        );
    }
    let cards: Vec<ToldCard> = cards.into_values().collect();
    if !cards.is_empty() {
        recovery::keep_cards(connection, &cards).await?;
    }
    let made = words.decisions.into_iter();
    let made: Vec<(AccountSlug, Decided)> =
        made.map(|(account, made, _)| (account, made)).collect();
    if !made.is_empty() {
        decisions::insert(connection, &made).await?;
    }
    Ok(())
}

/// Links the chats of openings to the contacts that were found for them.
async fn chats(
    connection: &mut PgConnection,
    decisions: &[(AccountSlug, Decided, Option<Opening>)],
) -> Result<(), sqlx::Error> {
    let mut chats = BTreeMap::new();
    let mut identities = BTreeMap::new();
    for (account, made, opening) in decisions {
        let Some(opening) = opening else {
            continue;
        };
        let of = &opening.identity;
        identities.insert(
            (account.clone(), of.scope.clone(), of.user_id.clone()),
            NewIdentity {
                account: account.clone(),
                identity: of.clone(),
                contact: made.contact,
            },
        );
        chats.insert(
            (account.clone(), made.chat.uuid()),
            NewChat {
                account: account.clone(),
                chat: made.chat,
                channel: made.channel,
                client: opening.client,
                contact: made.contact,
                created_at: opening.chat_created_at,
                messenger: messenger(&of.scope).to_owned(),
                identity: (of.scope.clone(), of.user_id.clone()),
            },
        );
    }
    if chats.is_empty() {
        return Ok(());
    }
    let identities: Vec<NewIdentity> = identities.into_values().collect();
    openings::insert_identities(connection, &identities).await?;
    let chats: Vec<NewChat> = chats.into_values().collect();
    openings::insert_chats(connection, &chats).await?;
    Ok(())
}

/// Compares what was told with what is stored.
pub async fn compare(
    connection: &mut PgConnection,
    words: &Words,
) -> Result<Vec<String>, sqlx::Error> {
    let mut differences = Vec::new();
    let keys: Vec<_> = words
        .decisions
        .iter()
        .map(|(account, made, _)| (account.clone(), made.conversation))
        .collect();
    let cards = decisions::cards_of(connection, &keys).await?;
    for (account, made, _) in &words.decisions {
        match cards.get(&(account.clone(), made.conversation)) {
            None => differences.push(format!(
                "conversation {} was decided about and is not",
                made.conversation
            )),
            Some(card) if *card != made.card => differences.push(format!(
                "conversation {} was decided otherwise than was told",
                made.conversation
            )),
            Some(_) => {}
        }
    }
    let told: BTreeSet<(String, Uuid)> = words
        .cards
        .iter()
        .map(|card| (card.account.to_string(), card.id.uuid()))
        .collect();
    let missing = recovery::missing_cards(connection, &told).await?;
    differences.extend(
        missing
            .iter()
            .map(|id| format!("card {id} was told of and is not stored")),
    );
    let told: BTreeSet<(String, Uuid)> = words
        .contacts
        .iter()
        .map(|contact| (contact.account.to_string(), contact.id.uuid()))
        .collect();
    let missing = recovery::missing_contacts(connection, &told).await?;
    differences.extend(
        missing
            .iter()
            .map(|id| format!("contact {id} was told of and is not stored")),
    );
    Ok(differences)
}
