//! Sizes in configuration: bytes, or a number with a unit, as `512KiB`, `4MiB`, `8GiB`.
//!
//! Use as `#[serde(with = "chassis::config::bytes")]` on a `u64`.

use serde::{Deserialize, Deserializer, Serializer};

/// Reads a size with its unit, or plain bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "{text:?} is no size such as 65536, 512KiB, 4MiB or 8GiB"
        ))
    })
}

/// Writes a size in bytes.
pub fn serialize<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&size.to_string())
}

/// Parses a size with its unit, or plain bytes.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_carry_a_binary_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("512KiB", Some(524_288)),
            ("4 MiB", Some(4_194_304)),
            ("8GiB", Some(8_589_934_592)),
            ("1MB", None),
            ("MiB", None),
            ("", None),
            ("-1", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
