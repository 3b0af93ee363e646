//! Statistics of tables that have just begun to fill.
//!
//! Plans are kept, and those that were made while a table was empty may look through all of it for every row: which index is
//! meant, an empty table does not tell. The server's own analysis comes after a minute at the soonest; ours comes as soon as a table
//! has grown tenfold, which is half a dozen times in the life of a table, and has all plans over it made anew.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};

/// How often it is looked which tables have grown.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Tables that are analysed in one look, at most.
const AT_ONCE: i64 = 20;

/// Analyses the tables that have grown tenfold since their statistics were made; tells how many those were.
///
/// Whoever does not own a table leaves it to the server, which warns of it.
pub(super) async fn refresh(pool: &PgPool) -> Result<usize, sqlx::Error> {
    let grown: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', s.schemaname, s.relname)
         from pg_stat_user_tables s join pg_class c on c.oid = s.relid
         where s.n_live_tup >= 100 and s.n_live_tup >= 10 * greatest(c.reltuples, 10)
         order by s.n_live_tup desc limit $1",
    )
    .bind(AT_ONCE)
    .fetch_all(pool)
    .await?;
    if grown.is_empty() {
        return Ok(0);
    }
    let mut connection = pool.acquire().await?;
    for table in &grown {
        // The names come quoted from the catalogue.
        let analyse = AssertSqlSafe(format!("analyze (skip_locked) {table}"));
        sqlx::raw_sql(analyse).execute(&mut *connection).await?;
    }
    Ok(grown.len())
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    #[tokio::test]
    async fn a_table_is_analysed_whenever_it_has_grown_tenfold() {
        let database = testing::database(&crate::MIGRATOR).await;
        let mut connection = database.pool.acquire().await.unwrap();
        let mut rows = 0;
        let mut fill = async |to: i32| {
            let fill = "insert into grown select generate_series($1::int + 1, $2)";
            let fill = sqlx::query(fill).bind(rows).bind(to);
            fill.execute(&mut *connection).await.unwrap();
            rows = to;
            // The server counts with a delay, unless it is asked not to.
            let flush = sqlx::query("select pg_stat_force_next_flush()");
            flush.execute(&mut *connection).await.unwrap();
            refresh(&database.pool).await.unwrap()
        };
        sqlx::query("create table grown (id int primary key)")
            .execute(&database.pool)
            .await
            .unwrap();
        for (to, expected) in [(50, 0), (200, 1), (1_900, 0), (2_100, 1), (2_200, 0)] {
            assert_eq!(fill(to).await, expected, "{to} rows");
        }
    }
}
