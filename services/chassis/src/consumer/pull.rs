//! The loop: takes what is ready, has it handled, and at the stop hands back what it holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Config, Stream};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::{AckKind, Message};
use futures::{FutureExt as _, StreamExt as _};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{self, Ended};
use super::{Handler, Unit, unpack};
use crate::health::Latch;
use crate::nats::{self, Nats};
use crate::pauses::{Holding, Pauses};

/// How long the broker waits for an acknowledgement or a sign of progress.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(10);

/// Deliveries of one batch at most, counted inside packs.
const EVENTS: usize = 512;

/// Bytes of one batch at most.
const BYTES: usize = 4 * 1024 * 1024;

/// How long handing back may take at each step.
const FLUSHED: Duration = Duration::from_secs(2);

/// Messages asked for at once, and how many bytes they may have.
const PULLED: (usize, usize) = (512, 8 * 1024 * 1024);

/// Above batch × prefetch × replicas, or the consumer stalls.
const MOST_UNACKNOWLEDGED: i64 = 20_000;

/// Messages and bytes held back beside a batch that takes long, at most.
const HELD: (usize, usize) = (1_024, 16 * 1024 * 1024);

/// A message in hand or held back.
pub(super) struct Taken {
    pub message: Message,
    pub sequence: u64,
    pub units: Vec<Unit>,
    bytes: usize,
}

/// One durable on one stream.
pub(super) struct Pull {
    pub nats: Nats,
    pub service: &'static str,
    pub dead_subject: String,
    pub stream: String,
    pub subjects: Vec<String>,
    pub handler: Arc<dyn Handler>,
    pub latch: Latch,
    pub batch_wait: Duration,
    pub pauses: Pauses,
    pub stop: CancellationToken,
}

/// What was pulled and is not in the batch in hand.
#[derive(Default)]
pub(super) struct Prefetched {
    stream: Option<Stream>,
    held: VecDeque<Taken>,
    /// When the broker is told next that work goes on; none while nothing waits.
    pub next_progress: Option<Instant>,
}

impl Pull {
    pub async fn run(self) {
        let mut prefetched = Prefetched::default();
        let mut failures = 0;
        let mut next = Instant::now();
        let mut holding = self.pauses.watch();
        while !self.stop.is_cancelled() {
            if self.is_held(&holding.borrow_and_update()) {
                self.hand_back(std::mem::take(&mut prefetched)).await;
                // Whoever stopped it knows: the replica is as ready as it was.
                self.latch.release();
                let resumed = holding.wait_for(|holding| !self.is_held(holding));
                let _ = self.stop.run_until_cancelled(resumed).await;
                continue;
            }
            if prefetched.stream.is_none() {
                let opened = self.stop.run_until_cancelled(self.open()).await;
                match opened {
                    None => break,
                    Some(Ok(stream)) => {
                        failures = 0;
                        self.latch.release();
                        prefetched.stream = Some(stream);
                    }
                    Some(Err(error)) => {
                        failures += 1;
                        let pause = nats::pause(failures);
                        self.latch.hold(&error);
                        tracing::warn!(
                            consumer = self.handler.durable(),
                            stream = self.stream,
                            error,
                            "cannot pull"
                        );
                        let _ = self
                            .stop
                            .run_until_cancelled(tokio::time::sleep(pause))
                            .await;
                        continue;
                    }
                }
            }
            // What comes meanwhile is one batch instead of several.
            let waited = self
                .stop
                .run_until_cancelled(tokio::time::sleep_until(next));
            if Instant::now() < next && waited.await.is_none() {
                break;
            }
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                // What arrived in the same moment is handed back.
                _ = holding.wait_for(|holding| self.is_held(holding)) => continue,
                batch = self.take(&mut prefetched) => batch,
            };
            let begun = Instant::now();
            let full = !prefetched.held.is_empty();
            next = if full { begun } else { begun + self.batch_wait };
            if batch.is_empty() {
                // The stream ended or erred. Not at once again: an error that stays would spin.
                let _ = self
                    .stop
                    .run_until_cancelled(tokio::time::sleep(nats::pause(1)))
                    .await;
                continue;
            }
            match batch::work(&self, batch, &mut prefetched).await {
                Ended::Done => {}
                Ended::Stopped(left) => {
                    prefetched.held.extend(left);
                    break;
                }
            }
        }
        self.hand_back(prefetched).await;
    }

    /// Tells whether it takes nothing for a while (O3.6).
    fn is_held(&self, holding: &Holding) -> bool {
        holding.consumer(self.handler.durable())
    }

    /// Declares the durable and begins to pull.
    async fn open(&self) -> Result<Stream, String> {
        let config = Config {
            durable_name: Some(self.handler.durable().to_owned()),
            filter_subjects: self.subjects.clone(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // We count the attempts that reached the handler; a crash on the last one must not lose a message.
            max_deliver: -1,
            max_ack_pending: MOST_UNACKNOWLEDGED,
            ..Config::default()
        };
        let consumer: Consumer<Config> = self
            .nats
            .jetstream
            .create_consumer_on_stream(config, self.stream.as_str())
            .await
            .map_err(|error| error.to_string())?;
        let stream = consumer
            .stream()
            .max_messages_per_batch(PULLED.0)
            .max_bytes_per_batch(PULLED.1)
            .expires(Duration::from_secs(30))
            .heartbeat(Duration::from_secs(5))
            .messages()
            .await;
        stream.map_err(|error| error.to_string())
    }

    /// Takes what is ready, waiting for the first; nothing when the stream has ended.
    async fn take(&self, prefetched: &mut Prefetched) -> Vec<Taken> {
        if prefetched.held.is_empty() {
            let Some(stream) = &mut prefetched.stream else {
                return Vec::new();
            };
            let ready = tokio::task::unconstrained(stream.next()).now_or_never();
            let next = if let Some(next) = ready {
                next
            } else {
                // Nothing is buffered: what comes now is fresh.
                prefetched.next_progress = None;
                stream.next().await
            };
            match next {
                Some(Ok(message)) => prefetched.held.push_back(self.taken(message)),
                Some(Err(error)) => {
                    // Lost heartbeats after a reconnect, above all. What is buffered is kept.
                    tracing::info!(consumer = self.handler.durable(), %error, "pulling anew");
                    self.stop_pulling(prefetched);
                }
                None => prefetched.stream = None,
            }
        }
        let (mut batch, mut events, mut bytes) = (Vec::new(), 0, 0);
        loop {
            if prefetched.held.is_empty() {
                self.prefetch(prefetched, (1, BYTES));
            }
            let fits = |next: &mut Taken| {
                batch.is_empty()
                    || (events + next.units.len() <= EVENTS && bytes + next.bytes <= BYTES)
            };
            let Some(next) = prefetched.held.pop_front_if(fits) else {
                break;
            };
            events += next.units.len();
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }

    /// Moves what has arrived into our hands, without waiting, until so many messages or bytes are held.
    fn prefetch(&self, prefetched: &mut Prefetched, most: (usize, usize)) {
        let Some(stream) = &mut prefetched.stream else {
            return;
        };
        let mut bytes: usize = prefetched.held.iter().map(|taken| taken.bytes).sum();
        while prefetched.held.len() < most.0 && bytes < most.1 {
            // Unconstrained: the runtime's budget would end a turn after 128.
            match tokio::task::unconstrained(stream.next()).now_or_never() {
                Some(Some(Ok(message))) => {
                    let taken = self.taken(message);
                    bytes += taken.bytes;
                    prefetched.held.push_back(taken);
                }
                Some(Some(Err(error))) => {
                    tracing::info!(consumer = self.handler.durable(), %error, "pulling anew");
                    prefetched.stream = None;
                    return;
                }
                Some(None) => {
                    prefetched.stream = None;
                    return;
                }
                None => return,
            }
        }
    }

    /// Stops pulling and keeps what has arrived.
    pub fn stop_pulling(&self, prefetched: &mut Prefetched) {
        self.prefetch(prefetched, (usize::MAX, usize::MAX));
        prefetched.stream = None;
    }

    /// Tells the broker that work goes on: for the messages in hand and for those held back.
    pub async fn progress<'a>(
        &self,
        in_hand: impl Iterator<Item = &'a Message>,
        prefetched: &'a mut Prefetched,
    ) {
        self.prefetch(prefetched, HELD);
        let held = prefetched.held.iter().map(|taken| &taken.message);
        for message in in_hand.chain(held) {
            // A lost sign of progress costs a redelivery at most.
            let _ = message.ack_with(AckKind::Progress).await;
        }
    }

    /// Hands back what is held, so that another replica has it at once instead of after [`ACK_WAIT`].
    async fn hand_back(&self, mut prefetched: Prefetched) {
        self.stop_pulling(&mut prefetched);
        // Only now: naking while the pull is open brings them straight back.
        self.flush().await;
        let count = prefetched.held.len();
        for taken in prefetched.held {
            let _ = taken.message.ack_with(AckKind::Nak(None)).await;
        }
        self.flush().await;
        tracing::info!(
            consumer = self.handler.durable(),
            stream = self.stream,
            handed_back = count,
            "stopped pulling"
        );
    }

    async fn flush(&self) {
        // While the broker is away there is nothing to wait for: what is not handed back comes after `ACK_WAIT`.
        let _ = tokio::time::timeout(FLUSHED, self.nats.client.flush()).await;
    }

    fn taken(&self, message: Message) -> Taken {
        let (sequence, published) = message
            .info()
            .map_or((0, OffsetDateTime::UNIX_EPOCH), |info| {
                (info.stream_sequence, info.published)
            });
        let empty = async_nats::HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&empty);
        let units = unpack(
            &self.stream,
            sequence,
            published,
            &message.subject,
            headers,
            &message.payload,
        );
        let bytes = message.payload.len();
        Taken {
            message,
            sequence,
            units,
            bytes,
        }
    }
}
