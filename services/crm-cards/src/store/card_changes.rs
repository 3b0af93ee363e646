//! Changes of cards.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cards::parts;
use crate::domain::entity::{Card, Contact};
use crate::domain::fields::Stored;
use crate::domain::ids::{CardId, ContactId};
use crate::domain::search;

/// Sets the statuses of cards. The caller holds the locks of their contacts and of the cards.
pub async fn set_statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    cards: &[Card],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = cards.iter().map(|card| card.id.uuid()).collect();
    let pipelines: Vec<Uuid> = cards.iter().map(|card| card.pipeline.uuid()).collect();
    let statuses: Vec<Uuid> = cards.iter().map(|card| card.status.id.uuid()).collect();
    let kinds: Vec<String> = cards.iter().map(|card| card.status.kind.into()).collect();
    let updated: Vec<OffsetDateTime> = cards.iter().map(|card| card.updated_at).collect();
    let revisions: Vec<i64> = cards.iter().map(|card| card.revision).collect();
    sqlx::query!(
        "update card c set pipeline = k.pipeline, status = k.status, status_kind = k.kind, updated_at = k.updated_at,
                           revision = k.revision
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::bigint[])
           as k(id, pipeline, status, kind, updated_at, revision)
         where c.account = $1 and c.id = k.id",
        account.as_str(),
        &ids,
        &pipelines,
        &statuses,
        &kinds,
        &updated,
        &revisions,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What of a card only the database needs to know, as it is to be from now on.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Values of custom fields, by the ids of their definitions.
    pub fields: Stored,
    /// Name of its contact, by which it is found.
    pub contact_name: String,
}

/// Writes all of a card that can be changed but its status. The caller holds its lock.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: &Card,
    kept: &Kept,
) -> Result<(), sqlx::Error> {
    update_all(connection, account, &[(card, kept)]).await
}

/// Writes all of cards that can be changed but their statuses, each once. The caller holds their locks.
pub async fn update_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    cards: &[(&Card, &Kept)],
) -> Result<(), sqlx::Error> {
    if cards.is_empty() {
        return Ok(());
    }
    let text = |field: fn(&Card) -> String| -> Vec<String> {
        cards.iter().map(|(card, _)| field(card)).collect()
    };
    let id = |field: fn(&Card) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        cards.iter().map(|(card, _)| field(card)).collect()
    };
    let time = |field: fn(&Card) -> OffsetDateTime| -> Vec<OffsetDateTime> {
        cards.iter().map(|(card, _)| field(card)).collect()
    };
    let ids: Vec<Uuid> = cards.iter().map(|(card, _)| card.id.uuid()).collect();
    let events: Vec<Uuid> = cards.iter().map(|(card, _)| card.stamp.event).collect();
    let revisions: Vec<i64> = cards.iter().map(|(card, _)| card.revision).collect();
    let amounts = cards.iter().map(|(card, _)| parts(card.amount));
    let (currencies, amounts): (Vec<_>, Vec<_>) = amounts.unzip();
    let fields: Vec<Value> = cards
        .iter()
        .map(|(_, kept)| Value::Object(kept.fields.clone()))
        .collect();
    let words: Vec<String> = cards
        .iter()
        .map(|(card, kept)| search::vector(account, &card.title, &kept.contact_name))
        .collect();
    sqlx::query!(
        "update card c set kind = k.kind, title = k.title, source = k.source, contact = k.contact,
                           responsible = k.responsible, stamp_time = k.stamp_time, stamp_event = k.stamp_event,
                           updated_at = k.updated_at, revision = k.revision, currency = k.currency,
                           amount = k.amount::numeric, fields = k.fields, words = k.words::tsvector
         from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::timestamptz[],
                     $9::uuid[], $10::timestamptz[], $11::bigint[], $12::text[], $13::text[], $14::jsonb[],
                     $15::text[])
           as k(id, kind, title, source, contact, responsible, stamp_time, stamp_event, updated_at, revision, currency,
                amount, fields, words)
         where c.account = $1 and c.id = k.id",
        account.as_str(),
        &ids,
        &text(|card| card.kind.into()),
        &text(|card| card.title.clone()),
        &id(|card| card.source.map(Into::into)) as &[Option<Uuid>],
        &id(|card| card.contact.map(Into::into)) as &[Option<Uuid>],
        &id(|card| card.responsible.map(Into::into)) as &[Option<Uuid>],
        &time(|card| card.stamp.time),
        &events,
        &time(|card| card.updated_at),
        &revisions,
        &currencies as &[Option<String>],
        &amounts as &[Option<String>],
        &fields,
        &words,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes who takes part in a locked card.
pub async fn set_participants(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: &Card,
) -> Result<(), sqlx::Error> {
    let participants: Vec<Uuid> = card.participants.iter().map(|agent| agent.uuid()).collect();
    sqlx::query!(
        "update card set participants = $3, updated_at = $4, revision = $5 where account = $1 and id = $2",
        account.as_str(),
        card.id.uuid(),
        &participants,
        card.updated_at,
        card.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks a locked card as deleted. It stays linked to its chats: one-time counts it still (F009). Its kind of status goes,
/// so that nothing keeps its status any more.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: CardId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update card set deleted_at = $3, status_kind = null, updated_at = $3, revision = revision + 1
         where account = $1 and id = $2",
        account.as_str(),
        card.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Sets responsibles and their stamps. The caller holds the cards' locks and has compared the stamps.
pub async fn set_responsibles(
    connection: &mut PgConnection,
    cards: &[(AccountSlug, Card)],
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = cards
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = cards.iter().map(|(_, card)| card.id.uuid()).collect();
    let responsibles: Vec<Option<Uuid>> = cards
        .iter()
        .map(|(_, card)| card.responsible.map(Into::into))
        .collect();
    let times: Vec<OffsetDateTime> = cards.iter().map(|(_, card)| card.stamp.time).collect();
    let events: Vec<Uuid> = cards.iter().map(|(_, card)| card.stamp.event).collect();
    let updated: Vec<OffsetDateTime> = cards.iter().map(|(_, card)| card.updated_at).collect();
    let revisions: Vec<i64> = cards.iter().map(|(_, card)| card.revision).collect();
    sqlx::query!(
        "update card c set responsible = k.responsible, stamp_time = k.stamp_time, stamp_event = k.stamp_event,
                           updated_at = k.updated_at, revision = k.revision
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::timestamptz[],
                     $7::bigint[])
           as k(account, id, responsible, stamp_time, stamp_event, updated_at, revision)
         where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
        &responsibles as &[Option<Uuid>],
        &times,
        &events,
        &updated,
        &revisions,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Turns the leads of contacts into deals and returns their ids (D05). The caller holds the contacts' locks.
pub async fn make_deals(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contacts: &[ContactId],
    now: OffsetDateTime,
) -> Result<Vec<(AccountSlug, CardId)>, sqlx::Error> {
    let contacts: Vec<Uuid> = contacts.iter().map(|contact| contact.uuid()).collect();
    let ids = sqlx::query_scalar!(
        "with l as (select id from card
                    where account = $1 and contact = any($2) and kind = 'lead' and deleted_at is null
                    order by id for no key update)
         update card c set kind = 'deal', updated_at = $3, revision = revision + 1
         from l where c.account = $1 and c.id = l.id returning c.id",
        account.as_str(),
        &contacts,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids
        .into_iter()
        .map(|id| (account.clone(), id.into()))
        .collect())
}

/// Lets the cards of locked contacts be found by their names.
pub async fn name_contacts(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contacts: &[&Contact],
) -> Result<(), sqlx::Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let theirs: Vec<Uuid> = contacts.iter().map(|contact| contact.id.uuid()).collect();
    let names: HashMap<Uuid, &str> = contacts
        .iter()
        .map(|contact| (contact.id.uuid(), contact.name.as_str()))
        .collect();
    let rows = sqlx::query!(
        r#"select id, title, contact as "contact!" from card
           where account = $1 and contact = any($2) and deleted_at is null
           order by id for no key update"#,
        account.as_str(),
        &theirs,
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let words: Vec<String> = rows
        .iter()
        .map(|row| {
            let name = names.get(&row.contact).copied().unwrap_or_default();
            search::vector(account, &row.title, name)
        })
        .collect();
    sqlx::query!(
        "update card c set words = k.words::tsvector from unnest($2::uuid[], $3::text[]) k(id, words)
         where c.account = $1 and c.id = k.id",
        account.as_str(),
        &ids,
        &words,
    )
    .execute(connection)
    .await
    .map(drop)
}
