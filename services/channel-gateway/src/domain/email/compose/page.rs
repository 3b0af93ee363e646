//! A message's text as the two texts of a mail: a page, and a plain text with its links written out.

use std::cmp::Reverse;

use switchboard_proto::common::v1::{Text, TextEntity, text_entity::Kind};

use super::super::html::escape;

/// Formatted ranges of one text that are written.
const ENTITIES_MAX: usize = 2_000;

/// A formatted range in bytes of the text.
struct Range<'t> {
    start: usize,
    end: usize,
    entity: &'t TextEntity,
}

/// Writes the plain text. The address of a link stands behind its words.
pub fn plain(text: &Text) -> String {
    let mut out = String::with_capacity(text.text.len() + 64);
    let mut at = 0;
    let mut links: Vec<Range<'_>> = ranges(text)
        .into_iter()
        .filter(|range| range.entity.kind() == Kind::TextLink && is_link(&range.entity.url))
        .collect();
    links.sort_by_key(|range| range.end);
    for link in links {
        let words = text.text.get(link.start..link.end).unwrap_or_default();
        out.push_str(text.text.get(at..link.end).unwrap_or_default());
        at = link.end.max(at);
        if words.trim() != link.entity.url.trim() {
            out.push_str(" <");
            out.push_str(link.entity.url.trim());
            out.push('>');
        }
    }
    out.push_str(text.text.get(at..).unwrap_or_default());
    out.replace("\r\n", "\n")
        .replace(['\r', '\0'], "")
        .replace('\n', "\r\n")
}

/// Writes the page.
pub fn html(text: &Text) -> String {
    let mut ranges = ranges(text);
    // The longer of two that begin together is the outer one.
    ranges.sort_by_key(|range| (range.start, Reverse(range.end)));
    let mut writer = Writer {
        text: &text.text,
        out: String::with_capacity(text.text.len() * 2 + 128),
        open: Vec::new(),
        at: 0,
    };
    writer.out.push_str("<!DOCTYPE html><html><body><div>");
    for range in &ranges {
        writer.up_to(range.start);
        writer.begin(range);
    }
    writer.up_to(text.text.len());
    writer.out.push_str("</div></body></html>");
    writer.out
}

struct Writer<'t> {
    text: &'t str,
    out: String,
    /// Ends and tags of what is open, the innermost last.
    open: Vec<(usize, String, &'static str)>,
    at: usize,
}

impl Writer<'_> {
    /// Writes the text up to a place, and ends what ends before it.
    fn up_to(&mut self, place: usize) {
        while let Some(end) = self
            .open
            .iter()
            .map(|(end, ..)| *end)
            .min()
            .filter(|end| *end <= place)
        {
            self.words(end);
            // What began later and goes on is closed and opened again: tags end in order.
            let mut again = Vec::new();
            while let Some((open_end, tag, name)) = self.open.pop() {
                self.out.push_str("</");
                self.out.push_str(name);
                self.out.push('>');
                if open_end > end {
                    again.push((open_end, tag, name));
                }
                if !self.open.iter().any(|(open_end, ..)| *open_end <= end) {
                    break;
                }
            }
            for (open_end, tag, name) in again.into_iter().rev() {
                self.out.push_str(&tag);
                self.open.push((open_end, tag, name));
            }
        }
        self.words(place);
    }

    fn words(&mut self, to: usize) {
        if to <= self.at {
            return;
        }
        let words = self
            .text
            .get(self.at..to)
            .unwrap_or_default()
            .replace("\r\n", "\n");
        let verbatim = self.open.iter().any(|(_, _, name)| *name == "pre");
        for (index, line) in words.split('\n').enumerate() {
            if index > 0 {
                self.out
                    .push_str(if verbatim { "\r\n" } else { "<br>\r\n" });
            }
            let line: String = line
                .chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect();
            escape(&line, &mut self.out);
        }
        self.at = to;
    }

    fn begin(&mut self, range: &Range<'_>) {
        let words = self.text.get(range.start..range.end).unwrap_or_default();
        let link = |address: &str| {
            let mut tag = String::from("<a href=\"");
            escape(address, &mut tag);
            tag.push_str("\">");
            tag
        };
        let inside_link = self.open.iter().any(|(_, _, name)| *name == "a");
        let (tag, name) = match range.entity.kind() {
            Kind::Bold => ("<b>".to_owned(), "b"),
            Kind::Italic => ("<i>".to_owned(), "i"),
            Kind::Underline => ("<u>".to_owned(), "u"),
            Kind::Strikethrough => ("<s>".to_owned(), "s"),
            Kind::Code => ("<code>".to_owned(), "code"),
            Kind::Pre => ("<pre>".to_owned(), "pre"),
            Kind::Blockquote => ("<blockquote>".to_owned(), "blockquote"),
            Kind::TextLink if is_link(&range.entity.url) && !inside_link => {
                (link(range.entity.url.trim()), "a")
            }
            Kind::Url if is_link(words) && !inside_link => (link(words.trim()), "a"),
            Kind::Email if !inside_link && !words.contains(char::is_whitespace) => {
                (link(&format!("mailto:{words}")), "a")
            }
            _ => return,
        };
        self.out.push_str(&tag);
        self.open.push((range.end, tag, name));
    }
}

/// Links that may be opened.
fn is_link(address: &str) -> bool {
    let lower = address.trim().to_ascii_lowercase();
    let known = ["https://", "http://", "mailto:", "tel:"];
    known.iter().any(|start| lower.starts_with(start)) && !lower.contains(char::is_control)
}

/// Returns the formatted ranges, from UTF-16 to bytes; what does not lie in the text is left out.
fn ranges(text: &Text) -> Vec<Range<'_>> {
    if text.entities.is_empty() {
        return Vec::new();
    }
    let mut places = Vec::with_capacity(text.text.len() + 1);
    for (at, c) in text.text.char_indices() {
        places.extend(std::iter::repeat_n(at, c.len_utf16()));
    }
    places.push(text.text.len());
    let place = |units: u32| places.get(usize::try_from(units).ok()?).copied();
    let entities = text.entities.iter().take(ENTITIES_MAX);
    entities
        .filter_map(|entity| {
            let start = place(entity.offset)?;
            let end = place(entity.offset.saturating_add(entity.length)).unwrap_or(text.text.len());
            (start < end).then_some(Range { start, end, entity })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(kind: Kind, offset: u32, length: u32, url: &str) -> TextEntity {
        TextEntity {
            kind: kind.into(),
            offset,
            length,
            url: url.to_owned(),
            language: String::new(),
        }
    }

    #[test]
    fn formatting_becomes_tags_that_end_in_order() {
        for (name, text, entities, page, words) in [
            (
                "one",
                "😀 two <3",
                vec![entity(Kind::Bold, 3, 3, "")],
                "😀 <b>two</b> &lt;3",
                "😀 two <3",
            ),
            (
                "crossing",
                "abcdef",
                vec![entity(Kind::Bold, 0, 4, ""), entity(Kind::Italic, 2, 4, "")],
                "<b>ab<i>cd</i></b><i>ef</i>",
                "abcdef",
            ),
            (
                "nested",
                "abc",
                vec![entity(Kind::Italic, 1, 1, ""), entity(Kind::Bold, 0, 3, "")],
                "<b>a<i>b</i>c</b>",
                "abc",
            ),
            (
                "link",
                "see here.",
                vec![entity(Kind::TextLink, 4, 4, "https://x.example/?a=\"1\"")],
                "see <a href=\"https://x.example/?a=&quot;1&quot;\">here</a>.",
                "see here <https://x.example/?a=\"1\">.",
            ),
            (
                "a script is no link",
                "here",
                vec![entity(Kind::TextLink, 0, 4, "javascript:x")],
                "here",
                "here",
            ),
            (
                "outside of the text",
                "ab",
                vec![entity(Kind::Bold, 5, 2, ""), entity(Kind::Bold, 1, 90, "")],
                "a<b>b</b>",
                "ab",
            ),
        ] {
            let text = Text {
                text: text.to_owned(),
                entities,
            };
            let written = html(&text);
            let body = written
                .strip_prefix("<!DOCTYPE html><html><body><div>")
                .and_then(|page| page.strip_suffix("</div></body></html>"));
            assert_eq!(body, Some(page), "{name}");
            assert_eq!(plain(&text), words, "{name}");
        }
    }
}
