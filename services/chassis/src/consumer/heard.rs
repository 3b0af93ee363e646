//! How far a durable has come with what providers sent, whichever replica reads it.

use std::sync::Arc;

use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::stream::RawMessageErrorKind;
use time::OffsetDateTime;

use super::Handler;
use crate::nats::{Nats, Streams};

/// Tells how far the consumer of all `INBOUND_<n>` has come.
#[derive(Clone)]
pub struct Heard {
    nats: Nats,
    streams: Streams,
    durable: &'static str,
}

impl Heard {
    /// Asks about a handler's durable.
    pub fn new(nats: Nats, streams: Streams, handler: &Arc<dyn Handler>) -> Self {
        Self {
            nats,
            streams,
            durable: handler.durable(),
        }
    }

    /// Returns up to when all that had come into the streams was acknowledged, by the broker's clock; `now`, a moment before the
    /// question, where nothing waits.
    ///
    /// # Errors
    /// Returns an error when the broker is away, or knows nothing of the durable.
    pub async fn until(&self, now: OffsetDateTime) -> anyhow::Result<OffsetDateTime> {
        let mut until = now;
        for shard in 0..self.streams.shards() {
            let stream = self.streams.inbound(shard);
            let stream = self.nats.jetstream.get_stream(stream).await?;
            let info = stream.consumer_info(self.durable).await?;
            if let Some(first) = first_left(&info) {
                let subject = self.streams.inbound_subject(shard);
                match stream
                    .get_first_raw_message_by_subject(&subject, first)
                    .await
                {
                    Ok(message) => until = until.min(message.time),
                    // Gone from the stream meanwhile, or acknowledged as the last one.
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(until)
    }
}

/// From which message on something may not be acknowledged; none where all is.
pub(super) fn first_left(info: &Info) -> Option<u64> {
    let idle = info.num_pending == 0 && info.num_ack_pending == 0;
    (!idle).then_some(info.ack_floor.stream_sequence + 1)
}
