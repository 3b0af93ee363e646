//! A page as tokens: one pass, in which nothing is looked for twice.

use mail_parser::decoders::html::add_html_token;
use memchr::memchr;

/// Attributes of one tag that are read.
const ATTRIBUTES_MAX: usize = 48;

/// Elements whose content is no text.
const RAW: [&str; 8] = [
    "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes",
];

/// A token of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'p> {
    /// Text, its entities not decoded.
    Text(&'p str),
    /// The start of an element: its name in lower case and its attributes as they stand.
    Open(String, &'p str),
    /// The end of an element.
    Close(String),
}

/// Splits a page into tokens. What shows nothing becomes an empty text.
pub struct Tokens<'p> {
    page: &'p str,
    at: usize,
    /// From here on there is none of these: looking again would only cost time.
    without_quote: [bool; 2],
    without_comment_end: bool,
}

impl<'p> Tokens<'p> {
    /// Begins at the start of a page.
    pub fn of(page: &'p str) -> Self {
        Self {
            page,
            at: 0,
            without_quote: [false; 2],
            without_comment_end: false,
        }
    }

    /// Returns where the tag that began before `from` ends: at its `>`, of which those in quotes are none.
    fn tag_end(&mut self, from: usize) -> Option<usize> {
        let bytes = self.page.as_bytes();
        let mut at = from;
        let mut after_equals = false;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'>' => return Some(at),
                b'"' | b'\'' if after_equals => {
                    let which = usize::from(*byte == b'\'');
                    if !self.without_quote[which] {
                        if let Some(end) = memchr(*byte, &bytes[at + 1..]) {
                            at += end + 1;
                        } else {
                            self.without_quote[which] = true;
                        }
                    }
                    after_equals = false;
                }
                b'=' => after_equals = true,
                b if b.is_ascii_whitespace() => {}
                _ => after_equals = false,
            }
            at += 1;
        }
        None
    }

    /// Steps over a comment, a declaration or an instruction; the place behind it.
    fn skip_markup(&mut self, start: usize) -> usize {
        let rest = &self.page[start..];
        if rest.starts_with("<!--") && !self.without_comment_end {
            if let Some(end) = rest.get(4..).and_then(|rest| rest.find("-->")) {
                return start + 4 + end + 3;
            }
            self.without_comment_end = true;
        }
        memchr(b'>', rest.as_bytes()).map_or(self.page.len(), |end| start + end + 1)
    }

    /// Returns the place of the end tag of an element without text, or the end of the page.
    fn raw_end(&self, name: &str) -> usize {
        let bytes = self.page.as_bytes();
        let mut at = self.at;
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
            at += found;
            let tag = self.page.as_bytes().get(at + 2..at + 2 + name.len());
            if bytes.get(at + 1) == Some(&b'/')
                && tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()))
            {
                return at;
            }
            at += 1;
        }
        self.page.len()
    }
}

impl<'p> Iterator for Tokens<'p> {
    type Item = Token<'p>;

    fn next(&mut self) -> Option<Token<'p>> {
        let bytes = self.page.as_bytes();
        let text_start = self.at;
        loop {
            let open = match bytes.get(self.at..).and_then(|rest| memchr(b'<', rest)) {
                Some(found) => self.at + found,
                None => self.page.len(),
            };
            let (closing, name_start) = match bytes.get(open + 1) {
                Some(b'/') => (true, open + 2),
                _ => (false, open + 1),
            };
            let next = bytes.get(name_start).copied().unwrap_or(b' ');
            let markup = matches!(next, b'!' | b'?');
            let begins = next.is_ascii_alphabetic() || markup;
            if !begins && open < self.page.len() {
                // A bare sign is text.
                self.at = open + 1;
                continue;
            }
            if open > text_start {
                self.at = open;
                return Some(Token::Text(&self.page[text_start..open]));
            }
            if open >= self.page.len() {
                return None;
            }
            if markup {
                self.at = self.skip_markup(open);
                return Some(Token::Text(""));
            }
            let Some(end) = self.tag_end(name_start) else {
                // A tag that never ends shows nothing.
                self.at = self.page.len();
                return None;
            };
            self.at = end + 1;
            let inside = &self.page[name_start..end];
            let name_end = inside
                .find(|c: char| c.is_ascii_whitespace() || c == '/')
                .unwrap_or(inside.len());
            let name =
                crate::domain::email::shortened(&inside[..name_end], 40).to_ascii_lowercase();
            if closing {
                return Some(Token::Close(name));
            }
            if RAW.contains(&name.as_str()) {
                self.at = self.raw_end(&name);
                let behind = memchr(b'>', &bytes[self.at..]);
                self.at = behind.map_or(self.page.len(), |end| self.at + end + 1);
                return Some(Token::Text(""));
            }
            return Some(Token::Open(name, &inside[name_end..]));
        }
    }
}

/// Returns the attributes of a tag, names in lower case, values decoded. Names that could not stand in a page are left
/// out.
pub fn attributes(tag: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = tag;
    let next = move || loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/' || c == '=');
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => value_of(value.trim_start()),
            None => ("", after),
        };
        rest = after;
        let fits = name.len() <= 60
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b':');
        if fits {
            return Some((name.to_ascii_lowercase(), decoded(value)));
        }
    };
    std::iter::from_fn(next).take(ATTRIBUTES_MAX)
}

fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    let end = text
        .find(|c: char| c.is_ascii_whitespace())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Decodes the entities of a text.
pub fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.as_bytes().iter().take(34).position(|b| *b == b';');
        let entity = end.map(|end| &rest[..=end]).filter(|entity| {
            let inside = &entity.as_bytes()[1..entity.len() - 1];
            !inside.is_empty()
                && inside
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || *b == b'#')
        });
        match entity {
            Some(entity) if entity.starts_with("&#") => {
                out.push(numbered(&entity[2..entity.len() - 1]));
                rest = &rest[entity.len()..];
            }
            Some(entity) => {
                add_html_token(&mut out, entity.as_bytes(), false);
                rest = &rest[entity.len()..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn numbered(digits: &str) -> char {
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    match code {
        Ok(0) | Err(_) => '\u{fffd}',
        // Programs of old wrote the numbers of windows-1252.
        Ok(code @ 0x80..=0x9f) => {
            let bytes = [code.to_le_bytes()[0]];
            let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes);
            text.chars().next().unwrap_or('\u{fffd}')
        }
        Ok(code) => char::from_u32(code).unwrap_or('\u{fffd}'),
    }
}

/// Decodes `%40` and its kind.
pub fn percent_plain(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    crate::domain::email::typed::percent_decoded(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(page: &str) -> Vec<Token<'_>> {
        Tokens::of(page)
            .filter(|token| *token != Token::Text(""))
            .collect()
    }

    #[test]
    fn pages_are_split_as_browsers_do() {
        use Token::{Close, Open, Text};
        for (page, expected) in [
            (
                "a<P class=\"x > y\">b</p>",
                vec![
                    Text("a"),
                    Open("p".into(), " class=\"x > y\""),
                    Text("b"),
                    Close("p".into()),
                ],
            ),
            ("1 < 2 <b", vec![Text("1 < 2 ")]),
            ("<!-- <p> -->a<!doctype x>b", vec![Text("a"), Text("b")]),
            ("<style>a<b</style>c", vec![Text("c")]),
            ("<br/>", vec![Open("br".into(), "/")]),
            (
                "<p title=\"never closed>a",
                vec![Open("p".into(), " title=\"never closed"), Text("a")],
            ),
            ("<!-- never closed>a", vec![Text("a")]),
        ] {
            assert_eq!(all(page), expected, "{page}");
        }
    }

    #[test]
    fn attributes_and_entities_are_read() {
        let read: Vec<_> =
            attributes(" A=1 b='2 3' c=\"&lt;&#1044;&#x414;&#150;\" d on\"x=1 /").collect();
        let expected = [("a", "1"), ("b", "2 3"), ("c", "<ДД–"), ("d", "")];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read, expected);
        assert_eq!(
            decoded("a &amp; b & c &nosuch; &#0;"),
            "a & b & c &nosuch; \u{fffd}"
        );
        assert_eq!(decoded("&nbsp;&eacute;"), "\u{a0}é");
    }
}
