//! The dispatcher: claims chats, calls the provider without any transaction open, hands outcomes to the settler.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock;
use chassis::trace::TraceContext;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::App;
use super::attempt;
use super::claim::{Claimed, Gap, Terms, Work, claim};
use super::queue::{Queued, store_each};
use super::settle::{Outcome, settle};
use crate::figures;
use crate::peers::CommandSource;

/// Outcomes written in one transaction at most.
const SETTLED_AT_ONCE: usize = 128;

/// How long the database is left alone when it refused.
const DATABASE_AWAY: Duration = Duration::from_millis(500);

/// Questions for missing commands at once: many gaps at a time mean that events are late, not that they are lost.
const GAPS_AT_ONCE: usize = 4;

/// Wakes the dispatcher of this process. Clones wake the same one.
#[derive(Debug, Clone, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Says that commands were stored or a chat became free. Call it after the commit.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// An outcome on its way; the permit bounds how many there are.
type Settling = (Work, Outcome, OwnedSemaphorePermit);

/// Claims chats and makes attempts.
pub struct Dispatcher {
    app: App,
    terms: Terms,
    poll: Duration,
    waker: Waker,
    slots: Arc<Semaphore>,
    concurrency: u32,
    outcomes: mpsc::Sender<Settling>,
    source: Arc<dyn CommandSource>,
    asking: Arc<Semaphore>,
}

/// Writes outcomes.
pub struct Settler {
    app: App,
    waker: Waker,
    outcomes: mpsc::Receiver<Settling>,
}

/// Makes a dispatcher and its settler.
pub fn pair(
    app: &App,
    terms: Terms,
    concurrency: u32,
    poll: Duration,
    waker: &Waker,
    source: Arc<dyn CommandSource>,
) -> (Dispatcher, Settler) {
    let (sender, receiver) = mpsc::channel(SETTLED_AT_ONCE);
    let dispatcher = Dispatcher {
        app: app.clone(),
        terms,
        poll,
        waker: waker.clone(),
        slots: Arc::new(Semaphore::new(usize::try_from(concurrency).unwrap_or(64))),
        concurrency,
        outcomes: sender,
        source,
        asking: Arc::new(Semaphore::new(GAPS_AT_ONCE)),
    };
    (
        dispatcher,
        Settler {
            app: app.clone(),
            waker: waker.clone(),
            outcomes: receiver,
        },
    )
}

impl Dispatcher {
    /// Works until it is asked to stop; then it waits for the attempts under way and their outcomes.
    pub async fn run(self, stop: CancellationToken) {
        let mut paused = self.app.pauses.watch();
        while !stop.is_cancelled() {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "no chats could be claimed");
                    Some(DATABASE_AWAY)
                }
            };
            let pause = pause.unwrap_or(self.poll).min(self.poll);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.waker.0.notified() => {}
                _ = paused.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let _ = self.slots.acquire_many(self.concurrency).await;
    }

    /// Claims what fits; returns how long to wait where the next due chat is known.
    async fn round(&self) -> Result<Option<Duration>, crate::error::Error> {
        loop {
            if self.app.pauses.holding().drained().is_some() {
                // The others claim; what this replica has begun it finishes.
                return Ok(None);
            }
            let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
            if free == 0 {
                // An outcome frees a slot and wakes us.
                return Ok(None);
            }
            let now = clock::now();
            let claimed = claim(&self.app, &self.terms, free, now).await?;
            let Claimed {
                work,
                gaps,
                more,
                next_due,
            } = claimed;
            for gap in gaps {
                self.fill(gap);
            }
            for work in work {
                let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() else {
                    break;
                };
                self.attempt(work, permit);
            }
            if !more {
                return Ok(next_due.map(|due| wait_until(due, now)));
            }
        }
    }

    fn attempt(&self, work: Work, permit: OwnedSemaphorePermit) {
        let (app, max_age, outcomes) =
            (self.app.clone(), self.terms.max_age, self.outcomes.clone());
        let span = TraceContext::parse(&work.part.trace).span("deliver");
        tokio::spawn(
            async move {
                let outcome = attempt::make(&app, &work, max_age).await;
                // The settler ends after all senders: there is always somebody who listens.
                let _ = outcomes.send((work, outcome, permit)).await;
            }
            .instrument(span),
        );
    }

    /// Asks conversation for commands that did not come (§10).
    fn fill(&self, gap: Gap) {
        let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else {
            // The lane is due again after the time of a gap.
            return;
        };
        let (app, waker, source) = (
            self.app.clone(),
            self.waker.clone(),
            Arc::clone(&self.source),
        );
        tokio::spawn(async move {
            let _permit = permit;
            figures::GAPS.increment(1);
            match fetch(&app, &gap, source.as_ref()).await {
                Ok(commands) => {
                    tracing::info!(account = gap.account, chat.id = %gap.chat_id, gap.out_seq, commands, "missing commands fetched");
                    waker.wake();
                }
                Err(error) => {
                    tracing::warn!(account = gap.account, chat.id = %gap.chat_id, gap.out_seq, error = %error, "missing commands could not be fetched");
                }
            }
        });
    }
}

impl Settler {
    /// Works until the dispatcher and all its attempts have ended.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.outcomes.recv_many(&mut batch, SETTLED_AT_ONCE).await > 0 {
            let (outcomes, permits): (Vec<_>, Vec<_>) = batch
                .drain(..)
                .map(|(work, outcome, permit)| ((work, outcome), permit))
                .unzip();
            // An outcome is never given up: without it a message that was sent would be called uncertain.
            while let Err(error) = settle(&self.app, &outcomes, clock::now()).await {
                tracing::warn!(%error, outcomes = outcomes.len(), "outcomes could not be written: trying again");
                tokio::time::sleep(DATABASE_AWAY).await;
            }
            for (_, outcome) in &outcomes {
                figures::DELIVERIES
                    .of([outcome.word().to_owned(), outcome.cause()])
                    .increment(1);
                if let Some(result) = outcome.result() {
                    figures::ENDED.of([result]).increment(1);
                }
            }
            drop(permits);
            self.waker.wake();
        }
    }
}

async fn fetch(app: &App, gap: &Gap, source: &dyn CommandSource) -> anyhow::Result<usize> {
    let account = chassis::id::AccountSlug::parse(&gap.account)?;
    let commands = source.commands(&account, gap.chat_id, gap.out_seq).await?;
    let now = clock::now();
    let trace = TraceContext::current().traceparent().unwrap_or_default();
    let queued: Vec<Queued> = commands
        .into_iter()
        .map(|command| Queued {
            account: account.clone(),
            command,
            time: now,
            cause: None,
            trace: trace.clone(),
        })
        .collect();
    store_each(app, &queued, now).await?;
    Ok(queued.len())
}

fn wait_until(due: OffsetDateTime, now: OffsetDateTime) -> Duration {
    // A little more than nothing: two replicas must not spin over a chat that one of them is about to take.
    Duration::try_from(due - now)
        .unwrap_or_default()
        .max(Duration::from_millis(5))
}
