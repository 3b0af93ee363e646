//! What the janitor does about a stream: pure.

use std::collections::BTreeSet;

/// The fill above which a stream is tidied: 80 % of its bound.
const FULL: (u128, u128) = (8, 10);

/// The fill that is left, where the ack floors allow: 60 % of its bound.
const LEFT: (u128, u128) = (6, 10);

/// A stream, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The bound in bytes; 0 for none.
    pub max_bytes: u64,
    /// The bytes that it holds.
    pub bytes: u64,
    /// Sequence of its oldest message.
    pub first: u64,
    /// Sequence of its newest message.
    pub last: u64,
}

impl StreamState {
    /// Returns how full the stream is, from 0 to 1; 0 without a bound.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for a gauge")]
    pub fn fill(&self) -> f64 {
        if self.max_bytes == 0 {
            return 0.0;
        }
        self.bytes as f64 / self.max_bytes as f64
    }

    /// Tells whether the stream is to be tidied.
    pub fn is_full(&self) -> bool {
        self.max_bytes > 0 && u128::from(self.bytes) * FULL.1 > u128::from(self.max_bytes) * FULL.0
    }

    /// Returns the sequence from which messages must stay to get down to what is left, by their average size.
    fn wanted(&self) -> u64 {
        let left = u128::from(self.max_bytes) * LEFT.0 / LEFT.1;
        let excess = u128::from(self.bytes).saturating_sub(left);
        let span = u128::from(self.last.saturating_sub(self.first)) + 1;
        let messages = (excess * span).div_ceil(u128::from(self.bytes).max(1));
        self.first
            .saturating_add(u64::try_from(messages.min(span)).unwrap_or(u64::MAX))
    }
}

/// A consumer, as far as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerState {
    /// Its name.
    pub name: String,
    /// Sequence of the oldest message that it is meant to get and may not have acknowledged; none if there is none.
    ///
    /// The ack floor alone does not say: the broker leaves that of a filtered consumer at the last message that it
    /// acknowledged, however many came since that its filter skips.
    pub owes: Option<u64>,
    /// The subjects that it reads; empty for all.
    pub subjects: Vec<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The stream has room.
    Nothing,
    /// The stream is full, and nothing may go: these durables of our own hold it, or do not exist yet.
    Held(Vec<String>),
    /// Everything below a sequence goes.
    Purge {
        /// The oldest sequence that stays.
        keep_from: u64,
        /// The consumers, none of ours, that have not read all that goes.
        overtaken: Vec<ConsumerState>,
    },
}

/// Decides about a stream. `own` are the durables without whose acknowledgement nothing goes.
///
/// The stream must have been looked at before its consumers.
pub fn decide(stream: &StreamState, consumers: &[ConsumerState], own: &[&str]) -> Decision {
    if !stream.is_full() {
        return Decision::Nothing;
    }
    let known: BTreeSet<&str> = consumers.iter().map(|known| known.name.as_str()).collect();
    let missing = own.iter().filter(|name| !known.contains(**name));
    let missing: Vec<String> = missing.map(|name| (*name).to_owned()).collect();
    let (ours, foreign): (Vec<_>, Vec<_>) = consumers
        .iter()
        .partition(|consumer| own.contains(&consumer.name.as_str()));
    if !missing.is_empty() || ours.is_empty() {
        return Decision::Held(missing);
    }
    let owed = ours.iter().filter_map(|consumer| consumer.owes).min();
    let keep_from = owed.map_or(stream.wanted(), |owed| owed.min(stream.wanted()));
    if keep_from <= stream.first {
        let holding = ours.iter().filter(|consumer| consumer.owes == owed);
        return Decision::Held(holding.map(|consumer| consumer.name.clone()).collect());
    }
    let overtaken = foreign
        .into_iter()
        .filter(|consumer| consumer.owes.is_some_and(|owed| owed < keep_from))
        .cloned()
        .collect();
    Decision::Purge {
        keep_from,
        overtaken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 2] = ["a-events", "b-events"];

    /// Messages 1 to 100 of 10 bytes, in a stream of so many bytes at most.
    fn stream(max_bytes: u64) -> StreamState {
        StreamState {
            max_bytes,
            bytes: 1_000,
            first: 1,
            last: 100,
        }
    }

    fn consumer(name: &str, owes: impl Into<Option<u64>>) -> ConsumerState {
        ConsumerState {
            name: name.to_owned(),
            owes: owes.into(),
            subjects: Vec::new(),
        }
    }

    fn purged(decision: &Decision) -> Option<u64> {
        match decision {
            Decision::Purge { keep_from, .. } => Some(*keep_from),
            _ => None,
        }
    }

    #[test]
    fn a_full_stream_loses_what_ours_acknowledged_down_to_sixty_percent() {
        for (max_bytes, owed, expected) in [
            // No bound, room, exactly 80 %.
            (0, [None, None], None),
            (2_000, [None, None], None),
            (1_250, [None, None], None),
            // 80.06 %: 750 bytes stay; 100 %: 600; over the bound, after it was lowered: 300.
            (1_249, [None, None], Some(27)),
            (1_000, [None, None], Some(41)),
            (500, [None, None], Some(71)),
            // The slower of ours is the limit, whichever it is.
            (1_000, [Some(11), None], Some(11)),
            (1_000, [Some(90), Some(11)], Some(11)),
            (1_000, [Some(41), Some(60)], Some(41)),
            (1_000, [None, Some(1)], None),
        ] {
            let consumers = [consumer("a-events", owed[0]), consumer("b-events", owed[1])];
            let decision = decide(&stream(max_bytes), &consumers, &OWN);
            assert_eq!(purged(&decision), expected, "{max_bytes} {owed:?}");
        }
    }

    #[test]
    fn sequences_go_on_after_earlier_purges() {
        let later = StreamState {
            first: 1_000_001,
            last: 1_000_100,
            ..stream(1_000)
        };
        let done = [consumer("a-events", None), consumer("b-events", 1_000_001)];
        assert_eq!(
            decide(&later, &done, &["a-events"]),
            Decision::Purge {
                keep_from: 1_000_041,
                overtaken: vec![done[1].clone()]
            }
        );
        // The first message of ours that is not acknowledged stays.
        assert_eq!(
            decide(&later, &done, &OWN),
            Decision::Held(vec!["b-events".into()])
        );
    }

    #[test]
    fn a_single_huge_message_goes_once_it_is_acknowledged() {
        let huge = StreamState {
            first: 7,
            last: 7,
            ..stream(1_000)
        };
        for (owes, expected) in [(Some(7), None), (None, Some(8))] {
            let decision = decide(&huge, &[consumer("a-events", owes)], &["a-events"]);
            assert_eq!(purged(&decision), expected, "{owes:?}");
        }
    }

    #[test]
    fn nothing_goes_before_all_of_ours_exist() {
        let stranger = consumer("shop", None);
        for (consumers, missing) in [
            (vec![], vec!["a-events", "b-events"]),
            (vec![stranger.clone()], vec!["a-events", "b-events"]),
            (vec![consumer("a-events", None), stranger], vec!["b-events"]),
        ] {
            let missing = missing.into_iter().map(str::to_owned).collect();
            assert_eq!(
                decide(&stream(1_000), &consumers, &OWN),
                Decision::Held(missing)
            );
        }
        // Without durables of our own nobody could say what is done with.
        assert_eq!(decide(&stream(1_000), &[], &[]), Decision::Held(Vec::new()));
    }

    #[test]
    fn consumers_of_others_hold_nothing_and_are_overtaken_when_they_have_not_read_what_goes() {
        // 41 is the first that stays.
        for (foreign, overtaken) in [
            (consumer("far behind", 1), true),
            (consumer("behind", 40), true),
            (consumer("just ahead", 41), false),
            (consumer("idle", None), false),
        ] {
            let consumers = [consumer("a-events", None), foreign.clone()];
            let expected = if overtaken {
                vec![foreign.clone()]
            } else {
                Vec::new()
            };
            assert_eq!(
                decide(&stream(1_000), &consumers, &["a-events"]),
                Decision::Purge {
                    keep_from: 41,
                    overtaken: expected
                },
                "{}",
                foreign.name
            );
        }
    }
}
