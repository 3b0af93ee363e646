//! Calendars on the wire, one reading for who keeps them and who copies them.

use jiff::civil::Date;
use switchboard_proto::assignment::v1 as pb;
use tonic::Status;

use super::{Calendar, DaysOff, Holiday, Hours};
use crate::grpc::Parse;

/// Hours of one day at most.
const HOURS_MAX: usize = 10;

/// Holidays, and days off, at most.
const DATES_MAX: usize = 200;

/// Names and reasons are this long at most, in characters.
const TEXT_MAX: usize = 100;

/// Longer names are none of a time zone.
const ZONE_MAX: usize = 64;

const WEEKDAYS: [pb::Weekday; 7] = [
    pb::Weekday::Monday,
    pb::Weekday::Tuesday,
    pb::Weekday::Wednesday,
    pb::Weekday::Thursday,
    pb::Weekday::Friday,
    pb::Weekday::Saturday,
    pb::Weekday::Sunday,
];

/// Reads a calendar.
///
/// # Errors
/// Names the field that is wrong.
pub fn read(parse: Parse, calendar: &pb::Calendar) -> Result<Calendar, Status> {
    let zone = parse.text("calendar.time_zone", &calendar.time_zone, ZONE_MAX)?;
    let unknown = |_| {
        parse.refuse(
            "calendar.time_zone",
            "must be an IANA time zone, as Europe/Kyiv",
        )
    };
    let zone = zone.to_owned().try_into().map_err(unknown)?;
    Ok(Calendar {
        zone,
        weekly: weekly(parse, &calendar.weekly)?,
        holidays: holidays(parse, &calendar.holidays)?,
        days_off: days_off(parse, &calendar.days_off)?,
        holds_chats: calendar.holds_chats,
    })
}

fn weekly(parse: Parse, days: &[pb::DayHours]) -> Result<[Vec<Hours>; 7], Status> {
    let mut weekly: [Option<Vec<Hours>>; 7] = Default::default();
    for (place, day) in days.iter().enumerate() {
        let field = format!("calendar.weekly[{place}]");
        let named = WEEKDAYS
            .iter()
            .position(|weekday| i32::from(*weekday) == day.weekday)
            .and_then(|weekday| weekly.get_mut(weekday));
        let weekday = format!("{field}.weekday");
        let slot = named.ok_or_else(|| parse.refuse(&weekday, "must be a day of the week"))?;
        let named_before = slot.replace(hours(parse, &field, &day.hours)?);
        if named_before.is_some() {
            return Err(parse.refuse(&weekday, "must be named once"));
        }
    }
    Ok(weekly.map(Option::unwrap_or_default))
}

fn hours(parse: Parse, field: &str, given: &[pb::Hours]) -> Result<Vec<Hours>, Status> {
    let field = format!("{field}.hours");
    bounded(parse, &field, given.len(), HOURS_MAX)?;
    let mut hours = Vec::with_capacity(given.len());
    for (place, given) in given.iter().enumerate() {
        let text = "must be HH:MM and HH:MM, as 09:00 and 18:00";
        let read = Hours::parse(&given.start, &given.end);
        hours.push(read.ok_or_else(|| parse.refuse(&format!("{field}[{place}]"), text))?);
    }
    hours.sort_unstable();
    Ok(hours)
}

fn holidays(parse: Parse, given: &[pb::Holiday]) -> Result<Vec<Holiday>, Status> {
    bounded(parse, "calendar.holidays", given.len(), DATES_MAX)?;
    let read = |(place, holiday): (usize, &pb::Holiday)| {
        let field = format!("calendar.holidays[{place}]");
        Ok(Holiday {
            date: date(parse, &format!("{field}.date"), &holiday.date)?,
            yearly: holiday.yearly,
            hours: hours(parse, &field, &holiday.hours)?,
            name: text(parse, &format!("{field}.name"), &holiday.name)?,
        })
    };
    given.iter().enumerate().map(read).collect()
}

fn days_off(parse: Parse, given: &[pb::DaysOff]) -> Result<Vec<DaysOff>, Status> {
    bounded(parse, "calendar.days_off", given.len(), DATES_MAX)?;
    let read = |(place, days): (usize, &pb::DaysOff)| {
        let field = format!("calendar.days_off[{place}]");
        let last_field = format!("{field}.last_date");
        let first = date(parse, &format!("{field}.first_date"), &days.first_date)?;
        let last = match days.last_date.as_str() {
            "" => first,
            last => date(parse, &last_field, last)?,
        };
        if last < first {
            return Err(parse.refuse(&last_field, "must not be before the first date"));
        }
        Ok(DaysOff {
            first,
            last,
            reason: text(parse, &format!("{field}.reason"), &days.reason)?,
        })
    };
    given.iter().enumerate().map(read).collect()
}

fn bounded(parse: Parse, field: &str, len: usize, max: usize) -> Result<(), Status> {
    if len > max {
        return Err(parse.refuse(field, &format!("must have at most {max} entries")));
    }
    Ok(())
}

fn date(parse: Parse, field: &str, text: &str) -> Result<Date, Status> {
    let refused = || parse.refuse(field, "must be a date YYYY-MM-DD, as 2026-12-31");
    // The parser would take a time or a zone after the date as well.
    if text.len() != "YYYY-MM-DD".len() {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

fn text(parse: Parse, field: &str, text: &str) -> Result<String, Status> {
    let text = parse.text_opt(field, text, TEXT_MAX)?;
    Ok(text.unwrap_or_default().to_owned())
}

/// Writes what a calendar says; whose it is and its revision are the caller's to add.
pub fn write(calendar: &Calendar) -> pb::Calendar {
    let days = WEEKDAYS.iter().zip(&calendar.weekly);
    let days = days.filter(|(_, hours)| !hours.is_empty());
    let holiday = |holiday: &Holiday| pb::Holiday {
        date: holiday.date.to_string(),
        yearly: holiday.yearly,
        hours: write_hours(&holiday.hours),
        name: holiday.name.clone(),
    };
    let off = |days: &DaysOff| pb::DaysOff {
        first_date: days.first.to_string(),
        last_date: days.last.to_string(),
        reason: days.reason.clone(),
    };
    pb::Calendar {
        time_zone: calendar.zone.name().to_owned(),
        weekly: days
            .map(|(weekday, hours)| pb::DayHours {
                weekday: (*weekday).into(),
                hours: write_hours(hours),
            })
            .collect(),
        holidays: calendar.holidays.iter().map(holiday).collect(),
        days_off: calendar.days_off.iter().map(off).collect(),
        holds_chats: calendar.holds_chats,
        ..pb::Calendar::default()
    }
}

fn write_hours(hours: &[Hours]) -> Vec<pb::Hours> {
    let write = |hours: &Hours| {
        let (start, end) = hours.text();
        pb::Hours { start, end }
    };
    hours.iter().map(write).collect()
}
