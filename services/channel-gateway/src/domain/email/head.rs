//! A block of header fields: found once, read on demand. Fields are found leniently, as broken mails exist.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use memchr::memchr;
use time::OffsetDateTime;

use super::address::{self, Address};
use super::typed::Typed;
use super::{shortened, words};

/// Bytes of a header block that are looked at.
const BLOCK_MAX: usize = 256 * 1024;

/// Fields of a block that are kept.
const FIELDS_MAX: usize = 1_000;

/// Bytes of one field that are read.
const FIELD_MAX: usize = 32 * 1024;

/// Message-IDs of one field that are read.
const IDS_MAX: usize = 100;

/// The fields of a mail or of one of its parts.
#[derive(Debug, Clone, Default)]
pub struct Head<'m> {
    fields: Vec<(&'m [u8], &'m [u8])>,
}

impl<'m> Head<'m> {
    /// Finds the fields of a part, and where its body begins: an empty line at once means that it has none.
    pub fn of_part(bytes: &'m [u8]) -> (Self, usize) {
        for empty in [&b"\n"[..], b"\r\n"] {
            if bytes.starts_with(empty) {
                return (Self::default(), empty.len());
            }
        }
        Self::find(bytes)
    }

    /// Finds the fields at the start of these bytes, and where the body begins.
    pub fn find(bytes: &'m [u8]) -> (Self, usize) {
        let mut head = Self::default();
        let mut at = 0;
        let mut open: Option<(&[u8], usize)> = None;
        while at < bytes.len() {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found + 1);
            let line = &bytes[at..end];
            let blank = line.iter().all(u8::is_ascii_whitespace);
            // A line of white space alone inside a folded field is no end of the block, but an empty one is.
            if blank && matches!(line, b"\n" | b"\r\n" | b"\r\r\n") {
                if head.fields.is_empty() && open.is_none() {
                    // Empty lines before the first field.
                    at = end;
                    continue;
                }
                head.close(open.take(), bytes, at);
                return (head, end);
            }
            let folded = line.first().is_some_and(|b| *b == b' ' || *b == b'\t');
            if !(folded && open.is_some()) {
                match name(line) {
                    Some(name) => {
                        head.close(open.take(), bytes, at);
                        open = Some((name, at + name_end(line)));
                    }
                    None if line.starts_with(b"--") && (open.is_some() || !head.is_empty()) => {
                        // A boundary without the empty line before it.
                        head.close(open.take(), bytes, at);
                        return (head, at);
                    }
                    None => {
                        let after = bytes.get(end..).unwrap_or_default();
                        let after_line =
                            &after[..memchr(b'\n', after).map_or(after.len(), |i| i + 1)];
                        let goes_on = name(after_line).is_some()
                            || after_line.first().is_some_and(u8::is_ascii_whitespace);
                        head.close(open.take(), bytes, at);
                        // Garbage between two fields, as `From ` of a mailbox file, is stepped over.
                        if !goes_on || at > BLOCK_MAX {
                            return (head, at);
                        }
                    }
                }
            }
            at = end;
        }
        head.close(open, bytes, bytes.len());
        (head, bytes.len())
    }

    fn close(&mut self, open: Option<(&'m [u8], usize)>, bytes: &'m [u8], end: usize) {
        if let Some((name, start)) = open
            && self.fields.len() < FIELDS_MAX
        {
            let end = end.min(start + FIELD_MAX);
            self.fields
                .push((name, bytes.get(start..end).unwrap_or_default()));
        }
    }

    /// Tells whether there are no fields at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the first field of this name, as it came.
    pub fn raw(&self, name: &str) -> Option<&'m [u8]> {
        self.all(name).next()
    }

    /// Returns all fields of this name, as they came.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'m [u8]> {
        let fields = self.fields.iter();
        fields
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// Returns a field as text; empty where there is none.
    pub fn text(&self, name: &str) -> String {
        self.raw(name).map(words::text).unwrap_or_default()
    }

    /// Returns a field as text in lower case, for words that have no case.
    pub fn word(&self, name: &str) -> String {
        self.text(name).to_ascii_lowercase()
    }

    /// Returns the addresses of all fields of this name.
    pub fn addresses(&self, name: &str) -> Vec<Address> {
        self.all(name).take(20).flat_map(address::list).collect()
    }

    /// Returns the ids of a field, each with its angle brackets, in the order in which they stand.
    pub fn ids(&self, name: &str) -> Vec<String> {
        self.all(name).take(4).flat_map(ids).take(IDS_MAX).collect()
    }

    /// Returns a field with parameters.
    pub fn typed(&self, name: &str) -> Option<Typed> {
        self.raw(name).map(Typed::read)
    }

    /// Returns a time; none where it cannot be one.
    pub fn date(&self, name: &str) -> Option<OffsetDateTime> {
        let mut line = words::text(self.raw(name)?);
        line.push('\n');
        match MessageStream::new(line.as_bytes()).parse_date() {
            HeaderValue::DateTime(date) if date.is_valid() => {
                OffsetDateTime::from_unix_timestamp(date.to_timestamp()).ok()
            }
            _ => None,
        }
    }
}

/// Returns the ids between angle brackets; where there are none, the words, as some programs write ids bare.
pub fn ids(raw: &[u8]) -> Vec<String> {
    let text = words::text(raw);
    let mut found: Vec<String> = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .filter_map(|(id, _)| id_of(id))
        .take(IDS_MAX)
        .collect();
    if found.is_empty() {
        let bare = text.split_whitespace().filter(|word| word.contains('@'));
        found = bare.filter_map(id_of).take(IDS_MAX).collect();
    }
    found
}

fn id_of(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let id = id.trim_matches(|c| c == '<' || c == '>');
    (!id.is_empty() && id.len() <= 900).then(|| format!("<{}>", shortened(id, 900)))
}

/// Returns the name of the field that this line begins.
fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', line.get(..line.len().min(200))?)?;
    let name = line[..colon].trim_ascii_end();
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    fits.then_some(name)
}

fn name_end(line: &[u8]) -> usize {
    memchr(b':', line).map_or(line.len(), |colon| colon + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_broken_blocks_too() {
        for (name, raw, subject, body) in [
            ("usual", "Subject: a\r\nTo: b\r\n\r\nbody", "a", "body"),
            (
                "folded",
                "Subject: a\n b\n\tc\nX: y\n\nbody",
                "a b c",
                "body",
            ),
            (
                "a mailbox file's line",
                "From me Mon Jan 1\nSubject: a\n\nbody",
                "a",
                "body",
            ),
            (
                "no empty line",
                "Subject: a\nthe body\nis this",
                "a",
                "the body\nis this",
            ),
            ("leading empty lines", "\n\nSubject: a\n\nbody", "a", "body"),
            ("nothing but fields", "Subject: a", "a", ""),
            ("space before the colon", "Subject : a\n\nbody", "a", "body"),
            (
                "a boundary at once",
                "Subject: a\n--x\nY: z",
                "a",
                "--x\nY: z",
            ),
        ] {
            let (head, at) = Head::find(raw.as_bytes());
            assert_eq!(head.text("subject"), subject, "{name}");
            assert_eq!(&raw[at..], body, "{name}");
        }
    }

    // pitfall 30: all references are walked
    // pitfall 31: several ids in In-Reply-To
    #[test]
    fn ids_come_with_their_brackets_and_in_order() {
        for (raw, expected) in [
            ("<a@x> <b@x>", vec!["<a@x>", "<b@x>"]),
            ("<a@x>\r\n\t<b@\r\n x>", vec!["<a@x>", "<b@x>"]),
            ("Your mail of Monday <a@x>", vec!["<a@x>"]),
            ("a@x", vec!["<a@x>"]),
            ("<not-an-address>", vec!["<not-an-address>"]),
            ("", vec![]),
            ("<>", vec![]),
        ] {
            assert_eq!(ids(raw.as_bytes()), expected, "{raw}");
        }
    }
}
