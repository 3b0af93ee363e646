//! What the database spends its time on, and how it goes about it.
//!
//! From `pg_stat_statements` where that is installed; else what has been running for a second or longer just now. A plan is that
//! for any values: `PostgreSQL` 15 has no `explain (generic_plan)`, but plans a prepared statement so where it is told to, and
//! `explain execute` shows it without running anything. Values that stand in a statement or its plan are taken out.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use switchboard_proto::operator::v1::SlowStatement;
use tokio::time::{Duration, Instant};

/// Statements of a report at most.
const STATEMENTS: i32 = 15;

/// Characters of a statement and of a plan at most.
const TEXT: (usize, usize) = (4_000, 16_000);

/// Plans are made for so long; the rest goes without.
const PLANNED: Duration = Duration::from_secs(5);

/// What reads and writes rows: of anything else there are no plans, and it may name passwords.
const PLANNABLE: &str = r"^\s*(select|insert|update|delete|with|merge)\M";

/// What was found.
#[derive(Default)]
pub(super) struct Slow {
    pub statements: Vec<SlowStatement>,
    /// Where from.
    pub source: &'static str,
    /// What is missing, and how to get it.
    pub lacking: Option<String>,
}

/// A statement as it is known to the server.
struct Known {
    text: String,
    calls: i64,
    mean: f64,
    total: f64,
}

/// Reads the statements that took longest, and plans each.
pub(super) async fn slow(pool: &PgPool) -> Result<Slow, sqlx::Error> {
    // Its own connection: how it plans is nobody else's business.
    let mut connection = pool.acquire().await?.detach();
    connection
        .execute(
            "set default_transaction_read_only = on; set statement_timeout = '2s'; set lock_timeout = '1s'; \
             set plan_cache_mode = force_generic_plan",
        )
        .await?;
    let (known, source, lacking) = match collected(&mut connection).await? {
        Ok(known) => (known, "pg_stat_statements", None),
        Err(lacking) => (
            running(&mut connection).await?,
            "pg_stat_activity",
            Some(lacking),
        ),
    };
    let mut statements = Vec::with_capacity(known.len());
    let end = Instant::now() + PLANNED;
    for one in known {
        let planned = if Instant::now() < end {
            plan(&mut connection, &one.text)
                .await
                .map_err(|error| masked(&error.to_string()))
        } else {
            Err("there was no time left".to_owned())
        };
        let (plan, missing) = match planned {
            Ok(plan) => (cut(&masked(&plan), TEXT.1), String::new()),
            Err(missing) => (String::new(), missing),
        };
        statements.push(SlowStatement {
            statement: cut(&masked(&one.text), TEXT.0),
            calls: u64::try_from(one.calls).unwrap_or(0),
            mean_milliseconds: one.mean,
            total_milliseconds: one.total,
            plan,
            plan_missing: missing,
        });
    }
    connection.close().await?;
    Ok(Slow {
        statements,
        source,
        lacking,
    })
}

/// What the extension has collected of this user's in this database; else why it has nothing.
async fn collected(
    connection: &mut PgConnection,
) -> Result<Result<Vec<Known>, String>, sqlx::Error> {
    let schema: Option<String> = sqlx::query_scalar(
        "select quote_ident(nspname) from pg_extension join pg_namespace n on n.oid = extnamespace
         where extname = 'pg_stat_statements'",
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(schema) = schema else {
        return Ok(Err(
            "pg_stat_statements is not installed in this database: only what runs long just now is told. Have the server load \
             it (shared_preload_libraries), then `create extension pg_stat_statements`"
                .to_owned(),
        ));
    };
    let read = format!(
        "select query, calls, mean_exec_time, total_exec_time from {schema}.pg_stat_statements
         where dbid = (select oid from pg_database where datname = current_database())
           and userid = (select oid from pg_roles where rolname = current_user) and query ~* $1
         order by total_exec_time desc limit $2"
    );
    let rows = sqlx::query_as::<_, (String, i64, f64, f64)>(AssertSqlSafe(read))
        .bind(PLANNABLE)
        .bind(STATEMENTS)
        .fetch_all(connection)
        .await;
    Ok(rows
        .map(|rows| rows.into_iter().map(known).collect())
        .map_err(|error| format!("pg_stat_statements cannot be read: {error}")))
}

/// What has been running for a second or longer.
async fn running(connection: &mut PgConnection) -> Result<Vec<Known>, sqlx::Error> {
    let rows = sqlx::query_as::<_, (String, i64, f64, f64)>(
        "select query, 1::bigint, took, took
         from (select query, extract(epoch from clock_timestamp() - query_start)::float8 * 1000 as took
               from pg_stat_activity
               where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
                 and state = 'active' and query ~* $1) as running
         where took >= 1000 order by took desc limit $2",
    )
    .bind(PLANNABLE)
    .bind(STATEMENTS)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(known).collect())
}

fn known((text, calls, mean, total): (String, i64, f64, f64)) -> Known {
    Known {
        text,
        calls,
        mean,
        total,
    }
}

/// How the server would go about a statement, whatever its values. Nothing of it is run.
async fn plan(connection: &mut PgConnection, statement: &str) -> Result<String, sqlx::Error> {
    // One command: a second one within would be refused.
    run(connection, format!("prepare reported as {statement}")).await?;
    let explained = explained(connection).await;
    run(connection, "deallocate reported".to_owned()).await?;
    explained
}

async fn explained(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let values: i32 = sqlx::query_scalar(
        "select coalesce(array_length(parameter_types, 1), 0) from pg_prepared_statements where name = 'reported'",
    )
    .persistent(false)
    .fetch_one(&mut *connection)
    .await?;
    let nulls = vec!["null"; usize::try_from(values).unwrap_or(0)].join(", ");
    let values = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let explain = format!("explain execute reported{values}");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(lines.join("\n"))
}

async fn run(connection: &mut PgConnection, command: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(command))
        .persistent(false)
        .execute(connection)
        .await
        .map(drop)
}

/// Takes out the texts that stand in a statement or a plan.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '$']) {
        let (before, quoted) = rest.split_at(at);
        masked.push_str(before);
        let Some((shown, length)) = literal(quoted, before.ends_with(['e', 'E'])) else {
            // A dollar that begins no text, as in `$1`.
            masked.push('$');
            rest = quoted.get(1..).unwrap_or_default();
            continue;
        };
        masked.push_str(shown);
        rest = quoted.get(length..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

/// What stands for the text that begins here, and how long that is; nothing where none begins. One that is cut off goes to the end.
fn literal(text: &str, escapes: bool) -> Option<(&'static str, usize)> {
    if text.starts_with('\'') {
        let mut characters = text.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' if escapes => drop(characters.next()),
                '\'' if characters.next_if(|(_, next)| *next == '\'').is_some() => {}
                '\'' => return Some(("'…'", at + 1)),
                _ => {}
            }
        }
        return Some(("'…'", text.len()));
    }
    // `$$…$$`, `$tag$…$tag$`; a tag does not begin with a digit.
    let tag = text
        .get(1..)?
        .find('$')
        .and_then(|end| text.get(..end + 2))?;
    let name = tag.trim_matches('$');
    let named = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !named {
        return None;
    }
    let inner = text.get(tag.len()..)?;
    let length = inner
        .find(tag)
        .map_or(text.len(), |end| tag.len() + end + tag.len());
    Some(("$…$", length))
}

/// A text of so many characters at most.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    #[test]
    fn o3_8_no_text_that_stands_in_a_statement_is_told() {
        for (text, expected) in [
            (
                "select 1 from a where b = $1",
                "select 1 from a where b = $1",
            ),
            ("select $1, $2::text[]", "select $1, $2::text[]"),
            ("name = 'Olena'", "name = '…'"),
            ("name = 'O''Neil' and x", "name = '…' and x"),
            (r"name = E'it\'s' and x", "name = E'…' and x"),
            (r"name = 'a\' and x = 'b'", "name = '…' and x = '…'"),
            ("name = 'cut off", "name = '…'"),
            ("do $$ secret $$ x", "do $…$ x"),
            ("do $a$ it's $$ $a$ x", "do $…$ x"),
            ("do $a$ cut off", "do $…$"),
            ("(b = 'x'::text)", "(b = '…'::text)"),
            ("ім’я = 'Оленка' і", "ім’я = '…' і"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
        assert_eq!(cut("абв", 2), "аб…");
        assert_eq!(cut("абв", 3), "абв");
    }

    #[tokio::test]
    async fn o3_8_a_statement_is_planned_for_any_values_and_not_run() {
        let database = testing::database(&crate::MIGRATOR).await;
        let mut connection = database.pool.acquire().await.unwrap().detach();
        connection
            .execute(
                "set default_transaction_read_only = on; set plan_cache_mode = force_generic_plan",
            )
            .await
            .unwrap();
        for (statement, planned) in [
            (
                "select report from chassis.replica where replica_id = $1 and reported_at > $2",
                Some("(replica_id = $1)"),
            ),
            ("select 1", Some("Result")),
            (
                "delete from chassis.replica where replica_id = $1",
                Some("Delete on replica"),
            ),
            ("select 1; drop table chassis.replica", None),
            ("select from nowhere", None),
        ] {
            let found = plan(&mut connection, statement).await;
            match planned {
                Some(words) => {
                    let found = found.unwrap();
                    assert!(found.contains(words), "{statement}: {found}");
                }
                None => assert!(found.is_err(), "{statement}"),
            }
        }
        connection.close().await.unwrap();
        let slow = slow(&database.pool).await.unwrap();
        assert_eq!(slow.source, "pg_stat_activity");
        assert!(slow.lacking.unwrap().contains("create extension"));
    }
}
