//! Words for people: enums, times, sizes.

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

/// A protobuf enum value as a word: `STATE_IN_PROGRESS` with prefix `STATE_` is `in-progress`.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    match name.strip_prefix(prefix).unwrap_or(name) {
        "UNSPECIFIED" => "-".into(),
        rest => rest.to_lowercase().replace('_', "-"),
    }
}

/// A protobuf time.
pub(crate) fn time(stamp: Option<&Timestamp>) -> Option<OffsetDateTime> {
    let stamp = stamp?;
    let nanos = i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

/// How long ago, in one unit; a date beyond a month; `-` for none.
pub(crate) fn ago(stamp: Option<&Timestamp>, now: OffsetDateTime) -> String {
    let Some(then) = time(stamp) else {
        return "-".into();
    };
    let seconds = (now - then).whole_seconds();
    match seconds {
        // Clocks of two machines differ: a moment ahead is now.
        -59..=1 => "now".into(),
        ..-59 => format!("in {}", unit(-seconds)),
        2..=2_592_000 => format!("{} ago", unit(seconds)),
        _ => then
            .format(format_description!("[year]-[month]-[day]"))
            .unwrap_or_else(|_| "-".into()),
    }
}

/// How long something lasts, in one unit.
pub(crate) fn span(duration: time::Duration) -> String {
    unit(duration.whole_seconds().max(0))
}

/// A time as programs read it.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

fn unit(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The time of day with milliseconds, for logs and transcripts.
pub(crate) fn clock(time: OffsetDateTime) -> String {
    time.format(format_description!(
        "[hour]:[minute]:[second].[subsecond digits:3]"
    ))
    .unwrap_or_default()
}

/// A moment as people write it.
pub(crate) fn moment(time: OffsetDateTime) -> String {
    time.format(format_description!(
        "[year]-[month]-[day] [hour]:[minute] UTC"
    ))
    .unwrap_or_default()
}

/// Yes or no.
pub(crate) fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A number of bytes in the unit that reads best.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, shift)| count >> shift > 0);
    let Some((unit, shift)) = unit else {
        return format!("{count} B");
    };
    let (whole, rest) = (count >> shift, count & ((1 << shift) - 1));
    // One decimal, cut and not rounded: what is limited to 50 MiB must not be shown as having reached it before.
    match (rest * 10) >> shift {
        0 => format!("{whole} {unit}"),
        tenths => format!("{whole}.{tenths} {unit}"),
    }
}

/// A text cut to a number of characters, on one line.
pub(crate) fn short(text: &str, length: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= length {
        return line;
    }
    let mut cut: String = line.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use switchboard_proto::crm_cards::v1::StatusKind;

    use super::*;

    #[test]
    fn enum_values_are_words() {
        for (kind, expected) in [
            (StatusKind::New, "new"),
            (StatusKind::InProgress, "in-progress"),
            (StatusKind::Unspecified, "-"),
        ] {
            assert_eq!(word(kind.as_str_name(), "STATUS_KIND_"), expected);
        }
        assert_eq!(
            word("MODE_CONTACT_WITHOUT_CARDS", "MODE_"),
            "contact-without-cards"
        );
    }

    #[test]
    fn times_are_told_in_one_unit() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (seconds, expected) in [
            (0, "now"),
            (1, "now"),
            (-30, "now"),
            (2, "2 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (86_399, "23 h ago"),
            (86_400, "1 d ago"),
            (2_592_000, "30 d ago"),
            (2_592_001, "2026-12-16"),
            (-3_600, "in 1 h"),
        ] {
            let stamp = Timestamp {
                seconds: 1_800_000_000 - seconds,
                nanos: 0,
            };
            assert_eq!(ago(Some(&stamp), now), expected, "{seconds}");
        }
        assert_eq!(ago(None, now), "-");
        assert_eq!(
            ago(
                Some(&Timestamp {
                    seconds: i64::MAX,
                    nanos: 0
                }),
                now
            ),
            "-"
        );
    }

    #[test]
    fn sizes_are_told_in_one_unit() {
        for (count, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_536, "1.5 KiB"),
            (50 << 20, "50 MiB"),
            ((50 << 20) - 1, "49.9 MiB"),
            (20 << 30, "20 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(bytes(count), expected, "{count}");
        }
    }

    #[test]
    fn long_texts_are_cut_on_one_line() {
        for (text, expected) in [
            ("hello", "hello"),
            ("a\nb  c", "a b c"),
            ("привіт усім", "привіт у…"),
            ("", ""),
        ] {
            assert_eq!(short(text, 9), expected);
        }
    }
}
