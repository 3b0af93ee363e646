//! Calendars on the wire.

use chassis::grpc::timestamp;
use jiff::civil::Date;
use switchboard_proto::assignment::v1 as pb;
use tonic::Status;

use super::PARSE;
use crate::domain::calendar::{Calendar, DaysOff, Holiday, Hours, Owner};
use crate::store::calendars::CalendarRow;

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

/// Reads whose calendar it is.
pub fn owner(field: &str, owner: Option<&pb::CalendarOwner>) -> Result<Owner, Status> {
    use pb::calendar_owner::Owner as Named;
    match owner.and_then(|owner| owner.owner.as_ref()) {
        Some(Named::Account(true)) => Ok(Owner::Account),
        Some(Named::Account(false)) => {
            Err(PARSE.refuse(&format!("{field}.account"), "must be true"))
        }
        Some(Named::ChannelId(id)) => PARSE
            .id(&format!("{field}.channel_id"), id)
            .map(Owner::Channel),
        Some(Named::AgentId(id)) => PARSE.id(&format!("{field}.agent_id"), id).map(Owner::Agent),
        None => Err(PARSE.refuse(field, "is required")),
    }
}

/// Reads a calendar.
pub fn read(calendar: &pb::Calendar) -> Result<Calendar, Status> {
    let zone = PARSE.text("calendar.time_zone", &calendar.time_zone, ZONE_MAX)?;
    let unknown = |_| {
        PARSE.refuse(
            "calendar.time_zone",
            "must be an IANA time zone, as Europe/Kyiv",
        )
    };
    let zone = zone.to_owned().try_into().map_err(unknown)?;
    Ok(Calendar {
        zone,
        weekly: weekly(&calendar.weekly)?,
        holidays: holidays(&calendar.holidays)?,
        days_off: days_off(&calendar.days_off)?,
        holds_chats: calendar.holds_chats,
    })
}

fn weekly(days: &[pb::DayHours]) -> Result<[Vec<Hours>; 7], Status> {
    let mut weekly: [Option<Vec<Hours>>; 7] = Default::default();
    for (place, day) in days.iter().enumerate() {
        let field = format!("calendar.weekly[{place}]");
        let named = WEEKDAYS
            .iter()
            .position(|weekday| i32::from(*weekday) == day.weekday)
            .and_then(|weekday| weekly.get_mut(weekday));
        let weekday = format!("{field}.weekday");
        let slot = named.ok_or_else(|| PARSE.refuse(&weekday, "must be a day of the week"))?;
        let named_before = slot.replace(hours(&field, &day.hours)?);
        if named_before.is_some() {
            return Err(PARSE.refuse(&weekday, "must be named once"));
        }
    }
    Ok(weekly.map(Option::unwrap_or_default))
}

fn hours(field: &str, given: &[pb::Hours]) -> Result<Vec<Hours>, Status> {
    let field = format!("{field}.hours");
    bounded(&field, given.len(), HOURS_MAX)?;
    let mut hours = Vec::with_capacity(given.len());
    for (place, given) in given.iter().enumerate() {
        let text = "must be HH:MM and HH:MM, as 09:00 and 18:00";
        let read = Hours::parse(&given.start, &given.end);
        hours.push(read.ok_or_else(|| PARSE.refuse(&format!("{field}[{place}]"), text))?);
    }
    hours.sort_unstable();
    Ok(hours)
}

fn holidays(given: &[pb::Holiday]) -> Result<Vec<Holiday>, Status> {
    bounded("calendar.holidays", given.len(), DATES_MAX)?;
    let read = |(place, holiday): (usize, &pb::Holiday)| {
        let field = format!("calendar.holidays[{place}]");
        Ok(Holiday {
            date: date(&format!("{field}.date"), &holiday.date)?,
            yearly: holiday.yearly,
            hours: hours(&field, &holiday.hours)?,
            name: text(&format!("{field}.name"), &holiday.name)?,
        })
    };
    given.iter().enumerate().map(read).collect()
}

fn days_off(given: &[pb::DaysOff]) -> Result<Vec<DaysOff>, Status> {
    bounded("calendar.days_off", given.len(), DATES_MAX)?;
    let read = |(place, days): (usize, &pb::DaysOff)| {
        let field = format!("calendar.days_off[{place}]");
        let last_field = format!("{field}.last_date");
        let first = date(&format!("{field}.first_date"), &days.first_date)?;
        let last = match days.last_date.as_str() {
            "" => first,
            last => date(&last_field, last)?,
        };
        if last < first {
            return Err(PARSE.refuse(&last_field, "must not be before the first date"));
        }
        Ok(DaysOff {
            first,
            last,
            reason: text(&format!("{field}.reason"), &days.reason)?,
        })
    };
    given.iter().enumerate().map(read).collect()
}

fn bounded(field: &str, len: usize, max: usize) -> Result<(), Status> {
    if len > max {
        return Err(PARSE.refuse(field, &format!("must have at most {max} entries")));
    }
    Ok(())
}

fn date(field: &str, text: &str) -> Result<Date, Status> {
    let refused = || PARSE.refuse(field, "must be a date YYYY-MM-DD, as 2026-12-31");
    // The parser would take a time or a zone after the date as well.
    if text.len() != "YYYY-MM-DD".len() {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

fn text(field: &str, text: &str) -> Result<String, Status> {
    let text = PARSE.text_opt(field, text, TEXT_MAX)?;
    Ok(text.unwrap_or_default().to_owned())
}

/// Writes a calendar.
pub fn write(row: &CalendarRow) -> pb::Calendar {
    use pb::calendar_owner::Owner as Named;
    let owner = match row.owner {
        Owner::Account => Named::Account(true),
        Owner::Channel(channel) => Named::ChannelId(channel.to_string()),
        Owner::Agent(agent) => Named::AgentId(agent.to_string()),
    };
    let calendar = &row.calendar;
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
        owner: Some(pb::CalendarOwner { owner: Some(owner) }),
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
        revision: row.revision,
        update_time: Some(timestamp(row.updated_at)),
    }
}

fn write_hours(hours: &[Hours]) -> Vec<pb::Hours> {
    let write = |hours: &Hours| {
        let (start, end) = hours.text();
        pb::Hours { start, end }
    };
    hours.iter().map(write).collect()
}
