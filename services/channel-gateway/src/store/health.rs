//! Table `channel_health`.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A row of `channel_health`.
#[derive(Debug, Clone)]
pub struct HealthRow {
    /// The channel.
    pub channel_id: Uuid,
    /// The number under which it is looked at.
    pub fence: i64,
    /// When somebody looked last and was answered.
    pub checked_at: Option<OffsetDateTime>,
    /// Since when the provider could not be asked.
    pub failing_since: Option<OffsetDateTime>,
    /// Where the provider calls, as stored.
    pub webhook: String,
    /// When a lost webhook was set again last.
    pub mended_at: Option<OffsetDateTime>,
    /// Of which credentials the token is that the next columns speak of.
    pub credentials: i64,
    /// Since when it is here.
    pub token_since: Option<OffsetDateTime>,
    /// When it ends.
    pub token_expires_at: Option<OffsetDateTime>,
    /// When a renewal was tried last.
    pub token_tried_at: Option<OffsetDateTime>,
    /// The last day on which clients were heard.
    pub active_on: Option<Date>,
    /// Those before it, bit by bit.
    pub active_days: i64,
}

/// Takes enabled channels that are due and that nobody looks at, `limit` at most, until `lease_until`.
pub async fn claim(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<HealthRow>, sqlx::Error> {
    sqlx::query_as!(
        HealthRow,
        "with due as (
             select c.id, c.account from channel c left join channel_health h on h.channel_id = c.id
             where c.state = 'enabled' and (h.channel_id is null or (h.check_at <= $1 and h.lease_until <= $1))
             order by h.check_at nulls first limit $3)
         insert into channel_health as h (channel_id, account, check_at, lease_until, fence)
         select id, account, $1, $2, 1 from due order by id
         on conflict (channel_id) do update
         set lease_until = excluded.lease_until, fence = h.fence + 1
         where h.check_at <= $1 and h.lease_until <= $1
         returning channel_id, fence, checked_at, failing_since, webhook, mended_at, credentials, token_since,
             token_expires_at, token_tried_at, active_on, active_days",
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What a look at a channel leaves behind.
#[derive(Debug, Clone)]
pub struct Looked<'a> {
    /// The row as it is to be.
    pub row: &'a HealthRow,
    /// When it is looked at again; none: as it was.
    pub check_at: Option<OffsetDateTime>,
}

/// Writes what was found and gives the channel back; false where it is no longer held under that number. The row stays
/// locked until the transaction ends.
pub async fn write(
    connection: &mut PgConnection,
    looked: &Looked<'_>,
) -> Result<bool, sqlx::Error> {
    let row = looked.row;
    let written = sqlx::query!(
        "update channel_health
         set check_at = coalesce($3, check_at), lease_until = 'epoch', checked_at = $4, failing_since = $5, webhook = $6, mended_at = $7,
             credentials = $8, token_since = $9, token_expires_at = $10, token_tried_at = $11, active_on = $12,
             active_days = $13
         where channel_id = $1 and fence = $2",
        row.channel_id,
        row.fence,
        looked.check_at,
        row.checked_at,
        row.failing_since,
        row.webhook,
        row.mended_at,
        row.credentials,
        row.token_since,
        row.token_expires_at,
        row.token_tried_at,
        row.active_on,
        row.active_days,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Has a channel looked at anew and soon: whoever looks at it now writes nothing any more. Returns the number under which
/// nobody has looked yet.
pub async fn anew(
    connection: &mut PgConnection,
    channel: Uuid,
    account: &str,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into channel_health as h (channel_id, account, check_at) values ($1, $2, $3)
         on conflict (channel_id) do update
         set check_at = excluded.check_at, lease_until = 'epoch', fence = h.fence + 1, checked_at = null,
             failing_since = null, webhook = 'unknown', mended_at = null
         returning fence",
        channel,
        account,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Writes where the provider calls, as it was just told to, unless somebody has looked since that number: they know better.
pub async fn learnt(
    connection: &mut PgConnection,
    channel: Uuid,
    fence: i64,
    webhook: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update channel_health set webhook = $3, checked_at = $4 where channel_id = $1 and fence = $2",
        channel,
        fence,
        webhook,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes a channel to look at it out of turn: whoever looks at it now writes nothing any more, and whoever begins
/// meanwhile writes in our place.
pub async fn take(
    connection: &mut PgConnection,
    channel: Uuid,
    account: &str,
    now: OffsetDateTime,
) -> Result<HealthRow, sqlx::Error> {
    sqlx::query_as!(
        HealthRow,
        "insert into channel_health as h (channel_id, account, check_at) values ($1, $2, $3)
         on conflict (channel_id) do update set lease_until = 'epoch', fence = h.fence + 1
         returning channel_id, fence, checked_at, failing_since, webhook, mended_at, credentials, token_since,
             token_expires_at, token_tried_at, active_on, active_days",
        channel,
        account,
        now,
    )
    .fetch_one(connection)
    .await
}

/// Returns what is known of channels.
pub async fn of(
    connection: &mut PgConnection,
    channels: &[Uuid],
) -> Result<Vec<HealthRow>, sqlx::Error> {
    sqlx::query_as!(
        HealthRow,
        "select channel_id, fence, checked_at, failing_since, webhook, mended_at, credentials, token_since,
             token_expires_at, token_tried_at, active_on, active_days
         from channel_health where channel_id = any($1)",
        channels,
    )
    .fetch_all(connection)
    .await
}

/// Enabled channels of a kind.
#[derive(Debug, Clone)]
pub struct Enabled {
    /// The kind, as stored.
    pub kind: String,
    /// How many are enabled.
    pub enabled: f64,
    /// Of how many of them something needs an administrator.
    pub degraded: f64,
}

/// Counts enabled channels, kind by kind.
pub async fn enabled(connection: &mut PgConnection) -> Result<Vec<Enabled>, sqlx::Error> {
    sqlx::query_as!(
        Enabled,
        r#"select kind as "kind!", count(*)::float8 as "enabled!",
                  count(*) filter (where exists (select from channel_problem p where p.channel_id = c.id))::float8 as "degraded!"
           from channel c where state = 'enabled' group by kind"#
    )
    .fetch_all(connection)
    .await
}
