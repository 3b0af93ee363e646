//! Links that were sent into chats are followed: each click stands in the history of the chat's contact (F193), and one visitor
//! of two contacts' links makes these suspected to be one person (F196).

use std::collections::BTreeSet;

use chassis::actor::Actor;
use chassis::audit::FieldChange;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use chassis::trace::TraceContext;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::duplicates;
use crate::domain::fields::Entity;
use crate::domain::history::EntryKind;
use crate::domain::ids::{ChatId, ContactId};
use crate::store::history::{self, NewEntry};
use crate::store::{contacts, duplicates as store};

/// The rule that events of a suspicion name as their actor.
const RULE: &str = "duplicate-control";

/// Somebody followed a link that was sent into a chat.
#[derive(Debug, Clone)]
pub struct Click {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The visitor, where it is known.
    pub visitor: Option<Uuid>,
    /// Where the link leads.
    pub url: String,
    /// When.
    pub at: OffsetDateTime,
    /// The event that told of it.
    pub cause: Uuid,
    /// The trace that what follows belongs to.
    pub trace: TraceContext,
}

/// Handles clicks. One in a chat that is not known here is nobody's.
pub async fn handle(
    connection: &mut PgConnection,
    clicks: Vec<Click>,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, sqlx::Error> {
    if clicks.is_empty() {
        return Ok(Vec::new());
    }
    let chats: Vec<_> = clicks
        .iter()
        .map(|click| (click.account.clone(), click.chat))
        .collect();
    let of_chats = contacts::lock_of_chats(connection, &chats).await?.of_chat;
    let mut visits: BTreeSet<(AccountSlug, Uuid, ContactId)> = BTreeSet::new();
    let mut entries = Vec::new();
    for click in &clicks {
        let Some(contact) = of_chats.get(&(click.account.clone(), click.chat)) else {
            continue;
        };
        // By the event's own id and time a repeat finds it written.
        entries.push((click.at, click.cause, entry(click, *contact)));
        let visitor = click.visitor;
        visits.extend(visitor.map(|visitor| (click.account.clone(), visitor, *contact)));
    }
    history::insert(connection, &entries).await?;
    let visits: Vec<_> = visits.into_iter().collect();
    if visits.is_empty() {
        return Ok(Vec::new());
    }
    let found = store::visited(connection, &visits, now).await?;
    let new = store::suspect(connection, found, now).await?;
    let told = new.iter().filter_map(|new| {
        let of_contact = |click: &&Click| {
            let key = (click.account.clone(), click.chat);
            click.account == new.account && of_chats.get(&key) == Some(&new.contact)
        };
        let click = clicks.iter().find(of_contact)?;
        let event = Outgoing::new(&new.account, new.contact, &duplicates::told(new)?);
        let event = event.actor(Actor::Rule(RULE.to_owned())).cause(click.cause);
        Some(event.trace(click.trace.clone()))
    });
    Ok(told.collect())
}

fn entry(click: &Click, contact: ContactId) -> NewEntry {
    let named = |field: &str, value: String| FieldChange {
        field: field.to_owned(),
        before: None,
        after: Some(value.into()),
    };
    NewEntry {
        account: click.account.clone(),
        entity: Entity::Contact,
        subject: contact.uuid(),
        kind: EntryKind::KeyAction,
        actor: Actor::Rule("short-links".to_owned()).to_string(),
        changes: vec![
            named("url", click.url.clone()),
            named("chat_id", click.chat.to_string()),
        ],
    }
}
