//! Table `raw_item`.

use sqlx::PgConnection;
use time::OffsetDateTime;

/// Notes which raw items stand in the object store.
pub async fn note(
    connection: &mut PgConnection,
    keys: &[String],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into raw_item (object_key, heard_at)
         select distinct key, $2::timestamptz from unnest($1::text[]) as key order by key
         on conflict (object_key) do update set heard_at = excluded.heard_at",
        keys,
        now
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns raw items that were heard of last before a time.
pub async fn older(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select object_key from raw_item where heard_at < $1 order by heard_at limit $2",
        before,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Forgets raw items whose bytes are gone, unless they were heard of meanwhile.
pub async fn remove(
    connection: &mut PgConnection,
    keys: &[String],
    before: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from raw_item where object_key = any($1) and heard_at < $2",
        keys,
        before
    )
    .execute(connection)
    .await
    .map(drop)
}
