//! What a channel's chats go by: continuing (F210), how long clients may wait (F211, B16), what they are answered by itself (B15).

use std::time::Duration;

use chassis::calendar::Calendar;
use time::OffsetDateTime;

use super::{BotId, ChannelId};

/// Minutes within which a return may continue a conversation, at most.
pub const CONTINUE_MAX: i32 = 100_000;

/// Seconds that a client may wait, at most: 30 days.
pub const LIMIT_MAX: i32 = 30 * 24 * 60 * 60;

/// Characters of what is answered by itself, at most: what every messenger takes in one message.
pub const REPLY_MAX: usize = 4_000;

/// So long after its opening is a conversation answered by itself: later than that it would surprise.
pub const GREETED_WITHIN: Duration = Duration::from_mins(15);

/// A channel's rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRule {
    /// The channel.
    pub channel: ChannelId,
    /// A client who writes within so many minutes after the end continues the conversation; 0 for never (F210).
    pub continue_minutes: i32,
    /// How long clients may wait.
    pub limits: Limits,
    /// What a client who opens a conversation in working hours is answered by itself; empty for nothing.
    pub greeting: String,
    /// The same outside working hours.
    pub off_hours_reply: String,
    /// The bot of NPS that has to be sent before a conversation is closed (F202).
    pub nps_bot: Option<BotId>,
    /// Raised with every change; 0 where none was set.
    pub revision: i64,
    /// When it was changed last.
    pub updated_at: Option<OffsetDateTime>,
}

impl ChannelRule {
    /// Returns the rule of a channel that has none.
    pub fn empty(channel: ChannelId) -> Self {
        Self {
            channel,
            continue_minutes: 0,
            limits: Limits::default(),
            greeting: String::new(),
            off_hours_reply: String::new(),
            nps_bot: None,
            revision: 0,
            updated_at: None,
        }
    }
}

/// How many seconds of working time a client may wait for an answer; 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// For the first answer of a conversation.
    pub first: i32,
    /// For every further one.
    pub next: i32,
}

impl Limits {
    /// Returns the limit of a wait; none where it has none.
    pub const fn of(self, first: bool) -> Option<i32> {
        let limit = if first { self.first } else { self.next };
        if limit > 0 { Some(limit) } else { None }
    }

    /// Tells whether these time what was not timed under others.
    pub const fn times_more_than(self, before: Self) -> bool {
        (self.first > 0 && before.first == 0) || (self.next > 0 && before.next == 0)
    }
}

/// Returns when a wait exceeds its limit: when so much working time has passed. Never, where none comes within five years.
///
/// Without a calendar all time is working time.
pub fn due(
    since: OffsetDateTime,
    limit: i32,
    calendar: Option<&Calendar>,
) -> Option<OffsetDateTime> {
    let limit = time::Duration::seconds(limit.into());
    match calendar {
        Some(calendar) => calendar.add_working_time(since, limit),
        None => since.checked_add(limit),
    }
}

/// What is known of a conversation that may be answered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// It is still the chat's open one, and the chat is no spam.
    pub is_open: bool,
    /// An agent's answer was sent in it.
    pub answered: bool,
    /// How long ago it was opened.
    pub age: time::Duration,
    /// It is working time.
    pub working_time: bool,
}

/// What a client is answered by itself (B15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'r> {
    /// In working hours.
    Greeting(&'r str),
    /// Outside of them.
    OffHours(&'r str),
}

impl<'r> Reply<'r> {
    /// The name of the rule, by which events name who wrote it.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Greeting(_) => "greeting",
            Self::OffHours(_) => "off-hours-reply",
        }
    }

    /// What it says.
    pub const fn text(self) -> &'r str {
        match self {
            Self::Greeting(text) | Self::OffHours(text) => text,
        }
    }
}

/// Decides what a client is answered by itself (B15).
pub fn reply(rule: &ChannelRule, opened: Opened) -> Option<Reply<'_>> {
    if !opened.is_open || opened.answered || opened.age > GREETED_WITHIN {
        return None;
    }
    let reply = if opened.working_time {
        Reply::Greeting(&rule.greeting)
    } else {
        Reply::OffHours(&rule.off_hours_reply)
    };
    (!reply.text().is_empty()).then_some(reply)
}

#[cfg(test)]
#[path = "channel_rule_tests.rs"]
mod tests;
