//! What an operator has stopped for a while (O3.6): a channel, a consumer, an account's deliveries, or this replica.
//!
//! It stands in the service's database, so that a restart ends nothing, and each replica reads it every second. What was read
//! last is kept in memory: while the database is away a pause goes on, and ends at its time all the same.
//!
//! What a pause means is decided so:
//!
//! - **channel**: we are silent towards its provider. Deliveries wait in their order and do not age meanwhile; its mailbox is
//!   not read, and nothing is lost of what stands in it. Webhooks are accepted *and handled*: clients' messages come in as
//!   always, so that agents see them and answers wait. To hold them back would need a second place to keep them between
//!   `INBOUND`, which channels share, and whoever reads it, and would help nobody; whoever wants nothing handled pauses the
//!   consumer. Clients' files and photos are fetched too: their addresses do not last.
//! - **consumer**: it pulls nothing and hands back what it had pulled; what is in its handler is finished. Its stream keeps
//!   everything, within its bound. Its lag is told as it is, and the alert about it fires: customers do wait, and that somebody
//!   wanted it makes them wait no less. The status says why. The replica stays ready.
//! - **deliveries** of an account: as of a channel, for all channels of the account; mailboxes are read.
//! - **replica**: it is drained. It is not ready, so that nobody is sent to it, and its consumers, deliveries, mailboxes and
//!   files go to the others. What belongs to no replica in particular (the relay, sweeps, rules that are due) goes on in short
//!   steps: each takes a lock, and where this replica is the last one nothing else would do them.

mod decide;
mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

pub use decide::{Holding, LONGEST, NotPaused, Pause, PauseKind, ends, freed, is_last};
pub(crate) use store::{ended, listed, set};

use crate::clock;
use crate::health::Latch;
use crate::id::AccountSlug;
use crate::lifecycle::Lifecycle;

/// How often changes are looked for.
const LOOKED: Duration = Duration::from_secs(1);

/// How long a pause that has ended is remembered in memory: longer than any delivery may wait without one.
const REMEMBERED: time::Duration = time::Duration::days(7);

/// What is paused, as this replica knows it. Clones share it.
#[derive(Clone)]
pub struct Pauses(Arc<Inner>);

struct Inner {
    /// This replica's id.
    replica: String,
    known: Mutex<Arc<[Pause]>>,
    holding: watch::Sender<Arc<Holding>>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self::of(Uuid::nil())
    }
}

impl Pauses {
    /// Nothing is paused, as far as this replica knows yet.
    pub fn of(replica: Uuid) -> Self {
        Self(Arc::new(Inner {
            replica: replica.to_string(),
            known: Mutex::new(Arc::from([])),
            holding: watch::Sender::default(),
        }))
    }

    /// What is held now.
    pub fn holding(&self) -> Arc<Holding> {
        Arc::clone(&self.0.holding.borrow())
    }

    /// Tells of each change of what is held.
    pub fn watch(&self) -> watch::Receiver<Arc<Holding>> {
        self.0.holding.subscribe()
    }

    /// When the last pause ended that held deliveries of a channel; what had waited by then has not aged before.
    pub fn freed(
        &self,
        channel: Uuid,
        account: &str,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        freed(&self.known(), &channel.to_string(), account, now)
    }

    /// Reads what is paused.
    pub async fn refresh(&self, pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        let read = store::since(pool, now - REMEMBERED).await?;
        *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = read.into();
        self.judge(now);
        Ok(())
    }

    /// Judges what is known anew: by the time, something may have ended.
    fn judge(&self, now: OffsetDateTime) {
        let holding = Holding::of(&self.known(), &self.0.replica, now);
        self.0.holding.send_if_modified(|held| {
            let changed = **held != holding;
            if changed {
                tracing::info!(
                    paused = holding.pauses().len(),
                    drained = holding.drained().is_some(),
                    "what is paused has changed"
                );
                *held = Arc::new(holding);
            }
            changed
        });
    }

    fn known(&self) -> Arc<[Pause]> {
        Arc::clone(&self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks for changes until the service stops, and holds the latch while this replica is drained.
    pub(crate) fn spawn(&self, lifecycle: &Lifecycle, pool: PgPool, latch: Latch) {
        let (pauses, stop) = (self.clone(), lifecycle.stop_token());
        lifecycle.spawn("pauses", async move {
            let mut holding = pauses.watch();
            loop {
                let now = clock::now();
                // That the database is away is told by its own probe.
                if let Err(error) = pauses.refresh(&pool, now).await {
                    tracing::debug!(%error, "what is paused cannot be read");
                    pauses.judge(now);
                }
                match pauses.holding().drained() {
                    Some(pause) => latch.hold(&pause.told()),
                    None => latch.release(),
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    heard = holding.changed() => heard?,
                    () = tokio::time::sleep(LOOKED) => {}
                }
            }
        });
    }
}

/// The account of a pause: its slug, where it is of one.
pub(crate) fn account_of(pause: &Pause) -> Option<AccountSlug> {
    AccountSlug::parse(&pause.account).ok()
}
