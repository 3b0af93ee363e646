//! Contacts, their identities, and chats as CRM knows them.

use std::collections::{BTreeMap, HashMap};

use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, stamp, unreadable};
use crate::domain::entity::{Contact, Identity};
use crate::domain::fields::{FieldValue, Stored};
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
    account: String,
    id: Uuid,
    name: String,
    buyer: bool,
    company: Option<Uuid>,
    phones: Vec<String>,
    emails: Vec<String>,
    fields: Option<Value>,
    responsible: Option<Uuid>,
    stamp_time: OffsetDateTime,
    stamp_event: Uuid,
    created_at: OffsetDateTime,
    revision: i64,
}

impl TryFrom<Row> for Contact {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            buyer: row.buyer,
            company: row.company.map(Into::into),
            phones: row.phones,
            emails: row.emails,
            fields: read_fields("contact", row.id, row.fields)?,
            responsible: row.responsible.map(Into::into),
            stamp: stamp(row.stamp_time, row.stamp_event),
            created_at: row.created_at,
            revision: row.revision,
            identities: Vec::new(),
        })
    }
}

/// Reads values of custom fields as the statements of contacts and companies write them.
pub(super) fn read_fields(
    table: &'static str,
    id: Uuid,
    fields: Option<Value>,
) -> Result<BTreeMap<String, FieldValue>, sqlx::Error> {
    let fields = fields.map(serde_json::from_value).transpose();
    let fields: Option<BTreeMap<String, FieldValue>> =
        fields.map_err(|error| unreadable(table, id, error))?;
    Ok(fields.unwrap_or_default())
}

/// A checked query for contacts that are there: what follows `from`, with the contact as `c`. Values of fields come by the
/// keys of those that are there; most contacts have none, which costs nothing.
macro_rules! contacts {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select c.account, c.id, c.name, c.buyer, c.company, c.phones, c.emails, c.responsible, c.stamp_time,
                      c.stamp_event, c.created_at, c.revision,
                      case when c.fields <> '{}' then
                          (select jsonb_object_agg(f.key, jsonb_build_object(f.kind, c.fields -> f.id::text))
                           from field_definition f
                           where f.account = c.account and f.entity = 'contact' and f.deleted_at is null
                             and c.fields ? f.id::text) end as fields
               from "# + $from,
            $($argument),+
        )
    };
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

/// Returns the contact that an id leads to: itself, or the one that it was merged into. None where there is none.
pub async fn live(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<ContactId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        r#"with recursive way as (
               select id, merged_into, deleted_at from contact where account = $1 and id = $2
               union all
               select c.id, c.merged_into, c.deleted_at from way w
               join contact c on c.account = $1 and c.id = w.merged_into)
           select id as "id!" from way where deleted_at is null"#,
        account.as_str(),
        contact.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(Into::into))
}

/// Returns the contacts that ids lead to, as [`live`] does.
pub async fn live_all(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ContactId)],
) -> Result<HashMap<(AccountSlug, ContactId), ContactId>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        r#"with recursive way as (
               select k.account, k.id as asked, c.id, c.merged_into, c.deleted_at
               from unnest($1::text[], $2::uuid[]) k(account, id)
               join contact c on c.account = k.account and c.id = k.id
               union all
               select w.account, w.asked, c.id, c.merged_into, c.deleted_at from way w
               join contact c on c.account = w.account and c.id = w.merged_into)
           select account as "account!", asked as "asked!", id as "id!" from way where deleted_at is null"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok(((slug(row.account)?, row.asked.into()), row.id.into())))
        .collect()
}

/// Returns a contact with its identities; by an id that was merged into another one, that one.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let found = there(connection, account, contact).await?;
    if found.is_some() {
        return Ok(found);
    }
    match live(connection, account, contact).await? {
        Some(id) => there(connection, account, id).await,
        None => Ok(None),
    }
}

async fn there(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let row = contacts!(
        "contact c where c.account = $1 and c.id = $2 and c.deleted_at is null",
        account.as_str(),
        contact.uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    one(connection, account, row).await
}

/// Returns a contact that was merged into another one, as it was, without identities.
pub async fn merged_away(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    contacts!(
        "contact c where c.account = $1 and c.id = $2 and c.merged_into is not null",
        account.as_str(),
        contact.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

async fn one(
    connection: &mut PgConnection,
    account: &AccountSlug,
    row: Option<Row>,
) -> Result<Option<Contact>, sqlx::Error> {
    let found = row.map(TryInto::try_into).transpose()?;
    let found = with_identities(connection, account, found.into_iter().collect());
    Ok(found.await?.pop())
}

/// Returns a contact, locked until the end of the transaction: the lock of every decision about it (D29). By an id that was
/// merged into another one, that one is locked.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Option<Contact>, sqlx::Error> {
    let mut wanted = Some(contact);
    // Whoever waited for a merge is led on; each round takes a merge that came between the two statements.
    while let Some(id) = wanted {
        let row = contacts!(
            "contact c where c.account = $1 and c.id = $2 and c.deleted_at is null for no key update of c",
            account.as_str(),
            id.uuid(),
        )
        .fetch_optional(&mut *connection)
        .await?;
        if row.is_some() {
            return one(connection, account, row).await;
        }
        wanted = live(connection, account, id).await?;
    }
    Ok(None)
}

/// Locks contacts in the order of their keys and returns those that are there, without identities. One that was merged into
/// another is not.
pub async fn lock_all(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ContactId)],
) -> Result<HashMap<(AccountSlug, ContactId), Contact>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = contacts!(
        "unnest($1::text[], $2::uuid[]) k(account, id)
         join contact c on c.account = k.account and c.id = k.id
         where c.deleted_at is null order by c.account, c.id for no key update of c",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|mut row| {
            let account = slug(std::mem::take(&mut row.account))?;
            let contact = Contact::try_from(row)?;
            Ok(((account, contact.id), contact))
        })
        .collect()
}

/// Returns contacts that are there, in the order of their ids here.
pub async fn in_order(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<Vec<Contact>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = contacts!(
        "unnest($2::uuid[]) with ordinality k(id, place)
         join contact c on c.account = $1 and c.id = k.id
         where c.deleted_at is null order by k.place",
        account.as_str(),
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = rows.into_iter().map(TryInto::try_into);
    let rows = rows.collect::<Result<_, _>>()?;
    with_identities(connection, account, rows).await
}

/// Returns the values that locked contacts keep, also of fields that are deleted.
pub async fn stored_fields_of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<ContactId, Stored>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "select id, fields from contact where account = $1 and id = any($2)",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let fields = serde_json::from_value(row.fields);
        let fields = fields.map_err(|error| unreadable("contact", row.id, error))?;
        Ok((row.id.into(), fields))
    });
    stored.collect()
}

/// Returns the values that a locked contact keeps, also of fields that are deleted.
pub async fn stored_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Stored, sqlx::Error> {
    let fields = sqlx::query_scalar!(
        "select fields from contact where account = $1 and id = $2",
        account.as_str(),
        contact.uuid(),
    )
    .fetch_one(connection)
    .await?;
    serde_json::from_value(fields).map_err(|error| unreadable("contact", contact, error))
}

/// The contacts of chats, locked.
#[derive(Debug, Default)]
pub struct OfChats {
    /// Whose each chat is; chats that are not known are left out.
    pub of_chat: HashMap<(AccountSlug, ChatId), ContactId>,
    /// The contacts, without identities.
    pub contacts: HashMap<(AccountSlug, ContactId), Contact>,
}

/// How often it is looked anew for the contacts of chats or identities that a merge takes elsewhere meanwhile.
pub const ROUNDS: usize = 5;

/// Locks the contacts of chats.
pub async fn lock_of_chats(
    connection: &mut PgConnection,
    chats: &[(AccountSlug, ChatId)],
) -> Result<OfChats, sqlx::Error> {
    for _ in 0..ROUNDS {
        let of_chat = of_chats(connection, chats).await?;
        let mut keys: Vec<_> = of_chat
            .iter()
            .map(|((account, _), contact)| (account.clone(), *contact))
            .collect();
        keys.sort();
        keys.dedup();
        let contacts = lock_all(connection, &keys).await?;
        if contacts.len() == keys.len() {
            return Ok(OfChats { of_chat, contacts });
        }
    }
    Err(merged_meanwhile())
}

/// Says that merges came in between again and again.
pub fn merged_meanwhile() -> sqlx::Error {
    sqlx::Error::Protocol("contacts were merged meanwhile".into())
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
    let keys: Vec<_> = contacts
        .iter()
        .map(|contact| (account.clone(), contact.id))
        .collect();
    let mut identities = identities_of(connection, &keys).await?;
    for contact in &mut contacts {
        let key = (account.clone(), contact.id);
        contact.identities = identities.remove(&key).unwrap_or_default();
    }
    Ok(contacts)
}
