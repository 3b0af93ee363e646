//! A page as events that open and close in order, however its author closed them.

use super::tokens::{Token, Tokens};

/// Elements inside each other at most; deeper ones are dropped, what they hold is kept.
pub const LEVELS_MAX: usize = 96;

/// Elements without content.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Elements that end a paragraph.
const BLOCKS: [&str; 20] = [
    "p",
    "div",
    "table",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "pre",
    "form",
    "center",
    "section",
    "article",
    "address",
];

/// An event of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'p> {
    /// Text, its entities not decoded.
    Text(&'p str),
    /// An element begins.
    Open {
        /// Its name in lower case.
        name: String,
        /// Its attributes as they stand.
        attributes: &'p str,
        /// It has an end; otherwise nothing closes it.
        holds: bool,
    },
    /// The innermost open element ends.
    Close(String),
}

/// Flattens a page. There are never more events than bytes, and one more.
pub fn events(page: &str) -> Vec<Event<'_>> {
    let mut tree = Tree::default();
    for token in Tokens::of(page) {
        match token {
            Token::Text("") => {}
            Token::Text(text) => tree.events.push(Event::Text(text)),
            Token::Open(name, attributes) => tree.open(name, attributes),
            Token::Close(name) => tree.close(&name),
        }
    }
    tree.close_to(0);
    tree.events
}

#[derive(Default)]
struct Tree<'p> {
    events: Vec<Event<'p>>,
    stack: Vec<String>,
    /// Dropped elements that are still open.
    dropped: usize,
}

impl<'p> Tree<'p> {
    fn open(&mut self, name: String, attributes: &'p str) {
        if !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            // `o:p` and other foreign names show what they hold.
            return;
        }
        let top = self.stack.last().map(String::as_str);
        let ends = match top {
            Some("p") => BLOCKS.contains(&name.as_str()) || name == "li",
            Some(top @ ("li" | "tr" | "option")) => top == name,
            Some("td" | "th") => matches!(name.as_str(), "td" | "th" | "tr"),
            Some("dt" | "dd") => matches!(name.as_str(), "dt" | "dd"),
            _ => false,
        };
        if ends {
            let row = matches!(top, Some("td" | "th")) && name == "tr";
            self.close_to(self.stack.len().saturating_sub(1));
            if row && self.stack.last().is_some_and(|top| top == "tr") {
                self.close_to(self.stack.len().saturating_sub(1));
            }
        }
        let holds = !VOID.contains(&name.as_str());
        if holds {
            if self.stack.len() >= LEVELS_MAX {
                self.dropped += 1;
                return;
            }
            self.stack.push(name.clone());
        }
        self.events.push(Event::Open {
            name,
            attributes,
            holds,
        });
    }

    fn close(&mut self, name: &str) {
        if name == "br" {
            // Written as an end, meant as a break.
            self.open(name.to_owned(), "");
            return;
        }
        if self.dropped > 0 {
            self.dropped -= 1;
            return;
        }
        // What is open outside of a cell is not closed from inside of it, unless it is the table's.
        let table = matches!(
            name,
            "table" | "tr" | "td" | "th" | "tbody" | "thead" | "tfoot" | "body" | "html"
        );
        let mut found = None;
        for (index, open) in self.stack.iter().enumerate().rev() {
            if open == name {
                found = Some(index);
                break;
            }
            if !table && matches!(open.as_str(), "td" | "th" | "table") {
                break;
            }
        }
        if let Some(index) = found {
            self.close_to(index);
        }
    }

    fn close_to(&mut self, length: usize) {
        while self.stack.len() > length {
            if let Some(name) = self.stack.pop() {
                self.events.push(Event::Close(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(page: &str) -> String {
        let events = events(page).into_iter().map(|event| match event {
            Event::Text(text) => text.to_owned(),
            Event::Open { name, .. } => format!("<{name}>"),
            Event::Close(name) => format!("</{name}>"),
        });
        events.collect()
    }

    #[test]
    fn every_element_is_closed_in_order() {
        for (page, expected) in [
            ("<p>a<p>b", "<p>a</p><p>b</p>"),
            ("<b><i>a</b>b</i>", "<b><i>a</i></b>b"),
            ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
            (
                "<table><tr><td>a<td>b<tr><td>c</table>d",
                "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>d",
            ),
            (
                "<div><table><tr><td>a</div>b</td></tr></table></div>",
                "<div><table><tr><td>ab</td></tr></table></div>",
            ),
            ("a</p>b<br></br>", "ab<br><br>"),
            ("<o:p>a</o:p>", "a"),
        ] {
            assert_eq!(written(page), expected, "{page}");
        }
    }
}
