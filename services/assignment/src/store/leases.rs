//! Leases of open presence streams: renewed by the replica that holds the stream, so that they run out when it dies.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::availability::AgentKey;

/// Keeps a stream's lease until then, for an agent who may work.
pub async fn keep(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
    stream: Uuid,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "insert into presence_lease (stream_id, account, agent_id, expires_at)
         select $3, a.account, a.agent_id, $4 from agent a join account c on c.slug = a.account
         where a.account = $1 and a.agent_id = $2 and a.active and not c.suspended
         on conflict (stream_id) do update set expires_at = excluded.expires_at",
        account.as_str(),
        agent.uuid(),
        stream,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// Lets a stream's lease run out then.
pub async fn end(
    connection: &mut PgConnection,
    stream: Uuid,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update presence_lease set expires_at = $2 where stream_id = $1",
        stream,
        expires_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns how many leases an agent has.
pub async fn count(
    connection: &mut PgConnection,
    (account, agent): &AgentKey,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from presence_lease
           where account = $1 and agent_id = $2 and expires_at > $3"#,
        account.as_str(),
        agent.uuid(),
        now,
    )
    .fetch_one(connection)
    .await
}

/// Deletes leases that have run out.
pub async fn forget(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from presence_lease where stream_id in
             (select stream_id from presence_lease where expires_at <= $1 limit $2 for update skip locked)",
        now,
        limit,
    )
    .execute(connection)
    .await
    .map(drop)
}
