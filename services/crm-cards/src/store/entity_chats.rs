//! Chats of entities, and the identities that write there.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::external_line::{CHATS_MAX, Written};
use crate::domain::ids::{CardId, ChatId, CompanyId, ContactId};

/// Chats of an entity at most: those that began last.
pub const MOST: i64 = 5_000;

/// Which chats of an entity are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'w> {
    /// Only in these channels.
    pub channels: Option<&'w [Uuid]>,
    /// Only of this kind of messenger.
    pub messenger: Option<&'w str>,
}

/// Returns the chats that a card was created from and those of a contact, the newest first, each once.
pub async fn of_card(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (card, contact): (Option<CardId>, Option<ContactId>),
    wanted: Wanted<'_>,
) -> Result<Vec<ChatId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select h.id as "id!" from (
               select c.id, c.channel, c.messenger, c.created_at from chat c where c.account = $1 and c.contact = $2
               union
               select c.id, c.channel, c.messenger, c.created_at from chat_card l
               join chat c on c.account = l.account and c.id = l.chat
               where l.account = $1 and l.card = $3) h
           where ($4::uuid[] is null or h.channel = any($4)) and ($5::text is null or h.messenger = $5)
           order by h.created_at desc, h.id desc limit $6"#,
        account.as_str(),
        contact.map(Uuid::from),
        card.map(Uuid::from),
        wanted.channels,
        wanted.messenger,
        MOST,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Returns the chats of a company's contacts, the newest first.
pub async fn of_company(
    connection: &mut PgConnection,
    account: &AccountSlug,
    company: CompanyId,
    wanted: Wanted<'_>,
) -> Result<Vec<ChatId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "select c.id from contact p join chat c on c.account = p.account and c.contact = p.id
         where p.account = $1 and p.company = $2 and p.deleted_at is null
           and ($3::uuid[] is null or c.channel = any($3)) and ($4::text is null or c.messenger = $4)
         order by c.created_at desc, c.id desc limit $5",
        account.as_str(),
        company.uuid(),
        wanted.channels,
        wanted.messenger,
        MOST,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// What lines are looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Contacts, by their ids.
    Contacts,
    /// Companies, by their ids: by their newest contacts.
    Companies,
}

/// Returns of many contacts or companies the newest chats, each with the identity that writes there, the newest first.
pub async fn written(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (of, ids): (Of, &[Uuid]),
    channels: Option<&[Uuid]>,
) -> Result<HashMap<Uuid, Vec<Written>>, sqlx::Error> {
    let most = i64::try_from(CHATS_MAX).unwrap_or(i64::MAX);
    let rows = match of {
        Of::Contacts => of_contacts(connection, account, ids, channels, most).await?,
        Of::Companies => of_companies(connection, account, ids, channels, most).await?,
    };
    let mut written: HashMap<Uuid, Vec<Written>> = HashMap::new();
    for row in rows {
        written.entry(row.entity).or_default().push(Written {
            chat: row.chat.into(),
            messenger: row.messenger,
            scope: row.scope.unwrap_or_default(),
            user_id: row.user_id.unwrap_or_default(),
            name: row.name.unwrap_or_default(),
            username: row.username.unwrap_or_default(),
            phone: row.phone.unwrap_or_default(),
            email: row.email.unwrap_or_default(),
        });
    }
    Ok(written)
}

struct Row {
    entity: Uuid,
    chat: Uuid,
    messenger: String,
    scope: Option<String>,
    user_id: Option<String>,
    name: Option<String>,
    username: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

async fn of_contacts(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
    channels: Option<&[Uuid]>,
    most: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select k.id as "entity!", h.id as chat, h.messenger, i.scope as "scope?", i.user_id as "user_id?",
                  i.name as "name?", i.username as "username?", i.phone as "phone?", i.email as "email?"
           from unnest($2::uuid[]) k(id)
           cross join lateral (
               select c.id, c.messenger, c.scope, c.user_id, c.created_at from chat c
               where c.account = $1 and c.contact = k.id and ($3::uuid[] is null or c.channel = any($3))
               order by c.created_at desc, c.id desc limit $4) h
           left join identity i on i.account = $1 and i.scope = h.scope and i.user_id = h.user_id
           order by k.id, h.created_at desc, h.id desc"#,
        account.as_str(),
        ids,
        channels,
        most,
    )
    .fetch_all(connection)
    .await
}

async fn of_companies(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
    channels: Option<&[Uuid]>,
    most: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select k.id as "entity!", h.id as chat, h.messenger, i.scope as "scope?", i.user_id as "user_id?",
                  i.name as "name?", i.username as "username?", i.phone as "phone?", i.email as "email?"
           from unnest($2::uuid[]) k(id)
           cross join lateral (
               select c.id, c.messenger, c.scope, c.user_id, c.created_at
               from unnest(array[false, true]) b(buyer)
               cross join lateral (
                   select p.id from contact p
                   where p.account = $1 and p.company = k.id and p.buyer = b.buyer and p.deleted_at is null
                   order by p.created_at desc, p.id desc limit $4) p
               join chat c on c.account = $1 and c.contact = p.id
               where $3::uuid[] is null or c.channel = any($3)
               order by c.created_at desc, c.id desc limit $4) h
           left join identity i on i.account = $1 and i.scope = h.scope and i.user_id = h.user_id
           order by k.id, h.created_at desc, h.id desc"#,
        account.as_str(),
        ids,
        channels,
        most,
    )
    .fetch_all(connection)
    .await
}
