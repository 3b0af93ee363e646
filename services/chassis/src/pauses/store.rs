//! Table `chassis.pause`.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::decide::{Pause, PauseKind};

/// Pauses of one list at most.
const LISTED: i64 = 200;

/// Pauses that a replica keeps in memory at most.
const KNOWN: i64 = 1_000;

/// How long a pause that has ended is kept.
const KEPT: time::Duration = time::Duration::days(90);

struct Row {
    pause_id: Uuid,
    kind: String,
    subject_id: String,
    name: String,
    account: String,
    began_at: OffsetDateTime,
    ends_at: OffsetDateTime,
    actor: String,
    reason: String,
    ended_by: String,
}

impl Row {
    /// A kind of a later version is none that this one could hold.
    fn pause(self) -> Option<Pause> {
        let kind = PauseKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == self.kind)?;
        Some(Pause {
            id: self.pause_id,
            kind,
            subject: self.subject_id,
            name: self.name,
            account: self.account,
            began: self.began_at,
            ends: self.ends_at,
            actor: self.actor,
            reason: self.reason,
            ended_by: self.ended_by,
        })
    }
}

/// Returns the pauses that have not ended at a time, those first that last longest.
pub(super) async fn since(pool: &PgPool, time: OffsetDateTime) -> Result<Vec<Pause>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "select pause_id, kind, subject_id, name, account, began_at, ends_at, actor, reason, ended_by
         from chassis.pause where ends_at > $1 order by ends_at desc, pause_id limit $2",
        time,
        KNOWN,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(Row::pause).collect())
}

/// Returns the last pauses, the newest first: those that hold, or all that are kept.
pub(crate) async fn listed(
    pool: &PgPool,
    all: bool,
    now: OffsetDateTime,
) -> Result<Vec<Pause>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "select pause_id, kind, subject_id, name, account, began_at, ends_at, actor, reason, ended_by
         from chassis.pause where $1 or ends_at > $2 order by began_at desc, pause_id desc limit $3",
        all,
        now,
        LISTED,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(Row::pause).collect())
}

/// Ends what something is in now, if it is paused; returns that as it was.
pub(crate) async fn ended(
    connection: &mut PgConnection,
    (kind, subject): (PauseKind, &str),
    by: &str,
    now: OffsetDateTime,
) -> Result<Option<Pause>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"with held as (
             select * from chassis.pause where kind = $1 and subject_id = $2 and ends_at > $3 for update
         ), ended as (
             update chassis.pause p set ends_at = $3, ended_by = $4 from held where p.pause_id = held.pause_id
         )
         select pause_id as "pause_id!", kind as "kind!", subject_id as "subject_id!", name as "name!",
             account as "account!", began_at as "began_at!", ends_at as "ends_at!", actor as "actor!",
             reason as "reason!", ended_by as "ended_by!"
         from held"#,
        kind.as_str(),
        subject,
        now,
        by,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().find_map(Row::pause))
}

/// Begins a pause, and forgets those that ended long ago.
pub(crate) async fn set(
    connection: &mut PgConnection,
    pause: &Pause,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with forgotten as (delete from chassis.pause where ends_at < $1)
         insert into chassis.pause
             (pause_id, kind, subject_id, name, account, began_at, ends_at, actor, reason)
         values ($2, $3, $4, $5, $6, $7, $8, $9, $10)",
        now - KEPT,
        pause.id,
        pause.kind.as_str(),
        pause.subject,
        pause.name,
        pause.account,
        pause.began,
        pause.ends,
        pause.actor,
        pause.reason,
    )
    .execute(connection)
    .await
    .map(drop)
}
