//! The one place that reads the clock.

use time::OffsetDateTime;

/// Returns the time now, in UTC, truncated to the microseconds that Postgres keeps.
///
/// Transport calls this and hands the value on: application and domain take time as an argument.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> OffsetDateTime {
    truncate(OffsetDateTime::now_utc())
}

/// Truncates a time to microseconds, so that what was computed equals what is read back from Postgres.
pub fn truncate(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.microsecond() * 1_000)
        .unwrap_or(time)
}
