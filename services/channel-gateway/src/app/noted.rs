//! When channels were last heard or answered, as this process has noted it: a row is written every ten seconds at most,
//! and whether it is due must not cost a transaction for each batch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How seldom a channel is noted.
const EVERY: Duration = Duration::seconds(10);

/// What this process has noted. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Noted(Arc<Mutex<HashMap<Uuid, OffsetDateTime>>>);

impl Noted {
    /// Returns which of these channels are to be noted again.
    pub fn due(&self, channels: impl IntoIterator<Item = Uuid>, now: OffsetDateTime) -> Vec<Uuid> {
        let noted = self.lock();
        channels
            .into_iter()
            .filter(|channel| noted.get(channel).is_none_or(|at| now - *at >= EVERY))
            .collect()
    }

    /// Remembers that these were noted; call it after the commit.
    pub fn done(&self, channels: &[Uuid], now: OffsetDateTime) {
        let mut noted = self.lock();
        noted.extend(channels.iter().map(|channel| (*channel, now)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, OffsetDateTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_due_again_after_ten_seconds_and_only_if_it_was_written() {
        let (noted, now) = (Noted::default(), OffsetDateTime::UNIX_EPOCH);
        let channel = Uuid::from_u128(1);
        assert_eq!(noted.due([channel], now), [channel]);
        assert_eq!(
            noted.due([channel], now),
            [channel],
            "nothing was committed"
        );
        noted.done(&[channel], now);
        assert!(noted.due([channel], now + Duration::seconds(9)).is_empty());
        assert_eq!(noted.due([channel], now + EVERY), [channel]);
    }
}
