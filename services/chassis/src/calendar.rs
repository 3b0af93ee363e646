//! Working hours: when it is open, when that changes, and how much working time lies between two moments (B15, B16).
//!
//! Hours are by the clock on the wall of the calendar's zone and belong to the date on which they begin. Where that
//! clock jumps ahead, what would begin or end in the gap does so at the jump; where it shows an hour twice, hours
//! begin at the first and end at the last time it shows that moment.

pub mod wire;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// How many days ahead a change is looked for: yearly holidays are within them.
const CHANGE_WITHIN: i64 = 400;

/// When a calendar is looked at again in which no change was found.
const LOOK_AGAIN: Duration = Duration::days(300);

/// How many days ahead working time is added up.
const ADD_WITHIN: i64 = 5 * 366;

/// Working hours of an account, a channel or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Whose clock counts.
    pub zone: Zone,
    /// Hours of each day of the week, Monday first, each sorted.
    pub weekly: [Vec<Hours>; 7],
    /// Dates with hours of their own.
    pub holidays: Vec<Holiday>,
    /// Dates without hours.
    pub days_off: Vec<DaysOff>,
    /// While it is closed, chats of the channels that go by it wait (B15).
    pub holds_chats: bool,
}

/// A time zone with an IANA name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Returns the name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl TryFrom<String> for Zone {
    type Error = jiff::Error;

    fn try_from(name: String) -> Result<Self, jiff::Error> {
        TimeZone::get(&name).map(Self)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

/// Hours of one day in minutes since its midnight; `start` < `end`, which may be on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hours {
    start: u16,
    end: u16,
}

impl Hours {
    /// Reads `HH:MM` twice; an end at or before the start is on the next day.
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        let start = minutes(start).filter(|start| *start < DAY)?;
        let end = minutes(end)?;
        let end = if end <= start { end + DAY } else { end };
        Some(Self { start, end })
    }

    /// Writes start and end.
    pub fn text(self) -> (String, String) {
        let end = if self.end > DAY {
            self.end - DAY
        } else {
            self.end
        };
        let text = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        (text(self.start), text(end))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY).then_some(minutes)
}

/// A date with hours of its own, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    /// The date; the first of them for a yearly one.
    pub date: Date,
    /// Returns on this month and day of every year.
    pub yearly: bool,
    /// Its hours, sorted.
    pub hours: Vec<Hours>,
    /// Its name.
    pub name: String,
}

impl Holiday {
    fn is_on(&self, date: Date) -> bool {
        let same_day = (self.date.month(), self.date.day()) == (date.month(), date.day());
        self.date == date || (self.yearly && same_day && self.date < date)
    }
}

/// Dates without hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaysOff {
    /// The first date.
    pub first: Date,
    /// The last date.
    pub last: Date,
    /// Why.
    pub reason: String,
}

/// Which end of hours is looked for, where the clock shows it twice.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Start,
    End,
}

type Span = (Timestamp, Timestamp);

impl Calendar {
    /// Tells whether it is working time.
    pub fn is_open(&self, at: OffsetDateTime) -> bool {
        let at = instant(at);
        let covers = |(start, end): Span| start <= at && at < end;
        self.spans(at, at).any(covers)
    }

    /// Returns when that changes next; none where it does not within a year.
    pub fn next_change(&self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        let at = instant(at);
        let until = later(at, CHANGE_WITHIN);
        let mut spans = self.spans(at, until).peekable();
        let (start, mut end) = spans.next()?;
        if start > at {
            return moment(start).filter(|_| start <= until);
        }
        // Hours that go on into others are one.
        while let Some((_, further)) = spans.next_if(|(start, _)| *start <= end) {
            end = end.max(further);
        }
        moment(end).filter(|_| end <= until)
    }

    /// Returns whether it is working time, and when to look again.
    pub fn state(&self, now: OffsetDateTime) -> (bool, OffsetDateTime) {
        let change = self.next_change(now);
        let look = change.unwrap_or(now + LOOK_AGAIN);
        (self.is_open(now), look)
    }

    /// Returns how much working time lies between two moments; none where the second is not later.
    pub fn working_time_between(&self, from: OffsetDateTime, to: OffsetDateTime) -> Duration {
        let (mut from, to) = (instant(from), instant(to));
        let mut nanoseconds = 0;
        for (start, end) in self.spans(from, to) {
            let (start, end) = (start.max(from), end.min(to));
            if start < end {
                nanoseconds += end.as_nanosecond() - start.as_nanosecond();
                from = end;
            }
        }
        Duration::nanoseconds_i128(nanoseconds)
    }

    /// Returns the first moment until which this much working time has passed; none where the next five years have
    /// less.
    pub fn add_working_time(&self, at: OffsetDateTime, add: Duration) -> Option<OffsetDateTime> {
        let mut left = add.whole_nanoseconds();
        if left <= 0 {
            return Some(at);
        }
        let mut from = instant(at);
        for (start, end) in self.spans(from, later(from, ADD_WITHIN)) {
            let start = start.max(from);
            if start >= end {
                continue;
            }
            let length = end.as_nanosecond() - start.as_nanosecond();
            if left <= length {
                return Timestamp::from_nanosecond(start.as_nanosecond() + left)
                    .ok()
                    .and_then(moment);
            }
            left -= length;
            from = end;
        }
        None
    }

    /// Returns the hours that end after `from`, by their starts, of all dates until the one after `until`. They may
    /// overlap.
    fn spans(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Span> {
        let zone = &self.zone.0;
        // Hours last a day at most, and where the date line was moved a date is missing.
        let before = jiff::Span::new().days(2);
        let first = zone.to_datetime(from).date().saturating_sub(before);
        let after = jiff::Span::new().days(1);
        let last = zone.to_datetime(until).date().saturating_add(after);
        let next = |date: &Date| date.tomorrow().ok();
        std::iter::successors(Some(first), next)
            .take_while(move |date| *date <= last)
            .flat_map(move |date| {
                self.hours(date)
                    .iter()
                    .filter_map(move |hours| span(zone, date, *hours))
            })
            .filter(move |(start, end)| *end > from && start < end)
    }

    /// Returns the hours that begin on a date.
    fn hours(&self, date: Date) -> &[Hours] {
        let off = |days: &DaysOff| days.first <= date && date <= days.last;
        if self.days_off.iter().any(off) {
            return &[];
        }
        let mut holidays = self.holidays.iter().filter(|holiday| holiday.is_on(date));
        let mut yearly = None;
        let once = holidays.find(|holiday| {
            if holiday.yearly {
                yearly = yearly.or(Some(*holiday));
            }
            !holiday.yearly
        });
        if let Some(holiday) = once.or(yearly) {
            return &holiday.hours;
        }
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.weekly.get(weekday).map_or(&[], Vec::as_slice)
    }
}

fn span(zone: &TimeZone, date: Date, hours: Hours) -> Option<Span> {
    let start = on_the_wall(zone, date, hours.start, Edge::Start)?;
    let end = on_the_wall(zone, date, hours.end, Edge::End)?;
    Some((start, end))
}

/// Returns when the clock on the wall shows so many minutes after a date's midnight.
fn on_the_wall(zone: &TimeZone, date: Date, minutes: u16, edge: Edge) -> Option<Timestamp> {
    let date = (0..minutes / DAY).try_fold(date, |date, _| date.tomorrow().ok())?;
    let part = |value: u16| i8::try_from(value).ok();
    let (hour, minute) = (part(minutes % DAY / 60)?, part(minutes % 60)?);
    let shown = date.at(hour, minute, 0, 0);
    let offset = match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, after } => match edge {
            Edge::Start => before,
            Edge::End => after,
        },
        AmbiguousOffset::Gap { after, .. } => {
            // Under the offset that is to come the moment lies before the jump.
            let ahead = after.to_timestamp(shown).ok()?;
            return zone.following(ahead).next().map(|jump| jump.timestamp());
        }
    };
    offset.to_timestamp(shown).ok()
}

fn instant(at: OffsetDateTime) -> Timestamp {
    let outermost = if at.unix_timestamp() < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_nanosecond(at.unix_timestamp_nanos()).unwrap_or(outermost)
}

fn moment(at: Timestamp) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).ok()
}

fn later(at: Timestamp, days: i64) -> Timestamp {
    let added = at.as_second().saturating_add(days * 86_400);
    Timestamp::from_second(added).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod passing;
#[cfg(test)]
mod tests;
