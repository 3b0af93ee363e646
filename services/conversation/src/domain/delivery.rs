//! Delivery of an agent's message: states of parts that only move forward, and their sum (B03).

use super::words::DeliveryState;

/// What is known of one part of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its state.
    pub state: DeliveryState,
    /// Reason of a failure.
    pub reason: String,
    /// A sentence about it.
    pub detail: String,
    /// A retry may succeed.
    pub retryable: bool,
}

impl DeliveryState {
    /// How far a part has come. The order makes merging independent of the order of events: an outcome settles
    /// what was uncertain, and a failure that a provider reports after accepting counts. It counts after an arrival too:
    /// a mail that one server took another one may send back. Which channels know such failures, the gateway decides; it
    /// tells of none where a receipt proves arrival.
    const fn progress(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Sending => 1,
            Self::Uncertain => 2,
            Self::Cancelled => 3,
            Self::Sent => 4,
            Self::Delivered => 5,
            Self::Failed => 6,
            Self::Read => 7,
        }
    }

    /// Tells whether a part in this state moves on to `next`.
    pub const fn moves_to(self, next: Self) -> bool {
        next.progress() > self.progress()
    }

    /// Tells whether the provider has it.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered | Self::Read)
    }

    /// Tells whether an agent may ask for another attempt.
    pub const fn may_be_retried(self) -> bool {
        matches!(self, Self::Failed | Self::Uncertain)
    }
}

/// Sums an attempt of `parts` parts of which `known` have been heard: the one that needs attention first.
pub fn sum(known: &[Part], parts: usize) -> Part {
    let worst = [
        DeliveryState::Failed,
        DeliveryState::Uncertain,
        DeliveryState::Cancelled,
    ]
    .into_iter()
    .find_map(|state| known.iter().find(|part| part.state == state));
    if let Some(part) = worst {
        return part.clone();
    }
    let slowest = known
        .iter()
        .map(|part| part.state)
        .min_by_key(|state| state.progress());
    let state = match slowest {
        None => DeliveryState::Queued,
        // Something of it is out, something is still to come.
        Some(state) if known.len() < parts && state.is_sent() => DeliveryState::Sending,
        Some(state) => state,
    };
    Part {
        state,
        reason: String::new(),
        detail: String::new(),
        retryable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::DeliveryState::{
        Cancelled, Delivered, Failed, Queued, Read, Sending, Sent, Uncertain,
    };
    use super::*;

    fn part(state: DeliveryState) -> Part {
        Part {
            state,
            reason: String::new(),
            detail: String::new(),
            retryable: false,
        }
    }

    #[test]
    fn b03_parts_only_move_forward() {
        for (from, to, moves) in [
            (Queued, Sending, true),
            (Sending, Sent, true),
            (Sent, Delivered, true),
            (Delivered, Read, true),
            (Read, Delivered, false),
            (Delivered, Sent, false),
            (Uncertain, Sent, true),
            (Uncertain, Failed, true),
            (Sent, Uncertain, false),
            (Sent, Failed, true),
            (Delivered, Failed, true),
            (Failed, Delivered, false),
            (Read, Failed, false),
            (Failed, Sent, false),
            (Sent, Sent, false),
            (Cancelled, Queued, false),
        ] {
            assert_eq!(from.moves_to(to), moves, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn merging_gives_the_same_in_every_order() {
        let all = [
            Queued, Sending, Sent, Delivered, Read, Failed, Uncertain, Cancelled,
        ];
        for one in all {
            for other in all {
                let merge = |a: DeliveryState, b| if a.moves_to(b) { b } else { a };
                assert_eq!(merge(one, other), merge(other, one));
            }
        }
    }

    #[test]
    fn b03_the_sum_is_the_part_that_needs_attention_first() {
        for (states, parts, expected) in [
            (vec![], 1, Queued),
            (vec![Sent], 1, Sent),
            (vec![Sent], 2, Sending),
            (vec![Sent, Delivered], 2, Sent),
            (vec![Read, Delivered], 2, Delivered),
            (vec![Sent, Failed], 2, Failed),
            (vec![Failed, Uncertain], 2, Failed),
            (vec![Sent, Uncertain], 3, Uncertain),
            (vec![Sent, Cancelled], 2, Cancelled),
            (vec![Sending], 2, Sending),
        ] {
            let known: Vec<_> = states.iter().copied().map(part).collect();
            assert_eq!(sum(&known, parts).state, expected, "{states:?} of {parts}");
        }
    }
}
