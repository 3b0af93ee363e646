//! Which statements the database spent its time on (`pg_stat_statements`).

use std::fmt;

use sqlx::{Connection, PgConnection};

/// Statements printed at most.
const MOST: i64 = 60;

/// One statement of one database during the run.
#[derive(sqlx::FromRow)]
pub struct Statement {
    pub database: String,
    /// Milliseconds in all, waits for locks and planning included.
    pub total: f64,
    /// Milliseconds of planning in it.
    pub planning: f64,
    pub calls: i64,
    pub rows: i64,
    pub query: String,
}

/// Begins to count.
pub async fn begin(databases: &[String]) -> anyhow::Result<()> {
    for url in databases {
        let mut database = PgConnection::connect(url).await?;
        for statement in [
            "create extension if not exists pg_stat_statements schema public",
            "alter system set pg_stat_statements.track_planning = on",
            "select pg_reload_conf()",
            "select public.pg_stat_statements_reset()",
        ] {
            sqlx::query(statement).execute(&mut database).await?;
        }
    }
    Ok(())
}

/// Returns what took most of the time since.
pub async fn taken(databases: &[String]) -> anyhow::Result<Vec<Statement>> {
    let Some(url) = databases.first() else {
        return Ok(Vec::new());
    };
    let mut database = PgConnection::connect(url).await?;
    let statements = sqlx::query_as(
        "select datname::text as database, total_exec_time + total_plan_time as total, total_plan_time as planning,
             calls, rows, regexp_replace(query, '\\s+', ' ', 'g') as query
         from public.pg_stat_statements join pg_database on pg_database.oid = dbid
         order by total_exec_time + total_plan_time desc limit $1",
    )
    .bind(MOST)
    .fetch_all(&mut database)
    .await?;
    Ok(statements)
}

/// Adds what was taken in one more round.
pub fn add(sum: &mut Vec<Statement>, round: Vec<Statement>) {
    for statement in round {
        let known = |known: &&mut Statement| {
            known.database == statement.database && known.query == statement.query
        };
        match sum.iter_mut().find(known) {
            Some(known) => {
                known.total += statement.total;
                known.planning += statement.planning;
                known.calls += statement.calls;
                known.rows += statement.rows;
            }
            None => sum.push(statement),
        }
    }
    sum.sort_by(|one, other| other.total.total_cmp(&one.total));
}

impl fmt::Display for Statement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = self.total / self.calls.max(1) as f64;
        let query: String = self.query.chars().take(110).collect();
        write!(
            out,
            "{:>8.0} {each:>7.2} {:>6} {:>7}  {}: {query}",
            self.total, self.calls, self.rows, self.database
        )
    }
}
