//! Why a mail does not arrive, as one word: from the status (RFC 3463) and from what servers are used to say.

/// What servers say, in lower case, most telling first.
const PHRASES: &[(&str, &[&str])] = &[
    ("MAILBOX_FULL", &[
        "mailbox full", "mailbox is full", "mailbox for user is full", "over quota", "overquota", "quota exceeded", "exceeded quota", "exceed the quota", "exceeds quota",
        "out of quota", "quota is full", "quota full", "disk full", "exceeded storage", "storage limit", "insufficient storage space", "not enough storage space", "full mailbox",
        "exceeded the local limit", "mailbox size limit", "mailbox_full", "user is over", "is over its quota", "disc quota", "too many messages in mailbox",
        "user has too many messages", "mailbox has exceeded", "maildir delivery failed", "mailfolder is full", "delivery failed: over quota", "account is over", "inbox is full",
    ]),
    ("MAILBOX_MOVED", &["has moved", "no longer here", "address has changed", "has been replaced by", "moved to a new address", "recipient_moved", "new address"]),
    ("SUSPENDED", &[
        "disabled", "suspended", "account is inactive", "mailbox inactive", "account inactive", "is inactive", "deactivated", "mailbox currently suspended", "not active", "account expired", "account has been locked", "temporarily locked",
    ]),
    ("SPAM", &[
        "spam", "junk mail", "blacklist", "blocklist", "block list", "black list", "rbl", "dnsbl", "spamhaus", "spamcop", "bad reputation", "poor reputation", "low reputation", "reputation", "bulk mail", "unsolicited",
        "blocked using", "content rejected", "listed at", "listed by",
    ]),
    ("VIRUS", &["virus", "malware", "infected"]),
    ("TOO_LARGE", &[
        "too large", "too big", "exceeds size limit", "message size exceeds", "size limit", "exceeds maximum", "exceeded message size", "maximum message size", "exceeds fixed maximum", "message length exceeds", "exceeds the maximum",
    ]),
    ("RELAYING_DENIED", &["relay", "not a local", "relaying", "no such domain at this location", "not permitted to relay"]),
    ("HOST_UNKNOWN", &[
        "host unknown", "unknown host", "host name lookup", "hostname lookup", "host not found", "name service error", "domain not found", "nxdomain", "no such domain", "host or domain name not found", "unrouteable", "unroutable", "unrouteable mail domain", "couldn't find any host named", "bad destination system",
        "domain does not exist", "name or service not known", "no mx", "unable to resolve", "can't find any host", "couldn't find any host", "invalid mailbox path", "no dns", "dns error", "cannot resolve", "non-existent domain", "domain is not valid", "no route to domain", "illegal host/domain",
    ]),
    ("MAILBOX_UNKNOWN", &[
        "user unknown", "unknown user", "no such user", "no such mailbox", "no mailbox here", "mailbox unavailable", "mailbox not found", "mailbox unknown", "unknown mailbox", "does not exist", "doesn't exist", "not exist", "user not found", "not found", "no such recipient", "unknown recipient", "recipient unknown",
        "invalid recipient", "recipient not found", "invalid mailbox", "invalid address", "address unknown", "unknown address", "no such address", "not a valid", "not listed in", "doesn't have a", "does not have an account", "no account", "not our customer", "address rejected", "recipient rejected", "is unknown", "unknown local part",
        "unknown local-part", "no user", "user invalid", "invalid user", "unknown or illegal", "unknown or invalid", "no longer valid", "not known", "not a known", "bad destination", "account that you tried to reach", "нет такого пользователя", "недействительн", "не существует", "non existent", "non-existent", "this user doesn't", "not local", "isn't in my", "undeliverable address", "could not be found", "wasn't found", "not valid", "resolver.adr.recipnotfound", "recipient address rejected", "no local mailbox", "no existe", "cannot find user", "unable to find user",
    ]),
    ("SENDER_REJECTED", &["sender rejected", "sender address rejected", "sender denied", "sender address", "sender domain", "rejected sender", "sender not", "you are not allowed to send", "not a member", "are not member", "not allowed to post", "from address", "domain of sender", "sender verify failed", "sender unknown"]),
    ("AUTHENTICATION", &["dmarc", "spf", "dkim", "unauthenticated", "authentication required", "not authenticated", "authentication check"]),
    ("POLICY", &[
        "policy", "rejected by", "refused", "denied", "blocked", "prohibited", "not accept", "rejected", "not permitted", "forbidden", "not allowed", "restrict", "administrative prohibition", "violat", "not rfc", "non rfc", "rfc 5322", "rfc5322", "rfc 2822", "compliant", "missing header", "too many received", "too many hops", "content", "discard", "filter",
    ]),
    ("BUSY", &["too many connections", "too many concurrent", "too busy", "try again later", "too many recipients", "too many messages", "rate limit", "rate-limit", "limit exceeded", "greylist", "graylist", "exceeded the rate", "throttl", "connections from", "too much mail", "temporarily deferred"]),
    ("EXPIRED", &["expired", "timed out while", "too old", "retry timeout", "retry time", "delivery time", "for 4 days", "for 5 days", "could not be delivered for", "unable to deliver for", "not been delivered for", "giving up", "maximum retry", "too long", "could not deliver it for", "queue time", "has been in the queue", "not delivered within", "message timeout"]),
    ("NETWORK", &["connection refused", "connection timed out", "connection time", "timed out", "timeout", "no route to host", "network", "unable to connect", "could not connect", "couldn't connect", "lost connection", "connection reset", "connection dropped", "connection closed", "not responding", "connection failed", "mail loop", "loops back", "loop detected", "loop", "tls", "ssl"]),
    ("PROTOCOL", &["syntax error", "command not", "not recognized", "bad sequence", "need rcpt", "protocol error", "unimplemented", "valid rcpt command"]),
    ("SYSTEM", &["local error", "system error", "internal error", "configuration error", "internal server", "server error", "system config", "unable to write", "i/o error", "resources", "command died", "mailer error", "no space left", "error processing", "exit status", "service unavailable", "temporary failure"]),
];

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
    let found = PHRASES
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
        "1" => "MAILBOX_UNKNOWN",
        "2" if detail == "2.1" => "SUSPENDED",
        "2" => "MAILBOX_UNKNOWN",
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
            assert_eq!(of(status, reply, words), expected, "{status} {reply} {words}");
        }
    }
}
