//! Changes of contacts.

use std::collections::HashSet;

use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns};
use crate::domain::entity::Contact;
use crate::domain::fields::Stored;
use crate::domain::ids::ContactId;
use crate::domain::search;

/// Inserts contacts that identities make, sorted; returns those that are new.
pub async fn insert_all(
    connection: &mut PgConnection,
    contacts: &[(AccountSlug, Contact)],
) -> Result<HashSet<(AccountSlug, ContactId)>, sqlx::Error> {
    let text = |field: fn(&Contact) -> String| -> Vec<String> {
        contacts.iter().map(|(_, contact)| field(contact)).collect()
    };
    let accounts: Vec<String> = contacts
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = contacts
        .iter()
        .map(|(_, contact)| contact.id.uuid())
        .collect();
    let created: Vec<OffsetDateTime> = contacts
        .iter()
        .map(|(_, contact)| contact.created_at)
        .collect();
    let words: Vec<String> = contacts
        .iter()
        .map(|(account, contact)| search::person(account, &contact.found()))
        .collect();
    // An identity vouches for one phone and one address at most: no list of lists is needed.
    let first = |points: &[String]| points.first().cloned().unwrap_or_default();
    let phones: Vec<String> = contacts
        .iter()
        .map(|(_, contact)| first(&contact.phones))
        .collect();
    let emails: Vec<String> = contacts
        .iter()
        .map(|(_, contact)| first(&contact.emails))
        .collect();
    let rows = sqlx::query!(
        "insert into contact (account, id, name, created_at, phones, emails, words)
         select k.account, k.id, k.name, k.created_at, array_remove(array[k.phone], ''),
                array_remove(array[k.email], ''), k.words::tsvector
         from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
           as k(account, id, name, created_at, phone, email, words)
         on conflict do nothing returning account, id",
        &accounts,
        &ids,
        &text(|contact| contact.name.clone()),
        &created,
        &phones,
        &emails,
        &words,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((slug(row.account)?, row.id.into())))
        .collect()
}

/// Writes a contact whole, a new one or a locked one, with what it keeps of custom fields by the ids of their definitions.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: &Contact,
    fields: &Stored,
) -> Result<(), sqlx::Error> {
    put_all(connection, account, &[(contact, fields)]).await
}

/// Writes contacts whole, each once, new ones or locked ones, with what they keep of custom fields.
pub async fn put_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contacts: &[(&Contact, &Stored)],
) -> Result<(), sqlx::Error> {
    let mut contacts: Vec<_> = contacts.iter().collect();
    contacts.sort_by_key(|(contact, _)| contact.id);
    let text = |field: fn(&Contact) -> String| -> Vec<String> {
        contacts.iter().map(|(contact, _)| field(contact)).collect()
    };
    let id = |field: fn(&Contact) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        contacts.iter().map(|(contact, _)| field(contact)).collect()
    };
    let time = |field: fn(&Contact) -> OffsetDateTime| -> Vec<OffsetDateTime> {
        contacts.iter().map(|(contact, _)| field(contact)).collect()
    };
    let ids: Vec<Uuid> = contacts.iter().map(|(one, _)| one.id.uuid()).collect();
    let buyers: Vec<bool> = contacts.iter().map(|(one, _)| one.buyer).collect();
    let events: Vec<Uuid> = contacts.iter().map(|(one, _)| one.stamp.event).collect();
    let revisions: Vec<i64> = contacts.iter().map(|(one, _)| one.revision).collect();
    let fields: Vec<Value> = contacts
        .iter()
        .map(|(_, fields)| Value::Object((*fields).clone()))
        .collect();
    let words: Vec<String> = contacts
        .iter()
        .map(|(contact, _)| search::person(account, &contact.found()))
        .collect();
    // No list of lists can be passed, and neither phones nor addresses have ends of lines.
    sqlx::query!(
        "insert into contact (account, id, name, buyer, company, phones, emails, fields, responsible, stamp_time,
                              stamp_event, created_at, revision, words)
         select $1, k.id, k.name, k.buyer, k.company, string_to_array(k.phones, E'\\n'), string_to_array(k.emails, E'\\n'),
                k.fields, k.responsible, k.stamp_time, k.stamp_event, k.created_at, k.revision, k.words::tsvector
         from unnest($2::uuid[], $3::text[], $4::bool[], $5::uuid[], $6::text[], $7::text[], $8::jsonb[], $9::uuid[],
                     $10::timestamptz[], $11::uuid[], $12::timestamptz[], $13::bigint[], $14::text[])
           as k(id, name, buyer, company, phones, emails, fields, responsible, stamp_time, stamp_event, created_at,
                revision, words)
         on conflict (account, id) do update
         set name = excluded.name, buyer = excluded.buyer, company = excluded.company, phones = excluded.phones,
             emails = excluded.emails, fields = excluded.fields, responsible = excluded.responsible,
             stamp_time = excluded.stamp_time, stamp_event = excluded.stamp_event, revision = excluded.revision,
             words = excluded.words",
        account.as_str(),
        &ids,
        &text(|contact| contact.name.clone()),
        &buyers,
        &id(|contact| contact.company.map(Into::into)) as &[Option<Uuid>],
        &text(|contact| contact.phones.join("\n")),
        &text(|contact| contact.emails.join("\n")),
        &fields,
        &id(|contact| contact.responsible.map(Into::into)) as &[Option<Uuid>],
        &time(|contact| contact.stamp.time),
        &events,
        &time(|contact| contact.created_at),
        &revisions,
        &words,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks a locked contact as a buyer (F111).
pub async fn set_buyer(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update contact set buyer = true, revision = revision + 1 where account = $1 and id = $2",
        account.as_str(),
        contact.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Raises the revisions of locked contacts.
pub async fn raise(
    connection: &mut PgConnection,
    contacts: &[(AccountSlug, ContactId)],
) -> Result<(), sqlx::Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let (accounts, ids) = columns(contacts);
    sqlx::query!(
        "update contact c set revision = revision + 1 from unnest($1::text[], $2::uuid[]) k(account, id)
         where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Sets responsibles and their stamps. The caller holds the contacts' locks and has compared the stamps.
pub async fn set_responsibles(
    connection: &mut PgConnection,
    contacts: &[(AccountSlug, Contact)],
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = contacts
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = contacts
        .iter()
        .map(|(_, contact)| contact.id.uuid())
        .collect();
    let responsibles: Vec<Option<Uuid>> = contacts
        .iter()
        .map(|(_, contact)| contact.responsible.map(Into::into))
        .collect();
    let times: Vec<OffsetDateTime> = contacts
        .iter()
        .map(|(_, contact)| contact.stamp.time)
        .collect();
    let events: Vec<Uuid> = contacts
        .iter()
        .map(|(_, contact)| contact.stamp.event)
        .collect();
    let revisions: Vec<i64> = contacts
        .iter()
        .map(|(_, contact)| contact.revision)
        .collect();
    sqlx::query!(
        "update contact c set responsible = k.responsible, stamp_time = k.stamp_time, stamp_event = k.stamp_event,
                              revision = k.revision
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::bigint[])
           as k(account, id, responsible, stamp_time, stamp_event, revision)
         where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
        &responsibles as &[Option<Uuid>],
        &times,
        &events,
        &revisions,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What keeps a contact from being deleted: how much of each is linked to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// Identities of messengers.
    pub identities: i64,
    /// Chats.
    pub chats: i64,
    /// Cards that are not deleted.
    pub cards: i64,
    /// Orders.
    pub orders: i64,
    /// Contacts that were merged into it.
    pub merged: i64,
}

/// Counts what is linked to a locked contact, up to 1,000 of each.
pub async fn links(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Links, sqlx::Error> {
    sqlx::query_as!(
        Links,
        r#"select
               (select count(*) from (select from identity where account = $1 and contact = $2 limit 1000) t)
                   as "identities!",
               (select count(*) from (select from chat where account = $1 and contact = $2 limit 1000) t) as "chats!",
               (select count(*) from (select from card where account = $1 and contact = $2 and deleted_at is null
                                      limit 1000) t) as "cards!",
               (select count(*) from (select from buyer_order where account = $1 and contact = $2 limit 1000) t)
                   as "orders!",
               (select count(*) from (select from contact_merge where account = $1 and target = $2 limit 1000) t)
                   as "merged!""#,
        account.as_str(),
        contact.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Marks a locked contact as deleted.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update contact set deleted_at = $3, revision = revision + 1 where account = $1 and id = $2",
        account.as_str(),
        contact.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
