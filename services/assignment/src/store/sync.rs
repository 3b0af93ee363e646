//! What channels keep in step with CRM, and the responsibles of entities as CRM told them last.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use chassis::stamp::Stamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::policies::{ChannelKey, columns};
use super::unreadable;
use crate::domain::ChannelId;
use crate::domain::sync::{EntityKind, Linked, SyncPolicy};

/// A channel's policy as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncRow {
    /// What it keeps in step.
    pub policy: SyncPolicy,
    /// Raised with every change; 0 where it was never set.
    pub revision: i64,
    /// When it was last set.
    pub updated_at: Option<OffsetDateTime>,
}

fn kinds(words: &[String], column: &'static str) -> Result<BTreeSet<EntityKind>, sqlx::Error> {
    let read = words.iter().map(|word| EntityKind::try_from(word.as_str()));
    read.collect::<Result<_, _>>().map_err(unreadable(column))
}

fn policy(from_crm: &[String], to_crm: &[String]) -> Result<SyncPolicy, sqlx::Error> {
    Ok(SyncPolicy {
        from_crm: kinds(from_crm, "responsible_sync.from_crm")?,
        to_crm: kinds(to_crm, "responsible_sync.to_crm")?,
    })
}

fn words(kinds: &BTreeSet<EntityKind>) -> Vec<String> {
    kinds.iter().map(|kind| kind.as_str().to_owned()).collect()
}

/// Returns what these channels keep in step; those that keep nothing are left out.
pub async fn of_channels(
    connection: &mut PgConnection,
    channels: &BTreeSet<ChannelKey>,
) -> Result<BTreeMap<ChannelKey, SyncPolicy>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, ids) = columns(channels.iter());
    let rows = sqlx::query!(
        r#"select s.account as "account: AccountSlug", s.channel_id as "channel_id: ChannelId", s.from_crm, s.to_crm
           from unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
           join responsible_sync s on s.account = wanted.account and s.channel_id = wanted.channel_id"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let policy = policy(&row.from_crm, &row.to_crm)?;
        Ok(((row.account, row.channel_id), policy))
    });
    rows.collect()
}

/// Returns what a channel keeps in step, with its revision.
pub async fn get(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
) -> Result<SyncRow, sqlx::Error> {
    let row = sqlx::query!(
        "select from_crm, to_crm, revision, updated_at from responsible_sync
         where account = $1 and channel_id = $2",
        account.as_str(),
        channel.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(SyncRow::default());
    };
    Ok(SyncRow {
        policy: policy(&row.from_crm, &row.to_crm)?,
        revision: row.revision,
        updated_at: Some(row.updated_at),
    })
}

/// Sets what a channel keeps in step, whole. The account's row must be locked.
pub async fn set(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
    row: &SyncRow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into responsible_sync (account, channel_id, from_crm, to_crm, revision, updated_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (account, channel_id) do update
         set from_crm = excluded.from_crm, to_crm = excluded.to_crm, revision = excluded.revision,
             updated_at = excluded.updated_at",
        account.as_str(),
        channel.uuid(),
        &words(&row.policy.from_crm),
        &words(&row.policy.to_crm),
        row.revision,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks an account's switch and tells whether additional fields in a contact are allowed (F037); none for an unknown account.
pub async fn lock_contact_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        "select contact_fields from account where slug = $1 for no key update",
        account.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// Tells whether additional fields in a contact are allowed (F037); none for an unknown account.
pub async fn contact_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        "select contact_fields from account where slug = $1",
        account.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// Allows or forbids additional fields in a contact.
pub async fn set_contact_fields(
    connection: &mut PgConnection,
    account: &AccountSlug,
    on: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update account set contact_fields = $2 where slug = $1",
        account.as_str(),
        on,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns channels of an account that keep something in step, at most so many.
pub async fn channels_in_step(
    connection: &mut PgConnection,
    account: &AccountSlug,
    limit: i64,
) -> Result<Vec<ChannelId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select channel_id as "id: ChannelId" from responsible_sync
           where account = $1 and (from_crm <> '{}' or to_crm <> '{}') order by channel_id limit $2"#,
        account.as_str(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns which of these accounts have a channel that takes responsibles from CRM.
pub async fn taking(
    connection: &mut PgConnection,
    accounts: &BTreeSet<AccountSlug>,
) -> Result<BTreeSet<AccountSlug>, sqlx::Error> {
    let slugs: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let found = sqlx::query_scalar!(
        r#"select wanted.account as "account!: AccountSlug" from unnest($1::text[]) as wanted(account)
           where exists (select from responsible_sync s
                         where s.account = wanted.account and s.from_crm <> '{}')"#,
        &slugs,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Returns what changes have told of these entities, held until the end of the transaction: whoever tells of an entity and
/// whoever opens a chat with it follow one another. It comes before the locks of chats.
///
/// What an opening itself tells is not kept. An entity may have it from another chat, and that reaches no chat but by an opening
/// of its own (X05).
pub async fn hold_known(
    connection: &mut PgConnection,
    told: &BTreeMap<(AccountSlug, Uuid), EntityKind>,
    now: OffsetDateTime,
) -> Result<BTreeMap<(AccountSlug, Uuid), Linked>, sqlx::Error> {
    if told.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = told
        .keys()
        .map(|(account, _)| account.to_string())
        .collect();
    let entities: Vec<Uuid> = told.keys().map(|(_, entity)| *entity).collect();
    let rows = sqlx::query!(
        r#"insert into entity_responsible as known (account, entity_id, agent_id, stamp_time, stamp_event, kept_at)
           select t.account, t.entity_id, null, $4, $5, $3
           from unnest($1::text[], $2::uuid[]) as t(account, entity_id) order by t.account, t.entity_id
           on conflict (account, entity_id) do update set kept_at = excluded.kept_at
           returning account as "account: AccountSlug", entity_id, agent_id, stamp_time, stamp_event"#,
        &accounts,
        &entities,
        now,
        Stamp::ZERO.time,
        Stamp::ZERO.event,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let key = (row.account, row.entity_id);
        let known = Linked {
            kind: *told.get(&key)?,
            entity: row.entity_id,
            responsible: row.agent_id.map(Into::into),
            stamp: Stamp {
                time: row.stamp_time,
                event: row.stamp_event,
            },
        };
        Some((key, known))
    });
    Ok(rows.collect())
}

/// Keeps what changes tell of entities where it is newer than what is known, and returns what is known then of each.
///
/// It comes before the locks of chats: whoever tells of an entity and whoever opens a chat with it follow one another.
pub async fn keep_newest(
    connection: &mut PgConnection,
    told: &BTreeMap<(AccountSlug, Uuid), Linked>,
    now: OffsetDateTime,
) -> Result<BTreeMap<(AccountSlug, Uuid), Linked>, sqlx::Error> {
    if told.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts: Vec<String> = told
        .keys()
        .map(|(account, _)| account.to_string())
        .collect();
    let entities: Vec<Uuid> = told.keys().map(|(_, entity)| *entity).collect();
    let agents: Vec<Option<Uuid>> = told
        .values()
        .map(|linked| linked.responsible.map(chassis::id::AgentId::uuid))
        .collect();
    let times: Vec<OffsetDateTime> = told.values().map(|linked| linked.stamp.time).collect();
    let events: Vec<Uuid> = told.values().map(|linked| linked.stamp.event).collect();
    sqlx::query!(
        "insert into entity_responsible as known (account, entity_id, agent_id, stamp_time, stamp_event, kept_at)
         select t.*, $6 from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[])
             as t(account, entity_id, agent_id, stamp_time, stamp_event)
         order by t.account, t.entity_id
         on conflict (account, entity_id) do update
         set agent_id = case when (excluded.stamp_time, excluded.stamp_event) > (known.stamp_time, known.stamp_event)
                             then excluded.agent_id else known.agent_id end,
             stamp_time = case when (excluded.stamp_time, excluded.stamp_event) > (known.stamp_time, known.stamp_event)
                               then excluded.stamp_time else known.stamp_time end,
             stamp_event = case when (excluded.stamp_time, excluded.stamp_event) > (known.stamp_time, known.stamp_event)
                                then excluded.stamp_event else known.stamp_event end,
             kept_at = excluded.kept_at",
        &accounts,
        &entities,
        &agents as &[Option<Uuid>],
        &times,
        &events,
        now,
    )
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        r#"select e.account as "account: AccountSlug", e.entity_id, e.agent_id, e.stamp_time, e.stamp_event
           from unnest($1::text[], $2::uuid[]) as t(account, entity_id)
           join entity_responsible e on e.account = t.account and e.entity_id = t.entity_id"#,
        &accounts,
        &entities,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let key = (row.account, row.entity_id);
        let kind = told.get(&key)?.kind;
        let newest = Linked {
            kind,
            entity: row.entity_id,
            responsible: row.agent_id.map(Into::into),
            stamp: Stamp {
                time: row.stamp_time,
                event: row.stamp_event,
            },
        };
        Some((key, newest))
    });
    Ok(rows.collect())
}

/// Forgets what was told of entities long ago: openings that could still be decided with an older responsible are over.
pub async fn forget(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!(
        "delete from entity_responsible where ctid in (
             select ctid from entity_responsible where kept_at < $1 limit $2 for update skip locked)",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}
