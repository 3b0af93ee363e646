//! Forgetting choices that are old, and looks that no choice refers to.

use sqlx::PgConnection;
use time::OffsetDateTime;

/// The advisory lock of the replica that purges: `sbchoice` in ASCII.
const LOCK: i64 = 0x7362_6368_6f69_6365;

/// Lets one replica purge until the transaction ends; tells whether it is this one.
pub async fn alone(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "locked!""#, LOCK)
        .fetch_one(connection)
        .await
}

/// Deletes some choices that were made before then, the oldest first; those of a conversation that is open stay. Returns
/// how many those were.
pub async fn choices(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "delete from assignment_choice where choice_id = any(array(
             select c.choice_id from assignment_choice c
             where c.time < $1
               and not exists (select from chat_assignment a where a.chat_id = c.chat_id
                               and a.conversation_id = c.conversation_id and a.open)
             order by c.time limit $2))",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// Deletes some looks that were last kept before then and that no choice refers to; returns how many those were. One
/// that a choice is just about to refer to is passed over.
pub async fn looks(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "delete from assignment_look where look_id = any(array(
             select l.look_id from assignment_look l
             where l.kept_at < $1 and not exists (select from assignment_choice c where c.look_id = l.look_id)
             order by l.kept_at limit $2 for update skip locked))",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
