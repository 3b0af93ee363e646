//! Choices are kept for a while (D22); afterwards they and what they looked at are forgotten.

use time::{Duration, OffsetDateTime};

use super::App;
use crate::store::purge;

/// Rows deleted by one transaction, so that no purge holds locks for long.
const AT_ONCE: i64 = 1_000;

/// How long a look is kept at least: choices refer to one that they remember for far less than that.
const LOOKS_KEPT: Duration = Duration::DAY;

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Choices.
    pub choices: u64,
    /// Looks.
    pub looks: u64,
}

impl App {
    /// Forgets choices that were made more than so many days ago, and looks that no choice refers to; with 0 days none.
    /// Where another replica is at it, it is left to that one.
    pub async fn purge_choices(
        &self,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Purged, sqlx::Error> {
        let oldest = now.checked_sub(Duration::days(days.into()));
        let Some(oldest) = oldest.filter(|_| days > 0) else {
            return Ok(Purged::default());
        };
        let mut purged = Purged::default();
        loop {
            let mut transaction = self.pool.begin().await?;
            if !purge::alone(&mut transaction).await? {
                return Ok(purged);
            }
            let choices = purge::choices(&mut transaction, oldest, AT_ONCE).await?;
            let looks = purge::looks(&mut transaction, now - LOOKS_KEPT, AT_ONCE).await?;
            transaction.commit().await?;
            purged.choices += choices;
            purged.looks += looks;
            if choices.max(looks) < AT_ONCE.cast_unsigned() {
                return Ok(purged);
            }
        }
    }
}
