//! What handling a batch of opened conversations reads and writes, each a set at a time.

use std::collections::{HashMap, HashSet};

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, stamp, unreadable};
use crate::domain::batch::{ChatCards, ContactCards};
use crate::domain::entity::{CardKind, Identity};
use crate::domain::ids::{CardId, ChannelId, ChatId, ClientId, ContactId};

/// An identity of an account with the contact that it makes if it is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// The account.
    pub account: AccountSlug,
    /// The identity.
    pub identity: Identity,
    /// The contact.
    pub contact: ContactId,
}

/// The unique key of an identity: account, scope, user id.
pub type IdentityKey = (AccountSlug, String, String);

/// Inserts identities, sorted; returns the keys of those that are new. Who inserts one makes the contact (X02).
pub async fn insert_identities(
    connection: &mut PgConnection,
    identities: &[NewIdentity],
) -> Result<HashSet<IdentityKey>, sqlx::Error> {
    let text = |field: fn(&Identity) -> &String| -> Vec<String> {
        identities
            .iter()
            .map(|new| field(&new.identity).clone())
            .collect()
    };
    let accounts: Vec<String> = identities
        .iter()
        .map(|new| new.account.to_string())
        .collect();
    let contacts: Vec<Uuid> = identities.iter().map(|new| new.contact.uuid()).collect();
    let rows = sqlx::query!(
        "insert into identity (account, scope, user_id, contact, name, username, phone, email, language)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::text[])
         on conflict do nothing returning account, scope, user_id",
        &accounts,
        &text(|identity| &identity.scope),
        &text(|identity| &identity.user_id),
        &contacts,
        &text(|identity| &identity.name),
        &text(|identity| &identity.username),
        &text(|identity| &identity.phone),
        &text(|identity| &identity.email),
        &text(|identity| &identity.language),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((slug(row.account)?, row.scope, row.user_id)))
        .collect()
}

/// Returns the contacts of identities.
pub async fn contacts_of(
    connection: &mut PgConnection,
    keys: &[IdentityKey],
) -> Result<HashMap<IdentityKey, ContactId>, sqlx::Error> {
    let accounts: Vec<String> = keys
        .iter()
        .map(|(account, _, _)| account.to_string())
        .collect();
    let scopes: Vec<String> = keys.iter().map(|(_, scope, _)| scope.clone()).collect();
    let users: Vec<String> = keys.iter().map(|(_, _, user)| user.clone()).collect();
    let rows = sqlx::query!(
        "select i.account, i.scope, i.user_id, i.contact
         from unnest($1::text[], $2::text[], $3::text[]) k(account, scope, user_id)
         join identity i on i.account = k.account and i.scope = k.scope and i.user_id = k.user_id",
        &accounts,
        &scopes,
        &users,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok((
                (slug(row.account)?, row.scope, row.user_id),
                row.contact.into(),
            ))
        })
        .collect()
}

/// A chat to be linked to its contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChat {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its client.
    pub client: ClientId,
    /// Its contact.
    pub contact: ContactId,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Kind of its messenger.
    pub messenger: String,
    /// The identity that writes there: its scope and user id.
    pub identity: (String, String),
}

/// Inserts chats, sorted; returns those that are new. The caller holds the contacts' locks.
pub async fn insert_chats(
    connection: &mut PgConnection,
    chats: &[NewChat],
) -> Result<HashSet<(AccountSlug, ChatId)>, sqlx::Error> {
    let accounts: Vec<String> = chats.iter().map(|new| new.account.to_string()).collect();
    let ids: Vec<Uuid> = chats.iter().map(|new| new.chat.uuid()).collect();
    let channels: Vec<Uuid> = chats.iter().map(|new| new.channel.uuid()).collect();
    let clients: Vec<Uuid> = chats.iter().map(|new| new.client.uuid()).collect();
    let contacts: Vec<Uuid> = chats.iter().map(|new| new.contact.uuid()).collect();
    let times: Vec<OffsetDateTime> = chats.iter().map(|new| new.created_at).collect();
    let messengers: Vec<String> = chats.iter().map(|new| new.messenger.clone()).collect();
    let (scopes, users): (Vec<String>, Vec<String>) =
        chats.iter().map(|new| new.identity.clone()).unzip();
    let rows = sqlx::query!(
        "insert into chat (account, id, channel, client, contact, created_at, messenger, scope, user_id)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::timestamptz[],
                              $7::text[], $8::text[], $9::text[])
         on conflict do nothing returning account, id",
        &accounts,
        &ids,
        &channels,
        &clients,
        &contacts,
        &times,
        &messengers,
        &scopes,
        &users,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((slug(row.account)?, row.id.into())))
        .collect()
}

/// What is known of one chat and its contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Cards of the chat.
    pub chat: ChatCards,
    /// Cards and orders of the contact; whether it is a buyer stands in the contact's own row.
    pub contact: ContactCards,
}

/// Gathers the facts about many chats in one query. The caller holds the contacts' locks: these facts count (D29).
pub async fn facts(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ChatId, ContactId)],
) -> Result<HashMap<(AccountSlug, ChatId), Known>, sqlx::Error> {
    let accounts: Vec<String> = keys
        .iter()
        .map(|(account, _, _)| account.to_string())
        .collect();
    let chats: Vec<Uuid> = keys.iter().map(|(_, chat, _)| chat.uuid()).collect();
    let contacts: Vec<Uuid> = keys.iter().map(|(_, _, contact)| contact.uuid()).collect();
    let rows = sqlx::query!(
        r#"select k.account as "account!", k.chat as "chat!",
               (select count(*) from chat_card l
                where l.account = k.account and l.chat = k.chat) as "ever_linked!",
               exists(select from chat_card l join card c on c.account = l.account and c.id = l.card
                      where l.account = k.account and l.chat = k.chat and c.deleted_at is null
                        and c.status_kind in ('new', 'in-progress')) as "chat_in_work!",
               (select count(*) from card c
                where c.account = k.account and c.contact = k.contact and c.deleted_at is null) as "cards!",
               exists(select from card c
                      where c.account = k.account and c.contact = k.contact and c.deleted_at is null
                        and c.status_kind in ('new', 'in-progress')) as "contact_in_work!",
               exists(select from buyer_order o
                      where o.account = k.account and o.contact = k.contact
                        and o.status in ('new', 'in-progress')) as "order_in_work!"
           from unnest($1::text[], $2::uuid[], $3::uuid[]) k(account, chat, contact)"#,
        &accounts,
        &chats,
        &contacts,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let chat = ChatCards {
                ever_linked: u32::try_from(row.ever_linked).unwrap_or(u32::MAX),
                in_work: row.chat_in_work,
            };
            let contact = ContactCards {
                cards: u32::try_from(row.cards).unwrap_or(u32::MAX),
                in_work: row.contact_in_work,
                order_in_work: row.order_in_work,
                buyer: false,
            };
            Ok((
                (slug(row.account)?, row.chat.into()),
                Known { chat, contact },
            ))
        })
        .collect()
}

/// A card as a linked entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedCard {
    /// The card.
    pub card: CardId,
    /// Lead or deal.
    pub kind: CardKind,
    /// Its responsible.
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
}

/// Returns the newest cards linked to chats, at most 100 each, newest first.
pub async fn linked_cards(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ChatId)],
) -> Result<HashMap<(AccountSlug, ChatId), Vec<LinkedCard>>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        r#"select k.account as "account!", k.chat as "chat!", c.id, c.kind, c.responsible, c.stamp_time, c.stamp_event
           from unnest($1::text[], $2::uuid[]) k(account, chat)
           cross join lateral (
               select c.* from chat_card l join card c on c.account = l.account and c.id = l.card
               where l.account = k.account and l.chat = k.chat and c.deleted_at is null
               order by c.created_at desc, c.id desc limit 100) c"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut linked: HashMap<_, Vec<LinkedCard>> = HashMap::new();
    for row in rows {
        let kind =
            CardKind::try_from(row.kind).map_err(|error| unreadable("card", row.id, error))?;
        linked
            .entry((slug(row.account)?, row.chat.into()))
            .or_default()
            .push(LinkedCard {
                card: row.id.into(),
                kind,
                responsible: row.responsible.map(Into::into),
                stamp: stamp(row.stamp_time, row.stamp_event),
            });
    }
    Ok(linked)
}
