//! The activity log: keeping what happened, listing it within the caller's rights (F194, F214, F215), forgetting what is old.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::grpc::timestamp;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::access;
use super::read::Page;
use crate::domain::activity::{self, Reach};
use crate::domain::words::{EntityKind, Language};
use crate::error::Error;
use crate::notices;
use crate::store::account;
use crate::store::activity::{self as store, Filter, NewEntry, Position, Row};

/// Keeps entries. Any order and any number of repeats give the same.
pub async fn keep(pool: &PgPool, mut entries: Vec<NewEntry>) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort_by(|one, other| (&one.account, one.event).cmp(&(&other.account, other.event)));
    let mut tx = pool.begin().await?;
    store::keep(&mut tx, &entries).await?;
    store::keep_owners(&mut tx, &entries).await?;
    tx.commit().await?;
    Ok(())
}

/// Lists what happened after a position, newest first, as far as the caller may see it; returns where the next page begins.
pub async fn list(
    connection: &mut PgConnection,
    caller: &Caller,
    filter: &Filter,
    after: Position,
    size: u32,
) -> Result<Page<pb::ActivityEntry, Position>, Error> {
    access::may_use_chats(caller)?;
    let mut reach = Reach::of(caller.access());
    let of_client = |actor: &String| actor.starts_with("client:");
    if reach.channels.is_some() && filter.actor.as_ref().is_some_and(of_client) {
        reach = reach.of_chats();
    }
    let limit = i64::from(size) + 1;
    let mut found = store::list(connection, caller.account(), filter, &reach, after, limit).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let next = if found.rows.len() > size {
        found.rows.truncate(size);
        found.rows.last().map(Row::position)
    } else {
        found.bound
    };
    let language = account::language(connection, caller.account()).await?;
    let entries = found.rows.into_iter();
    let entries = entries.map(|row| entry(row, &reach, language));
    Ok((entries.collect(), next))
}

/// Writes an entry as far as a reach opens it.
fn entry(row: Row, reach: &Reach, language: Language) -> pb::ActivityEntry {
    let mut parameters = row.parameters.0;
    if !reach.people {
        let people = [EntityKind::Contact, EntityKind::Company].map(EntityKind::as_str);
        if !people.contains(&row.entity_kind.as_str()) {
            let of_people = |key: &str| key.starts_with("contact_") || key.starts_with("company_");
            parameters.retain(|key, _| !of_people(key));
        }
    }
    // Which client a person is belongs to chats, and not all of those are open to the caller.
    let hidden = reach.channels.is_some() && row.chat.is_none() && row.actor.starts_with("client:");
    let actor = if hidden {
        "client".to_owned()
    } else {
        row.actor
    };
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    pb::ActivityEntry {
        event_id: row.event.to_string(),
        time: Some(timestamp(row.time)),
        agent_id: actor.strip_prefix("agent:").unwrap_or_default().to_owned(),
        actor,
        chat_id: text(row.chat),
        channel_id: text(row.channel),
        conversation_id: text(row.conversation),
        number: row.number,
        entity_kind: row.entity_kind,
        entity_id: text(row.entity),
        text: sentence(language, &row.kind, &parameters),
        r#type: row.kind,
        parameters: parameters.into_iter().collect(),
        key_action: row.key_action,
    }
}

/// Says what happened: as chats say it where they do (D33).
fn sentence(language: Language, kind: &str, parameters: &BTreeMap<String, String>) -> String {
    activity::sentence(kind, parameters).unwrap_or_else(|| {
        let notice = pb::SystemNotice {
            kind: kind.to_owned(),
            parameters: parameters.clone().into_iter().collect(),
            ..pb::SystemNotice::default()
        };
        notices::sentence(language, &notice)
    })
}

/// Forgets what happened longer ago than it is kept, step by step; returns how many entries those were.
pub async fn sweep(pool: &PgPool, kept: Duration, now: OffsetDateTime) -> Result<u64, Error> {
    // Kept for longer than there are years: nothing is that old.
    let before = time::Duration::try_from(kept)
        .ok()
        .and_then(|kept| now.checked_sub(kept));
    let Some(before) = before else {
        return Ok(0);
    };
    let mut swept = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let (some, more) = store::sweep(&mut connection, before).await?;
        swept += some;
        if !more {
            return Ok(swept);
        }
    }
}
