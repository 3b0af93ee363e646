//! A merge is taken back: two persons after all (B08).

use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_contact::given_to;
use super::merge_contacts::{tell_moved, texts};
use super::{App, contacts::unknown, duplicates, history, sight};
use crate::domain::access::Kind;
use crate::domain::duplicates::Pair;
use crate::domain::entity::Contact;
use crate::domain::ids::ContactId;
use crate::domain::merge::{Values, parted};
use crate::error::Error;
use crate::store::merges::{self, Merge, Moved};
use crate::store::{companies, contact_changes, contacts, duplicates as suspicions, orders};
use crate::wire;

/// Takes back the merge by which a contact went; returns it, and the one that it had been merged into.
pub async fn unmerge(
    app: &App,
    caller: &Caller,
    id: ContactId,
    now: OffsetDateTime,
) -> Result<(Contact, Contact), Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let (merge, before) = lock(&mut transaction, caller, id).await?;
    let moved = merges::move_back(&mut transaction, account, &merge, now).await?;
    suspicions::give_back_visits(&mut transaction, account, &merge, now).await?;
    let back = back(&mut transaction, caller, id).await?;
    let after = without(&mut transaction, caller, &merge, &before, now).await?;
    let entries = history::unmerged(account, &caller.actor(), (&before, &after), id)?;
    history::write(&mut transaction, entries, now).await?;
    let events = tell(
        &mut transaction,
        caller,
        &moved,
        (&back, &before, &after),
        now,
    )
    .await?;
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %account, contact.id = %id, from.id = %after.id, "merge taken back");
    Ok((back, after))
}

/// Locks both contacts; returns the merge, and the one that stayed.
async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ContactId,
) -> Result<(Merge, Contact), Error> {
    let sight = sight(caller, Kind::Contacts)?;
    let account = caller.account();
    let shown = contacts::get(connection, account, id).await?;
    shown
        .filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))?;
    let merge = merges::of_source(connection, account, id).await?;
    let merge = merge.ok_or(Error::NotMerged)?;
    merges::lock_both(connection, account, [id, merge.target]).await?;
    // Under the lock it counts: it may have been taken back by somebody else, or made anew.
    let merge = merges::of_source(connection, account, id).await?;
    let merge = merge.ok_or(Error::NotMerged)?;
    let gone = contacts::merged_away(connection, account, id).await?;
    gone.filter(|contact| sight.reaches(contact.responsible))
        .ok_or_else(|| unknown(id))?;
    let target = contacts::get(connection, account, merge.target).await?;
    let target = target.ok_or_else(|| unknown(merge.target))?;
    if target.id != merge.target {
        return Err(Error::MergedOn(merge.target));
    }
    Ok((merge, target))
}

/// Lets the contact that went stand for itself again, with its own values. A company that is gone meanwhile is not its any more.
async fn back(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ContactId,
) -> Result<Contact, Error> {
    let account = caller.account();
    merges::forget(connection, account, id).await?;
    let contact = contacts::get(connection, account, id).await?;
    let mut contact = contact.ok_or_else(|| unknown(id))?;
    if let Some(company) = contact.company {
        let key = (account.clone(), company);
        let held = companies::hold(connection, std::slice::from_ref(&key)).await?;
        contact.company = contact.company.filter(|_| held.contains_key(&key));
    }
    let fields = contacts::stored_fields(connection, account, id).await?;
    contact_changes::put(connection, account, &contact, &fields).await?;
    Ok(contact)
}

/// Takes from the contact that stayed what it had gained.
async fn without(
    connection: &mut PgConnection,
    caller: &Caller,
    merge: &Merge,
    before: &Contact,
    now: OffsetDateTime,
) -> Result<Contact, Error> {
    let account = caller.account();
    let stored = contacts::stored_fields(connection, account, before.id).await?;
    let has_orders = orders::any(connection, account, before.id).await?;
    let values = parted(&Values::of(before, stored), &merge.gained, has_orders);
    let contact = contacts::get(connection, account, before.id).await?;
    let mut contact = contact.ok_or_else(|| unknown(before.id))?;
    contact.phones = values.phones;
    contact.emails = values.emails;
    contact.company = values.company;
    contact.buyer = values.buyer;
    contact.give_to(values.responsible, now, v7(now));
    contact.revision += 1;
    contact_changes::put(connection, account, &contact, &values.fields).await?;
    let read = contacts::get(connection, account, before.id).await?;
    read.ok_or_else(|| unknown(before.id))
}

/// Tells of a merge that was taken back. Who is two persons is suspected of being one no more.
async fn tell(
    connection: &mut PgConnection,
    caller: &Caller,
    moved: &Moved,
    (back, before, after): (&Contact, &Contact, &Contact),
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let actor = caller.actor();
    let told = wire_v1::ContactUnmerged {
        contact: Some(wire::contact(back)),
        from: Some(wire::contact(after)),
        chat_ids: texts(&moved.chats),
        card_ids: texts(&moved.cards),
        order_ids: texts(&moved.orders),
    };
    let mut events = vec![Outgoing::new(account, back.id, &told).actor(actor.clone())];
    events.extend(tell_moved(connection, caller, moved, (after, back), now).await?);
    if after.responsible != before.responsible {
        events.extend(given_to(connection, caller, after, before.responsible).await?);
    }
    if let Some(pair) = Pair::of(back.id, after.id) {
        suspicions::dismiss(connection, account, pair, &actor.to_string(), now).await?;
    }
    for contact in [back, after] {
        let who = (account, &actor);
        events.extend(duplicates::look_whole(connection, who, contact, now).await?);
    }
    Ok(events)
}
