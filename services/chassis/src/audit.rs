//! Who changed which setting, from what to what (B11).
//!
//! A use case that changes a setting compares the setting as the contract writes it before and after, and writes the
//! entry in the transaction of the change: neither is there without the other, and a field that the contract gains is
//! told without anybody thinking of it. With the entry the event `setting.changed` is written, by which one service
//! collects the entries of all.

mod collect;
mod diff;
mod event;
mod list;
#[cfg(test)]
mod tests;
mod value;

use std::sync::OnceLock;
use std::time::Duration;

use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

pub use collect::Collector;
pub use diff::{FieldChange, HIDDEN, diff};
pub use event::change;
pub use list::Api;

use crate::actor::Actor;
use crate::clock;
use crate::id::{AccountSlug, v7};
use crate::lifecycle::Lifecycle;
use crate::outbox;

/// Rows deleted by one statement, so that no purge holds locks for long.
const PURGED_AT_ONCE: i64 = 5_000;

/// How often what is too old is purged.
const PURGED_EVERY: Duration = Duration::from_hours(1);

/// What a setting is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its kind, as contracts name it.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name, empty where this service does not know it.
    pub name: String,
}

impl Subject {
    /// Kind of a channel; agents see those that are granted to them.
    pub const CHANNEL: &'static str = "channel";

    /// Makes a subject.
    pub fn new(kind: &'static str, id: &(impl ToString + ?Sized), name: &str) -> Self {
        Self {
            kind,
            id: id.to_string(),
            name: name.to_owned(),
        }
    }

    /// Makes the subject of a channel whose name is another service's.
    pub fn channel(id: &(impl ToString + ?Sized)) -> Self {
        Self::new(Self::CHANNEL, id, "")
    }
}

/// A change of settings, to be written with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    account: AccountSlug,
    actor: Actor,
    action: &'static str,
    subject: Subject,
    changes: Vec<FieldChange>,
}

impl Entry {
    /// Makes an entry of what differs between a setting before and after; null is none.
    pub fn new(
        account: &AccountSlug,
        actor: Actor,
        action: &'static str,
        subject: Subject,
        (before, after): (&Value, &Value),
    ) -> Self {
        Self {
            account: account.clone(),
            actor,
            action,
            subject,
            changes: diff(before, after),
        }
    }
}

/// Returns a setting as its contract writes it, without the fields that are no setting: ids, what is counted, looked up or
/// evaluated. They are named by their paths, as `access.version`.
pub fn snapshot<M: Name>(message: &M, left_out: &[&str]) -> Result<Value, sqlx::Error> {
    let failed = |error: String| sqlx::Error::Encode(format!("{}: {error}", M::NAME).into());
    let described = contracts().and_then(|pool| pool.get_message_by_name(&M::full_name()));
    let described = described.ok_or_else(|| failed("is none of the contracts'".into()))?;
    let message = DynamicMessage::decode(described, message.encode_to_vec().as_slice())
        .map_err(|error| failed(error.to_string()))?;
    let options = SerializeOptions::new()
        .skip_default_fields(false)
        .use_proto_field_name(true);
    let mut value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| failed(error.to_string()))?;
    for path in left_out {
        leave_out(&mut value, path);
    }
    Ok(value)
}

fn leave_out(value: &mut Value, path: &str) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    match path.split_once('.') {
        None => drop(fields.remove(path)),
        Some((field, rest)) => {
            if let Some(inner) = fields.get_mut(field) {
                leave_out(inner, rest);
            }
        }
    }
}

/// The contracts, read once.
fn contracts() -> Option<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(switchboard_proto::DESCRIPTOR_SET).ok())
        .as_ref()
}

/// Lets changes of one setting happen one after the other until the transaction ends. Of two at once the second has to
/// tell the first's as what was before, and what is not there yet has no row to lock.
pub async fn alone(
    connection: &mut PgConnection,
    account: &AccountSlug,
    setting: &str,
    id: &(impl ToString + ?Sized),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))::text",
        key(account, setting, id),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// As [`alone`], for several settings of a kind at once: `ids` are in the order in which everybody takes them.
pub async fn alone_all(
    connection: &mut PgConnection,
    account: &AccountSlug,
    setting: &str,
    ids: &[impl ToString],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = ids.iter().map(|id| key(account, setting, id)).collect();
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended(key, 0))::text
         from (select key from unnest($1::text[]) with ordinality k(key, place) order by place offset 0) k",
        &keys,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

fn key(account: &AccountSlug, setting: &str, id: &(impl ToString + ?Sized)) -> String {
    format!("setting {account} {setting} {}", id.to_string())
}

/// Writes entries and their events in the transaction that changes the settings; one without a change is no entry.
///
/// The events are published without waking the relay: nobody waits for them.
pub async fn write(
    connection: &mut PgConnection,
    service: &str,
    entries: Vec<Entry>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let entries: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| !entry.changes.is_empty())
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    let column = |text: fn(&Entry) -> String| entries.iter().map(text).collect::<Vec<String>>();
    let ids: Vec<Uuid> = entries.iter().map(|_| v7(now)).collect();
    let changes: Vec<Value> = entries
        .iter()
        .map(|entry| serde_json::to_value(&entry.changes))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "insert into chassis.audit_entry
             (account, entry_id, time, actor, action, subject_kind, subject_id, subject_name, changes)
         select e.account, e.entry_id, $1, e.actor, e.action, e.subject_kind, e.subject_id, e.subject_name, e.changes
         from unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[])
              as e(account, entry_id, actor, action, subject_kind, subject_id, subject_name, changes)",
        now,
        &column(|entry| entry.account.to_string()),
        &ids,
        &column(|entry| entry.actor.to_string()),
        &column(|entry| entry.action.to_owned()),
        &column(|entry| entry.subject.kind.to_owned()),
        &column(|entry| entry.subject.id.clone()),
        &column(|entry| entry.subject.name.clone()),
        &changes,
    )
    .execute(&mut *connection)
    .await?;
    let events = ids
        .into_iter()
        .zip(entries)
        .map(|(id, entry)| event::announced(service, id, entry, now))
        .collect();
    outbox::write(connection, service, events, now).await
}

/// Forgets entries that are older than they are kept; returns how many those were.
pub async fn purge(pool: &PgPool, kept: Duration, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    // Kept for longer than there are years: nothing is that old.
    let oldest = time::Duration::try_from(kept)
        .ok()
        .and_then(|kept| now.checked_sub(kept));
    let Some(oldest) = oldest else {
        return Ok(0);
    };
    let mut purged = 0;
    loop {
        let some = sqlx::query!(
            "delete from chassis.audit_entry where ctid = any(array(
                 select ctid from chassis.audit_entry where time < $1 limit $2))",
            oldest,
            PURGED_AT_ONCE,
        )
        .execute(pool)
        .await?
        .rows_affected();
        purged += some;
        if some < PURGED_AT_ONCE.cast_unsigned() {
            return Ok(purged);
        }
    }
}

/// Runs [`purge`] every hour until the service stops.
pub fn spawn_purge(lifecycle: &Lifecycle, pool: PgPool, kept: Duration) {
    let stop = lifecycle.stop_token();
    lifecycle.spawn("audit purge", async move {
        while tokio::time::timeout(PURGED_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            match purge(&pool, kept, clock::now()).await {
                Ok(0) => {}
                Ok(purged) => tracing::info!(purged, "old changes of settings purged"),
                Err(error) => tracing::warn!(%error, "old changes of settings were not purged"),
            }
        }
        Ok(())
    });
}
