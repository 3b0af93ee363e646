//! What happened to entities.

use chassis::audit::FieldChange;
use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Before, unreadable};
use crate::domain::fields::Entity;
use crate::domain::history::EntryKind;

/// An entry to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// The account.
    pub account: AccountSlug,
    /// Kind of the entity.
    pub entity: Entity,
    /// Id of the entity.
    pub subject: Uuid,
    /// What happened.
    pub kind: EntryKind,
    /// Who did it.
    pub actor: String,
    /// What changed.
    pub changes: Vec<FieldChange>,
}

/// Writes entries with their times and ids; one that is there already stays.
pub async fn insert(
    connection: &mut PgConnection,
    entries: &[(OffsetDateTime, Uuid, NewEntry)],
) -> Result<(), sqlx::Error> {
    let text = |field: fn(&NewEntry) -> String| -> Vec<String> {
        entries.iter().map(|(.., entry)| field(entry)).collect()
    };
    let times: Vec<OffsetDateTime> = entries.iter().map(|(at, ..)| *at).collect();
    let ids: Vec<Uuid> = entries.iter().map(|(_, id, _)| *id).collect();
    let subjects: Vec<Uuid> = entries.iter().map(|(.., entry)| entry.subject).collect();
    let changes: Vec<Value> = entries
        .iter()
        .map(|(.., entry)| serde_json::to_value(&entry.changes))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "insert into history (account, entity, subject, kind, at, id, actor, changes)
         select k.account, k.entity, k.subject, k.kind, k.at, k.id, k.actor, k.changes
         from unnest($1::timestamptz[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::text[],
                     $8::jsonb[])
           as k(at, account, entity, subject, kind, id, actor, changes)
         on conflict do nothing",
        &times,
        &text(|entry| entry.account.to_string()),
        &text(|entry| entry.entity.into()),
        &subjects,
        &text(|entry| entry.kind.into()),
        &ids,
        &text(|entry| entry.actor.clone()),
        &changes,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Id.
    pub id: Uuid,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Who did it.
    pub actor: String,
    /// What happened.
    pub kind: EntryKind,
    /// What changed.
    pub changes: Vec<FieldChange>,
}

/// Returns a page of an entity's entries of these kinds, newest first. A contact has several subjects: those that were merged
/// into it, too.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (entity, subjects): (Entity, &[Uuid]),
    kinds: &[EntryKind],
    before: Before,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let kinds: std::collections::BTreeSet<EntryKind> = kinds.iter().copied().collect();
    let kinds: Vec<String> = kinds.into_iter().map(Into::into).collect();
    let rows = sqlx::query!(
        r#"select h.id as "id!", h.at as "at!", h.actor as "actor!", k.kind as "kind!", h.changes as "changes!"
           from unnest($4::text[]) k(kind) cross join unnest($3::uuid[]) s(subject) cross join lateral (
               select id, at, actor, changes from history
               where account = $1 and entity = $2 and subject = s.subject and kind = k.kind and (at, id) < ($5, $6)
               order by at desc, id desc limit $7) h
           order by h.at desc, h.id desc limit $7"#,
        account.as_str(),
        entity.as_str(),
        subjects,
        &kinds,
        before.time,
        before.id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let bad = |error: String| unreadable("history", row.id, error);
            Ok(Entry {
                id: row.id,
                at: row.at,
                actor: row.actor,
                kind: EntryKind::try_from(row.kind).map_err(|error| bad(error.to_string()))?,
                changes: serde_json::from_value(row.changes)
                    .map_err(|error| bad(error.to_string()))?,
            })
        })
        .collect()
}
