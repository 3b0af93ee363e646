//! How much waits for a consumer and for how long, looked at now and then: so it is true while nothing is consumed, too.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::future::try_join_all;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::heard::first_left;
use crate::nats::{self, Nats};
use crate::{clock, figures, meter};

/// The time between two looks at most; what an autoscaler sees is as old.
const EVERY: Duration = Duration::from_secs(10);

/// Looks at one durable on one stream.
pub(super) struct Lag {
    pub nats: Nats,
    pub durable: &'static str,
    pub stream: String,
    pub subjects: Vec<String>,
}

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Messages that are not acknowledged.
    pending: u64,
    /// When the oldest of them came into the stream.
    oldest: Option<OffsetDateTime>,
}

impl Lag {
    /// Looks until the service stops: one question about the consumer, and where something waits one for each of its subjects.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = Seen::default();
        while !stop.is_cancelled() {
            match tokio::time::timeout(EVERY, self.look()).await {
                Ok(Ok(found)) => seen = found,
                // What was seen last goes on: the oldest message is not getting younger while nobody can ask.
                Ok(Err(error)) => {
                    tracing::debug!(consumer = self.durable, stream = self.stream, error = %format!("{error:#}"), "not looked at");
                }
                Err(_) => {
                    tracing::debug!(
                        consumer = self.durable,
                        stream = self.stream,
                        "not looked at: no answer"
                    );
                }
            }
            self.tell(&seen, clock::now());
            let pause = tokio::time::sleep(nats::jittered(EVERY));
            let _ = stop.run_until_cancelled(pause).await;
        }
    }

    /// Sets the gauges.
    fn tell(&self, seen: &Seen, now: OffsetDateTime) {
        let labels = || {
            [
                self.durable.into(),
                metrics::SharedString::from(self.stream.clone()),
            ]
        };
        figures::CONSUMER_PENDING
            .of(labels())
            .set(meter::number(seen.pending));
        let age = seen
            .oldest
            .map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        figures::CONSUMER_OLDEST.of(labels()).set(age);
    }

    async fn look(&self) -> anyhow::Result<Seen> {
        let jetstream = &self.nats.jetstream;
        let stream = jetstream.get_stream_no_info(&self.stream).await?;
        let info = stream.consumer_info(self.durable).await?;
        let Some(first) = first_left(&info) else {
            return Ok(Seen::default());
        };
        let found = self
            .subjects
            .iter()
            .map(|subject| came(&stream, subject, first));
        Ok(Seen {
            pending: info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX),
            oldest: try_join_all(found).await?.into_iter().flatten().min(),
        })
    }
}

/// When the first message of a subject, from a sequence on, came.
async fn came(
    stream: &Stream<()>,
    subject: &str,
    from: u64,
) -> anyhow::Result<Option<OffsetDateTime>> {
    match stream.get_first_raw_message_by_subject(subject, from).await {
        Ok(message) => Ok(Some(message.time)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error).context("oldest message"),
    }
}
