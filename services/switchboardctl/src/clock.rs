//! The one place of this command that reads the clock.

use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

/// The time now, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads it; this command is no service and does without chassis"
)]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A new id for a request: random, sorted by time.
pub(crate) fn new_id() -> String {
    let now = now();
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond())).to_string()
}
