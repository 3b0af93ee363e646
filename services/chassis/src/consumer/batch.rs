//! One batch: handled as a whole if it can be; else halved until the culprits are alone.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use futures::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument as _;

use super::pull::{ACK_WAIT, Prefetched, Pull, Taken};
use super::{Delivery, HandlerError, Unit};
use crate::clock;
use crate::deadletter::{self, Letter, Place, Reason};
use crate::nats::{self, PublishError};
use crate::{figures, meter};

/// Attempts that reach the handler with the culprit alone, before it becomes a dead letter.
const ATTEMPTS: u32 = 5;

/// Repeats of a batch that met a deadlock or the like, before it counts as failing.
const REPEATS: usize = 5;

/// How a batch ended.
pub(super) enum Ended {
    /// All is handled or moved to the dead letters, and acknowledged.
    Done,
    /// The service stops and these messages are left.
    Stopped(Vec<Taken>),
}

/// A delivery of the batch and the message it belongs to.
struct Part {
    message: usize,
}

/// The service stops: whoever waits gives up.
struct Stop;

/// The batch in hand.
struct Work<'a> {
    pull: &'a Pull,
    prefetched: &'a mut Prefetched,
    /// Taken from here when acknowledged.
    messages: Vec<Option<Taken>>,
    /// Units of each message that are not done.
    left: Vec<usize>,
    /// Whether all done units of a message went to the dead letters.
    dead: Vec<bool>,
}

/// Works a batch off.
pub(super) async fn work(pull: &Pull, batch: Vec<Taken>, prefetched: &mut Prefetched) -> Ended {
    let mut deliveries = Vec::new();
    let mut parts = Vec::new();
    let mut poison = Vec::new();
    let mut messages = Vec::new();
    for (index, mut taken) in batch.into_iter().enumerate() {
        for unit in std::mem::take(&mut taken.units) {
            match unit {
                Unit::Delivery(delivery) => {
                    deliveries.push(*delivery);
                    parts.push(Part { message: index });
                }
                Unit::Poison {
                    index: inside,
                    error,
                    payload,
                } => poison.push((index, inside, error, payload)),
            }
        }
        messages.push(taken);
    }
    let mut left = vec![0; messages.len()];
    for message in parts
        .iter()
        .map(|part| part.message)
        .chain(poison.iter().map(|(message, ..)| *message))
    {
        if let Some(left) = left.get_mut(message) {
            *left += 1;
        }
    }
    let mut work = Work {
        pull,
        prefetched,
        dead: vec![true; messages.len()],
        left,
        messages: messages.into_iter().map(Some).collect(),
    };
    let ended = async {
        // The clock goes on from batch to batch: however short each is, what waits behind them must not time out.
        if work.next_progress() <= Instant::now() {
            work.report().await;
        }
        work.acknowledge_empty().await;
        for (message, index, error, payload) in poison {
            let letter = |taken: &Taken| {
                Letter::of_unreadable(
                    place(pull, taken),
                    index,
                    &error,
                    payload,
                    taken.message.headers.as_ref(),
                )
            };
            work.bury(message, false, letter).await?;
        }
        work.handle_all(&deliveries, &parts).await
    }
    .await;
    match ended {
        Ok(()) => Ended::Done,
        Err(Stop) => {
            // They are taken apart again when they come back.
            Ended::Stopped(work.messages.into_iter().flatten().collect())
        }
    }
}

impl Work<'_> {
    async fn handle_all(&mut self, deliveries: &[Delivery], parts: &[Part]) -> Result<(), Stop> {
        let mut suspects: Vec<(usize, HandlerError)> = Vec::new();
        let mut ranges: Vec<_> = std::iter::once(0..deliveries.len()).collect();
        while let Some(range) = ranges.pop() {
            let slice = deliveries.get(range.clone()).unwrap_or_default();
            if slice.is_empty() {
                continue;
            }
            match self.attempt(slice).await? {
                Ok(()) => self.done(parts.get(range).unwrap_or_default(), false).await,
                Err(error) if range.len() == 1 => suspects.push((range.start, error)),
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
            }
        }
        self.try_again(deliveries, parts, suspects).await
    }

    /// Tries what failed alone a few times more, then buries it. The rest of the batch is done by now.
    async fn try_again(
        &mut self,
        deliveries: &[Delivery],
        parts: &[Part],
        mut suspects: Vec<(usize, HandlerError)>,
    ) -> Result<(), Stop> {
        let mut attempts = 1;
        while !suspects.is_empty() {
            let mut failing = Vec::new();
            for (index, error) in suspects {
                let (Some(delivery), Some(part)) = (deliveries.get(index), parts.get(index)) else {
                    continue;
                };
                let hopeless = matches!(
                    error,
                    HandlerError::Poison(_) | HandlerError::Unsupported(_)
                );
                if attempts >= ATTEMPTS || hopeless {
                    let pull = self.pull;
                    let letter = |taken: &Taken| {
                        Letter::of_delivery(place(pull, taken), delivery, &error, attempts)
                    };
                    let expected = matches!(error, HandlerError::Unsupported(_));
                    self.bury(part.message, expected, letter).await?;
                } else {
                    failing.push(index);
                }
            }
            if failing.is_empty() {
                return Ok(());
            }
            self.pause(nats::pause(attempts as usize)).await?;
            attempts += 1;
            suspects = Vec::new();
            for index in failing {
                let (Some(delivery), Some(part)) = (deliveries.get(index), parts.get(index)) else {
                    continue;
                };
                match self.attempt(std::slice::from_ref(delivery)).await? {
                    Ok(()) => self.done(std::slice::from_ref(part), false).await,
                    Err(error) => suspects.push((index, error)),
                }
            }
        }
        Ok(())
    }

    /// Hands deliveries to the handler: again while a dependency is away, and a few times on bad luck.
    async fn attempt(&mut self, slice: &[Delivery]) -> Result<Result<(), HandlerError>, Stop> {
        let (mut repeats, mut away) = (0, 0);
        loop {
            let outcome = match self.call(slice).await {
                // Alone and still too slow: the database is to blame, not the message.
                Err(HandlerError::Slow(what)) if repeats >= REPEATS && slice.len() == 1 => {
                    Err(HandlerError::Away(what))
                }
                outcome => outcome,
            };
            if away > 0 && !matches!(outcome, Err(HandlerError::Away(_))) {
                self.pull.latch.release();
                away = 0;
            }
            match outcome {
                Err(HandlerError::Away(what)) => {
                    away += 1;
                    self.pull.latch.hold(&what);
                    self.pull.stop_pulling(self.prefetched);
                    tracing::warn!(
                        consumer = self.pull.handler.durable(),
                        what,
                        "a dependency is away: waiting"
                    );
                    self.pause(nats::pause(away)).await?;
                }
                Err(HandlerError::Retry(why) | HandlerError::Slow(why)) if repeats < REPEATS => {
                    repeats += 1;
                    tracing::info!(
                        consumer = self.pull.handler.durable(),
                        why,
                        repeats,
                        "trying a batch again"
                    );
                    self.pause(nats::pause(repeats)).await?;
                }
                Err(error) => {
                    tracing::warn!(
                        consumer = self.pull.handler.durable(),
                        deliveries = slice.len(),
                        %error,
                        "a batch failed"
                    );
                    figures::CONSUMER_FAILURES
                        .of([self.pull.handler.durable()])
                        .increment(1);
                    return Ok(Err(error));
                }
                Ok(()) => {
                    figures::CONSUMER_HANDLED
                        .of([self.pull.handler.durable()])
                        .increment(slice.len() as u64);
                    return Ok(Ok(()));
                }
            }
        }
    }

    /// Calls the handler once, in a span that continues the delivery's trace or links those of the batch.
    async fn call(&mut self, slice: &[Delivery]) -> Result<(), HandlerError> {
        let span = tracing::info_span!(
            "consume",
            consumer = self.pull.handler.durable(),
            deliveries = slice.len()
        );
        match slice {
            [only] => only.envelope.trace.adopt(&span),
            many => many
                .iter()
                .for_each(|delivery| delivery.envelope.trace.link(&span)),
        }
        let handler = std::sync::Arc::clone(&self.pull.handler);
        let began = Instant::now();
        let work = async { handler.handle(slice, clock::now()).await };
        let outcome = self
            .attend(AssertUnwindSafe(work.instrument(span)).catch_unwind())
            .await;
        let durable = self.pull.handler.durable();
        figures::BATCH_ITEMS
            .of([durable])
            .record(meter::number(slice.len() as u64));
        figures::BATCH_SECONDS
            .of([durable])
            .record(began.elapsed().as_secs_f64());
        outcome.unwrap_or_else(|_| Err(HandlerError::Failed("the handler panicked".into())))
    }

    /// Waits, or gives up when the service stops.
    async fn pause(&mut self, pause: Duration) -> Result<(), Stop> {
        let stop = self.pull.stop.clone();
        let waited = self
            .attend(stop.run_until_cancelled(tokio::time::sleep(pause)))
            .await;
        waited.ok_or(Stop)
    }

    /// Awaits something and reports progress every third of the broker's patience.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval_at(self.next_progress(), ACK_WAIT / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => self.report().await,
            }
        }
    }

    /// When progress is reported next.
    fn next_progress(&mut self) -> Instant {
        *self
            .prefetched
            .next_progress
            .get_or_insert_with(|| Instant::now() + ACK_WAIT / 3)
    }

    /// Reports progress for what is in hand and what waits behind it.
    async fn report(&mut self) {
        self.prefetched.next_progress = Some(Instant::now() + ACK_WAIT / 3);
        let in_hand = self.messages.iter().flatten().map(|taken| &taken.message);
        self.pull.progress(in_hand, self.prefetched).await;
    }

    /// Moves a unit of a message to the dead letters, however long that takes, and counts it as done.
    async fn bury(
        &mut self,
        message: usize,
        expected: bool,
        letter: impl FnOnce(&Taken) -> Letter,
    ) -> Result<(), Stop> {
        let Some(Some(taken)) = self.messages.get(message) else {
            return Ok(());
        };
        let mut letter = letter(taken);
        let reason = if expected {
            Reason::Unsupported
        } else {
            Reason::Failed
        };
        let mut failures = 0;
        loop {
            let published =
                deadletter::publish(&self.pull.nats, &self.pull.dead_subject, &letter, reason);
            match self.attend(published).await {
                Ok(()) => break,
                Err(PublishError::TooLarge(_)) if !letter.0.payload.is_empty() => {
                    letter.drop_payload();
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(consumer = self.pull.handler.durable(), %error, "a dead letter was not accepted");
                    self.pause(nats::pause(failures)).await?;
                }
            }
        }
        log_buried(self.pull.handler.durable(), &letter, expected);
        self.done(&[Part { message }], true).await;
        Ok(())
    }

    /// Counts units as done and acknowledges the messages that have none left.
    async fn done(&mut self, parts: &[Part], dead: bool) {
        for part in parts {
            let (Some(left), Some(all_dead)) = (
                self.left.get_mut(part.message),
                self.dead.get_mut(part.message),
            ) else {
                continue;
            };
            *left = left.saturating_sub(1);
            *all_dead &= dead;
            if *left == 0 {
                let kind = if *all_dead {
                    AckKind::Term
                } else {
                    AckKind::Ack
                };
                if let Some(taken) = self.messages.get_mut(part.message).and_then(Option::take) {
                    acknowledge(&taken.message, kind).await;
                }
            }
        }
    }

    /// Acknowledges messages with nothing in them: a pack of no items.
    async fn acknowledge_empty(&mut self) {
        for (left, slot) in self.left.iter().zip(&mut self.messages) {
            if *left == 0
                && let Some(taken) = slot.take()
            {
                acknowledge(&taken.message, AckKind::Ack).await;
            }
        }
    }
}

/// Tells of a dead letter: as an error, but for what was expected to end there.
fn log_buried(consumer: &str, letter: &Letter, expected: bool) {
    let letter = &letter.0;
    if expected {
        tracing::info!(
            consumer,
            stream = letter.origin_stream,
            sequence = letter.origin_sequence,
            index = letter.origin_index,
            reason = letter.error,
            "kept among the dead letters"
        );
    } else {
        tracing::error!(
            consumer,
            stream = letter.origin_stream,
            sequence = letter.origin_sequence,
            index = letter.origin_index,
            event = letter.event_type,
            error = letter.error,
            "moved to the dead letters"
        );
    }
}

fn place<'a>(pull: &'a Pull, taken: &'a Taken) -> Place<'a> {
    Place {
        service: pull.service,
        consumer: pull.handler.durable(),
        stream: &pull.stream,
        sequence: taken.sequence,
        subject: &taken.message.subject,
    }
}

async fn acknowledge(message: &Message, kind: AckKind) {
    // Lost, it costs a redelivery, which the handler takes for the repeat that it is.
    if let Err(error) = message.ack_with(kind).await {
        tracing::warn!(%error, "an acknowledgement was not sent");
    }
}
