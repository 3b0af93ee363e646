//! Companies that a file's rows make and change: by the rules of those that are made and changed by hand. A company may belong
//! to one of a row before it.

use std::collections::{BTreeSet, HashMap};

use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use chassis::{audit, stamp::Stamp};
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use uuid::Uuid;

use super::references::Companies;
use super::{Batch, Keyed, asked, differing, problems_of};
use crate::app::{history, people};
use crate::domain::company::Tree;
use crate::domain::entity::Company;
use crate::domain::fields::{Stored, changed, shown};
use crate::domain::ids::CompanyId;
use crate::domain::import::{PersonRow, Problem, Step, step};
use crate::error::Error;
use crate::store::{companies, imports};
use crate::wire;

/// What the rows of a batch find.
struct Facts<'b> {
    known: HashMap<Uuid, Option<Uuid>>,
    /// The companies that are there, locked.
    held: HashMap<CompanyId, Company>,
    stored: HashMap<CompanyId, Stored>,
    /// The companies that are named, and those of rows before.
    named: Companies<'b>,
    tree: Tree,
}

/// A company before and after its row.
struct Written {
    before: Option<Company>,
    after: Company,
    kept: Stored,
}

/// Writes the companies of a batch, their histories and their events.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    rows: &[Keyed<PersonRow>],
) -> Result<(), Error> {
    let account = batch.account();
    let named = rows.iter().filter_map(|row| row.says.belongs_to.as_deref());
    let named: BTreeSet<&str> = named.collect();
    if !named.is_empty() {
        // As by hand: two that are put into each other at once would both find no circle.
        audit::alone(connection, account, "companies", account).await?;
    }
    let known = imports::companies(connection, account, &asked(rows)).await?;
    let live: BTreeSet<CompanyId> = known.values().flatten().map(|id| (*id).into()).collect();
    let keys: Vec<_> = live.iter().map(|id| (account.clone(), *id)).collect();
    let held = companies::lock_all(connection, &keys).await?;
    let ids: Vec<Uuid> = live.iter().map(|id| id.uuid()).collect();
    let stored = companies::stored_fields_of(connection, account, &ids).await?;
    let named = Companies::hold(connection, batch.caller, &named, batch.made).await?;
    let moved: Vec<CompanyId> = live.into_iter().collect();
    let mut facts = Facts {
        known,
        held: held.into_values().map(|one| (one.id, one)).collect(),
        stored,
        tree: named.tree(connection, &moved).await?,
        named,
    };
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        match decided(batch, &mut facts, row) {
            Ok(one) => written.extend(one),
            Err(problems) => batch.refuse_row(row, problems),
        }
    }
    if batch.plan.dry_run {
        // Companies of batches before are not there to belong to.
        batch.outcome.made = facts.named.made;
        return Ok(());
    }
    save(connection, batch, &written).await
}

/// Decides what becomes of a row; nothing where its company stays as it is.
fn decided(
    batch: &mut Batch<'_>,
    facts: &mut Facts<'_>,
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
        Step::Compare => facts.held.get(&id).cloned(),
        Step::Create => None,
    };
    let one = match before {
        None => {
            let made = made(batch, facts, row, id)?;
            batch.outcome.created += 1;
            made
        }
        Some(before) => {
            let stored = facts.stored.get(&id).cloned().unwrap_or_default();
            let one = compared(batch, facts, row, (&before, &stored))?;
            let own = own(&before, &one.after);
            let differs = differing(&own, &batch.rules.fields, (&stored, &one.kept));
            batch.changes(&differs)?;
            if differs.is_empty() {
                return Ok(None);
            }
            one
        }
    };
    facts.tree.put(one.after.id, one.after.parent);
    facts.named.made.enter(&one.after);
    Ok(Some(one))
}

/// Says in which of its own columns a company is changed.
fn own(before: &Company, after: &Company) -> [(&'static str, bool); 5] {
    [
        ("name", before.name != after.name),
        ("phones", before.phones != after.phones),
        ("emails", before.emails != after.emails),
        ("parent", before.parent != after.parent),
        ("responsible", before.responsible != after.responsible),
    ]
}

/// Returns the company that a row's own is to belong to.
fn parent(
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    (id, before): (CompanyId, Option<CompanyId>),
    problems: &mut Vec<Problem>,
) -> Option<CompanyId> {
    let text = row.says.belongs_to.as_ref()?;
    let found = facts.named.find(text).and_then(|parent| {
        let wrong = facts.tree.wrong(id, parent);
        match wrong.filter(|_| before != Some(parent)) {
            None => Ok(parent),
            Some(wrong) => Err(wrong),
        }
    });
    found
        .map_err(|reason| problems.push(Problem::new("parent", format!("{text}: {reason}"))))
        .ok()
}

fn made(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    id: CompanyId,
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let kept = changed(fields, &Stored::new(), &says.common.fields, true);
    let kept = kept.map_err(|wrong| problems.extend(problems_of(wrong)));
    if says.name.is_none() {
        problems.push(Problem::new("name", "must not be empty"));
    }
    let parent = parent(facts, row, (id, None), &mut problems);
    let (Ok(kept), Some(name), true) = (kept, says.name.clone(), row.is_fine(&problems)) else {
        return Err(problems);
    };
    let mut after = Company {
        id,
        name,
        parent,
        phones: says.phones.clone().unwrap_or_default(),
        emails: says.emails.clone().unwrap_or_default(),
        fields: shown(fields, &kept),
        responsible: None,
        stamp: Stamp::ZERO,
        created_at: says.common.created_at.unwrap_or(now),
        revision: 1,
    };
    after.give_to(says.common.responsible, now, v7(now));
    after.responsible = after.responsible.or(batch.keeper);
    Ok(Written {
        before: None,
        after,
        kept,
    })
}

/// Returns a company as its row would have it. What the row does not say stays.
fn compared(
    batch: &Batch<'_>,
    facts: &Facts<'_>,
    row: &Keyed<PersonRow>,
    (before, stored): (&Company, &Stored),
) -> Result<Written, Vec<Problem>> {
    let (says, fields, now) = (&row.says, &batch.rules.fields, batch.rules.now);
    let mut problems = Vec::new();
    let kept = changed(fields, stored, &says.common.fields, false);
    let kept = kept.map_err(|wrong| problems.extend(problems_of(wrong)));
    let said = says.common.created_at;
    if said.is_some_and(|said| said != before.created_at) {
        problems.push(Problem::new("created_at", "cannot be changed"));
    }
    let parent = parent(facts, row, (before.id, before.parent), &mut problems);
    let (Ok(kept), true) = (kept, row.is_fine(&problems)) else {
        return Err(problems);
    };
    let mut after = before.clone();
    after.revision += 1;
    after.name = says.name.clone().unwrap_or(after.name);
    after.phones = says.phones.clone().unwrap_or(after.phones);
    after.emails = says.emails.clone().unwrap_or(after.emails);
    after.parent = parent.or(after.parent);
    after.give_to(says.common.responsible.or(after.responsible), now, v7(now));
    after.fields = shown(fields, &kept);
    Ok(Written {
        before: Some(before.clone()),
        after,
        kept,
    })
}

async fn save(
    connection: &mut PgConnection,
    batch: &mut Batch<'_>,
    written: &[Written],
) -> Result<(), Error> {
    if written.is_empty() {
        return Ok(());
    }
    let (account, actor) = (batch.account(), batch.caller.actor());
    let rows: Vec<_> = written.iter().map(|one| (&one.after, &one.kept)).collect();
    companies::put_all(connection, account, &rows).await?;
    let mut entries = Vec::with_capacity(written.len());
    for one in written {
        let sides = (one.before.as_ref(), Some(&one.after));
        entries.extend(history::company(account, &actor, sides)?);
    }
    history::write(connection, entries, batch.rules.now).await?;
    batch.outcome.events = events(connection, batch.caller, written).await?;
    Ok(())
}

/// What is told of each company, as if it was made or changed by hand.
async fn events(
    connection: &mut PgConnection,
    caller: &Caller,
    written: &[Written],
) -> Result<Vec<Outgoing>, Error> {
    let account = caller.account();
    let given = written.iter().filter(|one| {
        let before = one.before.as_ref();
        before.is_some_and(|before| before.responsible != one.after.responsible)
    });
    let given: Vec<_> = given.map(|one| (account.clone(), one.after.id)).collect();
    let chats = companies::chats_of(connection, &given).await?;
    let mut events = Vec::with_capacity(written.len());
    for one in written {
        let after = &one.after;
        let company = Some(wire::company(after));
        events.push(match &one.before {
            None => Outgoing::new(account, after.id, &wire_v1::CompanyCreated { company }),
            Some(_) => Outgoing::new(account, after.id, &wire_v1::CompanyUpdated { company }),
        });
        let previous = one.before.as_ref().and_then(|before| before.responsible);
        // One that nobody chose (stamp zero) is no act that others follow.
        if after.responsible != previous && after.stamp > Stamp::ZERO {
            let chats = chats.get(&(account.clone(), after.id));
            let chats = chats.map_or(&[][..], Vec::as_slice);
            let entity = wire::linked_company(after);
            let act = Some(after.stamp.event);
            events.extend(people::responsible_changed(
                account,
                &entity,
                (previous, chats),
                act,
            ));
        }
    }
    let events = events.into_iter();
    Ok(events.map(|event| event.actor(caller.actor())).collect())
}
