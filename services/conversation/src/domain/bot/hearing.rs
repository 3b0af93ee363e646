//! What a run hears of what its client says: which words answer its question, and which are for agents alone.
//!
//! Words are told apart by when they were said, not by when they are read: what stood in the backlog while the service was away
//! answers where it came in time, and what is older than the question, or came late, does not.

use time::{Duration, OffsetDateTime};

use super::nps::{self, COMMENT_AWAITED};
use super::{Expects, RunState};

/// How far a provider's clock may be behind ours, and what it leaves out of seconds.
const CLOCKS: Duration = Duration::seconds(30);

/// Something that a client said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'s> {
    /// The words; empty where there are none, as of a picture.
    pub text: &'s str,
    /// When it was sent, by the provider's clock.
    pub sent_at: OffsetDateTime,
    /// When the gateway accepted it.
    pub accepted_at: OffsetDateTime,
}

/// What words are to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// Nothing: a message like any other.
    Nothing,
    /// An answer, and a message like any other.
    Answer,
    /// The score of NPS, and nothing else: it opens no conversation, and no agent has to answer it.
    Score,
    /// The comment to it. It opens no conversation; where the run's own is open, it is a message like any other.
    Comment,
    /// A message like any other, for which the run makes room: who expects a score, or a comment, hears something else.
    Ends,
}

impl Hearing {
    /// Tells whether the words open no conversation.
    pub const fn opens_nothing(self) -> bool {
        matches!(self, Self::Score | Self::Comment)
    }

    /// Tells whether agents are notified of words though nobody has to answer them: a comment that opens nothing. A score without
    /// words is for the bot alone.
    pub fn is_told(self, own_open: bool, text: &str) -> bool {
        match self {
            Self::Comment => !own_open,
            Self::Score => !own_open && nps::read(text).is_some_and(|(_, said)| !said.is_empty()),
            Self::Nothing | Self::Answer | Self::Ends => false,
        }
    }

    /// Tells whether an agent has to answer the words; `own_open` tells that the run's own conversation is open.
    pub const fn is_answered_by_agents(self, own_open: bool) -> bool {
        match self {
            Self::Score => false,
            Self::Comment => own_open,
            Self::Nothing | Self::Answer | Self::Ends => true,
        }
    }
}

/// How a run stands that listens.
#[derive(Debug, Clone, Copy)]
pub struct Stands<'s> {
    /// It asks the question of NPS.
    pub nps: bool,
    /// Its own conversation is open.
    pub own_open: bool,
    /// An agent has spoken since it asked: until the conversation's end the client answers the agent.
    pub aside: bool,
    /// Its state.
    pub state: RunState,
    /// What the question at which it is expects; none where it is at none.
    pub expects: Option<Expects>,
    /// What it heard and has not gone on with.
    pub input: Option<&'s str>,
    /// When it asked, or when it heard what it goes on with; none where that is not known.
    pub since: Option<OffsetDateTime>,
    /// When it goes on by itself.
    pub due_at: Option<OffsetDateTime>,
}

/// A run that listens to what is said in its chat, in the order in which it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    nps: bool,
    own_open: bool,
    awaits: Option<Expects>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

impl Listening {
    /// A run as it stands.
    pub fn of(run: &Stands<'_>) -> Self {
        let mut listening = Self {
            nps: run.nps,
            own_open: run.own_open,
            awaits: None,
            since: run.since,
            until: None,
        };
        match (run.state, run.input) {
            (RunState::Waiting, _) if run.aside && run.own_open => {}
            (RunState::Waiting, _) => {
                (listening.awaits, listening.until) = (run.expects, run.due_at);
            }
            // What comes before it goes on belongs to the same answer.
            (RunState::Ready, Some(input)) => match run.expects {
                Some(Expects::Score) if nps::read(input).is_some() => listening.awaits_more(),
                Some(Expects::Comment) => listening.awaits_more(),
                other => listening.awaits = other,
            },
            _ => {}
        }
        listening
    }

    fn awaits_more(&mut self) {
        self.awaits = Some(Expects::Comment);
        self.until = self.since.map(|since| since + COMMENT_AWAITED);
    }

    /// Hears an agent, who takes over.
    pub fn agent(&mut self) {
        self.awaits = None;
    }

    /// Hears the client.
    pub fn client(&mut self, said: &Said<'_>) -> Hearing {
        let Some(awaits) = self.awaits else {
            return Hearing::Nothing;
        };
        let asked_later = |asked| said.accepted_at < asked || said.sent_at + CLOCKS < asked;
        if self.since.is_some_and(asked_later) {
            return Hearing::Nothing;
        }
        // A provider that could not reach us brings later what was sent in time.
        let said_at = said.sent_at.min(said.accepted_at);
        let late = self.until.is_some_and(|until| said_at > until);
        let hearing = match awaits {
            // In its own conversation it runs out of time by itself, and does what is to be done then.
            _ if late && (self.own_open || !self.nps) => return Hearing::Nothing,
            _ if late => Hearing::Ends,
            Expects::Score if nps::read(said.text).is_some() => Hearing::Score,
            Expects::Score => Hearing::Ends,
            Expects::Comment if !said.text.trim().is_empty() => Hearing::Comment,
            // A picture says nothing that could be kept; agents look at it.
            Expects::Comment if !self.own_open => Hearing::Ends,
            Expects::Comment | Expects::Unspecified => Hearing::Answer,
        };
        match hearing {
            Hearing::Score => {
                self.since = Some(said.accepted_at);
                self.awaits_more();
            }
            Hearing::Ends => self.awaits = None,
            Hearing::Answer | Hearing::Comment => self.until = self.until.filter(|_| self.nps),
            Hearing::Nothing => {}
        }
        hearing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: OffsetDateTime = time::macros::datetime!(2026-03-02 12:00:00 UTC);

    fn at(seconds: i64) -> OffsetDateTime {
        NOON + Duration::seconds(seconds)
    }

    fn waits(expects: Expects) -> Stands<'static> {
        Stands {
            nps: expects != Expects::Unspecified,
            own_open: false,
            aside: false,
            state: RunState::Waiting,
            expects: Some(expects),
            input: None,
            since: Some(NOON),
            due_at: Some(at(900)),
        }
    }

    fn said(seconds: i64, text: &str) -> Said<'_> {
        Said {
            text,
            sent_at: at(seconds),
            accepted_at: at(seconds),
        }
    }

    #[test]
    fn f203_words_are_the_comment_while_it_is_awaited_and_a_message_like_any_other_then() {
        let own = |run| Stands {
            own_open: true,
            aside: false,
            ..run
        };
        let (score, comment) = (waits(Expects::Score), waits(Expects::Comment));
        for (run, seconds, text, expected) in [
            (comment, 900, "fast", Hearing::Comment),
            (comment, 901, "fast", Hearing::Ends),
            (own(comment), 901, "fast", Hearing::Nothing),
            (comment, 10, "", Hearing::Ends),
            (own(comment), 10, "", Hearing::Answer),
            (score, 10, "9", Hearing::Score),
            (score, 10, "10, thanks", Hearing::Score),
            (score, 10, "where is my parcel?", Hearing::Ends),
            (score, 901, "9", Hearing::Ends),
            (waits(Expects::Unspecified), 10, "Kyiv", Hearing::Answer),
            (waits(Expects::Unspecified), 901, "Kyiv", Hearing::Nothing),
        ] {
            let heard = Listening::of(&run).client(&said(seconds, text));
            assert_eq!(heard, expected, "{run:?} {seconds} {text}");
        }
    }

    #[test]
    fn f187_what_is_older_than_the_question_is_no_answer_and_what_was_sent_in_time_is_one() {
        let mut late = said(1_000, "9");
        late.sent_at = at(900);
        let mut redelivered = said(10, "9");
        redelivered.sent_at = at(-60);
        let mut seconds_of_a_provider = said(1, "9");
        seconds_of_a_provider.sent_at = at(-1);
        for (said, expected) in [
            (said(-1, "9"), Hearing::Nothing),
            (redelivered, Hearing::Nothing),
            (seconds_of_a_provider, Hearing::Score),
            (late, Hearing::Score),
        ] {
            let mut listening = Listening::of(&waits(Expects::Score));
            assert_eq!(listening.client(&said), expected, "{said:?}");
        }
    }

    #[test]
    fn f203_words_that_open_nothing_are_told_of_and_a_mere_score_is_not() {
        for (hearing, own_open, text, told) in [
            (Hearing::Comment, false, "fast", true),
            (Hearing::Comment, true, "fast", false),
            (Hearing::Score, false, "9", false),
            (Hearing::Score, false, "9\nthe courier was rude", true),
            (Hearing::Score, true, "9\nthe courier was rude", false),
            (Hearing::Ends, false, "where is my parcel?", false),
            (Hearing::Nothing, false, "hello", false),
        ] {
            assert_eq!(hearing.is_told(own_open, text), told, "{hearing:?} {text}");
        }
    }

    #[test]
    fn f203_what_follows_a_score_at_once_belongs_to_it() {
        let mut listening = Listening::of(&waits(Expects::Score));
        assert_eq!(listening.client(&said(10, "9")), Hearing::Score);
        assert_eq!(listening.client(&said(20, "slow")), Hearing::Comment);
        assert_eq!(listening.client(&said(2_000, "hello?")), Hearing::Ends);
        assert_eq!(listening.client(&said(2_001, "hello?")), Hearing::Nothing);
        // Also where the score was heard before, and the run has not gone on.
        let heard = Stands {
            state: RunState::Ready,
            input: Some("9"),
            ..waits(Expects::Score)
        };
        assert_eq!(
            Listening::of(&heard).client(&said(20, "slow")),
            Hearing::Comment
        );
        let mut listening = Listening::of(&waits(Expects::Score));
        listening.agent();
        assert_eq!(listening.client(&said(10, "9")), Hearing::Nothing);
    }
}
