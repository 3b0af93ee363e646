//! The relay: publishes what stands in the outbox, in order, and deletes exactly what the broker acknowledged.
//!
//! One relay is active per service and database, by an advisory lock held for one round. A round reads the oldest
//! rows, publishes them, and deletes them in the same transaction. How it publishes is one function
//! (`publish::publish_all`): singly, each event awaited; or in atomic batches (ADR-50).

mod depth;
mod publish;

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{self, RelayMode};
use crate::figures;
use crate::lifecycle::Lifecycle;
use crate::nats::{self, Nats, PublishError, Streams};
use crate::outbox::{StoredEvent, StoredEvents};

/// The advisory lock of the active relay in a service's database: `sboutbox` in ASCII.
const LOCK: i64 = 0x7362_6f75_7462_6f78;

/// How long the relay sleeps when nobody wakes it: what another replica committed and could not publish itself.
const POLL: Duration = Duration::from_secs(1);

/// How long it waits for another replica's round to end, while its own events stand in the outbox.
const LOCKED: Duration = Duration::from_millis(20);

/// No batch begins later than this after the round did. What was acknowledged by then is deleted, however slow the broker is:
/// the transaction of the round ends long before the database ends it (`idle_in_transaction_session_timeout`).
const ROUND: Duration = Duration::from_secs(8);

/// Rows of one round at most.
const ROWS: i64 = 1_000;

/// Tells the relay of this process that events were committed. Clones wake the same relay.
#[derive(Debug, Clone, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Makes a waker; give it to the relay.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the relay: cheap, and only a hint. Call it after the commit.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Publishes the outbox of one database.
pub struct Relay {
    pool: PgPool,
    nats: Nats,
    streams: Streams,
    config: config::Relay,
    waker: Waker,
}

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Another replica's relay is active.
    Locked,
    /// It published so many events, which is all there was or as many as one round takes.
    Published {
        /// How many events were acknowledged and deleted.
        events: usize,
        /// Whether more may be waiting.
        full: bool,
    },
}

/// Why a round ended early. What was acknowledged before is deleted.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database is away or refused.
    #[error("outbox: {0}")]
    Database(#[from] sqlx::Error),
    /// The broker did not acknowledge.
    #[error("outbox: {0}")]
    Publish(#[from] PublishError),
    /// A row cannot be read; it stays, and nothing overtakes it.
    #[error("outbox: row {id} cannot be read: {error}")]
    Unreadable {
        /// The row.
        id: i64,
        /// What is wrong with it.
        error: String,
    },
}

impl Relay {
    /// Makes a relay; [`Relay::run`] works it.
    pub fn new(
        pool: PgPool,
        nats: Nats,
        streams: Streams,
        config: config::Relay,
        waker: Waker,
    ) -> Self {
        Self {
            pool,
            nats,
            streams,
            config,
            waker,
        }
    }

    /// Runs the relay as a task of the service and returns its waker.
    pub fn spawn(
        lifecycle: &Lifecycle,
        pool: PgPool,
        nats: Nats,
        streams: Streams,
        config: config::Relay,
    ) -> Waker {
        let waker = Waker::new();
        let (looked_at, stop) = (pool.clone(), lifecycle.stop_token());
        lifecycle.spawn("depth of the outbox", async move {
            depth::watch(looked_at, stop).await;
            Ok(())
        });
        let relay = Self::new(pool, nats, streams, config, waker.clone());
        let stop = lifecycle.stop_token();
        lifecycle.spawn("relay", async move {
            relay.run(&stop).await;
            Ok(())
        });
        waker
    }

    /// Publishes until the service stops, then once more what was committed meanwhile.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut failures = 0;
        let mut woken = true;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let wait = match self.round().await {
                Ok(Round::Locked) if woken => LOCKED,
                Ok(Round::Locked | Round::Published { events: 0, .. }) => {
                    failures = 0;
                    nats::jittered(POLL)
                }
                Ok(Round::Published { full, .. }) => {
                    failures = 0;
                    if !full {
                        // What was committed while we published is a batch by now; a single event after a
                        // pause is not held back.
                        self.gather(begun, stop).await;
                    }
                    Duration::ZERO
                }
                Err(error) => {
                    failures += 1;
                    let pause = nats::pause(failures);
                    tracing::warn!(%error, failures, ?pause, "events stay in the outbox");
                    pause
                }
            };
            if wait.is_zero() {
                continue;
            }
            // A failure is waited out: being woken by new events must not turn it into a storm.
            woken = if failures > 0 {
                let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                true
            } else {
                tokio::select! {
                    () = stop.cancelled() => false,
                    () = self.waker.0.notified() => true,
                    () = tokio::time::sleep(wait) => woken && wait == LOCKED,
                }
            };
        }
        if let Err(error) = self.round().await {
            tracing::warn!(%error, "events stay in the outbox for the next start");
        }
    }

    /// In batches, begins rounds no closer than `wait` to each other, so that they grow.
    async fn gather(&self, begun: Instant, stop: &CancellationToken) {
        if self.config.mode == RelayMode::Batched {
            let _ = stop
                .run_until_cancelled(tokio::time::sleep_until(begun + self.config.wait))
                .await;
        }
    }

    /// Does one round: reads the oldest rows, publishes them, deletes what was acknowledged.
    pub async fn round(&self) -> Result<Round, RelayError> {
        let end = Instant::now() + ROUND;
        self.round_until(&mut || Instant::now() >= end).await
    }

    /// Does one round, in which no batch and no single event is begun once `over` says that it is time.
    pub async fn round_until(
        &self,
        over: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<Round, RelayError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let locked =
            sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "locked!""#, LOCK)
                .fetch_one(&mut *transaction)
                .await?;
        if !locked {
            transaction.rollback().await?;
            return Ok(Round::Locked);
        }
        let most = self.config.batch.clamp(1, crate::outbox::ROW);
        let (rows, full) = oldest(&mut transaction, most).await?;
        if rows.is_empty() {
            transaction.rollback().await?;
            return Ok(Round::Published {
                events: 0,
                full: false,
            });
        }
        let there = rows.iter().map(|row| row.events.len()).sum::<usize>();
        let (acknowledged, failure) = publish::publish_all(
            &self.nats,
            &self.streams,
            self.config.mode,
            most,
            &rows,
            over,
        )
        .await;
        if acknowledged > 0 {
            delete(&mut transaction, &rows, acknowledged).await?;
            transaction.commit().await?;
            figures::OUTBOX_PUBLISHED.increment(acknowledged as u64);
        } else {
            transaction.rollback().await?;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        // Where it was time before all was published, the next round goes on at once.
        let full = full || acknowledged < there;
        Ok(Round::Published {
            events: acknowledged,
            full,
        })
    }
}

/// A row of the outbox, decoded.
pub(crate) struct Row {
    id: i64,
    /// In order.
    events: Vec<StoredEvent>,
}

/// Reads the oldest rows that hold at most `most` events, one row at least; tells whether more are waiting.
async fn oldest(
    connection: &mut PgConnection,
    most: usize,
) -> Result<(Vec<Row>, bool), RelayError> {
    let most = i64::try_from(most).unwrap_or(ROWS);
    let rows = sqlx::query!(
        r#"select id as "id!", events as "events!", looked_at as "looked_at!"
           from (
               select id, event_count, events,
                      sum(event_count) over (order by id) as upto,
                      count(*) over () as looked_at
               from (select * from chassis.outbox order by id limit $1) as oldest
           ) as counted
           where upto <= $2 or upto = event_count
           order by id"#,
        // One more than can be taken, to see whether there is more.
        most.min(ROWS) + 1,
        most,
    )
    .fetch_all(connection)
    .await?;
    let more = rows
        .first()
        .is_some_and(|first| first.looked_at > i64::try_from(rows.len()).unwrap_or(0));
    let rows = rows.into_iter().map(|row| {
        let decoded = StoredEvents::decode(row.events.as_slice()).map_err(|error| {
            RelayError::Unreadable {
                id: row.id,
                error: error.to_string(),
            }
        })?;
        Ok(Row {
            id: row.id,
            events: decoded.events,
        })
    });
    Ok((rows.collect::<Result<_, RelayError>>()?, more))
}

/// Deletes the first `acknowledged` events: whole rows, and the beginning of the row where it stopped.
async fn delete(
    connection: &mut PgConnection,
    rows: &[Row],
    acknowledged: usize,
) -> Result<(), sqlx::Error> {
    let mut left = acknowledged;
    let mut whole = Vec::new();
    for row in rows {
        if left >= row.events.len() {
            left -= row.events.len();
            whole.push(row.id);
            continue;
        }
        if left > 0 {
            let rest = row.events.get(left..).unwrap_or_default().to_vec();
            let count = i32::try_from(rest.len()).unwrap_or(i32::MAX);
            sqlx::query!(
                "update chassis.outbox set event_count = $2, events = $3 where id = $1",
                row.id,
                count,
                StoredEvents { events: rest }.encode_to_vec(),
            )
            .execute(&mut *connection)
            .await?;
        }
        break;
    }
    sqlx::query!("delete from chassis.outbox where id = any($1)", &whole)
        .execute(connection)
        .await
        .map(drop)
}
