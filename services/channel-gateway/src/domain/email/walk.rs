//! The parts of a mail: one pass over its lines, however deep and broken it is (channels.md §5.2, §7.25).
//!
//! A MIME crate would decode everything and go as deep as the sender wants; here nothing is copied, and levels and
//! parts are counted.

use std::ops::Range;

use memchr::memchr;

use super::head::Head;
use super::typed::Typed;
use super::{DEPTH_MAX, PARTS_MAX};

/// Bytes of a boundary at most; RFC 2046 allows 70.
const BOUNDARY_MAX: usize = 250;

/// One part: the mail itself is the first.
#[derive(Debug, Clone)]
pub struct Part<'m> {
    /// Its fields.
    pub head: Head<'m>,
    /// Its type; `text/plain` where none is declared.
    pub typed: Typed,
    /// Its bytes as they came, still encoded.
    pub body: Range<usize>,
    /// The multipart that holds it; none for the mail itself.
    pub parent: Option<usize>,
    /// Its own parts were found. Otherwise it is a leaf, also where it says `multipart`.
    pub holds: bool,
}

/// A mail's parts in the order in which they stand, a multipart before what it holds.
#[derive(Debug, Clone, Default)]
pub struct Parts<'m> {
    /// The parts; the first is the mail itself.
    pub list: Vec<Part<'m>>,
    /// There were more parts, or deeper ones, than are looked at.
    pub cut: bool,
}

/// A multipart that is being read.
struct Open {
    part: usize,
    boundary: Vec<u8>,
}

/// Finds the parts of a mail.
pub fn parts(raw: &[u8]) -> Parts<'_> {
    let (head, start) = Head::find(raw);
    let mut walk = Walk {
        raw,
        parts: Parts::default(),
        open: Vec::new(),
        leaf: None,
    };
    walk.begin(head, start, None);
    walk.run(start);
    walk.parts
}

struct Walk<'m> {
    raw: &'m [u8],
    parts: Parts<'m>,
    open: Vec<Open>,
    /// The part whose body is being read and that is no multipart.
    leaf: Option<usize>,
}

impl<'m> Walk<'m> {
    fn run(&mut self, start: usize) {
        let mut at = start;
        while at < self.raw.len() && !self.open.is_empty() {
            let rest = &self.raw[at..];
            let end = memchr(b'\n', rest).map_or(self.raw.len(), |found| at + found + 1);
            let line = &self.raw[at..end];
            let Some((level, last)) = line
                .strip_prefix(b"--")
                .and_then(|line| self.boundary_of(line))
            else {
                at = end;
                continue;
            };
            self.end_at(level, at);
            if last {
                self.close(level, at);
                at = end;
                continue;
            }
            let parent = self.open.get(level).map(|open| open.part);
            if self.parts.list.len() >= PARTS_MAX {
                // What follows is looked at for nothing any more.
                self.parts.cut = true;
                break;
            }
            let (head, length) = Head::of_part(&self.raw[end..]);
            self.begin(head, end + length, parent);
            at = end + length;
        }
        self.end_at(0, self.raw.len());
        self.close(0, self.raw.len());
    }

    /// Returns which open multipart this line divides or ends: the innermost that fits.
    fn boundary_of(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.trim_ascii_end();
        let mut levels = self.open.iter().enumerate().rev();
        levels.find_map(
            |(level, open)| match line.strip_prefix(open.boundary.as_slice())? {
                b"" => Some((level, false)),
                b"--" => Some((level, true)),
                _ => None,
            },
        )
    }

    fn begin(&mut self, head: Head<'m>, start: usize, parent: Option<usize>) {
        let digest = parent.is_some_and(|parent| {
            let list = &self.parts.list;
            list.get(parent)
                .is_some_and(|part| part.typed.is("multipart", "digest"))
        });
        let typed = head
            .typed("content-type")
            .filter(|typed| !typed.kind.is_empty());
        let typed = typed.unwrap_or_else(|| {
            Typed::read(if digest {
                b"message/rfc822"
            } else {
                b"text/plain"
            })
        });
        let boundary = (typed.kind == "multipart")
            .then(|| typed.parameter("boundary"))
            .flatten()
            .map(|boundary| boundary.trim_end().as_bytes().to_vec())
            .filter(|boundary| !boundary.is_empty() && boundary.len() <= BOUNDARY_MAX);
        let part = self.parts.list.len();
        self.parts.list.push(Part {
            head,
            typed,
            body: start..start,
            parent,
            holds: false,
        });
        if let Some(parent) = parent.and_then(|parent| self.parts.list.get_mut(parent)) {
            parent.holds = true;
        }
        match boundary {
            Some(boundary) if self.open.len() < DEPTH_MAX => {
                self.open.push(Open { part, boundary });
                self.leaf = None;
            }
            deep => {
                self.parts.cut |= deep.is_some();
                self.leaf = Some(part);
            }
        }
    }

    /// Ends the leaf that is being read, and all multiparts inside that of this level.
    fn end_at(&mut self, level: usize, at: usize) {
        let end = self.before_line_end(at);
        if let Some(leaf) = self.leaf.take() {
            self.set_end(leaf, end);
        }
        while self.open.len() > level + 1 {
            if let Some(open) = self.open.pop() {
                self.set_end(open.part, end);
            }
        }
    }

    /// Closes the multipart of this level.
    fn close(&mut self, level: usize, at: usize) {
        if self.open.len() > level {
            self.open.truncate(level + 1);
            if let Some(open) = self.open.pop() {
                self.set_end(open.part, at);
            }
        }
    }

    fn set_end(&mut self, part: usize, end: usize) {
        if let Some(part) = self.parts.list.get_mut(part) {
            part.body.end = end.max(part.body.start);
        }
    }

    /// The line end before a boundary belongs to the boundary.
    fn before_line_end(&self, at: usize) -> usize {
        if at >= self.raw.len() {
            return at;
        }
        let before = &self.raw[..at];
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        before.strip_suffix(b"\r").unwrap_or(before).len()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn shape(raw: &str) -> Vec<(String, String, Option<usize>)> {
        let parts = parts(raw.as_bytes());
        let shape = parts.list.iter().map(|part| {
            let kind = format!("{}/{}", part.typed.kind, part.typed.subtype);
            let body = if part.holds {
                ""
            } else {
                &raw[part.body.clone()]
            };
            (kind, body.to_owned(), part.parent)
        });
        shape.collect()
    }

    fn line(
        kind: &str,
        body: &str,
        parent: impl Into<Option<usize>>,
    ) -> (String, String, Option<usize>) {
        (kind.to_owned(), body.to_owned(), parent.into())
    }

    #[test]
    fn parts_are_found_in_their_order() {
        let raw = "Content-Type: multipart/mixed; boundary=M\r\n\r\npreamble\r\n--M\r\n\
            Content-Type: multipart/alternative; boundary=\"M2\"\r\n\r\n--M2\r\n\r\nplain\r\n--M2\r\n\
            Content-Type: text/html\r\n\r\n<p>\r\n\r\n--M2--\r\nepilogue\r\n--M\r\n\
            Content-Type: image/png\r\n\r\nPNG\r\n--M--\r\nrest\r\n--M\r\n\r\nnot a part";
        assert_eq!(
            shape(raw),
            [
                line("multipart/mixed", "", None),
                line("multipart/alternative", "", 0),
                line("text/plain", "plain", 1),
                line("text/html", "<p>\r\n", 1),
                line("image/png", "PNG", 0),
            ]
        );
    }

    #[test]
    fn broken_multiparts_lose_nothing() {
        for (name, raw, expected) in [
            (
                "not closed",
                "Content-Type: multipart/mixed; boundary=M\n\n--M\n\none\n--M\n\ntwo\n",
                vec![
                    line("multipart/mixed", "", None),
                    line("text/plain", "one", 0),
                    line("text/plain", "two\n", 0),
                ],
            ),
            (
                "inner one not closed",
                "Content-Type: multipart/mixed; boundary=M\n\n--M\nContent-Type: multipart/mixed; boundary=N\n\n\
                 --N\n\none\n--M\n\ntwo\n--M--",
                vec![
                    line("multipart/mixed", "", None),
                    line("multipart/mixed", "", 0),
                    line("text/plain", "one", 1),
                    line("text/plain", "two", 0),
                ],
            ),
            (
                "no part at all",
                "Content-Type: multipart/mixed; boundary=M\n\njust text\n",
                vec![line("multipart/mixed", "just text\n", None)],
            ),
            (
                "no boundary",
                "Content-Type: multipart/mixed\n\njust text\n",
                vec![line("multipart/mixed", "just text\n", None)],
            ),
            ("no fields", "\n", vec![line("text/plain", "", None)]),
            ("nothing", "", vec![line("text/plain", "", None)]),
        ] {
            assert_eq!(shape(raw), expected, "{name}");
        }
    }

    #[test]
    fn parts_and_levels_are_counted() {
        let mut many = String::from("Content-Type: multipart/mixed; boundary=M\n\n");
        many.push_str(&"--M\n\nx\n".repeat(10_000));
        let found = parts(many.as_bytes());
        assert!(found.list.len() == PARTS_MAX && found.cut);

        let mut deep = String::new();
        for level in 0..100 {
            let _ = write!(
                deep,
                "Content-Type: multipart/mixed; boundary=L{level}\n\n--L{level}\n"
            );
        }
        deep.push_str("\ninnermost\n");
        let found = parts(deep.as_bytes());
        assert!(found.list.len() == DEPTH_MAX + 1 && found.cut);
        let last = found.list.last().unwrap();
        assert!(deep[last.body.clone()].contains("innermost"));
    }
}
