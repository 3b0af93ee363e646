//! Contacts, their identities, and chats as CRM knows them.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Before, account as slug, columns, stamp};
use crate::domain::entity::{Contact, Identity};
use crate::domain::ids::{ChannelId, ChatId, ContactId};

/// A chat as CRM knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its channel.
    pub channel: ChannelId,
    /// Its contact.
    pub contact: ContactId,
    /// Kind of its messenger, as `telegram`; empty where it is not known.
    pub messenger: String,
}

struct Row {
    id: Uuid,
    name: String,
    buyer: bool,
    responsible: Option<Uuid>,
    stamp_time: OffsetDateTime,
    stamp_event: Uuid,
    created_at: OffsetDateTime,
    revision: i64,
}

impl From<Row> for Contact {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            buyer: row.buyer,
            responsible: row.responsible.map(Into::into),
            stamp: stamp(row.stamp_time, row.stamp_event),
            created_at: row.created_at,
            revision: row.revision,
            identities: Vec::new(),
        }
    }
}

/// Returns a chat.
pub async fn chat(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
) -> Result<Option<Chat>, sqlx::Error> {
    let row = sqlx::query!(
        "select channel, contact, messenger from chat where account = $1 and id = $2",
        account.as_str(),
        chat.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Chat {
        channel: row.channel.into(),
        contact: row.contact.into(),
        messenger: row.messenger,
    }))
}

/// Returns a contact with its identities.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, buyer, responsible, stamp_time, stamp_event, created_at, revision
         from contact where account = $1 and id = $2",
        account.as_str(),
        contact.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    with_identities(
        connection,
        account,
        row.into_iter().map(Into::into).collect(),
    )
    .await
    .map(|mut found| found.pop())
}

/// Returns a contact, locked until the end of the transaction: the lock of every decision about it (D29).
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, buyer, responsible, stamp_time, stamp_event, created_at, revision
         from contact where account = $1 and id = $2 for no key update",
        account.as_str(),
        contact.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    with_identities(
        connection,
        account,
        row.into_iter().map(Into::into).collect(),
    )
    .await
    .map(|mut found| found.pop())
}

/// Returns a page of contacts, newest first; of one responsible where `own` names one.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    own: Option<Uuid>,
    before: Before,
    limit: i64,
) -> Result<Vec<Contact>, sqlx::Error> {
    let rows = match own {
        None => {
            sqlx::query_as!(
                Row,
                "select id, name, buyer, responsible, stamp_time, stamp_event, created_at, revision
                 from contact where account = $1 and (created_at, id) < ($2, $3)
                 order by created_at desc, id desc limit $4",
                account.as_str(),
                before.time,
                before.id,
                limit,
            )
            .fetch_all(&mut *connection)
            .await?
        }
        Some(agent) => {
            sqlx::query_as!(
                Row,
                "select id, name, buyer, responsible, stamp_time, stamp_event, created_at, revision
                 from contact where account = $1 and responsible = $5 and (created_at, id) < ($2, $3)
                 order by created_at desc, id desc limit $4",
                account.as_str(),
                before.time,
                before.id,
                limit,
                agent,
            )
            .fetch_all(&mut *connection)
            .await?
        }
    };
    with_identities(
        connection,
        account,
        rows.into_iter().map(Into::into).collect(),
    )
    .await
}

/// Marks a contact as a buyer (F111).
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

/// Returns the contacts of chats; chats that are not known are left out.
pub async fn of_chats(
    connection: &mut PgConnection,
    chats: &[(AccountSlug, ChatId)],
) -> Result<HashMap<(AccountSlug, ChatId), ContactId>, sqlx::Error> {
    let (accounts, ids) = columns(chats);
    let rows = sqlx::query!(
        "select c.account, c.id, c.contact from unnest($1::text[], $2::uuid[]) k(account, id)
         join chat c on c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok(((slug(row.account)?, row.id.into()), row.contact.into())))
        .collect()
}

/// Returns all chats of contacts.
pub async fn chats_of(
    connection: &mut PgConnection,
    contacts: &[(AccountSlug, ContactId)],
) -> Result<HashMap<(AccountSlug, ContactId), Vec<ChatId>>, sqlx::Error> {
    let (accounts, ids) = columns(contacts);
    let rows = sqlx::query!(
        "select c.account, c.contact, c.id from unnest($1::text[], $2::uuid[]) k(account, contact)
         join chat c on c.account = k.account and c.contact = k.contact order by c.id",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut chats: HashMap<_, Vec<ChatId>> = HashMap::new();
    for row in rows {
        let key = (slug(row.account)?, row.contact.into());
        chats.entry(key).or_default().push(row.id.into());
    }
    Ok(chats)
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

/// Returns the identities of contacts.
pub async fn identities_of(
    connection: &mut PgConnection,
    contacts: &[(AccountSlug, ContactId)],
) -> Result<HashMap<(AccountSlug, ContactId), Vec<Identity>>, sqlx::Error> {
    let (accounts, ids) = columns(contacts);
    let rows = sqlx::query!(
        "select i.account, i.contact, i.scope, i.user_id, i.name, i.username, i.phone, i.email, i.language
         from unnest($1::text[], $2::uuid[]) k(account, contact)
         join identity i on i.account = k.account and i.contact = k.contact order by i.scope, i.user_id",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut identities: HashMap<_, Vec<Identity>> = HashMap::new();
    for row in rows {
        let key = (slug(row.account)?, row.contact.into());
        identities.entry(key).or_default().push(Identity {
            scope: row.scope,
            user_id: row.user_id,
            name: row.name,
            username: row.username,
            phone: row.phone,
            email: row.email,
            language: row.language,
        });
    }
    Ok(identities)
}

async fn with_identities(
    connection: &mut PgConnection,
    account: &AccountSlug,
    mut contacts: Vec<Contact>,
) -> Result<Vec<Contact>, sqlx::Error> {
    if contacts.is_empty() {
        return Ok(contacts);
    }
    let ids: Vec<Uuid> = contacts.iter().map(|contact| contact.id.uuid()).collect();
    let rows = sqlx::query!(
        "select contact, scope, user_id, name, username, phone, email, language from identity
         where account = $1 and contact = any($2) order by scope, user_id",
        account.as_str(),
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut identities: HashMap<Uuid, Vec<Identity>> = HashMap::new();
    for row in rows {
        identities.entry(row.contact).or_default().push(Identity {
            scope: row.scope,
            user_id: row.user_id,
            name: row.name,
            username: row.username,
            phone: row.phone,
            email: row.email,
            language: row.language,
        });
    }
    for contact in &mut contacts {
        contact.identities = identities.remove(&contact.id.uuid()).unwrap_or_default();
    }
    Ok(contacts)
}
