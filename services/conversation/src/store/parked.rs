//! What overtook its message. One row for each key and kind: the newest.

use std::collections::BTreeSet;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::message::Key;
use crate::domain::ChannelId;

/// A parked item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Channel.
    pub channel: ChannelId,
    /// The provider's key of the message it waits for.
    pub provider_key: String,
    /// `edit`, `deletion` or `reaction`.
    pub kind: String,
    /// Whose it is.
    pub account: AccountSlug,
    /// When it happened, by the provider's clock.
    pub provider_time: OffsetDateTime,
    /// The provider's key of the event.
    pub event_key: String,
    /// Encoded inbound event, without its raw item.
    pub item: Vec<u8>,
    /// Id of the inbound item.
    pub item_id: Uuid,
    /// Its trace.
    pub traceparent: String,
}

/// Parks items, sorted and one for each key and kind; an older one never replaces a newer.
pub async fn park(
    connection: &mut PgConnection,
    items: &[Parked],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$item:ident| $value:expr) => {
            items.iter().map(|$item| $value).collect::<Vec<_>>()
        };
    }
    if items.is_empty() {
        return Ok(());
    }
    // As `Moment` orders: time, then the longer key, then the greater.
    sqlx::query!(
        "insert into parked as known (channel_id, provider_key, kind, account, provider_time, event_key, item,
             item_id, traceparent, parked_at)
         select *, $10 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
             $7::bytea[], $8::uuid[], $9::text[])
         on conflict (channel_id, provider_key, kind) do update
         set provider_time = excluded.provider_time, event_key = excluded.event_key, item = excluded.item,
             item_id = excluded.item_id, traceparent = excluded.traceparent
         where (known.provider_time, length(known.event_key), known.event_key)
             < (excluded.provider_time, length(excluded.event_key), excluded.event_key)",
        &column!(|item| item.channel) as &[ChannelId],
        &column!(|item| item.provider_key.clone()),
        &column!(|item| item.kind.clone()),
        &column!(|item| item.account.to_string()),
        &column!(|item| item.provider_time),
        &column!(|item| item.event_key.clone()),
        &column!(|item| item.item.clone()),
        &column!(|item| item.item_id),
        &column!(|item| item.traceparent.clone()),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes out what waits for these keys. Their parking locks are held.
pub async fn take(
    connection: &mut PgConnection,
    keys: &BTreeSet<Key>,
) -> Result<Vec<Parked>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (channels, keys): (Vec<ChannelId>, Vec<String>) = keys.iter().cloned().unzip();
    sqlx::query_as!(
        Parked,
        r#"delete from parked using unnest($1::uuid[], $2::text[]) as wanted (channel_id, provider_key)
           where parked.channel_id = wanted.channel_id and parked.provider_key = wanted.provider_key
           returning parked.channel_id as "channel: ChannelId", parked.provider_key, kind,
               account as "account: AccountSlug", provider_time, event_key, item, item_id, traceparent"#,
        &channels as &[ChannelId],
        &keys,
    )
    .fetch_all(connection)
    .await
}

/// Returns edits that were parked before `before`, by key, after a key.
pub async fn edits_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    after: Option<&Key>,
    limit: i64,
) -> Result<Vec<Parked>, sqlx::Error> {
    let (channel, key) = after.map_or((Uuid::nil(), ""), |(channel, key)| (channel.uuid(), key));
    sqlx::query_as!(
        Parked,
        r#"select channel_id as "channel: ChannelId", provider_key, kind, account as "account: AccountSlug",
               provider_time, event_key, item, item_id, traceparent
           from parked
           where parked_at < $1 and kind = 'edit' and (channel_id, provider_key) > ($2, $3)
           order by channel_id, provider_key limit $4"#,
        before,
        channel,
        key,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Drops a parked item, unless a newer one has taken its place.
pub async fn drop_one(connection: &mut PgConnection, parked: &Parked) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from parked
         where channel_id = $1 and provider_key = $2 and kind = $3 and item_id = $4",
        parked.channel as ChannelId,
        parked.provider_key,
        parked.kind,
        parked.item_id,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Drops reactions that were parked before `before`; returns how many.
pub async fn drop_reactions(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let dropped = sqlx::query!(
        "delete from parked where parked_at < $1 and kind = 'reaction'",
        before
    )
    .execute(connection)
    .await?;
    Ok(dropped.rows_affected())
}

/// Counts what waits; deletions stay as tombstones and do not count.
pub async fn waiting(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from parked where kind <> 'deletion'"#)
        .fetch_one(connection)
        .await
}
