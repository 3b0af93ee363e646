//! What a recovery writes and asks (O3.10).

use std::collections::{BTreeSet, HashMap};

use chassis::id::{AccountSlug, AgentId};
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::openings::NewIdentity;
use crate::domain::entity::{CardKind, Identity, messenger};
use crate::domain::ids::{CardId, ChatId, CompanyId, ContactId, SourceId, StatusId};
use crate::domain::search::{self, Found};

/// A contact as an event tells it.
#[derive(Debug, Clone)]
pub struct ToldContact {
    /// The account.
    pub account: AccountSlug,
    /// The contact.
    pub id: ContactId,
    /// Its name.
    pub name: String,
    /// Saved as a buyer.
    pub buyer: bool,
    /// Its company.
    pub company: Option<CompanyId>,
    /// Phones.
    pub phones: Vec<String>,
    /// Addresses.
    pub emails: Vec<String>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Its revision.
    pub revision: i64,
    /// Identities that the event names.
    pub identities: Vec<Identity>,
    /// It was deleted.
    pub deleted: bool,
}

impl ToldContact {
    /// Its identities, to be inserted.
    pub fn own(&self) -> Vec<NewIdentity> {
        let of = |identity: &Identity| NewIdentity {
            account: self.account.clone(),
            identity: identity.clone(),
            contact: self.id,
        };
        self.identities.iter().map(of).collect()
    }

    fn words(&self) -> String {
        let named = |of: fn(&Identity) -> &str| {
            let names = self.identities.iter().map(of);
            names.filter(|name| !name.is_empty()).collect()
        };
        let found = Found {
            name: &self.name,
            phones: &self.phones,
            emails: &self.emails,
            nicks: named(|identity| &identity.username),
            messengers: named(|identity| messenger(&identity.scope)),
        };
        search::person(&self.account, &found)
    }
}

/// Writes contacts as they are told, where that is newer. Custom fields stay as they are.
pub async fn keep_contacts(
    connection: &mut PgConnection,
    contacts: &[ToldContact],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$one:ident| $value:expr) => {
            contacts.iter().map(|$one| $value).collect::<Vec<_>>()
        };
    }
    // Arrays of arrays must be of one length: these come as JSON.
    let list = |texts: &Vec<String>| serde_json::Value::from(texts.clone());
    sqlx::query!(
        "insert into contact as kept (account, id, name, buyer, company, phones, emails, responsible, stamp_time, stamp_event,
             created_at, revision, words, deleted_at)
         select k.account, k.id, k.name, k.buyer, c.id, array(select jsonb_array_elements_text(k.phones)),
             array(select jsonb_array_elements_text(k.emails)), k.responsible, k.stamp_time, k.stamp_event, k.created_at,
             k.revision, k.words::tsvector, case when k.deleted then k.created_at end
         from unnest($1::text[], $2::uuid[], $3::text[], $4::boolean[], $5::uuid[], $6::jsonb[], $7::jsonb[], $8::uuid[],
             $9::timestamptz[], $10::uuid[], $11::timestamptz[], $12::bigint[], $13::text[], $14::boolean[])
             as k(account, id, name, buyer, company, phones, emails, responsible, stamp_time, stamp_event, created_at, revision,
                 words, deleted)
         left join company c on c.account = k.account and c.id = k.company
         order by k.account, k.id
         on conflict (account, id) do update
         set name = excluded.name, buyer = excluded.buyer, company = excluded.company, phones = excluded.phones,
             emails = excluded.emails, responsible = excluded.responsible, stamp_time = excluded.stamp_time,
             stamp_event = excluded.stamp_event, revision = excluded.revision,
             words = case when excluded.name = kept.name and excluded.phones = kept.phones and excluded.emails = kept.emails
                          then kept.words else excluded.words end,
             deleted_at = coalesce(kept.deleted_at, excluded.deleted_at)
         where kept.revision <= excluded.revision",
        &column!(|one| one.account.to_string()),
        &column!(|one| one.id.uuid()),
        &column!(|one| one.name.clone()),
        &column!(|one| one.buyer),
        &column!(|one| one.company.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| list(&one.phones)),
        &column!(|one| list(&one.emails)),
        &column!(|one| one.responsible.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.stamp.time),
        &column!(|one| one.stamp.event),
        &column!(|one| one.created_at),
        &column!(|one| one.revision),
        &column!(|one| one.words()),
        &column!(|one| one.deleted),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A card as an event tells it.
#[derive(Debug, Clone)]
pub struct ToldCard {
    /// The account.
    pub account: AccountSlug,
    /// The card.
    pub id: CardId,
    /// Lead or deal.
    pub kind: CardKind,
    /// Title.
    pub title: String,
    /// Status.
    pub status: StatusId,
    /// Source.
    pub source: Option<SourceId>,
    /// Payload of the link.
    pub source_detail: String,
    /// Contact.
    pub contact: Option<ContactId>,
    /// The chat it was created from.
    pub chat: Option<ChatId>,
    /// The conversation whose opening made it.
    pub conversation: Option<Uuid>,
    /// The responsible.
    pub responsible: Option<AgentId>,
    /// Stamp of the responsible.
    pub stamp: Stamp,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed.
    pub updated_at: OffsetDateTime,
    /// Its revision.
    pub revision: i64,
    /// Currency and amount.
    pub amount: Option<(String, String)>,
    /// Who takes part.
    pub participants: Vec<AgentId>,
    /// Kind of messenger.
    pub messenger: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<OffsetDateTime>,
}

/// Writes cards as they are told, where that is newer, and links them to their chats. Custom fields stay as they are. A card in a
/// status that is not there, as its pipeline was made later, cannot be.
pub async fn keep_cards(
    connection: &mut PgConnection,
    cards: &[ToldCard],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$one:ident| $value:expr) => {
            cards.iter().map(|$one| $value).collect::<Vec<_>>()
        };
    }
    let names = names(connection, cards).await?;
    let words = |card: &ToldCard| {
        let contact = card
            .contact
            .and_then(|id| names.get(&(card.account.to_string(), id.uuid())));
        search::vector(
            &card.account,
            &card.title,
            contact.map_or("", String::as_str),
        )
    };
    // Arrays of arrays must be of one length: these come as JSON.
    let participants = |card: &ToldCard| {
        let agents = card.participants.iter().map(ToString::to_string);
        serde_json::Value::from(agents.collect::<Vec<_>>())
    };
    let written = sqlx::query!(
        "insert into card as kept (account, id, kind, title, pipeline, status, status_kind, source, source_detail, contact, chat,
             conversation, responsible, stamp_time, stamp_event, created_at, updated_at, revision, currency, amount, participants,
             messenger, words, deleted_at)
         select k.account, k.id, k.kind, k.title, s.pipeline, s.id, case when k.deleted_at is null then s.kind end, o.id,
             k.source_detail, c.id, k.chat, k.conversation, k.responsible, k.stamp_time, k.stamp_event, k.created_at,
             k.updated_at, k.revision, k.currency, k.amount::numeric,
             array(select agent::uuid from jsonb_array_elements_text(k.participants) as p(agent)), k.messenger,
             k.words::tsvector, k.deleted_at
         from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::uuid[], $9::uuid[],
             $10::uuid[], $11::uuid[], $12::timestamptz[], $13::uuid[], $14::timestamptz[], $15::timestamptz[], $16::bigint[],
             $17::text[], $18::text[], $19::jsonb[], $20::text[], $21::text[], $22::timestamptz[])
             as k(account, id, kind, title, status, source, source_detail, contact, chat, conversation, responsible, stamp_time,
                 stamp_event, created_at, updated_at, revision, currency, amount, participants, messenger, words, deleted_at)
         join status s on s.account = k.account and s.id = k.status
         left join source o on o.account = k.account and o.id = k.source
         left join contact c on c.account = k.account and c.id = k.contact
         order by k.account, k.id
         on conflict (account, id) do update
         set kind = excluded.kind, title = excluded.title, pipeline = excluded.pipeline, status = excluded.status,
             status_kind = excluded.status_kind, source = excluded.source, contact = excluded.contact,
             responsible = excluded.responsible, stamp_time = excluded.stamp_time, stamp_event = excluded.stamp_event,
             updated_at = excluded.updated_at, revision = excluded.revision, currency = excluded.currency,
             amount = excluded.amount, participants = excluded.participants, words = excluded.words,
             deleted_at = excluded.deleted_at
         where kept.revision <= excluded.revision",
        &column!(|one| one.account.to_string()),
        &column!(|one| one.id.uuid()),
        &column!(|one| String::from(one.kind)),
        &column!(|one| one.title.clone()),
        &column!(|one| one.status.uuid()),
        &column!(|one| one.source.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.source_detail.clone()),
        &column!(|one| one.contact.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.chat.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.conversation) as &[Option<Uuid>],
        &column!(|one| one.responsible.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.stamp.time),
        &column!(|one| one.stamp.event),
        &column!(|one| one.created_at),
        &column!(|one| one.updated_at),
        &column!(|one| one.revision),
        &column!(|one| one.amount.as_ref().map(|money| money.0.clone())) as &[Option<String>],
        &column!(|one| one.amount.as_ref().map(|money| money.1.clone())) as &[Option<String>],
        &column!(|one| participants(one)),
        &column!(|one| one.messenger.clone()) as &[Option<String>],
        &column!(|one| words(one)),
        &column!(|one| one.deleted_at) as &[Option<OffsetDateTime>],
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if usize::try_from(written).unwrap_or_default() < cards.len() {
        tracing::warn!(
            told = cards.len(),
            written,
            "cards are left out that are newer here, or whose status is not there"
        );
    }
    sqlx::query!(
        "insert into chat_card (account, chat, card, linked_at)
         select k.account, k.chat, k.card, k.at
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[]) as k(account, chat, card, at)
         join card c on c.account = k.account and c.id = k.card
         where k.chat is not null
         on conflict do nothing",
        &column!(|one| one.account.to_string()),
        &column!(|one| one.chat.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|one| one.id.uuid()),
        &column!(|one| one.created_at),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The names of the contacts of cards.
async fn names(
    connection: &mut PgConnection,
    cards: &[ToldCard],
) -> Result<HashMap<(String, Uuid), String>, sqlx::Error> {
    let keys = cards
        .iter()
        .filter_map(|card| Some((card.account.to_string(), card.contact?.uuid())));
    let (accounts, ids): (Vec<String>, Vec<Uuid>) = keys.unzip();
    let rows = sqlx::query!(
        "select c.account, c.id, c.name from contact c
         where (c.account, c.id) in (select * from unnest($1::text[], $2::uuid[]))",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.account, row.id), row.name))
        .collect())
}

/// Returns those of these cards that are not stored.
pub async fn missing_cards(
    connection: &mut PgConnection,
    told: &BTreeSet<(String, Uuid)>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let (accounts, ids): (Vec<String>, Vec<Uuid>) = told.iter().cloned().unzip();
    sqlx::query_scalar!(
        r#"select k.id as "id!" from unnest($1::text[], $2::uuid[]) as k(account, id)
           where not exists (select from card c where c.account = k.account and c.id = k.id)"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await
}

/// Returns those of these contacts that are not stored.
pub async fn missing_contacts(
    connection: &mut PgConnection,
    told: &BTreeSet<(String, Uuid)>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let (accounts, ids): (Vec<String>, Vec<Uuid>) = told.iter().cloned().unzip();
    sqlx::query_scalar!(
        r#"select k.id as "id!" from unnest($1::text[], $2::uuid[]) as k(account, id)
           where not exists (select from contact c where c.account = k.account and c.id = k.id)"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await
}
