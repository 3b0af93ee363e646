//! The activity log: entries, and who owns what they are about.

mod list;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::activity::{Owner, Subject, Told, newest};

pub use list::{END, Filter, Found, Position, Row, list};

/// Rows deleted by one statement, so that no sweep holds locks for long.
const SWEPT_AT_ONCE: i64 = 5_000;

/// An entry to be kept.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Whose it is.
    pub account: String,
    /// Id of the event.
    pub event: Uuid,
    /// Its name, as `conversation.opened`.
    pub kind: String,
    /// It is a key action.
    pub key_action: bool,
    /// When it happened.
    pub time: OffsetDateTime,
    /// Who did it; empty where nobody did.
    pub actor: String,
    /// What it tells.
    pub told: Told,
}

/// Keeps entries, sorted by account and event; those that are kept already stay as they are.
pub async fn keep(connection: &mut PgConnection, entries: &[NewEntry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$entry:ident| $value:expr) => {
            entries.iter().map(|$entry| $value).collect::<Vec<_>>()
        };
    }
    let parameters: Vec<Value> = column!(|entry| {
        let pairs = entry.told.parameters.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        Value::Object(pairs.collect())
    });
    let subject = |of: fn(&Subject) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        column!(|entry| entry.told.subject.as_ref().and_then(of))
    };
    let kinds = column!(|entry| {
        let subject = entry.told.subject.as_ref();
        subject
            .map_or("", |subject| subject.kind.as_str())
            .to_owned()
    });
    // An event of CRM names the chat alone, one of a provider the provider's key; our own rows know the rest.
    sqlx::query!(
        "insert into activity (account, event_id, type, time, actor, key_action, chat_id, channel_id, conversation_id, number,
                               entity_kind, entity_id, owner_id, parameters)
         select new.account, new.event_id, new.type, new.time, new.actor, new.key_action,
             case when new.chat_key = '' then new.chat_id
                  else (select chat_id from chat
                        where channel_id = new.channel_id and chat_key = new.chat_key and account = new.account) end,
             coalesce(new.channel_id,
                 (select channel_id from chat where chat_id = new.chat_id and account = new.account)),
             new.conversation_id, new.number, new.entity_kind, new.entity_id, new.owner_id, new.parameters
         from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::boolean[], $7::uuid[], $8::text[],
                     $9::uuid[], $10::uuid[], $11::bigint[], $12::text[], $13::uuid[], $14::uuid[], $15::jsonb[])
             as new (account, event_id, type, time, actor, key_action, chat_id, chat_key, channel_id, conversation_id, number,
                     entity_kind, entity_id, owner_id, parameters)
         on conflict do nothing",
        &column!(|entry| entry.account.clone()),
        &column!(|entry| entry.event),
        &column!(|entry| entry.kind.clone()),
        &column!(|entry| entry.time),
        &column!(|entry| entry.actor.clone()),
        &column!(|entry| entry.key_action),
        &column!(|entry| entry.told.chat.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|entry| entry.told.chat_key.clone()),
        &column!(|entry| entry.told.channel.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|entry| entry.told.conversation.map(Uuid::from)) as &[Option<Uuid>],
        &column!(|entry| entry.told.number),
        &kinds,
        &subject(|subject| subject.id) as &[Option<Uuid>],
        &subject(|subject| subject.owner) as &[Option<Uuid>],
        &parameters,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps who owns the entities of which entries tell: of each entity the owner of the highest stamp.
pub async fn keep_owners(
    connection: &mut PgConnection,
    entries: &[NewEntry],
) -> Result<(), sqlx::Error> {
    let owners = entries.iter().flat_map(|entry| {
        let owners = entry.told.owners((entry.time, entry.event));
        owners.map(|owner| (entry.account.as_str(), owner))
    });
    put_owners(connection, owners).await
}

/// Keeps who owns entities of accounts: of each the owner of the highest stamp.
pub async fn put_owners<'a>(
    connection: &mut PgConnection,
    owners: impl IntoIterator<Item = (&'a str, Owner)>,
) -> Result<(), sqlx::Error> {
    let owners = newest(owners);
    if owners.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = owners
        .keys()
        .map(|(account, _)| (*account).to_owned())
        .collect();
    let entities: Vec<Uuid> = owners.values().map(|owner| owner.entity).collect();
    let responsibles: Vec<Option<Uuid>> = owners
        .values()
        .map(|owner| owner.responsible.map(Uuid::from))
        .collect();
    let (times, events): (Vec<OffsetDateTime>, Vec<Uuid>) =
        owners.values().map(Owner::since).unzip();
    sqlx::query!(
        "insert into activity_owner as known (account, entity_id, responsible, stamp_time, stamp_event)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[])
         on conflict (account, entity_id) do update
         set responsible = excluded.responsible, stamp_time = excluded.stamp_time, stamp_event = excluded.stamp_event
         where (known.stamp_time, known.stamp_event) < (excluded.stamp_time, excluded.stamp_event)",
        &accounts,
        &entities,
        &responsibles as &[Option<Uuid>],
        &times,
        &events,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets some of the entries of what happened before `before`; tells how many, and whether there may be more.
pub async fn sweep(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<(u64, bool), sqlx::Error> {
    let swept = sqlx::query!(
        "delete from activity where ctid = any(array(
             select ctid from activity
             where (time at time zone 'UTC')::date <= ($1::timestamptz at time zone 'UTC')::date and time < $1 limit $2))",
        before,
        SWEPT_AT_ONCE,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok((swept, swept >= SWEPT_AT_ONCE.cast_unsigned()))
}
