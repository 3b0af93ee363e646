//! Tables `lane` and `channel_rate`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A lane that has something to do, locked by the claiming transaction.
#[derive(Debug, Clone)]
pub struct LaneRow {
    /// The chat.
    pub chat_id: Uuid,
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Number of the first command that is not known to be final.
    pub next_seq: i64,
    /// Since when a command is missing.
    pub gap_since: Option<OffsetDateTime>,
    /// The fencing number of the last lease.
    pub fence: i64,
    /// When the chat's bucket is full again.
    pub rate_full: OffsetDateTime,
}

/// Which lanes commands belong to, one entry per chat.
#[derive(Debug, Default)]
pub struct Touched {
    /// Chats, sorted.
    pub chats: Vec<Uuid>,
    /// Their accounts.
    pub accounts: Vec<String>,
    /// Their channels.
    pub channels: Vec<Uuid>,
    /// The provider's keys of the chats.
    pub keys: Vec<String>,
}

/// Waits for other transactions that entered these chats, and keeps them out until this one ends. It takes no row:
/// the lanes may not be there yet.
pub async fn enter(connection: &mut PgConnection, chats: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        r#"select pg_advisory_xact_lock(key)::text as "entered?"
           from (select distinct hashtextextended(chat::text, 0) as key from unnest($1::uuid[]) as t (chat)
                 order by key) as sorted"#,
        chats,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Makes lanes where there are none, and due. The rows stay locked until the transaction ends.
pub async fn touch(
    connection: &mut PgConnection,
    touched: &Touched,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into lane (chat_id, account, channel_id, chat_key, due_at)
         select chat_id, account, channel_id, chat_key, $5
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) as t (chat_id, account, channel_id, chat_key)
         order by chat_id
         on conflict (chat_id) do update
         set due_at = greatest(least(coalesce(lane.due_at, excluded.due_at), excluded.due_at), lane.paused_until)",
        &touched.chats,
        &touched.accounts,
        &touched.channels,
        &touched.keys,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks lanes in order and returns their fencing numbers.
pub async fn lock(
    connection: &mut PgConnection,
    chats: &[Uuid],
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select chat_id, fence from lane where chat_id = any($1) order by chat_id for update",
        chats
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat_id, row.fence))
        .collect())
}

/// Channels and accounts whose deliveries are paused.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Ids of channels.
    pub channels: Vec<Uuid>,
    /// Slugs of accounts.
    pub accounts: Vec<String>,
}

/// Locks due lanes that nobody holds, the longest due first. Those that another transaction has are passed over, and
/// those of channels that may not send now, or are paused: however many they are, the others are not held up.
///
/// A channel has a token while its bucket is full again before `token_until`.
pub async fn due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    token_until: OffsetDateTime,
    held: &Held,
    limit: i64,
) -> Result<Vec<LaneRow>, sqlx::Error> {
    sqlx::query_as!(
        LaneRow,
        "select chat_id, account, channel_id, chat_key, next_seq, gap_since, fence, rate_full
         from lane
         where due_at <= $1 and (lease_until is null or lease_until <= $1)
           and not exists (select 1 from channel_rate r
                           where r.channel_id = lane.channel_id and (r.paused_until > $1 or r.rate_full > $2))
           and channel_id <> all($4) and account <> all($5)
         order by due_at limit $3
         for update of lane skip locked",
        now,
        token_until,
        limit,
        &held.channels,
        &held.accounts,
    )
    .fetch_all(connection)
    .await
}

/// Returns when a lane becomes due, or a channel may send again, that may not yet.
pub async fn next_due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    token_until: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(
        "select least(
             (select due_at from lane where due_at > $1 order by due_at limit 1),
             (select min(free_at) from (select greatest(paused_until, rate_full - ($2::timestamptz - $1::timestamptz))
                                        from channel_rate) as r (free_at)
              where free_at > $1))",
        now,
        token_until,
    )
    .fetch_one(connection)
    .await
}

/// What the claiming transaction leaves in a lane.
#[derive(Debug, Clone)]
pub struct LaneUpdate {
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the first command that is not known to be final.
    pub next_seq: i64,
    /// When to look again.
    pub due_at: Option<OffsetDateTime>,
    /// Since when a command is missing.
    pub gap_since: Option<OffsetDateTime>,
    /// Until when it is claimed; none where it is not.
    pub lease_until: Option<OffsetDateTime>,
    /// The fencing number.
    pub fence: i64,
    /// When the chat's bucket is full again.
    pub rate_full: OffsetDateTime,
}

/// Writes what the claiming transaction decided.
pub async fn update(
    connection: &mut PgConnection,
    updates: &[LaneUpdate],
) -> Result<(), sqlx::Error> {
    let chats: Vec<Uuid> = updates.iter().map(|lane| lane.chat_id).collect();
    let next: Vec<i64> = updates.iter().map(|lane| lane.next_seq).collect();
    let due: Vec<Option<OffsetDateTime>> = updates.iter().map(|lane| lane.due_at).collect();
    let gaps: Vec<Option<OffsetDateTime>> = updates.iter().map(|lane| lane.gap_since).collect();
    let leases: Vec<Option<OffsetDateTime>> = updates.iter().map(|lane| lane.lease_until).collect();
    let fences: Vec<i64> = updates.iter().map(|lane| lane.fence).collect();
    let rates: Vec<OffsetDateTime> = updates.iter().map(|lane| lane.rate_full).collect();
    sqlx::query!(
        "update lane set next_seq = u.next_seq, due_at = u.due_at, gap_since = u.gap_since,
             lease_until = u.lease_until, fence = u.fence, rate_full = u.rate_full
         from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                     $7::timestamptz[])
             as u (chat_id, next_seq, due_at, gap_since, lease_until, fence, rate_full)
         where lane.chat_id = u.chat_id",
        &chats,
        &next,
        &due as &[Option<OffsetDateTime>],
        &gaps as &[Option<OffsetDateTime>],
        &leases as &[Option<OffsetDateTime>],
        &fences,
        &rates,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A lane that is given back after an attempt.
#[derive(Debug, Clone)]
pub struct Release {
    /// The chat.
    pub chat_id: Uuid,
    /// The fencing number under which it was held.
    pub fence: i64,
    /// Nothing may go before this.
    pub pause: Option<OffsetDateTime>,
    /// The chat's new key.
    pub chat_key: Option<String>,
}

/// Gives lanes back that are still held under that number. The lanes must be locked since an earlier statement:
/// only then are commands seen that were stored meanwhile.
pub async fn release(
    connection: &mut PgConnection,
    releases: &[Release],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let chats: Vec<Uuid> = releases.iter().map(|lane| lane.chat_id).collect();
    let fences: Vec<i64> = releases.iter().map(|lane| lane.fence).collect();
    let pauses: Vec<Option<OffsetDateTime>> = releases.iter().map(|lane| lane.pause).collect();
    let keys: Vec<Option<String>> = releases.iter().map(|lane| lane.chat_key.clone()).collect();
    sqlx::query!(
        "update lane set lease_until = null, chat_key = coalesce(r.chat_key, lane.chat_key),
             paused_until = greatest(paused_until, r.pause),
             due_at = case when exists (select 1 from command c where c.chat_id = lane.chat_id
                                        and c.out_seq >= lane.next_seq and not c.is_final)
                           then greatest($5::timestamptz, paused_until, r.pause) end
         from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[]) as r (chat_id, fence, pause, chat_key)
         where lane.chat_id = r.chat_id and lane.fence = r.fence",
        &chats,
        &fences,
        &pauses as &[Option<OffsetDateTime>],
        &keys as &[Option<String>],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A channel's bucket.
#[derive(Debug, Clone)]
pub struct ChannelRate {
    /// The channel.
    pub channel_id: Uuid,
    /// When it is full again.
    pub rate_full: OffsetDateTime,
    /// The provider asked the whole channel to wait.
    pub paused_until: OffsetDateTime,
}

/// Makes buckets where there are none, and locks them in order.
pub async fn rates(
    connection: &mut PgConnection,
    channels: &[Uuid],
) -> Result<Vec<ChannelRate>, sqlx::Error> {
    // The no-op update locks and returns what is there, in the order of the insert.
    sqlx::query_as!(
        ChannelRate,
        "insert into channel_rate as r (channel_id)
         select channel_id from unnest($1::uuid[]) as t (channel_id) order by channel_id
         on conflict (channel_id) do update set channel_id = excluded.channel_id
         returning r.channel_id, r.rate_full,
             r.paused_until",
        channels,
    )
    .fetch_all(connection)
    .await
}

/// Writes buckets back.
pub async fn set_rates(
    connection: &mut PgConnection,
    channels: &[Uuid],
    full: &[OffsetDateTime],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update channel_rate set rate_full = u.rate_full
         from unnest($1::uuid[], $2::timestamptz[]) as u (channel_id, rate_full)
         where channel_rate.channel_id = u.channel_id",
        channels,
        full,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes refusals for flooding. A channel that was refused shortly before is paused as a whole.
pub async fn flooded(
    connection: &mut PgConnection,
    channels: &[Uuid],
    until: &[OffsetDateTime],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into channel_rate as r (channel_id, flooded_at)
         select channel_id, $3 from unnest($1::uuid[]) as t (channel_id) order by channel_id
         on conflict (channel_id) do update
         set flooded_at = excluded.flooded_at,
             paused_until = case when r.flooded_at > $3::timestamptz - interval '30 seconds'
                                 then greatest(r.paused_until,
                                               (select u.until from unnest($1::uuid[], $2::timestamptz[])
                                                    as u (channel_id, until) where u.channel_id = r.channel_id))
                                 else r.paused_until end",
        channels,
        until,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Has whole channels wait, because their providers take nothing from them for now.
pub async fn pause(
    connection: &mut PgConnection,
    channels: &[Uuid],
    until: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into channel_rate as r (channel_id, paused_until)
         select channel_id, $2 from unnest($1::uuid[]) as t (channel_id) order by channel_id
         on conflict (channel_id) do update set paused_until = greatest(r.paused_until, excluded.paused_until)",
        channels,
        until,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Has a channel wait no longer.
pub async fn resume(connection: &mut PgConnection, channel: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update channel_rate set paused_until = 'epoch' where channel_id = $1 and paused_until > 'epoch'",
        channel,
    )
    .execute(connection)
    .await
    .map(drop)
}
