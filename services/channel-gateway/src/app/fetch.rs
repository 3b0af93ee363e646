//! The fetch worker: brings clients' files into the store. No message waits for its file, and no channel for another's.

use std::sync::Arc;
use std::time::Duration;

use chassis::{clock, outbox};
use rand::Rng as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use super::attachments::{aad, event};
use super::book::Found;
use super::uploads::sniffed;
use crate::config;
use crate::domain::file::retry_wait;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::files::lease;
use crate::files::source::{NOT_HAD, NotOpened, REFERENCE, Source, TOO_LARGE};
use crate::files::store::{ReceiveError, Received};
use crate::store::fetches::{self, Claimed, Fetched};

/// How long the database or the store is left alone when it refused.
const AWAY: Duration = Duration::from_secs(5);

/// How often an outcome is written again, should the database refuse; then the lease's end makes the file due again.
const WRITES: u32 = 5;

/// What the worker goes by.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Files at once.
    pub concurrency: u32,
    /// Files of one channel at once.
    pub per_channel: u32,
    /// Tries before a file counts as failed.
    pub tries: u32,
    /// How often due files are looked for.
    pub poll: Duration,
}

impl From<&config::Files> for Terms {
    fn from(config: &config::Files) -> Self {
        Self {
            concurrency: config.concurrency,
            per_channel: config.per_channel,
            tries: config.tries,
            poll: config.poll,
        }
    }
}

/// What came of a try.
enum Outcome {
    Had(Received),
    Never(&'static str),
    /// Again, after a wait that the provider may have told.
    Later(Option<Duration>),
    /// Not the file's fault: again, and this was no try.
    Away(Duration),
}

/// Fetches due files. Clones share its slots.
#[derive(Clone)]
pub struct Fetcher {
    app: App,
    source: Arc<dyn Source>,
    terms: Terms,
    slots: Arc<Semaphore>,
}

impl Fetcher {
    /// Makes a worker.
    pub fn new(app: App, source: Arc<dyn Source>, terms: Terms) -> Self {
        let slots = usize::try_from(terms.concurrency).unwrap_or(1);
        Self {
            app,
            source,
            terms,
            slots: Arc::new(Semaphore::new(slots)),
        }
    }

    /// Works until `stop`; then files under way are given back, for another replica or the next start.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut paused = self.app.pauses.watch();
        while let Some(Ok(first)) = stop.run_until_cancelled(self.slot()).await {
            // Files of a drained replica are fetched by the others.
            let here = paused.wait_for(|holding| holding.drained().is_none());
            if stop.run_until_cancelled(here).await.is_none() {
                break;
            }
            let claimed = match self.claim().await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(%error, "files could not be claimed");
                    drop(first);
                    let _ = stop.run_until_cancelled(tokio::time::sleep(AWAY)).await;
                    continue;
                }
            };
            if claimed.is_empty() {
                drop(first);
                let due = self.app.files.due.notified();
                let waited = tokio::time::timeout(self.terms.poll, due);
                let _ = stop.run_until_cancelled(waited).await;
                continue;
            }
            let mut first = Some(first);
            for work in claimed {
                let permit = match first.take() {
                    Some(permit) => Ok(permit),
                    None => self.slot().await,
                };
                let (worker, stop) = (self.clone(), stop.clone());
                tasks.spawn(async move {
                    worker.one(&work, &stop).await;
                    drop(permit);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
        // What was broken off is taken back before the process ends.
        self.app.files.store.settled().await;
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
        Arc::clone(&self.slots).acquire_owned().await
    }

    /// Claims as many as there are free slots, one of which the caller holds.
    async fn claim(&self) -> Result<Vec<Claimed>, Error> {
        let free = self.slots.available_permits() + 1;
        let limit = i64::try_from(free).unwrap_or(1);
        let now = clock::now();
        let until = now + lease(self.app.files.pace);
        let mut connection = self.app.pool.acquire().await?;
        let per_channel = i64::from(self.terms.per_channel);
        Ok(fetches::claim(&mut connection, now, until, per_channel, limit).await?)
    }

    /// Makes a try and writes what came of it.
    async fn one(&self, work: &Claimed, stop: &CancellationToken) {
        let outcome = stop.run_until_cancelled(self.fetch(work)).await;
        let outcome = outcome.unwrap_or(Outcome::Away(Duration::ZERO));
        let name = match outcome {
            Outcome::Had(_) => "stored",
            Outcome::Never(_) => "failed",
            Outcome::Later(_) => "later",
            Outcome::Away(_) => "away",
        };
        figures::FILES.of([name]).increment(1);
        for _ in 0..WRITES {
            match self.write(work, &outcome).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, attachment.id = %work.id, "a file's state could not be written");
                    tokio::time::sleep(AWAY / 10).await;
                }
            }
        }
    }

    async fn fetch(&self, work: &Claimed) -> Outcome {
        let files = &self.app.files;
        if u64::try_from(work.size).is_ok_and(|size| size > files.max_size) {
            return Outcome::Never(TOO_LARGE);
        }
        let channel = match self.app.book.find(work.channel_id).await {
            Found::Known(channel) => channel,
            Found::Unknown => return Outcome::Never(NOT_HAD),
            Found::Away => return Outcome::Away(AWAY),
        };
        let Ok(reference) = self.app.sealer.open(&work.reference, &aad(work.id)) else {
            return Outcome::Never(REFERENCE);
        };
        let opened = self.source.open(&channel, &reference);
        let bytes = match tokio::time::timeout(files.pace.total, opened).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(NotOpened::Never(reason))) => return Outcome::Never(reason),
            Ok(Err(NotOpened::Later(wait))) => return Outcome::Later(wait),
            Err(_) => return Outcome::Later(None),
        };
        let received = files
            .store
            .receive(&work.object_key, bytes, files.max_size, files.pace)
            .await;
        match received {
            Ok(received) => Outcome::Had(received),
            Err(ReceiveError::TooLarge(_)) => Outcome::Never(TOO_LARGE),
            Err(ReceiveError::Slow | ReceiveError::Broken(_)) => Outcome::Later(None),
            Err(ReceiveError::Store(error)) => {
                tracing::warn!(%error, attachment.id = %work.id, "a file could not be stored");
                Outcome::Away(AWAY)
            }
        }
    }

    /// Writes an outcome and its event in one transaction; under an old lease nothing is written.
    async fn write(&self, work: &Claimed, outcome: &Outcome) -> Result<(), Error> {
        let now = clock::now();
        let tries = u32::try_from(work.tries).unwrap_or(u32::MAX);
        let roll = rand::rng().random();
        let mut tx = self.app.pool.begin().await?;
        let row = match outcome {
            Outcome::Had(received) => {
                let media_type = sniffed(&work.media_type, received);
                let fetched = Fetched {
                    size: i64::try_from(received.size).unwrap_or(i64::MAX),
                    sha256: &received.sha256,
                    media_type: &media_type,
                };
                fetches::stored(&mut tx, work.id, work.fence, fetched).await?
            }
            Outcome::Never(reason) => fetches::failed(&mut tx, work.id, work.fence, reason).await?,
            Outcome::Later(_) if tries >= self.terms.tries => {
                fetches::failed(&mut tx, work.id, work.fence, NOT_HAD).await?
            }
            Outcome::Later(wait) => {
                let wait = wait.unwrap_or_default().max(retry_wait(tries, roll));
                fetches::later(&mut tx, work.id, work.fence, now + wait, true).await?;
                None
            }
            Outcome::Away(wait) => {
                fetches::later(&mut tx, work.id, work.fence, now + *wait, false).await?;
                None
            }
        };
        if let Some(row) = row {
            outbox::write(&mut tx, DOMAIN, vec![event(&row)?], now).await?;
        }
        tx.commit().await?;
        self.app.relay.wake();
        Ok(())
    }
}
