//! From bytes to text, whatever was declared: decoding never fails (channels.md §5.2, §7.27).

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Labels by which senders say that they do not know, or that there is nothing to know.
const UNKNOWN: [&str; 8] = [
    "",
    "unknown",
    "unknown-8bit",
    "x-unknown",
    "us-ascii",
    "ascii",
    "default",
    "binary",
];

/// Of so many bytes that became one character, one may be broken before the label is doubted.
const BROKEN_SHARE: usize = 50;

/// Decodes bytes by their declared charset. Where there is none, or it does not fit, the charset is detected.
///
/// NUL becomes U+FFFD: Postgres cannot store it.
pub fn decode(bytes: &[u8], label: Option<&str>) -> String {
    let label = label.map(str::trim).unwrap_or_default();
    let text = if UNKNOWN.iter().any(|word| word.eq_ignore_ascii_case(label)) {
        detected(bytes)
    } else {
        declared(bytes, label).unwrap_or_else(|| detected(bytes))
    };
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text
}

/// Decodes as declared; none where the label is not known or does not fit.
fn declared(bytes: &[u8], label: &str) -> Option<String> {
    let Some(encoding) = Encoding::for_label(label.as_bytes()) else {
        // Labels outside the WHATWG list that mail still uses: `utf-7`, `ibm850`.
        let decoder = charset_decoder(label.as_bytes())?;
        return Some(decoder(bytes));
    };
    if encoding == encoding_rs::REPLACEMENT {
        return None;
    }
    let (text, _, broken) = encoding.decode(bytes);
    if broken {
        let count = text.matches('\u{fffd}').count();
        if count * BROKEN_SHARE > text.chars().count() {
            return None;
        }
    }
    Some(text.into_owned())
}

/// Detects: UTF-8 where the bytes are valid as such, else by how often letters follow each other.
fn detected(bytes: &[u8]) -> String {
    // Only the escapes of ISO-2022-JP make ASCII something else.
    if let Ok(text) = std::str::from_utf8(bytes)
        && !(bytes.is_ascii() && bytes.contains(&0x1b))
    {
        return text.to_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let encoding = if encoding == UTF_8 {
        WINDOWS_1252
    } else {
        encoding
    };
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Доброго дня! Підкажіть, будь ласка, коли прийде моє замовлення.";

    #[test]
    fn what_is_not_declared_is_detected() {
        for name in ["windows-1251", "koi8-u", "utf-8"] {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let bytes = encoding.encode(TEXT).0;
            for label in [
                Some(name),
                None,
                Some("unknown-8bit"),
                Some("US-ASCII"),
                Some("no-such"),
            ] {
                assert_eq!(decode(&bytes, label), TEXT, "{name} as {label:?}");
            }
        }
    }

    // pitfall 27: decoding never fails
    #[test]
    fn a_wrong_label_is_doubted_and_a_broken_character_is_not() {
        let bytes = encoding_rs::WINDOWS_1251.encode(TEXT).0;
        assert_eq!(decode(&bytes, Some("utf-8")), TEXT);
        let mut cut = TEXT.repeat(2).into_bytes();
        cut.pop();
        cut.push(0xff);
        assert!(decode(&cut, Some("utf-8")).starts_with(TEXT));
    }

    #[test]
    fn old_charsets_of_mail_are_known() {
        assert_eq!(decode(b"Hi Mom -+Jjo--!", Some("utf-7")), "Hi Mom -☺-!");
        assert_eq!(decode(b"a\0b", None), "a\u{fffd}b");
        assert_eq!(
            decode(b"\x1b$B$3$s$K$A$O\x1b(B", Some("iso-2022-jp")),
            "こんにちは"
        );
    }
}
