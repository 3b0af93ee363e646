//! The dispatcher: claims chats, calls the provider without any transaction open, hands outcomes to the settler.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock;
use chassis::trace::TraceContext;
use rand::Rng as _;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::App;
use super::book::Found;
use super::claim::{Claimed, Gap, Terms, Work, claim};
use super::queue::{Queued, store_each};
use super::settle::{Outcome, settle};
use crate::domain::backoff;
use crate::domain::call::{Amendment, Call};
use crate::domain::channel::ChannelState;
use crate::domain::refusal::{Class, Refusal};
use crate::domain::telegram::call::{amended, body, provider_keys};
use crate::domain::telegram::errors::{CREDENTIALS_REFUSED, PHOTO_REFUSED, classify};
use crate::peers::CommandSource;
use crate::provider::CallError;

/// Outcomes written in one transaction at most.
const SETTLED_AT_ONCE: usize = 128;

/// How long the database is left alone when it refused.
const DATABASE_AWAY: Duration = Duration::from_millis(500);

/// Questions for missing commands at once: many gaps at a time mean that events are late, not that they are lost.
const GAPS_AT_ONCE: usize = 4;

/// Attempts of a command after which a chat that moved once more is taken for going round in circles.
const MOVED_MAX: i32 = 5;

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
                () = tokio::time::sleep(pause) => {}
            }
        }
        let _ = self.slots.acquire_many(self.concurrency).await;
    }

    /// Claims what fits; returns how long to wait where the next due chat is known.
    async fn round(&self) -> Result<Option<Duration>, crate::error::Error> {
        loop {
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
                let outcome = make(&app, &work, max_age).await;
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
            metrics::counter!("delivery_gaps_total").increment(1);
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
                metrics::counter!("deliveries_total", "outcome" => outcome.word()).increment(1);
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

/// Makes one attempt and says what became of it.
async fn make(app: &App, work: &Work, max_age: Duration) -> Outcome {
    if work.part.queued_at + max_age < clock::now() {
        return failed(Refusal {
            reason: "PROVIDER_UNAVAILABLE",
            detail: "Telegram could not be reached for too long.",
            retryable: true,
        });
    }
    let mut found = app.book.find(work.channel_id).await;
    if matches!(&found, Found::Known(known) if known.state != ChannelState::Enabled) {
        found = app.book.find_fresh(work.channel_id).await;
    }
    let known = match found {
        Found::Known(known) if known.account.as_str() == work.account => known,
        Found::Known(_) | Found::Unknown => {
            let detail = "The channel does not exist any more.";
            return failed(Refusal {
                reason: "CHANNEL_UNKNOWN",
                detail,
                retryable: false,
            });
        }
        Found::Away => return again(work, Duration::from_secs(1)),
    };
    match known.state {
        ChannelState::Enabled => {}
        ChannelState::Disconnected => return failed(CREDENTIALS_REFUSED),
        ChannelState::Disabled => {
            let detail = "The channel is switched off.";
            return failed(Refusal {
                reason: "CHANNEL_DISABLED",
                detail,
                retryable: true,
            });
        }
    }
    let call = Call {
        method: work.part.method.clone(),
        params: work.part.params.clone(),
    };
    // Whoever takes the chat when the lease has ended calls this attempt uncertain, and sends what follows.
    if clock::now() + app.bots.call_timeout() >= work.lease_until {
        return again(work, Duration::ZERO);
    }
    match app
        .bots
        .call(&known.token, &call.method, &body(&call, &work.chat_key))
        .await
    {
        Ok(result) => {
            let mut keys = provider_keys(&result, &work.chat_key).into_iter();
            Outcome::Sent {
                provider_key: keys.next().unwrap_or_default(),
            }
        }
        Err(CallError::NotReached) => again(work, wait(work)),
        Err(CallError::Unknown(detail)) => Outcome::Uncertain { detail },
        Err(CallError::Refused(error)) => {
            tracing::info!(code = error.code, description = error.description, channel.id = %work.channel_id, "call refused");
            let class = classify(&error);
            if matches!(class, Class::Disconnected(_))
                && let Found::Known(fresh) = app.book.find_fresh(work.channel_id).await
                && fresh.credentials != known.credentials
            {
                // Another replica stored new ones: the refusal says nothing of them.
                return again(work, Duration::ZERO);
            }
            judge(work, &call, class, known.credentials)
        }
    }
}

/// Turns a refusal into an outcome.
fn judge(work: &Work, call: &Call, class: Class, credentials: i64) -> Outcome {
    let again_with = |amendment, chat_key: Option<String>| {
        let params = match amendment {
            Some(amendment) => amended(call, amendment)?.params,
            None => call.params.clone(),
        };
        Some(Outcome::Again {
            wait: Duration::ZERO,
            flood: false,
            params,
            chat_key,
        })
    };
    let refused = || {
        failed(Refusal {
            reason: "MESSAGE_REFUSED",
            detail: "Telegram refused the message.",
            retryable: false,
        })
    };
    match class {
        Class::AlreadySo => Outcome::Sent {
            provider_key: String::new(),
        },
        Class::Flood(wait) => Outcome::Again {
            wait,
            flood: true,
            params: call.params.clone(),
            chat_key: None,
        },
        Class::Outage => again(work, wait(work)),
        // A chat that moved to where it is, or to and fro, would go round in circles.
        Class::Moved(chat) if chat != work.chat_key && work.part.tries < MOVED_MAX => {
            again_with(None, Some(chat)).unwrap_or_else(refused)
        }
        Class::Moved(_) => refused(),
        Class::WithoutReply => {
            again_with(Some(Amendment::WithoutReply), None).unwrap_or_else(refused)
        }
        Class::Plain => again_with(Some(Amendment::Plain), None).unwrap_or_else(refused),
        // Another method is needed, and an outcome changes parameters only.
        Class::AsDocument => failed(PHOTO_REFUSED),
        Class::Refused(refusal) => failed(refusal),
        Class::Disconnected(refusal) => Outcome::Failed {
            reason: refusal.reason.to_owned(),
            detail: refusal.detail.to_owned(),
            retryable: refusal.retryable,
            disconnect: Some(credentials),
        },
    }
}

fn failed(refusal: Refusal) -> Outcome {
    Outcome::Failed {
        reason: refusal.reason.to_owned(),
        detail: refusal.detail.to_owned(),
        retryable: refusal.retryable,
        disconnect: None,
    }
}

fn again(work: &Work, wait: Duration) -> Outcome {
    Outcome::Again {
        wait,
        flood: false,
        params: work.part.params.clone(),
        chat_key: None,
    }
}

fn wait(work: &Work) -> Duration {
    backoff::wait(
        u32::try_from(work.part.tries).unwrap_or(0),
        rand::rng().random(),
    )
}
