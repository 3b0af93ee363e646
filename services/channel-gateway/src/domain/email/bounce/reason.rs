//! Why a mail does not arrive, as one word: from the status (RFC 3463) and from what servers are used to say.

use super::said::REASONS;

/// Words that say where a mailbox is over its limit, which status codes often call something else.
const FULL_FIRST: &[&str] = &["quota", "mailbox full", "mailbox is full", "mailbox_full"];

/// Returns the reason.
///
/// A precise status is believed, except where the words are about a full mailbox; what is left is told by the words.
pub fn of(status: &str, reply: u16, words: &str) -> &'static str {
    let words = words.to_lowercase();
    if FULL_FIRST.iter().any(|phrase| words.contains(phrase)) {
        return "MAILBOX_FULL";
    }
    if let Some(precise) = by_status(status) {
        return precise;
    }
    by_words(&words)
        .or_else(|| by_loose_status(status))
        .or(match reply {
            421 | 450 | 451 => Some("BUSY"),
            452 => Some("MAILBOX_FULL"),
            552 => Some("TOO_LARGE"),
            550 | 551 | 553 => Some("MAILBOX_UNKNOWN"),
            554 => Some("POLICY"),
            _ => None,
        })
        .unwrap_or("UNDELIVERABLE")
}

/// Returns the reason that a text gives, where it gives one.
pub fn by_words(lower: &str) -> Option<&'static str> {
    let found = REASONS
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| lower.contains(phrase)));
    found.map(|(reason, _)| *reason)
}

/// Codes that are used for what they mean.
fn by_status(status: &str) -> Option<&'static str> {
    let (_, detail) = status.split_once('.')?;
    Some(match detail {
        "1.1" | "1.3" | "1.10" => "MAILBOX_UNKNOWN",
        "1.6" => "MAILBOX_MOVED",
        "1.2" | "4.4" => "HOST_UNKNOWN",
        "1.7" | "1.8" => "SENDER_REJECTED",
        "2.2" => "MAILBOX_FULL",
        "3.4" | "2.3" => "TOO_LARGE",
        "4.7" => "EXPIRED",
        _ => return None,
    })
}

/// Codes that say little: they are asked when the words say nothing.
fn by_loose_status(status: &str) -> Option<&'static str> {
    let (_, detail) = status.split_once('.')?;
    Some(match detail.split('.').next()? {
        "2" if detail == "2.1" => "SUSPENDED",
        "1" | "2" => "MAILBOX_UNKNOWN",
        "3" => "SYSTEM",
        "4" => "NETWORK",
        "5" => "PROTOCOL",
        "6" | "7" => "POLICY",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_by_code_and_by_words() {
        for (status, reply, words, expected) in [
            ("5.1.1", 550, "no", "MAILBOX_UNKNOWN"),
            ("5.1.1", 550, "mailbox full", "MAILBOX_FULL"),
            ("5.2.2", 552, "", "MAILBOX_FULL"),
            ("5.0.0", 550, "User unknown", "MAILBOX_UNKNOWN"),
            ("5.7.1", 554, "blocked using zen.spamhaus.example", "SPAM"),
            ("5.7.1", 550, "Relaying denied", "RELAYING_DENIED"),
            ("5.7.1", 550, "", "POLICY"),
            ("5.4.4", 0, "", "HOST_UNKNOWN"),
            ("4.4.7", 0, "", "EXPIRED"),
            ("", 552, "message size exceeds fixed maximum", "TOO_LARGE"),
            ("", 550, "", "MAILBOX_UNKNOWN"),
            ("", 0, "", "UNDELIVERABLE"),
            ("5.2.1", 550, "", "SUSPENDED"),
        ] {
            assert_eq!(
                of(status, reply, words),
                expected,
                "{status} {reply} {words}"
            );
        }
    }
}
