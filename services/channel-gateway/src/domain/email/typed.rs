//! Fields with parameters: `Content-Type` and `Content-Disposition`, continuations and charsets resolved (RFC 2231).

use super::{charset, words};

/// Parameters of a field that are read.
const PARAMETERS_MAX: usize = 64;

/// A field with parameters.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// `text` of `text/plain`; `attachment`. In lower case.
    pub kind: String,
    /// `plain` of `text/plain`; empty where there is none. In lower case.
    pub subtype: String,
    parameters: Vec<(String, String)>,
}

/// A parameter as it stands: `filename*1*=%20b` is `filename`, part 1, encoded.
struct Piece<'l> {
    name: String,
    part: u32,
    encoded: bool,
    starred: bool,
    value: std::borrow::Cow<'l, str>,
}

impl Typed {
    /// Reads a field.
    pub fn read(raw: &[u8]) -> Self {
        let line = words::joined(raw);
        let (main, rest) = line.split_once(';').unwrap_or((line.as_str(), ""));
        let main = main.split('(').next().unwrap_or_default();
        let (kind, subtype) = main.split_once('/').unwrap_or((main, ""));
        let word = |text: &str| text.trim().trim_matches('"').to_ascii_lowercase();
        Self {
            kind: word(kind),
            subtype: word(subtype),
            parameters: put_together(&mut pieces(rest)),
        }
    }

    /// Returns a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str())
    }

    /// Tells whether it is this type.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }
}

fn pieces(mut rest: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while pieces.len() < PARAMETERS_MAX {
        rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        let Some(end) = rest.find(['=', ';']) else {
            break;
        };
        let key = rest[..end].trim().to_ascii_lowercase();
        if rest[end..].starts_with(';') {
            rest = &rest[end..];
            continue;
        }
        let (value, after) = value(&rest[end + 1..]);
        rest = after;
        let mut segments = key.split('*');
        let name = segments.next().unwrap_or_default().to_owned();
        let second = segments.next();
        let part = second.and_then(|part| part.parse().ok()).unwrap_or(0);
        if !name.is_empty() {
            pieces.push(Piece {
                name,
                part,
                encoded: key.ends_with('*'),
                starred: second.is_some(),
                value,
            });
        }
    }
    pieces
}

/// Returns the value at the start of a text, and what follows it.
fn value(text: &str) -> (std::borrow::Cow<'_, str>, &str) {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('"') else {
        // Without quotes, a value with spaces is against the rules and common.
        let end = text.find(';').unwrap_or(text.len());
        let value = text[..end].trim().trim_matches('"');
        return (value.into(), &text[end..]);
    };
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let end = end.unwrap_or(inner.len());
    let (value, after) = inner.split_at(end);
    let after = after.strip_prefix('"').unwrap_or(after);
    let value = if value.contains("\\\"") || value.contains("\\\\") {
        value.replace("\\\"", "\"").replace("\\\\", "\\").into()
    } else {
        value.into()
    };
    (value, after)
}

fn put_together(pieces: &mut [Piece<'_>]) -> Vec<(String, String)> {
    // What says its charset goes before what does not; parts go in their order.
    pieces.sort_by(|a, b| (&a.name, !a.starred, a.part).cmp(&(&b.name, !b.starred, b.part)));
    let mut parameters: Vec<(String, String)> = Vec::new();
    for group in pieces.chunk_by(|a, b| a.name == b.name && a.starred == b.starred) {
        let Some(first) = group.first() else { continue };
        if parameters.iter().any(|(name, _)| *name == first.name) {
            continue;
        }
        let value = if first.starred {
            decoded(group)
        } else {
            first.value.clone().into_owned()
        };
        parameters.push((first.name.clone(), value));
    }
    parameters
}

/// Joins the parts as bytes before they are decoded: a character may be split between two of them.
fn decoded(parts: &[Piece<'_>]) -> String {
    let mut label = None;
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mut value = part.value.as_ref();
        if part.encoded && index == 0 {
            let mut pieces = value.splitn(3, '\'');
            if let (Some(charset), Some(_), Some(rest)) =
                (pieces.next(), pieces.next(), pieces.next())
            {
                label = Some(charset);
                value = rest;
            }
        }
        if part.encoded {
            percent_decoded(value, &mut bytes);
        } else {
            bytes.extend_from_slice(value.as_bytes());
        }
    }
    charset::decode(&bytes, label)
}

/// Decodes `%40` and its kind; what is not well formed stays as it stands.
pub fn percent_decoded(text: &str, into: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        let digit = char::from(*bytes.get(at)?).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            into.push(high * 16 + low);
            at += 3;
        } else {
            into.push(*byte);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // pitfall 27: nor does it for names of files
    #[test]
    fn names_of_files_are_put_together() {
        for (raw, expected) in [
            ("attachment; filename=\"a b.pdf\"", "a b.pdf"),
            ("attachment; filename=a b.pdf; size=3", "a b.pdf"),
            ("attachment; filename=\"a \\\"b\\\".pdf\"", "a \"b\".pdf"),
            (
                "attachment; filename*=UTF-8''%D1%80%D0%B0%D1%85.pdf",
                "рах.pdf",
            ),
            (
                "attachment; filename=\"x.pdf\"; filename*=UTF-8''%D1%80%D0%B0%D1%85.pdf",
                "рах.pdf",
            ),
            (
                "attachment; filename*1*=%80%D0%B0; filename*0*=UTF-8''%D1; filename*2=\".pdf\"",
                "ра.pdf",
            ),
            (
                "attachment; filename*0*=windows-1251''%F0%E0; filename*1*=%F5.pdf",
                "рах.pdf",
            ),
            (
                "attachment; filename*0=\"a\"; filename*1=\"b.pdf\"",
                "ab.pdf",
            ),
            (
                "attachment;\r\n filename=\"=?UTF-8?B?0YDQ?=\r\n =?UTF-8?B?sNGFLnBkZg==?=\"",
                "рах.pdf",
            ),
        ] {
            let typed = Typed::read(raw.as_bytes());
            let name = typed.parameter("filename").map(words::again);
            assert_eq!(
                (typed.kind.as_str(), name.as_deref()),
                ("attachment", Some(expected)),
                "{raw}"
            );
        }
    }

    #[test]
    fn types_have_no_case_and_no_comments() {
        let typed = Typed::read(b" Text/HTML (really); Charset = \"UTF-8\";; format=flowed");
        assert!(typed.is("text", "html"));
        assert_eq!(typed.parameter("charset"), Some("UTF-8"));
        assert_eq!(typed.parameter("format"), Some("flowed"));
        assert_eq!(typed.parameter("boundary"), None);
    }
}
