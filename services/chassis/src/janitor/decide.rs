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
        self.max_bytes > 0
            && u128::from(self.bytes) * FULL.1 > u128::from(self.max_bytes) * FULL.0
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
    /// Sequence up to which it acknowledged everything that it was given.
    pub ack_floor: u64,
    /// Sequence up to which it was given everything that its filter lets through.
    pub delivered: u64,
    /// Messages that it was given and has not acknowledged.
    pub unacknowledged: u64,
    /// Messages that it was not given yet.
    pub pending: u64,
    /// The subjects that it reads; empty for all.
    pub subjects: Vec<String>,
}

impl ConsumerState {
    /// Returns the sequence up to which it is done. The broker leaves the ack floor of a filtered consumer at the last
    /// message that it acknowledged; while it owes nothing, it is done with all that its filter skipped as well.
    fn position(&self) -> u64 {
        if self.unacknowledged == 0 {
            self.ack_floor.max(self.delivered)
        } else {
            self.ack_floor
        }
    }

    fn is_overtaken(&self, keep_from: u64) -> bool {
        self.unacknowledged + self.pending > 0 && self.position() + 1 < keep_from
    }
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
    let floor = ours.iter().map(|consumer| consumer.position()).min();
    let (true, Some(floor)) = (missing.is_empty(), floor) else {
        return Decision::Held(missing);
    };
    let keep_from = stream.wanted().min(floor.saturating_add(1));
    if keep_from <= stream.first {
        let holding = ours.iter().filter(|consumer| consumer.position() == floor);
        return Decision::Held(holding.map(|consumer| consumer.name.clone()).collect());
    }
    let overtaken = foreign
        .into_iter()
        .filter(|consumer| consumer.is_overtaken(keep_from))
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

    fn consumer(name: &str, ack_floor: u64, delivered: u64, pending: u64) -> ConsumerState {
        ConsumerState {
            name: name.to_owned(),
            ack_floor,
            delivered,
            unacknowledged: delivered - ack_floor,
            pending,
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
        for (max_bytes, floors, expected) in [
            // No bound, room, exactly 80 %.
            (0, [100, 100], None),
            (2_000, [100, 100], None),
            (1_250, [100, 100], None),
            // 80.06 %: 750 bytes stay; 100 %: 600; over the bound, after it was lowered: 300.
            (1_249, [100, 100], Some(27)),
            (1_000, [100, 100], Some(41)),
            (500, [100, 100], Some(71)),
            // The slower of ours is the limit, whichever it is.
            (1_000, [10, 100], Some(11)),
            (1_000, [100, 10], Some(11)),
            (1_000, [100, 0], None),
        ] {
            let consumers = [
                consumer("a-events", floors[0], 100, 0),
                consumer("b-events", floors[1], 100, 0),
            ];
            let decision = decide(&stream(max_bytes), &consumers, &OWN);
            assert_eq!(purged(&decision), expected, "{max_bytes} {floors:?}");
        }
    }

    #[test]
    fn sequences_go_on_after_earlier_purges() {
        let later = StreamState {
            first: 1_000_001,
            last: 1_000_100,
            ..stream(1_000)
        };
        let done = [
            consumer("a-events", 1_000_100, 1_000_100, 0),
            consumer("b-events", 1_000_000, 1_000_000, 100),
        ];
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
        for (floor, expected) in [(6, None), (7, Some(8))] {
            let decision = decide(&huge, &[consumer("a-events", floor, 7, 0)], &["a-events"]);
            assert_eq!(purged(&decision), expected, "{floor}");
        }
    }

    #[test]
    fn nothing_goes_before_all_of_ours_exist() {
        let stranger = consumer("shop", 100, 100, 0);
        for (consumers, missing) in [
            (vec![], vec!["a-events", "b-events"]),
            (vec![stranger.clone()], vec!["a-events", "b-events"]),
            (
                vec![consumer("a-events", 100, 100, 0), stranger],
                vec!["b-events"],
            ),
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
    fn one_of_ours_that_owes_nothing_is_done_with_what_its_filter_skipped() {
        let idle = ConsumerState {
            unacknowledged: 0,
            ..consumer("a-events", 3, 90, 0)
        };
        let busy = ConsumerState {
            unacknowledged: 1,
            ..idle.clone()
        };
        for (ours, expected) in [(idle, Some(41)), (busy, Some(4))] {
            let decision = decide(&stream(1_000), &[ours], &["a-events"]);
            assert_eq!(purged(&decision), expected);
        }
    }

    #[test]
    fn consumers_of_others_hold_nothing_and_are_overtaken_when_they_have_not_read_what_goes() {
        // 41 is the first that stays.
        for (foreign, overtaken) in [
            (consumer("gone", 0, 0, 100), true),
            (consumer("slow", 39, 39, 61), true),
            (consumer("slow to acknowledge", 39, 60, 40), true),
            (consumer("just ahead", 40, 40, 60), false),
            (consumer("just ahead, in hand", 40, 60, 40), false),
            // Nothing behind the cut is for it.
            (consumer("idle", 0, 0, 0), false),
        ] {
            let consumers = [consumer("a-events", 100, 100, 0), foreign.clone()];
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
