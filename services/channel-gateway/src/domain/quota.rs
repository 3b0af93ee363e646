//! How many bytes an account's uploads may take, so that one tenant does not fill the store of all.

/// What an account has of its quota, as far as it is known where a file was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the account's files to be sent take {used} of {limit} bytes, and this one would add {size}: send a smaller one, wait \
     until files that were not sent are dropped a day after they came, or have the operator raise files.upload_quota or let \
     sent files go by files.sent_kept"
)]
pub struct Full {
    /// Bytes that its uploads take without this one.
    pub used: u64,
    /// Bytes that they may take.
    pub limit: u64,
    /// Bytes of this one.
    pub size: u64,
}

/// Tells whether an upload fits: `after` is what the account's uploads take with it. A limit of 0 is none.
pub fn admit(after: u64, size: u64, limit: u64) -> Result<(), Full> {
    if limit == 0 || after <= limit {
        return Ok(());
    }
    Err(Full {
        used: after.saturating_sub(size),
        limit,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_fit_up_to_the_limit_and_are_told_what_is_used() {
        for (used, size, limit, fits) in [
            (0, 1, 0, true),
            (u64::MAX - 1, 1, 0, true),
            (0, 100, 100, true),
            (0, 101, 100, false),
            (99, 1, 100, true),
            (99, 2, 100, false),
            // The limit was lowered below what is used.
            (500, 1, 100, false),
        ] {
            let admitted = admit(used + size, size, limit);
            assert_eq!(admitted.is_ok(), fits, "{used} + {size} of {limit}");
            if let Err(full) = admitted {
                assert_eq!(full, Full { used, limit, size });
                let text = full.to_string();
                assert!(text.contains(&format!("{used} of {limit} bytes")), "{text}");
            }
        }
    }
}
