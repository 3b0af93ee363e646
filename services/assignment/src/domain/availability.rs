//! What an agent's presence is, of all that has a say in it (B04): a function from facts, so that every replica and
//! every path finds the same.
//!
//! The order is the specification: by hand until an end, by hand for good, the calendar, the streams, and without any
//! of them offline. What comes first decides alone: who set themselves online stays so after hours (and gets no chats
//! then), and whom the calendar calls online needs no stream.

use time::OffsetDateTime;

use super::words::Presence;

/// Presence that somebody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The presence.
    pub presence: Presence,
    /// Why; empty where that was not said.
    pub reason: String,
}

/// What has a say in an agent's presence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Say {
    /// By hand, until then.
    pub until: Option<(Set, OffsetDateTime)>,
    /// By hand, for good.
    pub standing: Option<Set>,
    /// What it follows otherwise.
    pub follows: Follows,
    /// It is the agent's working time.
    pub within_hours: bool,
    /// A stream of the agent is open, or was within the grace time.
    pub has_stream: bool,
}

/// What an agent's presence follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Follows {
    /// Working hours.
    pub calendar: bool,
    /// Open streams.
    pub streams: bool,
    /// Becoming away gives open chats back to be distributed; else they are kept.
    pub away_gives_back: bool,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nothing.
    None,
    /// Somebody set it.
    Hand,
    /// Working hours.
    Calendar,
    /// Open streams.
    Stream,
}

impl Source {
    /// Returns the stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hand => "hand",
            Self::Calendar => "calendar",
            Self::Stream => "stream",
        }
    }

    /// Reads a stored word; one of a newer version decides nothing here.
    pub fn of(word: &str) -> Self {
        match word {
            "hand" => Self::Hand,
            "calendar" => Self::Calendar,
            "stream" => Self::Stream,
            _ => Self::None,
        }
    }
}

/// An agent's presence and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The presence.
    pub presence: Presence,
    /// What decided.
    pub source: Source,
    /// Why; empty where that was not said.
    pub reason: String,
    /// Until when, where that was said.
    pub end: Option<OffsetDateTime>,
}

impl Availability {
    /// What an agent begins with.
    pub const fn none() -> Self {
        Self {
            presence: Presence::Offline,
            source: Source::None,
            reason: String::new(),
            end: None,
        }
    }
}

/// Decides on an agent's presence.
pub fn availability(say: &Say, now: OffsetDateTime) -> Availability {
    let by_hand = |set: &Set, end| Availability {
        presence: set.presence,
        source: Source::Hand,
        reason: set.reason.clone(),
        end,
    };
    let by_rule = |source, online| Availability {
        presence: if online {
            Presence::Online
        } else {
            Presence::Offline
        },
        source,
        ..Availability::none()
    };
    match (&say.until, &say.standing) {
        (Some((set, end)), _) if *end > now => by_hand(set, Some(*end)),
        (_, Some(set)) => by_hand(set, None),
        _ if say.follows.calendar => by_rule(Source::Calendar, say.within_hours),
        _ if say.follows.streams => by_rule(Source::Stream, say.has_stream),
        _ => Availability::none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{Away, Offline, Online};
    use time::Duration;
    use time::macros::datetime;

    fn set(presence: Presence) -> Set {
        Set {
            presence,
            reason: "lunch".into(),
        }
    }

    /// Every combination of what has a say, against the order in words.
    #[test]
    fn b04_hand_comes_before_calendar_before_streams_and_its_end_ends_it() {
        let now = datetime!(2026-03-02 12:00 UTC);
        let both = [false, true];
        let ends = [None, Some(Duration::ZERO), Some(Duration::SECOND)];
        let mut seen = 0;
        for end in ends {
            for standing in both {
                for (calendar, streams) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    for within_hours in both {
                        for has_stream in both {
                            let say = Say {
                                until: end.map(|end| (set(Away), now + end)),
                                standing: standing.then(|| set(Online)),
                                follows: Follows {
                                    calendar,
                                    streams,
                                    away_gives_back: false,
                                },
                                within_hours,
                                has_stream,
                            };
                            let word = |online| if online { Online } else { Offline };
                            let expected = if end == Some(Duration::SECOND) {
                                (Away, Source::Hand)
                            } else if standing {
                                (Online, Source::Hand)
                            } else if calendar {
                                (word(within_hours), Source::Calendar)
                            } else if streams {
                                (word(has_stream), Source::Stream)
                            } else {
                                (Offline, Source::None)
                            };
                            let found = availability(&say, now);
                            assert_eq!((found.presence, found.source), expected, "{say:?}");
                            let by_hand = found.source == Source::Hand;
                            assert_eq!(found.reason, if by_hand { "lunch" } else { "" });
                            assert_eq!(found.end.is_some(), found.presence == Away);
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 96);
    }
}
