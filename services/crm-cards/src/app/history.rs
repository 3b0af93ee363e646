//! What happens to entities is kept in the transaction that does it: who changed which field from what to what.
//!
//! An entity is compared as its contract writes it: a field that the contract gains is told without anybody thinking of it.

use chassis::actor::Actor;
use chassis::audit::{FieldChange, diff, snapshot};
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId, v7};
use prost::Name;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{App, Page, companies, contacts, list_cards, orders, see_chats};
use crate::domain::access;
use crate::domain::entity::{Card, Company, Contact, Order};
use crate::domain::fields::Entity;
use crate::domain::history::{EntryKind, parted};
use crate::domain::ids::{CardId, ChatId, CompanyId, ContactId, OrderId};
use crate::error::Error;
use crate::store::Before;
use crate::store::history::{self as store, Entry, NewEntry};
use crate::store::merges;
use crate::wire;

/// What of a card nobody changes, or what says only that something changed.
const OF_CARD: &[&str] = &[
    "card_id",
    "create_time",
    "update_time",
    "revision",
    "responsible_stamp",
];
const OF_CONTACT: &[&str] = &["contact_id", "create_time", "revision", "responsible_stamp"];
const OF_COMPANY: &[&str] = &["company_id", "create_time", "revision", "responsible_stamp"];
const OF_ORDER: &[&str] = &["order_id", "create_time", "update_time", "revision"];

/// An entity before and after an act; none where it is not there.
pub(super) type Sides<'e, E> = (Option<&'e E>, Option<&'e E>);

/// Whose history an entry belongs to.
struct Subject<'a> {
    account: &'a AccountSlug,
    entity: Entity,
    id: Uuid,
    actor: &'a Actor,
}

impl Subject<'_> {
    fn entry(&self, kind: EntryKind, changes: Vec<FieldChange>) -> NewEntry {
        NewEntry {
            account: self.account.clone(),
            entity: self.entity,
            subject: self.id,
            kind,
            actor: self.actor.to_string(),
            changes,
        }
    }

    fn entries<M: Name>(
        &self,
        (before, after): (Option<M>, Option<M>),
        left_out: &[&str],
    ) -> Result<Vec<NewEntry>, sqlx::Error> {
        let side =
            |side: Option<&M>| side.map_or(Ok(Value::Null), |message| snapshot(message, left_out));
        let changes = diff(&side(before.as_ref())?, &side(after.as_ref())?);
        let parts = match (before, after) {
            (None, _) => vec![(EntryKind::Created, changes)],
            (_, None) => vec![(EntryKind::Deleted, changes)],
            _ => parted(changes),
        };
        let parts = parts.into_iter();
        Ok(parts
            .map(|(kind, changes)| self.entry(kind, changes))
            .collect())
    }
}

/// Tells what an act did to a card.
pub(super) fn card(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): Sides<'_, Card>,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let Some(id) = after.or(before).map(|card| card.id.uuid()) else {
        return Ok(Vec::new());
    };
    let subject = Subject {
        account,
        entity: Entity::Card,
        id,
        actor,
    };
    subject.entries((before.map(wire::card), after.map(wire::card)), OF_CARD)
}

/// Tells what an act did to a contact.
pub(super) fn contact(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): Sides<'_, Contact>,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let Some(id) = after.or(before).map(|contact| contact.id.uuid()) else {
        return Ok(Vec::new());
    };
    let subject = Subject {
        account,
        entity: Entity::Contact,
        id,
        actor,
    };
    let sides = (before.map(wire::contact), after.map(wire::contact));
    subject.entries(sides, OF_CONTACT)
}

/// Tells what an act did to a company.
pub(super) fn company(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): Sides<'_, Company>,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let Some(id) = after.or(before).map(|company| company.id.uuid()) else {
        return Ok(Vec::new());
    };
    let subject = Subject {
        account,
        entity: Entity::Company,
        id,
        actor,
    };
    let sides = (before.map(wire::company), after.map(wire::company));
    subject.entries(sides, OF_COMPANY)
}

/// Tells, to both, that a contact was merged into another one, which it changed so.
pub(super) fn merged(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): (&Contact, &Contact),
    source: ContactId,
) -> Result<[NewEntry; 2], sqlx::Error> {
    parted_or_joined(account, actor, EntryKind::Merged, (before, after), source)
}

/// Tells, to both, that a merge was taken back, which changed the one that had stayed so.
pub(super) fn unmerged(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): (&Contact, &Contact),
    source: ContactId,
) -> Result<[NewEntry; 2], sqlx::Error> {
    parted_or_joined(account, actor, EntryKind::Unmerged, (before, after), source)
}

fn parted_or_joined(
    account: &AccountSlug,
    actor: &Actor,
    kind: EntryKind,
    (before, after): (&Contact, &Contact),
    source: ContactId,
) -> Result<[NewEntry; 2], sqlx::Error> {
    let subject = |id: ContactId| Subject {
        account,
        entity: Entity::Contact,
        id: id.uuid(),
        actor,
    };
    let side = |contact: &Contact| snapshot(&wire::contact(contact), OF_CONTACT);
    let (join, part) = match kind {
        EntryKind::Unmerged => (None, Some(())),
        _ => (Some(()), None),
    };
    let named = |field: &str, id: ContactId| FieldChange {
        field: field.to_owned(),
        before: part.map(|()| id.to_string().into()),
        after: join.map(|()| id.to_string().into()),
    };
    let mut changes = vec![named("merged_contact_id", source)];
    changes.extend(diff(&side(before)?, &side(after)?));
    let away = vec![named("into_contact_id", after.id)];
    Ok([
        subject(after.id).entry(kind, changes),
        subject(source).entry(kind, away),
    ])
}

/// Tells what an act did to an order.
pub(super) fn order(
    account: &AccountSlug,
    actor: &Actor,
    (before, after): Sides<'_, Order>,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let Some(id) = after.or(before).map(|order| order.id.uuid()) else {
        return Ok(Vec::new());
    };
    let subject = Subject {
        account,
        entity: Entity::Order,
        id,
        actor,
    };
    subject.entries((before.map(wire::order), after.map(wire::order)), OF_ORDER)
}

fn named(field: &str, id: impl std::fmt::Display) -> Vec<FieldChange> {
    vec![FieldChange {
        field: field.to_owned(),
        before: None,
        after: Some(id.to_string().into()),
    }]
}

/// Tells that agents take part in something beside those who did.
pub(super) fn joined(
    account: &AccountSlug,
    actor: &Actor,
    (entity, id): (Entity, Uuid),
    (before, after): (&[AgentId], &[AgentId]),
) -> NewEntry {
    let subject = Subject {
        account,
        entity,
        id,
        actor,
    };
    let side = |agents: &[AgentId]| {
        let agents: Vec<String> = agents.iter().map(ToString::to_string).collect();
        serde_json::json!({ "participant_agent_ids": agents })
    };
    subject.entry(EntryKind::Participants, diff(&side(before), &side(after)))
}

/// Tells that a chat was linked to a contact.
pub(super) fn linked(
    account: &AccountSlug,
    actor: &Actor,
    contact: ContactId,
    chat: ChatId,
) -> NewEntry {
    let subject = Subject {
        account,
        entity: Entity::Contact,
        id: contact.uuid(),
        actor,
    };
    subject.entry(EntryKind::Linked, named("chat_id", chat))
}

/// Tells that a note was added to a card.
pub(super) fn noted(account: &AccountSlug, actor: &Actor, card: CardId, note: Uuid) -> NewEntry {
    let subject = Subject {
        account,
        entity: Entity::Card,
        id: card.uuid(),
        actor,
    };
    subject.entry(EntryKind::Note, named("note_id", note))
}

/// Writes entries in the transaction of what they tell of, before its events.
pub(super) async fn write(
    connection: &mut PgConnection,
    entries: impl IntoIterator<Item = NewEntry>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let entries = entries.into_iter().map(|entry| (now, v7(now), entry));
    let entries: Vec<(OffsetDateTime, Uuid, NewEntry)> = entries.collect();
    if entries.is_empty() {
        return Ok(());
    }
    store::insert(connection, &entries).await
}

/// An entity whose history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A card.
    Card(CardId),
    /// A contact.
    Contact(ContactId),
    /// An order.
    Order(OrderId),
    /// A company.
    Company(CompanyId),
}

/// Returns a page of the history of an entity that the caller sees, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    about: About,
    kinds: &[EntryKind],
    before: Option<Before>,
    size: u32,
) -> Result<Page<Entry>, Error> {
    let (entity, subject) = match about {
        About::Card(id) => (
            Entity::Card,
            list_cards::get(app, caller, id).await?.id.uuid(),
        ),
        About::Contact(id) => (
            Entity::Contact,
            contacts::get(app, caller, id).await?.id.uuid(),
        ),
        About::Order(id) => (Entity::Order, orders::get(app, caller, id).await?.id.uuid()),
        About::Company(id) => (
            Entity::Company,
            companies::get(app, caller, id).await?.id.uuid(),
        ),
    };
    let mut connection = app.pool.acquire().await?;
    let mut subjects = vec![subject];
    if entity == Entity::Contact {
        let account = caller.account();
        subjects.extend(merges::merged_into(&mut connection, account, subject.into()).await?);
    }
    let rows = store::list(
        &mut connection,
        caller.account(),
        (entity, &subjects),
        kinds,
        before.unwrap_or(Before::START),
        i64::from(size) + 1,
    )
    .await?;
    let mut page = Page::of(rows, size);
    if see_chats(caller).is_err() || access::channels(caller.access()).is_some() {
        // Which client a person is belongs to chats, and not all of those are open to the caller.
        let by_client = |entry: &&mut Entry| entry.actor.starts_with("client:");
        for entry in page.rows.iter_mut().filter(by_client) {
            "client".clone_into(&mut entry.actor);
        }
    }
    Ok(page)
}
