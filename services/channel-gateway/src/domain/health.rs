//! A channel's health (B10): what was found wrong, what of it is news, and what may be mended without asking anybody.

use time::{Duration, OffsetDateTime};

mod silence;

pub use silence::Activity;

use super::channel::{ChannelKind, ChannelState};

/// How seldom a lost webhook is set again: two programs must not take it from one another for ever.
const MENDED_EVERY: Duration = Duration::hours(1);

/// How long a provider may be out of reach before that is told.
const UNREACHABLE_AFTER: Duration = Duration::minutes(15);

/// The reason of a channel from which clients are not heard as they used to be: a hint only.
pub const SILENCE: &str = "SILENCE";

/// The reason of a provider that could not be asked.
pub const PROVIDER_UNREACHABLE: &str = "PROVIDER_UNREACHABLE";

/// Something that an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// What happened and what to do. Holds no secret.
    pub detail: String,
}

impl Problem {
    /// Words a problem.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// What the provider says of where it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Webhook {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// The provider calls nobody: it is asked.
    NotUsed,
    /// It calls us.
    Set,
    /// It calls nobody, though it should call us.
    Missing,
    /// It calls somebody else.
    Foreign,
    /// It calls us and does not get through.
    Failing,
}

impl Webhook {
    /// Returns the word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotUsed => "not-used",
            Self::Set => "set",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Failing => "failing",
        }
    }

    /// Reads the word that is stored; one that a newer version wrote says nothing.
    pub fn read(text: &str) -> Self {
        let known = [
            Self::NotUsed,
            Self::Set,
            Self::Missing,
            Self::Foreign,
            Self::Failing,
        ];
        let found = known.into_iter().find(|known| known.as_str() == text);
        found.unwrap_or_default()
    }
}

/// What a look at a channel found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Where the provider calls.
    pub webhook: Webhook,
    /// What only an administrator can mend.
    pub problems: Vec<Problem>,
    /// What is over once the webhook is set again.
    pub mendable: Vec<Problem>,
}

/// Tells whether a lost webhook may be set again without asking: what is lost once more within the hour is being taken.
pub fn may_mend(mended_at: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    mended_at.is_none_or(|at| now - at >= MENDED_EVERY)
}

/// Tells of a provider that could not be asked for long.
pub fn unreachable(
    kind: ChannelKind,
    failing_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Option<Problem> {
    (now - failing_since >= UNREACHABLE_AFTER).then(|| {
        let provider = kind.provider();
        Problem::new(
            PROVIDER_UNREACHABLE,
            format!(
                "{provider} could not be reached from here for a quarter of an hour: check the network, and whether it is \
                 out of order."
            ),
        )
    })
}

/// What of the problems found is news against those that are known; reasons are unique on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// To be told as begun.
    pub begun: Vec<Problem>,
    /// Known already, in other words than before.
    pub reworded: Vec<Problem>,
    /// To be told as over.
    pub over: Vec<String>,
}

/// Compares what was found with what is known, by reason and words.
pub fn news(known: &[(String, String)], found: Vec<Problem>) -> News {
    let over = known
        .iter()
        .filter(|(reason, _)| !found.iter().any(|problem| problem.reason == reason))
        .map(|(reason, _)| reason.clone())
        .collect();
    let mut news = News {
        over,
        ..News::default()
    };
    for problem in found {
        match known.iter().find(|(reason, _)| reason == problem.reason) {
            None if news
                .begun
                .iter()
                .any(|begun| begun.reason == problem.reason) => {}
            None => news.begun.push(problem),
            Some((_, detail)) if *detail != problem.detail => news.reworded.push(problem),
            Some(_) => {}
        }
    }
    news
}

/// How a channel is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is switched off, or nobody has looked yet.
    Unknown,
    /// Nothing is wrong.
    Well,
    /// It works, and somebody should look.
    Degraded,
    /// It does not work.
    Disconnected,
}

/// Sums up. A hint alone leaves a channel well.
pub fn state<'p>(
    channel: ChannelState,
    checked: bool,
    mut reasons: impl Iterator<Item = &'p str>,
) -> State {
    match channel {
        ChannelState::Disconnected => State::Disconnected,
        ChannelState::Enabled if reasons.any(|reason| reason != SILENCE) => State::Degraded,
        ChannelState::Enabled if checked => State::Well,
        ChannelState::Enabled | ChannelState::Disabled => State::Unknown,
    }
}

/// Names who has a webhook, without the address's path, which may be a secret.
pub fn host(url: &str) -> String {
    const HOST_MAX: usize = 200;
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    host.chars()
        .filter(|c| !c.is_control())
        .take(HOST_MAX)
        .collect()
}

/// Tells whether two addresses are one.
pub fn same_address(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_a_problem_is_news_once_and_its_end_is_news_once() {
        let known = |all: &[(&'static str, &str)]| -> Vec<(String, String)> {
            all.iter()
                .map(|(reason, detail)| ((*reason).to_owned(), (*detail).to_owned()))
                .collect()
        };
        let found = |all: &[(&'static str, &str)]| -> Vec<Problem> {
            all.iter().map(|(r, d)| Problem::new(r, *d)).collect()
        };
        for (name, before, now, begun, reworded, over) in [
            ("nothing", &[][..], &[][..], 0, 0, 0),
            ("begins", &[], &[("A", "a")], 1, 0, 0),
            ("goes on", &[("A", "a")], &[("A", "a")], 0, 0, 0),
            ("in other words", &[("A", "a")], &[("A", "b")], 0, 1, 0),
            ("ends", &[("A", "a")], &[], 0, 0, 1),
            ("another", &[("A", "a")], &[("B", "b")], 1, 0, 1),
            ("twice", &[], &[("A", "a"), ("A", "b")], 1, 0, 0),
        ] {
            let news = news(&known(before), found(now));
            let counts = (news.begun.len(), news.reworded.len(), news.over.len());
            assert_eq!(counts, (begun, reworded, over), "{name}");
        }
    }

    #[test]
    fn b10_the_sum_is_the_worst_and_a_hint_is_none() {
        use ChannelState::{Disabled, Disconnected, Enabled};
        for (channel, checked, reasons, expected) in [
            (Enabled, true, &[][..], State::Well),
            (Enabled, false, &[], State::Unknown),
            (Enabled, true, &[SILENCE], State::Well),
            (
                Enabled,
                false,
                &["WEBHOOK_FOREIGN", SILENCE],
                State::Degraded,
            ),
            (
                Disconnected,
                true,
                &["CREDENTIALS_REFUSED"],
                State::Disconnected,
            ),
            (Disabled, true, &["WEBHOOK_FOREIGN"], State::Unknown),
        ] {
            assert_eq!(
                state(channel, checked, reasons.iter().copied()),
                expected,
                "{channel:?} {reasons:?}"
            );
        }
    }

    #[test]
    fn b10_a_webhook_is_set_again_once_an_hour_at_most() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        for (minutes_ago, expected) in [(None, true), (Some(59), false), (Some(60), true)] {
            let at = minutes_ago.map(|minutes| now - Duration::minutes(minutes));
            assert_eq!(may_mend(at, now), expected, "{minutes_ago:?}");
        }
    }

    #[test]
    fn b10_a_provider_out_of_reach_is_told_after_a_quarter_of_an_hour() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let after = |minutes| {
            unreachable(ChannelKind::ViberBot, now - Duration::minutes(minutes), now).is_some()
        };
        assert!(!after(14) && after(15));
    }

    #[test]
    fn the_one_who_has_the_webhook_is_named_without_path_and_password() {
        for (url, expected) in [
            ("https://other.example/hook/secret", "other.example"),
            ("https://u:p@other.example:8443?x", "other.example:8443"),
            ("other.example#x", "other.example"),
            ("", ""),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn words_of_webhooks_are_read_as_they_were_written() {
        use Webhook::{Failing, Foreign, Missing, NotUsed, Set, Unknown};
        for webhook in [Unknown, NotUsed, Set, Missing, Foreign, Failing] {
            assert_eq!(Webhook::read(webhook.as_str()), webhook);
        }
        assert_eq!(Webhook::read("newer"), Unknown);
    }
}
