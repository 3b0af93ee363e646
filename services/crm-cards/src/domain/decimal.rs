//! Numbers with exact decimals, as requests write them.

use rust_decimal::Decimal;

/// Digits that a number has at most: what is kept without a loss.
pub const DIGITS: usize = 28;

/// Reads a number: digits, perhaps with a sign before them and a point among them; none for anything else.
pub fn read(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, after) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(after) {
        return None;
    }
    let significant = unsigned.trim_start_matches('0').replace('.', "");
    if significant.len() > DIGITS {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_with_a_point_and_is_kept_exactly() {
        for (text, expected) in [
            ("0", Some("0")),
            ("12.50", Some("12.50")),
            ("-0.1", Some("-0.1")),
            (
                "0.0000000000000000000000000001",
                Some("0.0000000000000000000000000001"),
            ),
            (
                "9999999999999999999999999999",
                Some("9999999999999999999999999999"),
            ),
            ("99999999999999999999999999999", None),
            ("0.00000000000000000000000000001", None),
            ("", None),
            (".", None),
            ("1.", None),
            (".5", None),
            ("1e5", None),
            ("1_000", None),
            ("1,5", None),
            ("+1", None),
            (" 1", None),
            ("--1", None),
            ("٣", None),
        ] {
            assert_eq!(
                read(text).map(|number| number.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
