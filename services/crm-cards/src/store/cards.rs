//! Cards and their links to chats.

use std::collections::{BTreeMap, HashMap};

use chassis::id::{AccountSlug, AgentId};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, stamp, unreadable};
use crate::domain::entity::{Card, CardKind};
use crate::domain::fields::{FieldValue, Stored};
use crate::domain::ids::{CardId, ChatId, ConversationId};
use crate::domain::money::{Currency, Money};
use crate::domain::search;
use crate::domain::status::{Status, StatusKind};

struct Row {
    account: String,
    id: Uuid,
    kind: String,
    title: String,
    pipeline: Uuid,
    status: Uuid,
    status_name: String,
    status_kind: String,
    source: Option<Uuid>,
    source_detail: String,
    contact: Option<Uuid>,
    chat: Option<Uuid>,
    responsible: Option<Uuid>,
    stamp_time: OffsetDateTime,
    stamp_event: Uuid,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    revision: i64,
    amount: Option<String>,
    currency: Option<String>,
    fields: Option<Value>,
    participants: Vec<Uuid>,
    messenger: Option<String>,
}

/// Reads an amount of money that was checked before it was written.
pub(super) fn money(currency: &str, amount: &str) -> Result<Money, String> {
    let wrong = || format!("{amount} {currency} is no amount");
    Ok(Money {
        currency: Currency::read(currency).ok_or_else(wrong)?,
        amount: amount.parse().map_err(|_| wrong())?,
    })
}

impl TryFrom<Row> for Card {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = row.id;
        let bad = |error| unreadable("card", id, error);
        let amount = row.currency.as_deref().zip(row.amount.as_deref());
        let amount = amount
            .map(|(currency, amount)| money(currency, amount))
            .transpose()
            .map_err(|error| unreadable("card", id, error))?;
        let fields: Option<BTreeMap<String, FieldValue>> = row
            .fields
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| unreadable("card", id, error))?;
        Ok(Self {
            id: id.into(),
            kind: CardKind::try_from(row.kind).map_err(bad)?,
            title: row.title,
            pipeline: row.pipeline.into(),
            status: Status {
                id: row.status.into(),
                name: row.status_name,
                kind: StatusKind::try_from(row.status_kind).map_err(bad)?,
            },
            source: row.source.map(Into::into),
            source_detail: row.source_detail,
            contact: row.contact.map(Into::into),
            chat: row.chat.map(Into::into),
            responsible: row.responsible.map(Into::into),
            stamp: stamp(row.stamp_time, row.stamp_event),
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
            amount,
            fields: fields.unwrap_or_default(),
            participants: row.participants.into_iter().map(Into::into).collect(),
            messenger: row.messenger,
        })
    }
}

/// A checked query for cards: what follows `from`, with the card as `c` and its status as `s`. Values of fields come by the
/// keys of those that are there; most cards have none, which costs nothing.
macro_rules! cards {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select c.account, c.id, c.kind, c.title, c.pipeline, c.status, s.name as status_name,
                      c.status_kind as "status_kind!", c.source, c.source_detail, c.contact, c.chat, c.responsible,
                      c.stamp_time, c.stamp_event, c.created_at, c.updated_at, c.revision,
                      c.amount::text as amount, c.currency, c.participants, c.messenger,
                      case when c.fields <> '{}' then
                          (select jsonb_object_agg(f.key, jsonb_build_object(f.kind, c.fields -> f.id::text))
                           from field_definition f
                           where f.account = c.account and f.entity = 'card' and f.deleted_at is null
                             and c.fields ? f.id::text) end as fields
               from "# + $from,
            $($argument),+
        )
    };
}

/// A card with what only the database needs to know.
#[derive(Debug, Clone)]
pub struct NewCard {
    /// The account.
    pub account: AccountSlug,
    /// The card.
    pub card: Card,
    /// The conversation whose opening made it.
    pub conversation: Option<ConversationId>,
    /// Values of custom fields, by the ids of their definitions.
    pub fields: Stored,
    /// Name of its contact, by which it is found.
    pub contact_name: String,
}

/// Inserts cards, sorted by their keys, and links those with a chat to it. The caller holds the contacts' locks.
pub async fn insert(connection: &mut PgConnection, cards: &[NewCard]) -> Result<(), sqlx::Error> {
    let text = |field: fn(&NewCard) -> String| -> Vec<String> { cards.iter().map(field).collect() };
    let id = |field: fn(&Card) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        cards.iter().map(|new| field(&new.card)).collect()
    };
    let accounts = text(|new| new.account.to_string());
    let ids: Vec<Uuid> = cards.iter().map(|new| new.card.id.uuid()).collect();
    let pipelines: Vec<Uuid> = cards.iter().map(|new| new.card.pipeline.uuid()).collect();
    let statuses: Vec<Uuid> = cards.iter().map(|new| new.card.status.id.uuid()).collect();
    let chats = id(|card| card.chat.map(Into::into));
    let conversations: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.conversation.map(Into::into))
        .collect();
    let amounts = cards.iter().map(|new| new.card.amount);
    let (currencies, amounts): (Vec<_>, Vec<_>) = amounts.map(parts).unzip();
    let messengers: Vec<Option<String>> =
        cards.iter().map(|new| new.card.messenger.clone()).collect();
    let stamp_times: Vec<OffsetDateTime> = cards.iter().map(|new| new.card.stamp.time).collect();
    let stamp_events: Vec<Uuid> = cards.iter().map(|new| new.card.stamp.event).collect();
    let created: Vec<OffsetDateTime> = cards.iter().map(|new| new.card.created_at).collect();
    let fields: Vec<Value> = cards
        .iter()
        .map(|new| Value::Object(new.fields.clone()))
        .collect();
    sqlx::query!(
        "insert into card (account, id, kind, title, pipeline, status, status_kind, source, source_detail, contact,
                           chat, conversation, responsible, stamp_time, stamp_event, created_at, updated_at,
                           currency, amount, messenger, fields, words)
         select k.account, k.id, k.kind, k.title, k.pipeline, k.status, k.status_kind, k.source, k.source_detail,
                k.contact, k.chat, k.conversation, k.responsible, k.stamp_time, k.stamp_event, k.created_at,
                k.created_at, k.currency, k.amount::numeric, k.messenger, k.fields, k.words::tsvector
         from unnest(
             $1::text[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::uuid[],
             $9::text[], $10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::timestamptz[], $15::uuid[],
             $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::jsonb[], $21::text[])
           as k(account, id, kind, title, pipeline, status, status_kind, source, source_detail, contact,
                chat, conversation, responsible, stamp_time, stamp_event, created_at, currency, amount, messenger,
                fields, words)",
        &accounts,
        &ids,
        &text(|new| new.card.kind.into()),
        &text(|new| new.card.title.clone()),
        &pipelines,
        &statuses,
        &text(|new| new.card.status.kind.into()),
        &id(|card| card.source.map(Into::into)) as &[Option<Uuid>],
        &text(|new| new.card.source_detail.clone()),
        &id(|card| card.contact.map(Into::into)) as &[Option<Uuid>],
        &chats as &[Option<Uuid>],
        &conversations as &[Option<Uuid>],
        &id(|card| card.responsible.map(Into::into)) as &[Option<Uuid>],
        &stamp_times,
        &stamp_events,
        &created,
        &currencies as &[Option<String>],
        &amounts as &[Option<String>],
        &messengers as &[Option<String>],
        &fields,
        &text(|new| search::vector(&new.account, &new.card.title, &new.contact_name)),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into chat_card (account, chat, card, linked_at)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[]) as k(account, chat, card, at)
         where k.chat is not null",
        &accounts,
        &chats as &[Option<Uuid>],
        &ids,
        &created,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Parts an amount for its columns.
pub(super) fn parts(money: Option<Money>) -> (Option<String>, Option<String>) {
    money
        .map(|money| (money.currency.to_string(), money.amount.to_string()))
        .unzip()
}

/// Returns a card that is not deleted.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: CardId,
) -> Result<Option<Card>, sqlx::Error> {
    cards!(
        "card c join status s on s.account = c.account and s.id = c.status
         where c.account = $1 and c.id = $2 and c.deleted_at is null",
        account.as_str(),
        card.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns cards that are not deleted, locked in the order of their keys.
///
/// Two statements: a lock that waited sees the row anew, but not the status that it was joined with, and a card that
/// was moved meanwhile would fall out of the join.
pub async fn lock(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, CardId)],
) -> Result<HashMap<(AccountSlug, CardId), Card>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    sqlx::query!(
        "select c.id from unnest($1::text[], $2::uuid[]) k(account, id)
         join card c on c.account = k.account and c.id = k.id
         order by c.account, c.id for no key update of c",
        &accounts,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = cards!(
        "unnest($1::text[], $2::uuid[]) k(account, id)
         join card c on c.account = k.account and c.id = k.id
         join status s on s.account = c.account and s.id = c.status
         where c.deleted_at is null",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|mut row| {
            let account = slug(std::mem::take(&mut row.account))?;
            let card = Card::try_from(row)?;
            Ok(((account, card.id), card))
        })
        .collect()
}

/// Returns cards that are not deleted, in the order of their ids here.
pub async fn in_order(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<Vec<Card>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = cards!(
        "unnest($2::uuid[]) with ordinality k(id, place)
         join card c on c.account = $1 and c.id = k.id
         join status s on s.account = c.account and s.id = c.status
         where c.deleted_at is null order by k.place",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Returns the values that locked cards keep, also of fields that are deleted.
pub async fn stored_fields_of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<CardId, Stored>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "select id, fields from card where account = $1 and id = any($2)",
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let fields = serde_json::from_value(row.fields);
        let fields = fields.map_err(|error| unreadable("card", row.id, error))?;
        Ok((row.id.into(), fields))
    });
    stored.collect()
}

/// Returns the values that a locked card keeps, also of fields that are deleted.
pub async fn stored_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: CardId,
) -> Result<Stored, sqlx::Error> {
    let fields = sqlx::query_scalar!(
        "select fields from card where account = $1 and id = $2",
        account.as_str(),
        card.uuid(),
    )
    .fetch_one(connection)
    .await?;
    serde_json::from_value(fields).map_err(|error| unreadable("card", card, error))
}

/// Tells whether an agent answers for a card that is linked to a chat, or has ever had this one.
pub async fn worked_with(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
    (agent, card): (AgentId, CardId),
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from card where account = $1 and id = $4)
               or exists(select from chat_card k join card c on c.account = k.account and c.id = k.card
                         where k.account = $1 and k.chat = $2 and c.responsible = $3 and c.deleted_at is null)
               as "worked!""#,
        account.as_str(),
        chat.uuid(),
        agent.uuid(),
        card.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Returns the chats that cards are linked to, sorted.
pub async fn chats_of(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, CardId)],
) -> Result<HashMap<(AccountSlug, CardId), Vec<ChatId>>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        "select l.account, l.card, l.chat from unnest($1::text[], $2::uuid[]) k(account, card)
         join chat_card l on l.account = k.account and l.card = k.card order by l.chat",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let mut chats: HashMap<_, Vec<ChatId>> = HashMap::new();
    for row in rows {
        chats
            .entry((slug(row.account)?, row.card.into()))
            .or_default()
            .push(row.chat.into());
    }
    Ok(chats)
}
