//! From the bytes of a part to its content: transfer encodings, text, flowed lines.

use bytes::Bytes;
use memchr::memchr;

use super::charset;
use super::walk::Part;

/// How a part's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Base64,
    QuotedPrintable,
}

/// Returns what a part holds, decoded; of an encoded part no more than about `max` bytes.
///
/// A part that is not encoded is a slice of the mail: nothing is copied.
pub fn content(raw: &Bytes, part: &Part<'_>, max: usize) -> Bytes {
    let bytes = raw.slice(part.body.clone());
    match encoding(part) {
        Encoding::Plain => bytes.slice(..bytes.len().min(max)),
        Encoding::Base64 => base64_lenient(&bytes, max).into(),
        Encoding::QuotedPrintable => quoted_printable(&bytes, max).into(),
    }
}

/// Returns the text of a part, of at most about `max` bytes, with `\n` as the only line end.
pub fn text(raw: &Bytes, part: &Part<'_>, max: usize) -> String {
    let bytes = content(raw, part, max);
    let mut label = part.typed.parameter("charset");
    let html = part.typed.is("text", "html");
    if label.is_none() && html {
        label = meta_charset(&bytes);
    }
    let text = charset::decode(&bytes, label);
    let text = lines(&text);
    let flowed = part.typed.parameter("format");
    if !html && flowed.is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
        let delsp = part.typed.parameter("delsp");
        return unflowed(
            &text,
            delsp.is_some_and(|delsp| delsp.eq_ignore_ascii_case("yes")),
        );
    }
    text
}

/// Makes `\n` the only line end.
pub fn lines(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\r') {
        return text.replace("\r\n", "\n").replace('\r', "\n");
    }
    text.to_owned()
}

/// Joins the lines that the sender's program broke (RFC 3676). The signature's line stays what it is.
fn unflowed(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let depth = line.bytes().take_while(|b| *b == b'>').count();
        let content = &line[depth..];
        let content = content.strip_prefix(' ').unwrap_or(content);
        let signature = content == "-- ";
        if open == Some(depth) && !signature {
            out.push_str(content);
        } else {
            if open.is_some() {
                out.push('\n');
            }
            out.push_str(&line[..depth]);
            if depth > 0 {
                out.push(' ');
            }
            out.push_str(content);
        }
        let flows = content.ends_with(' ') && !signature;
        if flows {
            if delsp {
                out.pop();
            }
            open = Some(depth);
        } else {
            out.push('\n');
            open = None;
        }
    }
    out
}

/// Finds the charset that a page declares for itself in its first bytes.
fn meta_charset(bytes: &[u8]) -> Option<&str> {
    let start = &bytes[..bytes.len().min(2_048)];
    let start = std::str::from_utf8(start)
        .or_else(|error| std::str::from_utf8(&start[..error.valid_up_to()]))
        .ok()?;
    let at = start.to_ascii_lowercase().find("charset=")? + "charset=".len();
    let value = start[at..].trim_start_matches(['"', '\'', ' ']);
    let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.:".contains(c)))?;
    Some(&value[..end]).filter(|label| !label.is_empty())
}

fn encoding(part: &Part<'_>) -> Encoding {
    // A multipart is never encoded, whatever it says.
    if part.holds {
        return Encoding::Plain;
    }
    let word = part.head.word("content-transfer-encoding");
    let word = word.split([';', ' ']).next().unwrap_or_default();
    match word.trim_matches('"') {
        "base64" => Encoding::Base64,
        "quoted-printable" => Encoding::QuotedPrintable,
        _ => Encoding::Plain,
    }
}

/// Decodes Base64 and steps over what is none: broken and cut mails keep what can be read of them.
pub fn base64_lenient(bytes: &[u8], max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(max.min(bytes.len() / 4 * 3 + 3));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        let value = BASE64[usize::from(*byte)];
        if value == SKIP {
            if *byte == b'=' {
                // The end of one run; another may follow.
                (held, bits) = (0, 0);
            }
            continue;
        }
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits).to_le_bytes()[0]);
            if out.len() >= max {
                break;
            }
        }
    }
    out
}

const SKIP: u8 = 0xff;

/// Values of the letters; the URL-safe ones are read as well.
const BASE64: [u8; 256] = {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [SKIP; 256];
    let (mut index, mut value) = (0, 0);
    while index < letters.len() {
        table[letters[index] as usize] = value;
        index += 1;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

/// Decodes quoted-printable; what is not well formed stays as it stands.
pub fn quoted_printable(bytes: &[u8], max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().min(max));
    let digit = |at: usize| {
        let digit = char::from(*bytes.get(at)?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut at = 0;
    while at < bytes.len() && out.len() < max {
        let Some(found) = memchr(b'=', &bytes[at..]) else {
            out.extend_from_slice(&bytes[at..]);
            break;
        };
        out.extend_from_slice(&bytes[at..at + found]);
        at += found;
        if let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) {
            out.push(high * 16 + low);
            at += 3;
            continue;
        }
        // A soft line break, also where white space was put behind it on the way.
        let rest = &bytes[at + 1..];
        let white = rest
            .iter()
            .take_while(|b| matches!(**b, b' ' | b'\t' | b'\r'));
        let white = white.take(80).count();
        match rest.get(white) {
            Some(b'\n') => at += white + 2,
            None => at = bytes.len(),
            Some(_) if rest.first() == Some(&b'\r') => at += 2,
            Some(_) => {
                out.push(b'=');
                at += 1;
            }
        }
    }
    out.truncate(max);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_survive_what_mail_does_to_them() {
        for (raw, expected) in [
            ("0JTRj9C60YPRjg==", "Дякую"),
            ("0JTR\r\nj9C6 0YPR!jg", "Дякую"),
            ("YQ==\r\nYg==", "ab"),
            ("====", ""),
        ] {
            assert_eq!(
                base64_lenient(raw.as_bytes(), 100),
                expected.as_bytes(),
                "{raw}"
            );
        }
        for (raw, expected) in [
            ("a=3Db", "a=b"),
            ("a=\r\nb", "ab"),
            ("a=  \nb", "ab"),
            ("a=", "a"),
            ("a=zz =4", "a=zz =4"),
            ("1=2", "1=2"),
        ] {
            assert_eq!(
                quoted_printable(raw.as_bytes(), 100),
                expected.as_bytes(),
                "{raw}"
            );
        }
    }

    #[test]
    fn flowed_lines_are_joined() {
        for (delsp, raw, expected) in [
            (false, "one \ntwo\nthree\n", "one two\nthree\n"),
            (true, "日本 \n語\n", "日本語\n"),
            (false, "> one \n> two\nmine\n", "> one two\nmine\n"),
            (false, "text \n-- \nMe\n", "text \n-- \nMe\n"),
            (false, " >not a quote\n", ">not a quote\n"),
        ] {
            assert_eq!(unflowed(raw, delsp), expected, "{raw:?}");
        }
    }
}
