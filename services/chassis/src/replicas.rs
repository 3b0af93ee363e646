//! The replicas of a service: each tells the others of itself by a row of their database, so that whichever is asked
//! tells of all.
//!
//! The database and not the broker, because a row outlives its writer: a replica that was killed is seen as silent
//! since when, which nobody could tell who only asked around. What was read last is kept in memory, and is told with
//! its age while the database is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::operator::v1::{ReadinessCheck, Replica};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock;
use crate::grpc::timestamp;
use crate::health::Readiness;
use crate::id;
use crate::lifecycle::Lifecycle;
use crate::problems;

/// How often a replica tells of itself.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// How long a replica that tells nothing any more is remembered.
const REMEMBERED: time::Duration = time::Duration::minutes(15);

/// Replicas told of at most, beside the one that tells.
const OTHERS: i64 = 50;

/// This process among the replicas of its service. Clones share what was heard of the others.
#[derive(Clone)]
pub struct Replicas {
    id: Uuid,
    host: Arc<str>,
    started: OffsetDateTime,
    ready: Readiness,
    heard: Arc<Mutex<Vec<Replica>>>,
}

impl Replicas {
    /// Makes this process's entry, under an id that no other process has.
    pub(crate) fn new(ready: Readiness) -> Self {
        let started = clock::now();
        Self {
            id: id::v7(started),
            host: host().into(),
            started,
            ready,
            heard: Arc::default(),
        }
    }

    /// Id of this process.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Tells of this process, as it is now.
    pub fn own(&self, now: OffsetDateTime) -> Replica {
        let check = |condition: crate::health::Condition| ReadinessCheck {
            name: condition.name.to_owned(),
            ok: condition.reason.is_none(),
            reason: condition.reason.unwrap_or_default(),
            since_time: Some(timestamp(condition.since)),
        };
        Replica {
            replica_id: self.id.to_string(),
            host: self.host.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: crate::run::COMMIT.to_owned(),
            start_time: Some(timestamp(self.started)),
            report_time: Some(timestamp(now)),
            ready: self.ready.is_ready(),
            checks: self.ready.conditions().into_iter().map(check).collect(),
            problems: problems::told(),
            ready_since_time: Some(timestamp(self.ready.since())),
        }
    }

    /// Returns what was heard of the others last, by their start.
    pub fn others(&self) -> Vec<Replica> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells the others of this process again and again, and hears of them, until the service stops.
    pub(crate) fn spawn(&self, lifecycle: &Lifecycle, pool: PgPool) {
        let (replicas, stop) = (self.clone(), lifecycle.stop_token());
        lifecycle.spawn("replicas", async move {
            loop {
                // That the database is away is told by its own probe.
                if let Err(error) = replicas.round(&pool, clock::now()).await {
                    tracing::debug!(%error, "nothing is told to the other replicas");
                }
                if tokio::time::timeout(TOLD_EVERY, stop.cancelled())
                    .await
                    .is_ok()
                {
                    return Ok(());
                }
            }
        });
    }

    /// Tells of this process, hears of the others, and forgets who was silent for long.
    pub async fn round(&self, pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let reports = sqlx::query_scalar!(
            r#"with told as (
                   insert into chassis.replica (replica_id, started_at, reported_at, report) values ($1, $2, $3, $4)
                   on conflict (replica_id) do update
                   set reported_at = excluded.reported_at, report = excluded.report
               ), forgotten as (
                   delete from chassis.replica where reported_at < $5 and replica_id <> $1
               )
               select report as "report!" from chassis.replica
               where replica_id <> $1 and reported_at >= $5
               order by started_at, replica_id limit $6"#,
            self.id,
            self.started,
            now,
            self.own(now).encode_to_vec(),
            now - REMEMBERED,
            OTHERS,
        )
        .fetch_all(pool)
        .await?;
        // A replica of a version that tells more is understood as far as this one goes.
        let others = reports
            .iter()
            .filter_map(|report| Replica::decode(report.as_slice()).ok());
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = others.collect();
        Ok(())
    }

    /// Takes this process out: it ends as it should.
    pub async fn leave(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query!("delete from chassis.replica where replica_id = $1", self.id)
            .execute(pool)
            .await
            .map(drop)
    }
}

/// Name of the machine, or of the pod.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = kernel.ok().map(|name| name.trim().to_owned());
    let name = name.filter(|name| !name.is_empty());
    name.or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    fn hosts(replicas: &Replicas) -> Vec<String> {
        replicas
            .others()
            .into_iter()
            .map(|replica| replica.replica_id)
            .collect()
    }

    #[tokio::test]
    async fn o201_each_replica_hears_of_the_others_until_they_leave_or_are_long_silent() {
        let database = testing::database(&crate::MIGRATOR).await;
        let pool = &database.pool;
        let now = clock::now();
        let (first, second) = (
            Replicas::new(Readiness::new()),
            Replicas::new(Readiness::new()),
        );
        first.round(pool, now).await.unwrap();
        assert!(hosts(&first).is_empty(), "itself is no other");
        second.round(pool, now).await.unwrap();
        first.round(pool, now).await.unwrap();
        assert_eq!(hosts(&first), [second.id.to_string()]);
        assert_eq!(hosts(&second), [first.id.to_string()]);

        // Killed: it is told of with the time of its last word, and forgotten in the end.
        let later = now + time::Duration::minutes(14);
        second.round(pool, later).await.unwrap();
        let silent = second.others();
        assert_eq!(silent[0].report_time, Some(timestamp(now)));
        second
            .round(pool, later + time::Duration::minutes(2))
            .await
            .unwrap();
        assert!(hosts(&second).is_empty());

        // Ended as it should be: it is gone at once.
        first.round(pool, later).await.unwrap();
        second.leave(pool).await.unwrap();
        first.round(pool, later).await.unwrap();
        assert!(hosts(&first).is_empty());
    }
}
