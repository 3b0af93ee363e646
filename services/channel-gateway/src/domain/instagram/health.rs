//! What the Graph API says of a channel's health: whether it is subscribed, and how long its token lasts (channels.md §4,
//! §7.16, §7.22, B10).

use time::{Duration, OffsetDateTime};

use crate::domain::health::{Judgement, Problem, SILENCE, Webhook};

/// A token is renewed when it lasts shorter than this; a fresh one lasts 60 days.
const RENEWED_BEFORE: Duration = Duration::days(30);

/// How seldom a renewal is tried. A token younger than a day cannot be renewed.
const TRIED_EVERY: Duration = Duration::days(1);

/// So long before its end somebody is told.
const TOLD_BEFORE: Duration = Duration::days(7);

/// So long after it came somebody is told of a token whose end nobody knows, because it could not be renewed once.
const UNKNOWN_FOR: Duration = Duration::days(3);

/// What is known of a token by Instagram Login. One of a Page has no term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    /// Since when it is here.
    pub since: Option<OffsetDateTime>,
    /// When it ends; none before it was renewed once.
    pub expires_at: Option<OffsetDateTime>,
    /// When a renewal was tried last.
    pub tried_at: Option<OffsetDateTime>,
}

impl Token {
    /// Tells whether a renewal is to be tried now.
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        let near = self
            .expires_at
            .is_none_or(|ends| ends - now <= RENEWED_BEFORE);
        near && self.tried_at.is_none_or(|at| now - at >= TRIED_EVERY)
    }

    /// Tells of a token that ends soon, renewals notwithstanding.
    pub fn problem(&self, now: OffsetDateTime) -> Option<Problem> {
        let told = match (self.expires_at, self.since) {
            (Some(ends), _) => ends - now <= TOLD_BEFORE,
            (None, Some(since)) => self.tried_at.is_some() && now - since >= UNKNOWN_FOR,
            (None, None) => false,
        };
        told.then(|| {
            Problem::new(
                "TOKEN_EXPIRES",
                "Instagram does not renew the account's token, which ends soon: connect the channel again.",
            )
        })
    }
}

/// Judges a subscription. Meta drops it after an outage: then it is ours to subscribe again.
pub fn judge(subscribed: &[String], wanted: &str) -> Judgement {
    let missing: Vec<&str> = wanted
        .split(',')
        .filter(|field| !subscribed.iter().any(|has| has == field))
        .collect();
    let (webhook, mendable) = match missing.as_slice() {
        [] => (Webhook::Set, Vec::new()),
        missing => {
            let webhook = if subscribed.is_empty() {
                Webhook::Missing
            } else {
                Webhook::Set
            };
            let fields = missing.join(", ");
            let detail = format!(
                "Instagram does not tell of {fields} of this account: connect the channel again and grant what it asks for."
            );
            (webhook, vec![Problem::new("SUBSCRIPTION_MISSING", detail)])
        }
    };
    Judgement {
        webhook,
        mendable,
        ..Judgement::default()
    }
}

/// Tells of an account of which nothing came yet, though all looks well: what keeps it away the Graph API says nowhere,
/// so it takes a message of somebody to know (channels.md §7.21).
pub fn never_heard(last_inbound_at: Option<OffsetDateTime>) -> Option<Problem> {
    last_inbound_at.is_none().then(|| {
        Problem::new(
            SILENCE,
            "Nothing has come from Instagram yet. Have somebody without a role in the Meta app write to the account. If it \
             does not arrive: the app must be Live and have Advanced Access for messages and comments, the account must \
             be public for comments, and its owner must allow access to messages in Instagram's settings.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000)
    }

    #[test]
    fn b10_a_token_is_renewed_from_day_thirty_once_a_day_and_told_a_week_before_its_end() {
        let (day, ago) = (
            |days| now() + Duration::days(days),
            |hours| now() - Duration::hours(hours),
        );
        for (name, since, expires_at, tried_at, due, told) in [
            ("new", ago(0), None, None, true, false),
            ("new, tried", ago(1), None, Some(ago(1)), false, false),
            ("a day later", ago(25), None, Some(ago(24)), true, false),
            ("never renewed", ago(72), None, Some(ago(1)), false, true),
            ("never tried", ago(72), None, None, true, false),
            (
                "fresh",
                ago(900),
                Some(day(60)),
                Some(ago(900)),
                false,
                false,
            ),
            ("half", ago(900), Some(day(30)), Some(ago(900)), true, false),
            (
                "refused once",
                ago(900),
                Some(day(29)),
                Some(ago(2)),
                false,
                false,
            ),
            (
                "near its end",
                ago(900),
                Some(day(7)),
                Some(ago(2)),
                false,
                true,
            ),
            ("ended", ago(900), Some(day(-1)), Some(ago(30)), true, true),
        ] {
            let token = Token {
                since: Some(since),
                expires_at,
                tried_at,
            };
            assert_eq!(token.is_due(now()), due, "{name}");
            assert_eq!(token.problem(now()).is_some(), told, "{name}");
        }
    }

    #[test]
    fn b10_a_subscription_that_meta_dropped_is_seen() {
        let wanted = "messages,comments";
        for (subscribed, webhook, missing) in [
            (&["comments", "messages", "feed"][..], Webhook::Set, 0),
            (&["messages"], Webhook::Set, 1),
            (&[], Webhook::Missing, 1),
        ] {
            let subscribed: Vec<String> = subscribed.iter().map(|&f| f.to_owned()).collect();
            let judged = judge(&subscribed, wanted);
            assert_eq!((judged.webhook, judged.mendable.len()), (webhook, missing));
        }
    }
}
