//! Lenient reading of provider JSON: ids come as numbers or strings, and nothing is taken for granted.

use serde_json::Value;
use time::OffsetDateTime;

/// Seconds above this are taken for milliseconds (it lies in the year 5138).
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Returns a text field. NUL, which Postgres cannot store, becomes U+FFFD: UTF-16 offsets stay right.
pub fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(clean)
}

/// Returns a text field that is not blank.
pub fn filled(value: &Value, key: &str) -> Option<String> {
    text(value, key).filter(|text| !text.trim().is_empty())
}

/// Returns an id as text, whether it came as a number or as a string. Numbers of any size keep all digits.
pub fn id(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.is_empty() && text.len() <= 128 => Some(clean(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns a whole number, whether it came as a number or as a string.
pub fn int(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns a number that cannot be negative; 0 where there is none or it is too large.
pub fn size(value: &Value, key: &str) -> u32 {
    int(value, key)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// Tells whether a flag is set: `true`, or a number other than 0.
pub fn flag(value: &Value, key: &str) -> bool {
    match value.get(key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        _ => false,
    }
}

/// Returns an object field.
pub fn object<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.get(key).filter(|value| value.is_object())
}

/// Returns the entries of a list field.
pub fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Returns a time field: Unix seconds, or milliseconds as some senders write them. 0 means "not told".
pub fn time(value: &Value, key: &str) -> Option<OffsetDateTime> {
    let number = int(value, key).filter(|number| *number > 0)?;
    if number < MILLISECONDS_FROM {
        return OffsetDateTime::from_unix_timestamp(number).ok();
    }
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(number) * 1_000_000).ok()
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_keep_all_digits_whatever_their_form() {
        for (value, expected) in [
            (json!(5_540_012_873_i64), Some("5540012873")),
            (json!(-1_001_293_752_024_i64), Some("-1001293752024")),
            (
                json!(18_446_744_073_709_551_615_u64),
                Some("18446744073709551615"),
            ),
            (json!("some123ChatId"), Some("some123ChatId")),
            (json!(""), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(
                id(&json!({ "id": value }), "id").as_deref(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn times_are_seconds_or_milliseconds_and_zero_is_none() {
        let seconds = |value: Value| {
            time(&json!({ "date": value }), "date").map(OffsetDateTime::unix_timestamp)
        };
        assert_eq!(seconds(json!(1_582_324_717)), Some(1_582_324_717));
        assert_eq!(seconds(json!("1582324717")), Some(1_582_324_717));
        assert_eq!(seconds(json!(1_457_764_198_246_i64)), Some(1_457_764_198));
        assert_eq!(seconds(json!(0)), None);
        assert_eq!(seconds(json!(i64::MAX)), None);
        assert_eq!(seconds(json!("soon")), None);
    }

    #[test]
    fn a_nul_never_reaches_the_database() {
        assert_eq!(
            text(&json!({"t": "a\u{0}b"}), "t").as_deref(),
            Some("a\u{fffd}b")
        );
    }
}
