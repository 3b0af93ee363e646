//! Reading Meta's JSON: message ids are longer than other ids, and times come in four forms.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::domain::value::{text, time};

/// Message ids have about 170 bytes.
const KEY_MAX: usize = 512;

/// Comments stand beside messages under this prefix: their ids are numbers that say nothing of what they are.
const COMMENT: &str = "cmt:";

/// `2026-10-01T09:00:00+0000`, as the Graph API writes times.
const GRAPH_TIME: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
);

/// Returns the id of a message or comment, whether it came as a string or as a number.
pub fn key(value: &Value, field: &str) -> Option<String> {
    match value.get(field)? {
        Value::String(key) if !key.trim().is_empty() && key.len() <= KEY_MAX => {
            Some(key.replace('\0', "\u{fffd}"))
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns a time: milliseconds, seconds, either of them as a string, or written out.
pub fn when(value: &Value, field: &str) -> Option<OffsetDateTime> {
    time(value, field).or_else(|| {
        let written = text(value, field)?;
        OffsetDateTime::parse(&written, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&written, GRAPH_TIME))
            .ok()
    })
}

/// Returns the provider key of a comment.
pub fn comment_key(comment_id: &str) -> String {
    format!("{COMMENT}{comment_id}")
}

/// Returns the id of the comment that a provider key names; none where it is the key of a Direct message.
///
/// The id goes into a path: only what ids are made of is let through.
pub fn comment_id(provider_key: &str) -> Option<&str> {
    provider_key.strip_prefix(COMMENT).filter(|id| is_id(id))
}

/// Tells whether something can be an id of the Graph API and stand in a path.
pub fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_come_in_four_forms() {
        for (value, expected) in [
            (json!(1_790_764_802_450_i64), Some(1_790_764_802)),
            (json!(1_790_764_802), Some(1_790_764_802)),
            (json!("1790764802450"), Some(1_790_764_802)),
            (json!("1790764802"), Some(1_790_764_802)),
            (json!("2021-09-08T06:34:04+0000"), Some(1_631_082_844)),
            (json!("2021-09-08T09:34:04+03:00"), Some(1_631_082_844)),
            (json!("2021-09-08T06:34:04.5Z"), Some(1_631_082_844)),
            (json!("yesterday"), None),
            (json!(0), None),
            (json!(null), None),
        ] {
            let read = when(&json!({ "t": value }), "t").map(OffsetDateTime::unix_timestamp);
            assert_eq!(read, expected, "{value}");
        }
    }

    #[test]
    fn a_key_tells_a_comment_from_a_message_and_fits_into_a_path() {
        for (key, expected) in [
            ("cmt:17865799348089039", Some("17865799348089039")),
            ("aWdfZAG1faXRlbToxOk", None),
            ("17865799348089039", None),
            ("cmt:", None),
            ("cmt:1/../me", None),
            ("cmt:1?fields=a", None),
        ] {
            assert_eq!(comment_id(key), expected, "{key}");
        }
        let long = "a".repeat(KEY_MAX + 1);
        for (mid, expected) in [
            (json!("a".repeat(170)), true),
            (json!(17), true),
            (json!(long), false),
            (json!(" "), false),
            (json!([]), false),
        ] {
            assert_eq!(key(&json!({ "mid": mid }), "mid").is_some(), expected);
        }
    }
}
