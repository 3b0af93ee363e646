//! How long to wait before a provider that is out of order is asked again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);

/// Returns the wait before try `tries + 1`, doubling up to a minute; `roll` (0 to 1) spreads those who wait.
pub fn wait(tries: u32, roll: f64) -> Duration {
    let doubled = FIRST
        .saturating_mul(2_u32.saturating_pow(tries.min(16)))
        .min(LONGEST);
    doubled.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_are_spread() {
        for (tries, roll, expected) in [
            (0, 1.0, 500),
            (0, 0.0, 250),
            (1, 1.0, 1_000),
            (3, 0.0, 2_000),
            (30, 1.0, 60_000),
        ] {
            assert_eq!(
                wait(tries, roll),
                Duration::from_millis(expected),
                "{tries} {roll}"
            );
        }
    }
}
