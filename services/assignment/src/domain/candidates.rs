//! Who may have a chat: the agents that a choice looks at, and why each was left out (B04, B06, D22).

use std::collections::BTreeMap;

use chassis::access::{AccessRecord, ChatAccess};
use chassis::id::AgentId;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::ChannelId;
use super::words::Presence;

/// An agent as distribution sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colleague {
    /// What they may do.
    pub access: AccessRecord,
    /// Presence now.
    pub presence: Presence,
    /// How many open chats distribution may give at most; 0 is no limit.
    pub capacity: i32,
    /// Open chats now.
    pub load: i32,
    /// It is their working time.
    pub within_hours: bool,
    /// Waiting chats given to them lately.
    pub drained: Drained,
}

/// Waiting chats that an agent was given within a minute, so that who comes back is not flooded (B04).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many.
    pub count: i32,
    /// When the minute began; none before the first.
    pub since: Option<OffsetDateTime>,
}

impl Drained {
    /// How long a minute is.
    pub const MINUTE: Duration = Duration::MINUTE;

    /// Returns what counts at a time: nothing when the minute is over.
    #[must_use]
    pub fn at(self, now: OffsetDateTime) -> Self {
        let runs = self.since.is_some_and(|since| now < since + Self::MINUTE);
        if runs { self } else { Self::default() }
    }

    /// Counts one more.
    #[must_use]
    pub fn and_one(self, now: OffsetDateTime) -> Self {
        Self {
            count: self.count + 1,
            since: self.since.or(Some(now)),
        }
    }
}

/// Why somebody was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LeftOut {
    /// The account has no such agent.
    AgentUnknown,
    /// The agent is inactive.
    AgentInactive,
    /// The channel is not granted (F062).
    ChannelNotGranted,
    /// The agent has no access to chats (F175).
    ChatAccessMissing,
    /// The agent is away or offline.
    NotOnline,
    /// It is not the agent's working time (B04).
    OutsideWorkingHours,
    /// The agent has as many open chats as they may be given (D25).
    AtCapacity,
    /// The agent has as many open chats of the channel as it gives to one agent (B04).
    AtChannelCapacity,
    /// The agent could take the chat, but was given as many waiting chats this minute as the channel allows (B04).
    AtPace,
    /// The agent could take the chat, but let an offer of it pass (B04).
    OfferPassed,
    /// The agent could take the chat, but others in the channel have waited for longer (B04).
    OthersWaitLonger,
    /// The agent could take the chat, but it is not the channel's working time, and its calendar holds chats (B15).
    ChannelOutsideWorkingHours,
}

impl LeftOut {
    /// Returns the reason as the API words it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentUnknown => "AGENT_UNKNOWN",
            Self::AgentInactive => "AGENT_INACTIVE",
            Self::ChannelNotGranted => "CHANNEL_NOT_GRANTED",
            Self::ChatAccessMissing => "CHAT_ACCESS_MISSING",
            Self::NotOnline => "NOT_ONLINE",
            Self::OutsideWorkingHours => "OUTSIDE_WORKING_HOURS",
            Self::AtCapacity => "AT_CAPACITY",
            Self::AtChannelCapacity => "AT_CHANNEL_CAPACITY",
            Self::AtPace => "AT_PACE",
            Self::OfferPassed => "OFFER_PASSED",
            Self::OthersWaitLonger => "OTHERS_WAIT_LONGER",
            Self::ChannelOutsideWorkingHours => "CHANNEL_OUTSIDE_WORKING_HOURS",
        }
    }
}

/// Somebody who was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub agent: AgentId,
    /// Open chats at that moment.
    pub load: i32,
    /// Why they could not be chosen; none where they could.
    pub left_out: Option<LeftOut>,
    /// How many open chats they might be given at most; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub capacity: i32,
    /// Their weight in the channel's pool; 0 is not in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i32,
    /// The number of their last turn in the channel; 0 is none yet.
    #[serde(default, skip_serializing_if = "is_zero_turn")]
    pub turn: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(value: &i32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero_turn(value: &i64) -> bool {
    *value == 0
}

impl Candidate {
    /// Returns the candidate of an act by hand, which looks at nobody else.
    pub const fn only(agent: AgentId, load: i32) -> Self {
        Self {
            agent,
            load,
            left_out: None,
            capacity: 0,
            weight: 0,
            turn: 0,
        }
    }
}

/// What a channel asks of whom a rule may choose.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The channel.
    pub channel: ChannelId,
    /// Its chats are distributed now: it is its working time, or its calendar does not hold them (B15).
    pub open: bool,
    /// How many of its open chats a rule may give to one agent; 0 is no limit.
    pub capacity: i32,
    /// Its open chats of each agent, where its capacity is limited.
    pub loads: Option<&'a BTreeMap<AgentId, i32>>,
    /// How many waiting chats one agent may be given in a minute, where the chat has waited; 0 is no limit.
    pub pace: i32,
    /// Agents who let an offer of this chat pass.
    pub passed: &'a [AgentId],
}

impl Terms<'_> {
    /// Returns the terms of a channel that asks for nothing beyond its grant.
    pub const fn of(channel: ChannelId) -> Self {
        Self {
            channel,
            open: true,
            capacity: 0,
            loads: None,
            pace: 0,
            passed: &[],
        }
    }

    /// Says why an agent gets no chat by a rule now. The order is from what holds for long to what holds for moments.
    pub fn leave_out(&self, colleague: &Colleague) -> Option<LeftOut> {
        let agent = colleague.access.agent;
        let here = self.loads.and_then(|loads| loads.get(&agent)).copied();
        let reached = |limit: i32, value: i32| limit > 0 && value >= limit;
        let reasons = [
            (LeftOut::NotOnline, colleague.presence != Presence::Online),
            (LeftOut::OutsideWorkingHours, !colleague.within_hours),
            (
                LeftOut::AtCapacity,
                reached(colleague.capacity, colleague.load),
            ),
            (
                LeftOut::AtChannelCapacity,
                reached(self.capacity, here.unwrap_or(0)),
            ),
            (LeftOut::ChannelOutsideWorkingHours, !self.open),
            (LeftOut::AtPace, reached(self.pace, colleague.drained.count)),
            (LeftOut::OfferPassed, self.passed.contains(&agent)),
        ];
        barred(colleague, self.channel).or_else(|| first(&reasons))
    }

    /// Returns how many chats more an eligible agent can be given by a rule now; none where nothing limits it.
    pub fn places(&self, colleague: &Colleague) -> Option<i64> {
        let here = self.loads.and_then(|l| l.get(&colleague.access.agent));
        let limits = [
            (colleague.capacity, colleague.load),
            (self.capacity, here.copied().unwrap_or(0)),
            (self.pace, colleague.drained.count),
        ];
        let left = |(limit, value): (i32, i32)| (limit > 0).then(|| i64::from(limit - value));
        limits.into_iter().filter_map(left).min()
    }
}

/// Says why an agent may not have chats of a channel at all, by hand neither.
pub fn barred(colleague: &Colleague, channel: ChannelId) -> Option<LeftOut> {
    let access = &colleague.access;
    let reasons = [
        (LeftOut::AgentInactive, !access.active),
        (
            LeftOut::ChannelNotGranted,
            !access.may_see_channel(channel.uuid()),
        ),
        (LeftOut::ChatAccessMissing, access.chats == ChatAccess::None),
    ];
    first(&reasons)
}

fn first(reasons: &[(LeftOut, bool)]) -> Option<LeftOut> {
    reasons
        .iter()
        .find(|(_, holds)| *holds)
        .map(|(reason, _)| *reason)
}
