//! Table `upload_usage`: how many bytes the uploads of an account take.

use chassis::id::AccountSlug;
use sqlx::PgConnection;

/// Counts an upload in; returns what the account's uploads take with it. Its row is locked until the transaction ends:
/// who is beyond the limit rolls back, and others wait to know.
pub async fn add(
    connection: &mut PgConnection,
    account: &AccountSlug,
    size: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into upload_usage as u (account, bytes) values ($1, $2)
         on conflict (account) do update set bytes = u.bytes + excluded.bytes
         returning bytes",
        account.as_str(),
        size,
    )
    .fetch_one(connection)
    .await
}

/// What the uploads of all accounts take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Bytes of all.
    pub total: f64,
    /// Which part of the limit the account has used that has most; 0 where there is no limit.
    pub fullest: f64,
}

/// Returns what the uploads of all accounts take.
pub async fn of_all(connection: &mut PgConnection, limit: i64) -> Result<Usage, sqlx::Error> {
    sqlx::query_as!(
        Usage,
        r#"select coalesce(sum(bytes), 0)::float8 as "total!",
                  coalesce(max(bytes)::float8 / nullif($1::bigint, 0), 0) as "fullest!"
           from upload_usage"#,
        limit,
    )
    .fetch_one(connection)
    .await
}
