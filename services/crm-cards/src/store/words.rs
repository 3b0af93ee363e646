//! What the statistics of the database say of words, by which `domain::walk` chooses the way to them.

use chassis::id::AccountSlug;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};

use crate::domain::walk::{self, Way};

/// Chooses the way to the entries of a table with words, `limit` of them at most. Nothing is read but statistics.
pub async fn way(
    connection: &mut PgConnection,
    table: &'static str,
    account: &AccountSlug,
    words: &str,
    limit: i64,
) -> Result<Way, sqlx::Error> {
    let all: f32 = sqlx::query_scalar("select reltuples from pg_class where oid = $1::regclass")
        .bind(table)
        .fetch_one(&mut *connection)
        .await?;
    let mut query = QueryBuilder::new("explain (format json) select from ");
    query.push(table);
    query.push(" where account = ");
    query.push_bind(account.to_string());
    query.push(" and words @@ ");
    query.push_bind(words.to_owned());
    query.push("::text::tsquery");
    let plan = query.build_query_scalar().persistent(false);
    let plan: Json<Value> = plan.fetch_one(connection).await?;
    let matching = plan.pointer("/0/Plan/Plan Rows").and_then(Value::as_f64);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(walk::way(matching.unwrap_or_default(), all.into(), limit))
}
