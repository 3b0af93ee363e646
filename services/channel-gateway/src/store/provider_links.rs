//! Table `provider_link`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Returns the code of a file's link that is good until a time at least.
pub async fn lasting(
    connection: &mut PgConnection,
    attachment: Uuid,
    until: OffsetDateTime,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select code from provider_link where attachment_id = $1 and expires_at >= $2 order by expires_at desc limit 1",
        attachment,
        until
    )
    .fetch_optional(connection)
    .await
}

/// Keeps a link.
pub async fn insert(
    connection: &mut PgConnection,
    code: &str,
    attachment: Uuid,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into provider_link (code, attachment_id, created_at, expires_at) values ($1, $2, $3, $4)",
        code,
        attachment,
        now,
        expires_at
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the file behind a link that has not expired.
pub async fn attachment_of(
    connection: &mut PgConnection,
    code: &str,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select attachment_id from provider_link where code = $1 and expires_at > $2",
        code,
        now
    )
    .fetch_optional(connection)
    .await
}

/// Removes links that have expired; returns how many.
pub async fn remove_expired(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from provider_link where code in
             (select code from provider_link where expires_at <= $1 order by expires_at limit $2 for update skip locked)",
        now,
        limit
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
