//! What following a mailbox says of a channel's health (B10).

use time::{Duration, OffsetDateTime};

use crate::domain::health::{Judgement, Problem, Webhook};

/// How long a mailbox may be out of reach: any error is no disconnection (channels.md §7.33).
const FAILING_FOR: Duration = Duration::minutes(10);

/// How long nobody may hold a mailbox; another replica takes it over within half a minute.
const ALONE_FOR: Duration = Duration::minutes(2);

/// What is stored of following a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Until when somebody holds it.
    pub lease_until: OffsetDateTime,
    /// Since when it cannot be read.
    pub failing_since: Option<OffsetDateTime>,
    /// Why.
    pub problem: String,
}

/// Judges a mailbox that should be followed.
pub fn judge(followed: Option<&Followed>, now: OffsetDateTime) -> Judgement {
    let mut problems = Vec::new();
    if let Some(followed) = followed {
        if followed
            .failing_since
            .is_some_and(|since| now - since >= FAILING_FOR)
        {
            let detail = format!(
                "The mailbox cannot be read: {}. Check the mail server and what is entered for it.",
                followed.problem
            );
            problems.push(Problem::new("MAILBOX_UNREADABLE", detail));
        }
        if now - followed.lease_until >= ALONE_FOR {
            let detail = "No replica follows the mailbox: start more of them, or let each follow more (`mail.capacity`).";
            problems.push(Problem::new("MAILBOX_NOT_FOLLOWED", detail));
        }
    }
    Judgement {
        webhook: Webhook::NotUsed,
        problems,
        ..Judgement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_a_mailbox_is_told_of_that_cannot_be_read_or_that_nobody_follows() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let ago = |minutes| now - Duration::minutes(minutes);
        for (lease_until, failing_since, expected) in [
            (ago(-1), None, &[][..]),
            (ago(-1), Some(ago(9)), &[]),
            (ago(-1), Some(ago(10)), &["MAILBOX_UNREADABLE"]),
            (ago(1), None, &[]),
            (ago(2), None, &["MAILBOX_NOT_FOLLOWED"]),
        ] {
            let followed = Followed {
                lease_until,
                failing_since,
                problem: "connection refused".to_owned(),
            };
            let problems = judge(Some(&followed), now).problems;
            let reasons: Vec<&str> = problems.iter().map(|problem| problem.reason).collect();
            assert_eq!(reasons, expected);
        }
        assert!(judge(None, now).problems.is_empty(), "not yet followed");
    }
}
