//! Contacts that may be one person: by a phone, an address or the visitor of a short link that two have in common (D27).

use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{App, Page, contacts::unknown, sight};
use crate::domain::access::Kind;
use crate::domain::duplicates::{Pair, Reason};
use crate::domain::entity::Contact;
use crate::domain::ids::ContactId;
use crate::error::Error;
use crate::store::contacts;
use crate::store::duplicates::{self as store, After, New, Suspected};
use crate::wire;

/// What a contact may have in common with others.
pub(super) fn points(
    account: &AccountSlug,
    contact: &Contact,
) -> Vec<(AccountSlug, ContactId, Reason)> {
    let phones = contact.phones.iter().cloned().map(Reason::Phone);
    let emails = contact.emails.iter().cloned().map(Reason::Email);
    phones
        .chain(emails)
        .map(|reason| (account.clone(), contact.id, reason))
        .collect()
}

/// Looks for others with the same phones or addresses; returns the suspicions that are new.
pub(super) async fn suspect(
    connection: &mut PgConnection,
    points: &[(AccountSlug, ContactId, Reason)],
    now: OffsetDateTime,
) -> Result<Vec<New>, sqlx::Error> {
    if points.is_empty() {
        return Ok(Vec::new());
    }
    let found = store::alike(connection, points).await?;
    store::suspect(connection, found, now).await
}

/// What is told of a suspicion.
pub(super) fn told(new: &New) -> Option<wire_v1::DuplicateSuspected> {
    let pair = Pair::of(new.contact, new.other)?;
    Some(wire_v1::DuplicateSuspected {
        first_contact_id: pair.first.to_string(),
        second_contact_id: pair.second.to_string(),
        reason: Some(wire::duplicate_reason(&new.reason)),
    })
}

/// Looks anew whom a contact may be one person with, after its phones or addresses were changed.
pub(super) async fn look_anew(
    connection: &mut PgConnection,
    who: (&AccountSlug, &Actor),
    contact: &Contact,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    look_anew_at(connection, who, (&[], &[contact]), now).await
}

/// Looks anew whom contacts may be one person with: those that were made, and those whose phones or addresses were changed.
pub(super) async fn look_anew_at(
    connection: &mut PgConnection,
    (account, actor): (&AccountSlug, &Actor),
    (made, changed): (&[&Contact], &[&Contact]),
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    if !changed.is_empty() {
        store::clear(connection, account, changed).await?;
    }
    let contacts = made.iter().chain(changed);
    let points: Vec<_> = contacts
        .flat_map(|contact| points(account, contact))
        .collect();
    let new = suspect(connection, &points, now).await?;
    Ok(events((account, actor), &new))
}

/// Looks anew whom a contact may be one person with, also by the visitors of its links: after a merge, and after one that was
/// taken back.
pub(super) async fn look_whole(
    connection: &mut PgConnection,
    who: (&AccountSlug, &Actor),
    contact: &Contact,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    let mut told = look_anew(connection, who, contact, now).await?;
    let found = store::came_by_both(connection, who.0, contact.id).await?;
    let new = store::suspect(connection, found, now).await?;
    told.extend(events(who, &new));
    Ok(told)
}

fn events((account, actor): (&AccountSlug, &Actor), new: &[New]) -> Vec<Outgoing> {
    let events = new.iter().filter_map(|new| {
        let event = Outgoing::new(account, new.contact, &told(new)?);
        Some(event.actor(actor.clone()))
    });
    events.collect()
}

/// A pair of contacts, and why they are suspected.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicate {
    /// One of them.
    pub first: Contact,
    /// The other.
    pub second: Contact,
    /// What they have in common, and since when that is known.
    pub suspected: Suspected,
}

/// Returns a page of suspected pairs of which the caller sees both, the newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    contact: Option<ContactId>,
    after: Option<After>,
    size: u32,
) -> Result<Page<Duplicate>, Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    let contact = match contact {
        None => None,
        Some(id) => match contacts::live(&mut connection, account, id).await? {
            None => return Ok(Page::of(Vec::new(), size)),
            found => found,
        },
    };
    let rows = store::list(
        &mut connection,
        account,
        contact,
        sight.narrowed_to(),
        after.unwrap_or(After::START),
        i64::from(size) + 1,
    );
    let page = Page::of(rows.await?, size);
    let mut ids: Vec<Uuid> = page
        .rows
        .iter()
        .flat_map(|row| [row.pair.first.uuid(), row.pair.second.uuid()])
        .collect();
    ids.sort();
    ids.dedup();
    let known = contacts::in_order(&mut connection, account, &ids).await?;
    let find = |id: ContactId| known.iter().find(|contact| contact.id == id).cloned();
    let rows = page.rows.into_iter().filter_map(|suspected| {
        Some(Duplicate {
            first: find(suspected.pair.first)?,
            second: find(suspected.pair.second)?,
            suspected,
        })
    });
    Ok(Page {
        rows: rows.collect(),
        more: page.more,
    })
}

/// Says that two contacts are two persons. Saying it twice changes nothing.
pub async fn dismiss(
    app: &App,
    caller: &Caller,
    (one, other): (ContactId, ContactId),
    now: OffsetDateTime,
) -> Result<(), Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let mut found = Vec::with_capacity(2);
    for id in [one, other] {
        let contact = contacts::get(&mut transaction, account, id).await?;
        let contact = contact.filter(|contact| sight.reaches(contact.responsible));
        found.push(contact.ok_or_else(|| unknown(id))?.id);
    }
    let pair = match found.as_slice() {
        [one, other] => Pair::of(*one, *other),
        _ => None,
    };
    let pair = pair.ok_or(Error::Field {
        field: "second_contact_id",
        description: "is the same contact as the first",
    })?;
    store::dismiss(
        &mut transaction,
        account,
        pair,
        &caller.actor().to_string(),
        now,
    )
    .await?;
    transaction.commit().await?;
    Ok(())
}
