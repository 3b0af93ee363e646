//! Contacts that a file's rows make and change: by the rules of those that are made and changed by hand.

use std::collections::{BTreeSet, HashMap};

use chassis::id::v7;
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use uuid::Uuid;

use super::references::Companies;
use super::{Batch, Keyed, asked, differing, problems_of};
use crate::app::save_buyer::make_deals;
use crate::app::{duplicates, history, people};
use crate::domain::entity::Contact;
use crate::domain::fields::{Stored, changed, shown};
use crate::domain::ids::{CompanyId, ContactId};
use crate::domain::import::{PersonRow, Problem, Step, step};
use crate::error::Error;
use crate::store::{card_changes, contact_changes, contacts, imports};
use crate::wire;

/// What the rows of a batch find.
struct Facts<'b> {
    /// What ids lead to; none to what is deleted.
    known: HashMap<Uuid, Option<Uuid>>,
    /// The contacts that they lead to, locked.
    held: HashMap<ContactId, Contact>,
    /// What those keep of custom fields.
    stored: HashMap<ContactId, Stored>,
    /// The companies that are named.
    companies: Companies<'b>,
}

/// A contact before and after its row.
struct Written {
    before: Option<Contact>,
    after: Contact,
    kept: Stored,
}

/// Writes the contacts of a batch, their histories and their events.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    rows: &[Keyed<PersonRow>],
) -> Result<(), Error> {
    let account = batch.account();
    let known = imports::contacts(connection, account, &asked(rows)).await?;
    let live: BTreeSet<ContactId> = known.values().flatten().map(|id| (*id).into()).collect();
    let keys: Vec<_> = live.iter().map(|id| (account.clone(), *id)).collect();
    let locked = contacts::lock_all(connection, &keys).await?;
    if locked.len() < keys.len() {
        return Err(contacts::merged_meanwhile().into());
    }
    let mut identities = contacts::identities_of(connection, &keys).await?;
    let held = locked.into_iter().map(|(key, mut contact)| {
        contact.identities = identities.remove(&key).unwrap_or_default();
        (contact.id, contact)
    });
    let ids: Vec<Uuid> = live.iter().map(|id| id.uuid()).collect();
    let named = rows.iter().filter_map(|row| row.says.belongs_to.as_deref());
    let facts = Facts {
        held: held.collect(),
        stored: contacts::stored_fields_of(connection, account, &ids).await?,
        companies: Companies::hold(connection, batch.caller, &named.collect(), batch.made).await?,
        known,
    };
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        match decided(batch, &facts, row) {
            Ok(one) => written.extend(one),
            Err(problems) => batch.refuse_row(row, problems),
        }
    }
    save(connection, batch, &written).await
}

/// Decides what becomes of a row; nothing where its contact stays as it is.
fn decided(
    batch: &mut Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
) -> Result<Option<Written>, Vec<Problem>> {
    let responsible = |id: Uuid| facts.held.get(&id.into())?.responsible;
    let (found, id) = batch.find(row, &facts.known, responsible);
    batch.take(row, id)?;
    let id = id.into();
    let before = match step(found, row.has_id) {
        Step::Refuse(reason) => return Err(vec![Problem::new("id", reason)]),
        Step::Keep if !row.problems.is_empty() => return Err(Vec::new()),
        Step::Keep => {
            batch.outcome.unchanged += 1;
            return Ok(None);
        }
        Step::Compare => facts.held.get(&id),
        Step::Create => None,
    };
    let Some(before) = before else {
        let made = made(batch, facts, row, id)?;
        batch.outcome.created += 1;
        return Ok(Some(made));
    };
    let nothing = Stored::new();
    let stored = facts.stored.get(&id).unwrap_or(&nothing);
    let one = compared(batch, facts, row, (before, stored))?;
    let own = own(before, &one.after);
    let differs = differing(&own, &batch.rules.fields, (stored, &one.kept));
    batch.changes(&differs)?;
    Ok(Some(one).filter(|_| !differs.is_empty()))
}

/// Says in which of its own columns a contact is changed.
fn own(before: &Contact, after: &Contact) -> [(&'static str, bool); 6] {
    [
        ("name", before.name != after.name),
        ("phones", before.phones != after.phones),
        ("emails", before.emails != after.emails),
        ("company", before.company != after.company),
        ("buyer", before.buyer != after.buyer),
        ("responsible", before.responsible != after.responsible),
    ]
}

/// Returns the company that a row names.
fn company(
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    problems: &mut Vec<Problem>,
) -> Option<CompanyId> {
    let text = row.says.belongs_to.as_ref()?;
    let found = facts.companies.find(text);
    found
        .map_err(|reason| problems.push(Problem::new("company", format!("{text}: {reason}"))))
        .ok()
}

fn made(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    id: ContactId,
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let kept = changed(fields, &Stored::new(), &says.common.fields, true);
    let kept = kept.map_err(|wrong| problems.extend(problems_of(wrong)));
    if says.name.is_none() {
        problems.push(Problem::new("name", "must not be empty"));
    }
    let company = company(facts, row, &mut problems);
    let (Ok(kept), Some(name), true) = (kept, says.name.clone(), row.is_fine(&problems)) else {
        return Err(problems);
    };
    let created_at = says.common.created_at.unwrap_or(now);
    let mut after = Contact::new(id, name, created_at);
    after.buyer = says.buyer.unwrap_or_default();
    after.company = company;
    after.phones = says.phones.clone().unwrap_or_default();
    after.emails = says.emails.clone().unwrap_or_default();
    after.fields = shown(fields, &kept);
    after.give_to(says.common.responsible, now, v7(now));
    after.responsible = after.responsible.or(batch.keeper);
    Ok(Written {
        before: None,
        after,
        kept,
    })
}

/// Returns a contact as its row would have it. What the row does not say stays.
fn compared(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    (before, stored): (&Contact, &Stored),
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let kept = changed(fields, stored, &says.common.fields, false);
    let kept = kept.map_err(|wrong| problems.extend(problems_of(wrong)));
    if before.buyer && says.buyer == Some(false) {
        problems.push(Problem::new("buyer", "a buyer stays one"));
    }
    let said = says.common.created_at;
    if said.is_some_and(|said| said != before.created_at) {
        problems.push(Problem::new("created_at", "cannot be changed"));
    }
    let company = company(facts, row, &mut problems);
    let (Ok(kept), true) = (kept, row.is_fine(&problems)) else {
        return Err(problems);
    };
    let mut after = before.clone();
    after.revision += 1;
    after.name = says.name.clone().unwrap_or(after.name);
    after.phones = says.phones.clone().unwrap_or(after.phones);
    after.emails = says.emails.clone().unwrap_or(after.emails);
    after.company = company.or(after.company);
    after.buyer |= says.buyer.unwrap_or_default();
    after.give_to(says.common.responsible.or(after.responsible), now, v7(now));
    after.fields = shown(fields, &kept);
    Ok(Written {
        before: Some(before.clone()),
        after,
        kept,
    })
}

/// Returns those that were changed in some way.
fn changed_in(written: &[Written], differs: impl Fn(&Contact, &Contact) -> bool) -> Vec<&Contact> {
    let of = written.iter().filter(|one| {
        let before = one.before.as_ref();
        before.is_some_and(|before| differs(before, &one.after))
    });
    of.map(|one| &one.after).collect()
}

async fn save(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    written: &[Written],
) -> Result<(), Error> {
    if written.is_empty() {
        return Ok(());
    }
    let (account, caller, now) = (batch.account(), batch.caller, batch.rules.now);
    let rows: Vec<_> = written.iter().map(|one| (&one.after, &one.kept)).collect();
    contact_changes::put_all(connection, account, &rows).await?;
    let renamed = changed_in(written, |before, after| before.name != after.name);
    card_changes::name_contacts(connection, account, &renamed).await?;
    let actor = caller.actor();
    let mut entries = Vec::with_capacity(written.len());
    for one in written {
        let sides = (one.before.as_ref(), Some(&one.after));
        entries.extend(history::contact(account, &actor, sides)?);
    }
    history::write(connection, entries, now).await?;
    batch
        .outcome
        .events
        .extend(events(connection, batch.caller, written).await?);
    let saved = changed_in(written, |before, after| before.buyer != after.buyer);
    let saved: Vec<ContactId> = saved.iter().map(|buyer| buyer.id).collect();
    let deals = make_deals(connection, caller, &saved, now).await?;
    let new = written.iter().filter(|one| one.before.is_none());
    let new: Vec<&Contact> = new.map(|one| &one.after).collect();
    let moved = changed_in(written, |before, after| {
        (&before.phones, &before.emails) != (&after.phones, &after.emails)
    });
    let looked = duplicates::look_anew_at(connection, (account, &actor), (&new, &moved), now);
    let suspected = looked.await?;
    batch.outcome.events.extend(deals);
    batch.outcome.events.extend(suspected);
    Ok(())
}

/// What is told of each contact, as if it was made or changed by hand.
async fn events(
    connection: &mut PgConnection,
    caller: &chassis::auth::Caller,
    written: &[Written],
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let given = changed_in(written, |before, after| {
        before.responsible != after.responsible
    });
    let given: Vec<_> = given.iter().map(|one| (account.clone(), one.id)).collect();
    let chats = contacts::chats_of(connection, &given).await?;
    let mut events = Vec::with_capacity(written.len());
    for one in written {
        let after = &one.after;
        let contact = Some(wire::contact(after));
        events.push(match &one.before {
            None => Outgoing::new(account, after.id, &wire_v1::ContactCreated { contact }),
            Some(_) => Outgoing::new(account, after.id, &wire_v1::ContactUpdated { contact }),
        });
        let previous = one.before.as_ref().and_then(|before| before.responsible);
        // One that nobody chose (stamp zero) is no act that others follow.
        if after.responsible != previous && after.stamp > Stamp::ZERO {
            let chats = chats.get(&(account.clone(), after.id));
            let chats = chats.map_or(&[][..], Vec::as_slice);
            let entity = wire::linked_contact(after);
            let act = Some(after.stamp.event);
            let told = people::responsible_changed(account, &entity, (previous, chats), act);
            events.extend(told);
        }
    }
    let events = events.into_iter();
    Ok(events.map(|event| event.actor(caller.actor())).collect())
}
