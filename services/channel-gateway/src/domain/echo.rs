//! Telling echoes and receipts of our own sends from what is somebody else's (architecture §3).

use std::time::Duration;

/// What an item about a sent message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It speaks of what we sent.
    Ours,
    /// It speaks of something else.
    Foreign,
    /// It may speak of an attempt whose outcome is not known yet.
    Wait,
}

/// Judges an item: `known` when we sent what it names, `sending` while an attempt of its chat has no outcome; it waits no
/// longer than `most`.
pub fn judge(known: bool, sending: bool, waited: time::Duration, most: Duration) -> Verdict {
    if known {
        Verdict::Ours
    } else if sending && waited < most {
        Verdict::Wait
    } else {
        Verdict::Foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_foreign_only_when_no_attempt_can_be_its_cause() {
        let most = Duration::from_secs(10);
        for (known, sending, waited, expected) in [
            (true, false, 0, Verdict::Ours),
            (true, true, 0, Verdict::Ours),
            (false, false, 0, Verdict::Foreign),
            (false, true, 0, Verdict::Wait),
            (false, true, 9, Verdict::Wait),
            (false, true, 10, Verdict::Foreign),
        ] {
            let waited = time::Duration::seconds(waited);
            assert_eq!(judge(known, sending, waited, most), expected);
        }
    }
}
