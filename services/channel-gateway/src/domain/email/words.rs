//! Encoded-words of header fields (RFC 2047), read as mail programs write them, not only as they should.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::{base64_lenient, quoted_printable};
use super::charset;

/// Decodes a field without structure, such as a subject: one line of text, without control characters.
pub fn text(raw: &[u8]) -> String {
    let line = one_line(raw);
    let mut out = String::with_capacity(line.len());
    segments(&line, |segment| match segment {
        Segment::Plain(text) => out.push_str(text),
        Segment::Decoded(text) => out.push_str(&text),
    });
    single(&out)
}

/// Rewrites a field with structure so that every run of encoded-words is one word in UTF-8: a character that a sender
/// split between two words is whole then, and what is decoded cannot be taken for structure.
pub fn joined(raw: &[u8]) -> String {
    let line = one_line(raw);
    if !line.contains("=?") {
        return line;
    }
    let mut out = String::with_capacity(line.len() + 16);
    segments(&line, |segment| match segment {
        Segment::Plain(text) => out.push_str(text),
        Segment::Decoded(text) => {
            out.push_str("=?utf-8?B?");
            STANDARD.encode_string(single(&text), &mut out);
            out.push_str("?=");
        }
    });
    out
}

/// Decodes encoded-words that stand where none should, as in a file name that was read already.
pub fn again(text: &str) -> String {
    if text.contains("=?") {
        return self::text(text.as_bytes());
    }
    single(text)
}

/// Unfolds a field and makes it UTF-8: raw 8-bit headers exist.
fn one_line(raw: &[u8]) -> String {
    let mut text = charset::decode(raw, None);
    if text.contains(['\r', '\n']) {
        // The white space after a line end is what the field holds there.
        text = text.replace(['\r', '\n'], "");
    }
    text
}

/// Drops control characters and outer white space.
fn single(text: &str) -> String {
    let kept = text.chars().map(|c| if c == '\t' { ' ' } else { c });
    let kept: String = kept.filter(|c| !c.is_control()).collect();
    kept.trim().to_owned()
}

enum Segment<'t> {
    Plain(&'t str),
    Decoded(String),
}

/// An encoded-word: its charset, its bytes, and where it ends.
struct Word<'t> {
    charset: &'t str,
    bytes: Vec<u8>,
    end: usize,
}

fn segments<'t>(line: &'t str, mut take: impl FnMut(Segment<'t>)) {
    // Neighbours in one charset are joined as bytes before they are decoded.
    let mut pending: Option<(&str, Vec<u8>)> = None;
    let (mut plain, mut at) = (0, 0);
    while let Some(found) = line[at..].find("=?") {
        let start = at + found;
        let Some(word) = word(line, start) else {
            at = start + 2;
            continue;
        };
        let between = &line[plain..start];
        let adjacent = pending.is_some() && between.bytes().all(|b| b.is_ascii_whitespace());
        match &mut pending {
            Some((charset, bytes)) if adjacent && charset.eq_ignore_ascii_case(word.charset) => {
                bytes.extend_from_slice(&word.bytes);
            }
            _ => {
                if let Some((charset, bytes)) = pending.take() {
                    take(Segment::Decoded(charset::decode(&bytes, Some(charset))));
                }
                if !adjacent {
                    take(Segment::Plain(between));
                }
                pending = Some((word.charset, word.bytes));
            }
        }
        at = word.end;
        plain = at;
    }
    if let Some((charset, bytes)) = pending {
        take(Segment::Decoded(charset::decode(&bytes, Some(charset))));
    }
    take(Segment::Plain(&line[plain..]));
}

fn word(line: &str, start: usize) -> Option<Word<'_>> {
    let rest = &line[start + 2..];
    let (charset, rest) = rest.split_once('?')?;
    let (charset, _language) = charset.split_once('*').unwrap_or((charset, ""));
    let named = charset
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b));
    if charset.is_empty() || charset.len() > 40 || !named {
        return None;
    }
    let (encoding, rest) = rest.split_once('?')?;
    let (data, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => base64_lenient(data.as_bytes(), data.len()),
        "q" | "Q" => quoted_printable(data.replace('_', " ").as_bytes(), data.len()),
        _ => return None,
    };
    Some(Word {
        charset,
        bytes,
        end: line.len() - after.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_read_as_their_senders_meant_them() {
        for (name, raw, expected) in [
            ("plain", "Hello".as_bytes(), "Hello"),
            (
                "q",
                b"=?windows-1251?Q?Re:_=E7=E0=EC=EE=E2=EB=E5=ED=ED=FF_551?=",
                "Re: замовлення 551",
            ),
            ("b", "=?UTF-8?B?0J7Qu9C10L3QsA==?=".as_bytes(), "Олена"),
            (
                "a character split between two words",
                b"=?UTF-8?B?0J7Qu9C10L3Q?=\r\n =?utf-8?B?sA==?=",
                "Олена",
            ),
            (
                "words of two charsets",
                b"=?koi8-u?Q?=E4=D1=CB=D5=C0?= =?utf-8?Q?!?=",
                "Дякую!",
            ),
            (
                "a word beside text keeps its space",
                b"Re: =?utf-8?Q?a?= b",
                "Re: a b",
            ),
            ("a language", b"=?utf-8*uk?Q?a?=", "a"),
            ("no word", b"=?utf-8?X?a?= =?", "=?utf-8?X?a?= =?"),
            ("folded", b"one\r\n two\n\tthree", "one two three"),
            (
                "raw eight bits",
                &[0xc4, 0xff, 0xea, 0xf3, 0xfe, b' ', 0xe2, 0xe0, 0xec],
                "Дякую вам",
            ),
            ("controls", b"a\x01b\x00c\x7f", "ab\u{fffd}c"),
        ] {
            assert_eq!(text(raw), expected, "{name}");
        }
    }

    #[test]
    fn structure_does_not_come_out_of_a_word() {
        let raw = b"=?utf-8?Q?Smith=2C_John?= =?utf-8?Q?_=3Cx=40y=3E?= <a@b.example>";
        let line = joined(raw);
        assert!(
            line.starts_with("=?utf-8?B?") && line.ends_with("?= <a@b.example>"),
            "{line}"
        );
        assert_eq!(text(line.as_bytes()), "Smith, John <x@y> <a@b.example>");
    }
}
