//! The locks of a batch of events, taken ahead of all that is done with it: contacts, then companies, each in the order of their
//! keys (§3). What the parts of the batch lock later is held by then, so that nobody who changes an entity by hand waits in a
//! circle with it; cards come after them, together at the end.

use std::collections::BTreeSet;

use chassis::id::AccountSlug;
use sqlx::PgConnection;

use super::clicks::Click;
use super::openings::Opening;
use super::sync::Requested;
use crate::domain::entity::EntityKind;
use crate::domain::ids::{CompanyId, ContactId};
use crate::store::{companies, contacts, openings};

/// Locks the contacts that a batch is about, as far as they are known, and their companies where one of them may change.
pub async fn ahead(
    connection: &mut PgConnection,
    opened: &[Opening],
    requested: &[Requested],
    clicks: &[Click],
) -> Result<(), sqlx::Error> {
    if requested.is_empty() && clicks.is_empty() {
        // Openings alone lock what they are about by themselves, in the same order.
        return Ok(());
    }
    let of_requests = requested.iter().map(|one| (one.account.clone(), one.chat));
    let of_clicks = clicks.iter().map(|one| (one.account.clone(), one.chat));
    let chats: BTreeSet<_> = of_requests.chain(of_clicks).collect();
    let chats: Vec<_> = chats.into_iter().collect();
    let identities: BTreeSet<_> = opened.iter().map(Opening::identity_key).collect();
    let identities: Vec<_> = identities.into_iter().collect();
    let of_chats = contacts::of_chats(connection, &chats).await?;
    let of_identities = openings::contacts_of(connection, &identities).await?;
    let of_chats = of_chats
        .into_iter()
        .map(|((account, _), contact)| (account, contact));
    let of_identities = of_identities
        .into_iter()
        .map(|((account, ..), contact)| (account, contact));
    let keys: BTreeSet<(AccountSlug, ContactId)> = of_chats.chain(of_identities).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    // One that a merge takes away meanwhile is found again by who needs it.
    let locked = contacts::lock_all(connection, &keys).await?;
    if requested
        .iter()
        .all(|one| !one.kinds.contains(&EntityKind::Company))
    {
        return Ok(());
    }
    let keys: BTreeSet<(AccountSlug, CompanyId)> = locked
        .into_iter()
        .filter_map(|((account, _), contact)| Some((account, contact.company?)))
        .collect();
    let keys: Vec<_> = keys.into_iter().collect();
    companies::lock_all(connection, &keys).await.map(drop)
}
