//! Token buckets as one time each (GCRA): the moment at which the bucket will be full again.

use std::time::Duration;

use time::OffsetDateTime;

/// How much may go, over time and at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Time per token.
    pub interval: Duration,
    /// Tokens at once.
    pub burst: u32,
}

impl Rate {
    /// Makes a rate of so many a second; at least one token fits at once.
    pub fn per_second(tokens: f64, burst: u32) -> Self {
        let interval = Duration::from_secs_f64(1.0 / tokens.clamp(0.001, 1_000_000.0));
        Self {
            interval,
            burst: burst.max(1),
        }
    }

    /// Takes up to `wanted` tokens from a bucket that will be full at `full_at`.
    ///
    /// Returns how many were taken, when the bucket is full again, and when the next token is there.
    pub fn take(self, full_at: OffsetDateTime, now: OffsetDateTime, wanted: u32) -> Taken {
        let full_at = full_at.max(now);
        let empty_at = now + self.interval * self.burst;
        let room = (empty_at - full_at).max(time::Duration::ZERO);
        let there = room.whole_nanoseconds() / self.interval.as_nanos().max(1).cast_signed();
        let tokens = u32::try_from(there).unwrap_or(u32::MAX).min(wanted);
        let full_at = full_at + self.interval * tokens;
        Taken {
            tokens,
            full_at,
            next_at: (full_at + self.interval - self.interval * self.burst).max(now),
        }
    }
}

/// What was taken from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Tokens taken.
    pub tokens: u32,
    /// When the bucket is full again.
    pub full_at: OffsetDateTime,
    /// When the next token is there; now where it is already.
    pub next_at: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let rate = Rate::per_second(10.0, 3);
        let start = OffsetDateTime::UNIX_EPOCH;
        let after = |ms: u64| start + Duration::from_millis(ms);
        let first = rate.take(start, start, 5);
        assert_eq!((first.tokens, first.next_at), (3, after(100)));
        assert_eq!(rate.take(first.full_at, after(50), 1).tokens, 0);
        let second = rate.take(first.full_at, after(100), 5);
        assert_eq!((second.tokens, second.next_at), (1, after(200)));
        assert_eq!(rate.take(second.full_at, after(10_000), 9).tokens, 3);
    }
}
