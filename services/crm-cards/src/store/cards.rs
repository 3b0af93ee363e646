//! Cards and their links to chats.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Before, account as slug, columns, stamp, unreadable};
use crate::domain::entity::{Card, CardKind};
use crate::domain::ids::{CardId, ChatId, ContactId, ConversationId, PipelineId};
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
}

impl TryFrom<Row> for Card {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let id = row.id;
        let bad = |error| unreadable("card", id, error);
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
        })
    }
}

/// A checked query for cards: what follows `from`, with the card as `c` and its status as `s`.
macro_rules! cards {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            "select c.account, c.id, c.kind, c.title, c.pipeline, c.status, s.name as status_name, c.status_kind,
                    c.source, c.source_detail, c.contact, c.chat, c.responsible, c.stamp_time, c.stamp_event,
                    c.created_at, c.updated_at from " + $from,
            $($argument),+
        )
    };
}

fn read(rows: Vec<Row>) -> Result<Vec<Card>, sqlx::Error> {
    rows.into_iter().map(TryInto::try_into).collect()
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
}

/// Inserts cards, sorted by their keys, and links those with a chat to it. The caller holds the contacts' locks.
pub async fn insert(connection: &mut PgConnection, cards: &[NewCard]) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = cards.iter().map(|new| new.account.to_string()).collect();
    let ids: Vec<Uuid> = cards.iter().map(|new| new.card.id.uuid()).collect();
    let kinds: Vec<String> = cards.iter().map(|new| new.card.kind.into()).collect();
    let titles: Vec<String> = cards.iter().map(|new| new.card.title.clone()).collect();
    let pipelines: Vec<Uuid> = cards.iter().map(|new| new.card.pipeline.uuid()).collect();
    let statuses: Vec<Uuid> = cards.iter().map(|new| new.card.status.id.uuid()).collect();
    let status_kinds: Vec<String> = cards
        .iter()
        .map(|new| new.card.status.kind.into())
        .collect();
    let sources: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.card.source.map(Into::into))
        .collect();
    let details: Vec<String> = cards
        .iter()
        .map(|new| new.card.source_detail.clone())
        .collect();
    let contacts: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.card.contact.map(Into::into))
        .collect();
    let chats: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.card.chat.map(Into::into))
        .collect();
    let conversations: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.conversation.map(Into::into))
        .collect();
    let responsibles: Vec<Option<Uuid>> = cards
        .iter()
        .map(|new| new.card.responsible.map(Into::into))
        .collect();
    let stamp_times: Vec<OffsetDateTime> = cards.iter().map(|new| new.card.stamp.time).collect();
    let stamp_events: Vec<Uuid> = cards.iter().map(|new| new.card.stamp.event).collect();
    let created: Vec<OffsetDateTime> = cards.iter().map(|new| new.card.created_at).collect();
    sqlx::query!(
        "insert into card (account, id, kind, title, pipeline, status, status_kind, source, source_detail, contact,
                           chat, conversation, responsible, stamp_time, stamp_event, created_at, updated_at)
         select k.*, k.created_at from unnest(
             $1::text[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::uuid[],
             $9::text[], $10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::timestamptz[], $15::uuid[],
             $16::timestamptz[])
           as k(account, id, kind, title, pipeline, status, status_kind, source, source_detail, contact,
                chat, conversation, responsible, stamp_time, stamp_event, created_at)",
        &accounts,
        &ids,
        &kinds,
        &titles,
        &pipelines,
        &statuses,
        &status_kinds,
        &sources as &[Option<Uuid>],
        &details,
        &contacts as &[Option<Uuid>],
        &chats as &[Option<Uuid>],
        &conversations as &[Option<Uuid>],
        &responsibles as &[Option<Uuid>],
        &stamp_times,
        &stamp_events,
        &created,
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

/// Sets a card's status. The caller holds the locks of its contact and of the card.
pub async fn set_status(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: CardId,
    status: &Status,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update card set status = $3, status_kind = $4, updated_at = $5 where account = $1 and id = $2",
        account.as_str(),
        card.uuid(),
        status.id.uuid(),
        status.kind.as_str(),
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
    sqlx::query!(
        "update card c set responsible = k.responsible, stamp_time = k.stamp_time, stamp_event = k.stamp_event,
                           updated_at = k.updated_at
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::timestamptz[])
           as k(account, id, responsible, stamp_time, stamp_event, updated_at)
         where c.account = k.account and c.id = k.id",
        &accounts,
        &ids,
        &responsibles as &[Option<Uuid>],
        &times,
        &events,
        &updated,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Turns the leads of a contact into deals and returns their ids (D05). The caller holds the contact's lock.
pub async fn make_deals(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
    now: OffsetDateTime,
) -> Result<Vec<(AccountSlug, CardId)>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "with l as (select id from card
                    where account = $1 and contact = $2 and kind = 'lead' and deleted_at is null
                    order by id for no key update)
         update card c set kind = 'deal', updated_at = $3
         from l where c.account = $1 and c.id = l.id returning c.id",
        account.as_str(),
        contact.uuid(),
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids
        .into_iter()
        .map(|id| (account.clone(), id.into()))
        .collect())
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

/// Which cards a list holds.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'f> {
    /// Kinds of status; all where empty.
    pub kinds: &'f [StatusKind],
    /// Only of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only linked to this chat (F030).
    pub chat: Option<ChatId>,
    /// Only of this responsible.
    pub own: Option<Uuid>,
}

/// Returns a page of cards, newest first.
///
/// Each kind of status is read by itself from an index that ends in the list's order, then merged: a rare kind
/// costs no more than a common one. A chat has few cards: there the link is the way.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: Filter<'_>,
    before: Before,
    limit: i64,
) -> Result<Vec<Card>, sqlx::Error> {
    let kinds = if filter.kinds.is_empty() {
        StatusKind::ALL
    } else {
        filter.kinds
    };
    // A kind that is named twice would bring its cards twice.
    let kinds: std::collections::BTreeSet<StatusKind> = kinds.iter().copied().collect();
    let kinds: Vec<String> = kinds.into_iter().map(Into::into).collect();
    let pipeline = filter.pipeline.map(Uuid::from);
    let rows = match (filter.chat, filter.own, pipeline) {
        (Some(chat), own, pipeline) => {
            cards!(
                "chat_card l join card c on c.account = l.account and c.id = l.card
                 join status s on s.account = c.account and s.id = c.status
                 where l.account = $1 and l.chat = $2 and c.deleted_at is null and c.status_kind = any($3)
                   and (c.created_at, c.id) < ($4, $5)
                   and ($7::uuid is null or c.pipeline = $7) and ($8::uuid is null or c.responsible = $8)
                 order by c.created_at desc, c.id desc limit $6",
                account.as_str(),
                chat.uuid(),
                &kinds,
                before.time,
                before.id,
                limit,
                pipeline,
                own,
            )
            .fetch_all(connection)
            .await?
        }
        (None, Some(own), pipeline) => {
            cards!(
                "unnest($2::text[]) k(kind) cross join lateral (
                     select * from card where account = $1 and responsible = $3 and status_kind = k.kind
                       and deleted_at is null and (created_at, id) < ($4, $5)
                       and ($7::uuid is null or pipeline = $7)
                     order by created_at desc, id desc limit $6) c
                 join status s on s.account = c.account and s.id = c.status
                 order by c.created_at desc, c.id desc limit $6",
                account.as_str(),
                &kinds,
                own,
                before.time,
                before.id,
                limit,
                pipeline,
            )
            .fetch_all(connection)
            .await?
        }
        (None, None, Some(pipeline)) => {
            cards!(
                "unnest($2::text[]) k(kind) cross join lateral (
                     select * from card where account = $1 and pipeline = $3 and status_kind = k.kind
                       and deleted_at is null and (created_at, id) < ($4, $5)
                     order by created_at desc, id desc limit $6) c
                 join status s on s.account = c.account and s.id = c.status
                 order by c.created_at desc, c.id desc limit $6",
                account.as_str(),
                &kinds,
                pipeline,
                before.time,
                before.id,
                limit,
            )
            .fetch_all(connection)
            .await?
        }
        (None, None, None) => {
            cards!(
                "unnest($2::text[]) k(kind) cross join lateral (
                     select * from card where account = $1 and status_kind = k.kind
                       and deleted_at is null and (created_at, id) < ($3, $4)
                     order by created_at desc, id desc limit $5) c
                 join status s on s.account = c.account and s.id = c.status
                 order by c.created_at desc, c.id desc limit $5",
                account.as_str(),
                &kinds,
                before.time,
                before.id,
                limit,
            )
            .fetch_all(connection)
            .await?
        }
    };
    read(rows)
}
