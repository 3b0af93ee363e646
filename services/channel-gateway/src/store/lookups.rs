//! Table `lookup`: what providers are asked about items after these were accepted.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What is to be asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    /// The channel.
    pub channel_id: Uuid,
    /// About what, as stored.
    pub kind: String,
    /// The provider's id of it.
    pub key: String,
    /// Slug of the account.
    pub account: String,
}

/// What is known already.
#[derive(Debug, Clone)]
pub struct Had {
    /// The channel.
    pub channel_id: Uuid,
    /// About what, as stored.
    pub kind: String,
    /// The provider's id of it.
    pub key: String,
    /// What the provider said.
    pub answer: Value,
}

/// Keeps what is to be asked, each once; returns what of it is known. What was given up before `since` is asked anew.
pub async fn note(
    connection: &mut PgConnection,
    lookups: &[Lookup],
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Vec<Had>, sqlx::Error> {
    if lookups.is_empty() {
        return Ok(Vec::new());
    }
    let channels: Vec<Uuid> = lookups.iter().map(|it| it.channel_id).collect();
    let kinds: Vec<String> = lookups.iter().map(|it| it.kind.clone()).collect();
    let keys: Vec<String> = lookups.iter().map(|it| it.key.clone()).collect();
    let accounts: Vec<String> = lookups.iter().map(|it| it.account.clone()).collect();
    sqlx::query!(
        "insert into lookup as known (channel_id, kind, key, account, due_at, asked_at)
         select *, $5::timestamptz, $5::timestamptz
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as t (channel_id, kind, key, account)
         order by channel_id, kind, key
         on conflict (channel_id, kind, key) do update
         set due_at = excluded.due_at, asked_at = excluded.asked_at, tries = 0
         where known.answer is null and known.due_at is null and known.asked_at < $6",
        &channels,
        &kinds,
        &keys,
        &accounts,
        now,
        since,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_as!(
        Had,
        r#"select l.channel_id, l.kind, l.key, l.answer as "answer!"
           from unnest($1::uuid[], $2::text[], $3::text[]) as t (channel_id, kind, key)
           join lookup l on l.channel_id = t.channel_id and l.kind = t.kind and l.key = t.key
           where l.answer is not null"#,
        &channels,
        &kinds,
        &keys,
    )
    .fetch_all(connection)
    .await
}

/// Something that was claimed to be asked.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The channel.
    pub channel_id: Uuid,
    /// About what, as stored.
    pub kind: String,
    /// The provider's id of it.
    pub key: String,
    /// Slug of the account.
    pub account: String,
    /// The lease's number.
    pub fence: i64,
    /// This try, from 1.
    pub tries: i32,
}

/// Claims what is due, the oldest first. It is due again when the lease ends.
pub async fn claim(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    sqlx::query_as!(
        Claimed,
        "update lookup l set due_at = $2, fence = l.fence + 1, tries = l.tries + 1
         from (select channel_id, kind, key from lookup where due_at <= $1 order by due_at limit $3
               for update skip locked) as due
         where l.channel_id = due.channel_id and l.kind = due.kind and l.key = due.key
         returning l.channel_id, l.kind, l.key, l.account, l.fence, l.tries",
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Writes what came of it under the lease's number: what was said, if anything, and when to ask again, if ever. A try
/// that was none is not counted. Returns whether the number was still the current one.
pub async fn settle(
    connection: &mut PgConnection,
    claimed: &Claimed,
    answer: Option<&Value>,
    due_at: Option<OffsetDateTime>,
    counts: bool,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update lookup set answer = $5, due_at = $6, tries = case when $7 then tries else greatest(0, tries - 1) end
         where channel_id = $1 and kind = $2 and key = $3 and fence = $4 and due_at is not null",
        claimed.channel_id,
        claimed.kind,
        claimed.key,
        claimed.fence,
        answer,
        due_at,
        counts,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets what was asked before this, `limit` at most: people change their names.
pub async fn forget(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from lookup where (channel_id, kind, key) in (
             select channel_id, kind, key from lookup where asked_at < $1 order by asked_at limit $2)",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
