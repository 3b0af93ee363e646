//! Reading a stream from a moment to its end, by the requests that each service may make already.

use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use futures::{StreamExt as _, TryStreamExt as _};
use time::OffsetDateTime;

use super::PAGE;
use crate::consumer::{Delivery, Unit, unpack};

/// A stream, with its end as it was when it was looked at.
pub(super) type Stream = async_nats::jetstream::stream::Stream<Info>;

/// Messages that are asked for at once.
const AHEAD: usize = 64;

/// Returns the sequence of the first message that was stored at a moment or later; the one after the last where there is none.
pub(super) async fn locate(stream: &Stream, moment: OffsetDateTime) -> anyhow::Result<u64> {
    let state = &stream.cached_info().state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let stored = match stream.get_first_raw_message_by_subject(">", middle).await {
            Ok(message) => Some(message.time),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => None,
            Err(error) => return Err(error.into()),
        };
        if stored.is_some_and(|stored| stored < moment) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Reads a stream from a sequence to where it ended, in pages. What cannot be read is nobody's: no service of ours published it.
pub(super) fn pages(
    stream: &Stream,
    first: u64,
) -> impl futures::Stream<Item = anyhow::Result<Vec<Delivery>>> + '_ {
    let name = &stream.cached_info().config.name;
    let last = stream.cached_info().state.last_sequence;
    futures::stream::iter(first..=last)
        .map(move |sequence| async move {
            match stream.get_raw_message(sequence).await {
                Ok(message) => {
                    let units = unpack(
                        name,
                        sequence,
                        message.time,
                        &message.subject,
                        &message.headers,
                        &message.payload,
                    );
                    Ok(units)
                }
                // Purged meanwhile, or deleted.
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {
                    Ok(Vec::new())
                }
                Err(error) => Err(anyhow::Error::new(error).context(format!("{name} {sequence}"))),
            }
        })
        .buffered(AHEAD)
        .try_chunks(PAGE)
        .map_err(|error| error.1)
        .map_ok(|page| {
            let units = page.into_iter().flatten();
            let read = units.filter_map(|unit| match unit {
                Unit::Delivery(delivery) => Some(*delivery),
                Unit::Poison { .. } => None,
            });
            read.collect()
        })
}
