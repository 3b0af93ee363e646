//! Who looks at a chat, or writes in it, at this moment (B19).

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::AgentId;

/// Agents in one chat who are remembered at once.
pub const PRESENT_MAX: usize = 100;

/// What an agent does in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Looks at it.
    Viewing,
    /// Writes.
    Typing,
}

impl Activity {
    /// For how long it holds once it was said: twice and more of what a client lets pass before it says it again.
    pub const fn holds(self) -> Duration {
        match self {
            Self::Viewing => Duration::from_secs(30),
            Self::Typing => Duration::from_secs(10),
        }
    }
}

/// Those in one chat, with what they do and until when that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present(BTreeMap<AgentId, (Activity, OffsetDateTime)>);

impl Present {
    /// Notes what an agent does, or that they have left; tells whether others see a difference.
    ///
    /// What would hold longer than it could by our own clock, as of a replica whose clock is ahead, holds as long as it can.
    pub fn note(
        &mut self,
        agent: AgentId,
        said: Option<(Activity, OffsetDateTime)>,
        now: OffsetDateTime,
    ) -> bool {
        let passed = self.pass(now);
        let Some((activity, until)) = said.filter(|(_, until)| *until > now) else {
            return self.0.remove(&agent).is_some() || passed;
        };
        if self.0.len() >= PRESENT_MAX && !self.0.contains_key(&agent) {
            return passed;
        }
        let until = until.min(now + activity.holds());
        let before = self.0.insert(agent, (activity, until));
        before.is_none_or(|(before, _)| before != activity) || passed
    }

    /// Forgets what holds no more; tells whether there was any.
    pub fn pass(&mut self, now: OffsetDateTime) -> bool {
        let before = self.0.len();
        self.0.retain(|_, (_, until)| *until > now);
        self.0.len() != before
    }

    /// When the next of them passes by itself.
    pub fn passes_at(&self) -> Option<OffsetDateTime> {
        self.0.values().map(|(_, until)| *until).min()
    }

    /// Who is there.
    pub fn iter(&self) -> impl Iterator<Item = (AgentId, Activity, OffsetDateTime)> {
        self.0
            .iter()
            .map(|(agent, (activity, until))| (*agent, *activity, *until))
    }

    /// Nobody is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        datetime!(2026-03-02 12:00 UTC) + time::Duration::seconds(seconds)
    }

    #[test]
    fn b19_what_somebody_does_is_seen_until_they_leave_or_say_nothing_more() {
        let (ann, bob) = (
            AgentId::from(Uuid::from_u128(1)),
            AgentId::from(Uuid::from_u128(2)),
        );
        let viewing = |until| Some((Activity::Viewing, at(until)));
        let mut present = Present::default();
        for (what, agent, said, now, differs, there) in [
            ("comes", ann, viewing(30), 0, true, 1),
            ("says it again", ann, viewing(40), 10, false, 1),
            ("writes", ann, Some((Activity::Typing, at(21))), 11, true, 1),
            ("another comes", bob, viewing(42), 12, true, 2),
            ("the first has fallen silent", bob, viewing(60), 30, true, 1),
            ("what is over says nothing", ann, viewing(29), 31, false, 1),
            ("leaves", bob, None, 32, true, 0),
            ("leaves again", bob, None, 33, false, 0),
            (
                "a clock that is far ahead",
                ann,
                viewing(9_000),
                40,
                true,
                1,
            ),
        ] {
            assert_eq!(present.note(agent, said, at(now)), differs, "{what}");
            assert_eq!(present.iter().count(), there, "{what}");
        }
        assert_eq!(present.passes_at(), Some(at(70)));
        assert!(present.pass(at(70)));
        assert!(present.is_empty());
    }

    #[test]
    fn b19_a_chat_remembers_so_many_at_most() {
        let mut present = Present::default();
        for agent in 0..PRESENT_MAX as u128 + 5 {
            present.note(
                Uuid::from_u128(agent).into(),
                Some((Activity::Viewing, at(30))),
                at(0),
            );
        }
        assert_eq!(present.iter().count(), PRESENT_MAX);
    }
}
