//! Hours and dates as they are typed. Whether they make sense is the service's to say.

use switchboard_proto::assignment::v1::{DayHours, DaysOff, Holiday, Hours};

/// Days of the week as they are typed, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads `mon-fri 09:00-13:00 14:00-18:00`; `fri-mon` goes over the weekend.
pub(super) fn hours(text: &str) -> Result<Vec<DayHours>, String> {
    let mut words = text.split_whitespace();
    let days = words.next().and_then(days);
    let days = days.ok_or_else(|| format!("begins with a day or days: {}", DAYS.join(", ")))?;
    let hours = words.map(span).collect::<Result<Vec<_>, _>>()?;
    if hours.is_empty() {
        return Err("has hours after the days, as 09:00-18:00".into());
    }
    let day = |weekday: usize| DayHours {
        weekday: i32::try_from(weekday + 1).unwrap_or_default(),
        hours: hours.clone(),
    };
    Ok(days.into_iter().map(day).collect())
}

fn days(word: &str) -> Option<Vec<usize>> {
    let place = |word: &str| DAYS.iter().position(|day| *day == word);
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (place(first)?, place(last)?);
    let last = if last < first { last + 7 } else { last };
    Some((first..=last).map(|day| day % 7).collect())
}

fn span(word: &str) -> Result<Hours, String> {
    let (start, end) = word
        .split_once('-')
        .ok_or_else(|| format!("{word} is no hours, as 09:00-18:00"))?;
    Ok(Hours {
        start: start.to_owned(),
        end: end.to_owned(),
    })
}

/// Reads `2026-12-25 yearly` or `2026-12-31 10:00-14:00`.
pub(super) fn holiday(text: &str) -> Result<Holiday, String> {
    let mut words = text.split_whitespace().peekable();
    let date = words.next().ok_or("begins with a date")?.to_owned();
    let yearly = words.next_if_eq(&"yearly").is_some();
    Ok(Holiday {
        date,
        yearly,
        hours: words.map(span).collect::<Result<_, _>>()?,
        name: String::new(),
    })
}

/// Reads `2026-08-03` or `2026-08-03..2026-08-14`.
#[expect(clippy::unnecessary_wraps, reason = "a parser of the command line")]
pub(super) fn days_off(text: &str) -> Result<DaysOff, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, ""));
    Ok(DaysOff {
        first_date: first.to_owned(),
        last_date: last.to_owned(),
        reason: String::new(),
    })
}

/// Puts hours of the same day together.
pub(super) fn merged(given: Vec<Vec<DayHours>>) -> Vec<DayHours> {
    let mut week: Vec<DayHours> = Vec::new();
    for day in given.into_iter().flatten() {
        match week.iter_mut().find(|known| known.weekday == day.weekday) {
            Some(known) => known.hours.extend(day.hours),
            None => week.push(day),
        }
    }
    week
}

/// Writes hours.
pub(super) fn text(hours: &[Hours]) -> String {
    let text = |hours: &Hours| format!("{}-{}", hours.start, hours.end);
    hours.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Writes weekly hours; days in a row with the same hours are one.
pub(super) fn week(days: &[DayHours]) -> String {
    let mut runs: Vec<(i32, i32, &[Hours])> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last, hours)) if *last + 1 == day.weekday && **hours == day.hours[..] => {
                *last = day.weekday;
            }
            _ => runs.push((day.weekday, day.weekday, &day.hours)),
        }
    }
    let name = |weekday: i32| {
        let place = usize::try_from(weekday - 1).ok();
        place
            .and_then(|place| DAYS.get(place))
            .copied()
            .unwrap_or("?")
    };
    let run = |(first, last, hours): &(i32, i32, &[Hours])| {
        let days = if first == last {
            name(*first).to_owned()
        } else {
            format!("{}-{}", name(*first), name(*last))
        };
        format!("{days} {}", text(hours))
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b15_what_is_typed_is_what_is_shown() {
        for (typed, shown) in [
            (&["mon-fri 09:00-18:00"][..], Some("mon-fri 09:00-18:00")),
            (
                &["mon 09:00-13:00 14:00-18:00", "tue-wed 10:00-12:00"],
                Some("mon 09:00-13:00 14:00-18:00, tue-wed 10:00-12:00"),
            ),
            (
                &["sat-sun 22:00-02:00", "sun 08:00-09:00"],
                Some("sat 22:00-02:00, sun 22:00-02:00 08:00-09:00"),
            ),
            (&["mon"], None),
            (&["09:00-18:00"], None),
            (&["mon 9"], None),
            (&[""], None),
        ] {
            let read: Result<Vec<_>, _> = typed.iter().map(|text| hours(text)).collect();
            let read = read.ok().map(|given| week(&merged(given)));
            assert_eq!(read.as_deref(), shown, "{typed:?}");
        }
        let over: Vec<_> = hours("sun-mon 10:00-11:00").unwrap();
        assert_eq!([over[0].weekday, over[1].weekday], [7, 1]);
        let yearly = holiday("2026-12-25 yearly 10:00-12:00").unwrap();
        assert!(yearly.yearly && yearly.hours.len() == 1);
        assert!(!holiday("2026-12-25").unwrap().yearly);
        let off = days_off("2026-08-03..2026-08-14").unwrap();
        assert_eq!(off.last_date, "2026-08-14");
    }
}
