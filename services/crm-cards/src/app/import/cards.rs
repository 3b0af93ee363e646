//! Cards that a file's rows make and change: by the rules of those that are made, changed and moved by hand.

mod places;

use std::collections::{BTreeSet, HashMap};

use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use uuid::Uuid;

use super::references::Contacts;
use super::{Batch, Keyed, asked, differing, problems_of};
use crate::app::{create_card, history, move_card};
use crate::domain::entity::{Card, CardKind};
use crate::domain::fields::{Stored, changed, shown};
use crate::domain::ids::{CardId, ContactId};
use crate::domain::import::{CardRow, Problem, Step, step};
use crate::error::Error;
use crate::figures;
use crate::store::card_changes::{self, Kept};
use crate::store::cards::{self, NewCard};
use crate::store::{contacts, imports};
use crate::wire;
use places::Places;

/// What the rows of a batch find.
struct Facts<'b> {
    known: HashMap<Uuid, Option<Uuid>>,
    /// The cards that are there, locked.
    held: HashMap<CardId, Card>,
    stored: HashMap<CardId, Stored>,
    places: Places,
    contacts: Contacts<'b>,
}

/// A card before and after its row.
struct Written {
    before: Option<Card>,
    after: Card,
    kept: Kept,
}

/// Writes the cards of a batch, their histories and their events. Pipelines, contacts and cards are held in the order in which
/// others hold them, too.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    rows: &[Keyed<CardRow>],
) -> Result<(), Error> {
    let (account, caller) = (batch.account(), batch.caller);
    let known = imports::cards(connection, account, &asked(rows)).await?;
    let live: BTreeSet<CardId> = known.values().flatten().map(|id| (*id).into()).collect();
    let ids: Vec<Uuid> = live.iter().map(|id| id.uuid()).collect();
    let found = cards::in_order(connection, account, &ids).await?;
    let places = Places::hold(connection, batch, rows, &found).await?;
    let named = rows.iter().filter_map(|row| row.says.contact.as_deref());
    let theirs: Vec<ContactId> = found.iter().filter_map(|card| card.contact).collect();
    let region = batch.rules.region;
    let named: BTreeSet<&str> = named.collect();
    let contacts = Contacts::lock(connection, caller, region, &named, theirs).await?;
    let keys: Vec<_> = live.iter().map(|id| (account.clone(), *id)).collect();
    let held = cards::lock(connection, &keys).await?;
    let held: HashMap<CardId, Card> = held.into_values().map(|one| (one.id, one)).collect();
    // With another contact than the one that is locked a decision could stand beside this change.
    let stays = |card: &Card| held.get(&card.id).map(|now| now.contact) == Some(card.contact);
    if !found.iter().all(stays) {
        return Err(contacts::merged_meanwhile().into());
    }
    let facts = Facts {
        known,
        stored: cards::stored_fields_of(connection, account, &ids).await?,
        held,
        places,
        contacts,
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

/// Decides what becomes of a row; nothing where its card stays as it is.
fn decided(
    batch: &mut Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<CardRow>,
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
    let differs = differing(&own, &batch.rules.fields, (stored, &one.kept.fields));
    batch.changes(&differs)?;
    Ok(Some(one).filter(|_| !differs.is_empty()))
}

/// Says in which of its own columns a card is changed.
fn own(before: &Card, after: &Card) -> [(&'static str, bool); 7] {
    [
        ("title", before.title != after.title),
        ("pipeline", before.pipeline != after.pipeline),
        ("status", before.status.id != after.status.id),
        ("source", before.source != after.source),
        ("contact", before.contact != after.contact),
        ("amount", before.amount != after.amount),
        ("responsible", before.responsible != after.responsible),
    ]
}

/// Keeps what was found, or what is wrong with it.
fn kept<T>(column: &str, found: Result<T, String>, problems: &mut Vec<Problem>) -> Option<T> {
    found
        .map_err(|reason| problems.push(Problem::new(column, reason)))
        .ok()
}

/// Returns the contact that a row names.
fn contact(
    facts: &Facts<'_>,
    row: &Keyed<CardRow>,
    before: Option<ContactId>,
    problems: &mut Vec<Problem>,
) -> Option<ContactId> {
    let text = row.says.contact.as_deref()?;
    // Whoever sees the card knows this id of its contact, and keeps it.
    if let Some(before) = before.filter(|id| text.parse() == Ok(*id)) {
        return Some(before);
    }
    let found = facts.contacts.find(text);
    let found = found.map(|contact| contact.id);
    kept(
        "contact",
        found.map_err(|reason| format!("{text}: {reason}")),
        problems,
    )
}

fn made(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<CardRow>,
    id: CardId,
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let stored = changed(fields, &Stored::new(), &says.common.fields, true);
    let stored = stored.map_err(|wrong| problems.extend(problems_of(wrong)));
    let contact = contact(facts, row, None, &mut problems);
    let contact = contact.and_then(|id| facts.contacts.get(id));
    if says.title.is_none() && says.contact.is_none() {
        let text = "must not be empty without a contact";
        problems.push(Problem::new("title", text));
    }
    let source = facts.places.source(says, &mut problems);
    let place = facts.places.new_card(says, &mut problems);
    let wanted = create_card::Wanted {
        title: says.title.clone(),
        source,
        responsible: says.common.responsible,
        amount: says.amount,
        ..create_card::Wanted::default()
    };
    let (Ok(stored), Some(place), true) = (stored, place, row.is_fine(&problems)) else {
        return Err(problems);
    };
    let made = create_card::made(&wanted, place, contact, None, now);
    let mut after = made.map_err(|error| match error {
        Error::Field { field, .. } => {
            vec![Problem::new(field, "must not be empty without a contact")]
        }
        error => vec![Problem::new("", error.to_string())],
    })?;
    after.responsible = after.responsible.or(batch.keeper);
    after.id = id;
    after.created_at = says.common.created_at.unwrap_or(now);
    after.updated_at = after.created_at;
    after.fields = shown(fields, &stored);
    Ok(Written {
        before: None,
        after,
        kept: Kept {
            fields: stored,
            contact_name: contact.map(|one| one.name.clone()).unwrap_or_default(),
        },
    })
}

/// Returns a card as its row would have it. What the row does not say stays.
fn compared(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<CardRow>,
    (before, stored): (&Card, &Stored),
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let stored = changed(fields, stored, &says.common.fields, false);
    let stored = stored.map_err(|wrong| problems.extend(problems_of(wrong)));
    let said = says.common.created_at;
    if said.is_some_and(|said| said != before.created_at) {
        problems.push(Problem::new("created_at", "cannot be changed"));
    }
    let contact = contact(facts, row, before.contact, &mut problems).or(before.contact);
    let source = match &says.source {
        // A source that is deleted stays at the cards that have it.
        Some(text) if before.source.is_some() && text.parse().ok() == before.source => {
            before.source
        }
        _ => facts.places.source(says, &mut problems).or(before.source),
    };
    let place = facts.places.moved(says, before, &mut problems);
    let (Ok(stored), Some((pipeline, status)), true) = (stored, place, row.is_fine(&problems))
    else {
        return Err(problems);
    };
    let person = contact.and_then(|id| facts.contacts.get(id));
    let mut after = Card {
        pipeline,
        status,
        source,
        contact,
        title: says.title.clone().unwrap_or_else(|| before.title.clone()),
        amount: says.amount.or(before.amount),
        fields: shown(fields, &stored),
        revision: before.revision + 1,
        updated_at: now,
        ..before.clone()
    };
    // Once a deal it stays one, whoever its contact is (D05).
    if person.is_some_and(|person| person.buyer) {
        after.kind = CardKind::Deal;
    }
    let responsible = says.common.responsible.or(before.responsible);
    if before.responsible != responsible {
        after.responsible = responsible;
        after.stamp = Stamp::next_for_person(before.stamp, now, v7(now));
    }
    Ok(Written {
        before: Some(before.clone()),
        after,
        kept: Kept {
            fields: stored,
            contact_name: person.map(|one| one.name.clone()).unwrap_or_default(),
        },
    })
}

async fn save(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    written: &[Written],
) -> Result<(), Error> {
    let (account, caller, now) = (batch.account(), batch.caller, batch.rules.now);
    let new = written.iter().filter(|one| one.before.is_none());
    let mut new: Vec<NewCard> = new
        .map(|one| NewCard {
            account: account.clone(),
            card: one.after.clone(),
            conversation: None,
            fields: one.kept.fields.clone(),
            contact_name: one.kept.contact_name.clone(),
        })
        .collect();
    new.sort_by_key(|new| new.card.id);
    if !new.is_empty() {
        cards::insert(connection, &new).await?;
    }
    let known: Vec<_> = written.iter().filter(|one| one.before.is_some()).collect();
    let changed: Vec<_> = known.iter().map(|one| (&one.after, &one.kept)).collect();
    card_changes::update_all(connection, account, &changed).await?;
    let moved: Vec<Card> = known
        .iter()
        .filter(|one| is_moved(one))
        .map(|one| one.after.clone())
        .collect();
    if !moved.is_empty() {
        card_changes::set_statuses(connection, account, &moved).await?;
    }
    let mut entries = Vec::with_capacity(written.len());
    for one in written {
        let sides = (one.before.as_ref(), Some(&one.after));
        entries.extend(history::card(account, &caller.actor(), sides)?);
    }
    history::write(connection, entries, now).await?;
    batch.outcome.events = events(connection, caller, written).await?;
    if !batch.plan.dry_run {
        let made = u64::try_from(new.len()).unwrap_or(0);
        figures::CARDS.of(["import"]).increment(made);
    }
    Ok(())
}

fn is_moved(one: &Written) -> bool {
    let before = one.before.as_ref();
    before.is_some_and(|before| before.status.id != one.after.status.id)
}

/// What is told of each card, as if it was made, changed and moved by hand.
async fn events(
    connection: &mut PgConnection,
    caller: &Caller,
    written: &[Written],
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let known = written.iter().filter(|one| one.before.is_some());
    let keys: Vec<_> = known.map(|one| (account.clone(), one.after.id)).collect();
    let chats = cards::chats_of(connection, &keys).await?;
    let mut events = Vec::with_capacity(written.len());
    for one in written {
        let after = &one.after;
        let Some(before) = &one.before else {
            events.extend(create_card::events(caller, after));
            continue;
        };
        let stays = Card {
            pipeline: before.pipeline,
            status: before.status.clone(),
            updated_at: before.updated_at,
            revision: before.revision,
            ..after.clone()
        };
        if stays != *before {
            let updated = wire_v1::CardUpdated {
                card: Some(wire::card(after)),
                note: None,
            };
            events.push(Outgoing::new(account, after.id, &updated).actor(caller.actor()));
        }
        if is_moved(one) {
            events.push(move_card::moved(caller, before, after));
        }
        if before.responsible != after.responsible {
            let chats = chats.get(&(account.clone(), after.id));
            let chats = chats.map_or(&[][..], Vec::as_slice);
            let entity = wire::linked_card(after);
            let who = (before.responsible, chats);
            let act = Some(after.stamp.event);
            let told = crate::app::people::responsible_changed(account, &entity, who, act);
            events.extend(told.into_iter().map(|event| event.actor(caller.actor())));
        }
    }
    Ok(events)
}
