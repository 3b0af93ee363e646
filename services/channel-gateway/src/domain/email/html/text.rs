//! What a reader sees of a page, as plain text.

use super::tokens::{attributes, decoded};
use super::tree::Event;

/// What stands for a picture that nobody described.
const PICTURE: &str = "[image]";

/// Writes all that a page holds as text, hidden or not, and its pictures by what they are said to show: for a page that
/// shows nothing otherwise, because it is made of pictures, or was cut before its text.
pub fn everything(events: &[Event<'_>]) -> String {
    let mut writer = Writer::default();
    for event in events {
        match event {
            Event::Open {
                name, attributes, ..
            } if name == "img" => writer.picture(attributes),
            Event::Open { name, .. } => writer.open(name),
            Event::Close(name) => writer.close(name),
            Event::Text(text) => writer.text(text),
        }
    }
    writer.out.trim_end().to_owned()
}

/// Writes events as text. Quotations get the mark that plain mails use, `> `.
pub fn of(events: &[Event<'_>]) -> String {
    let mut writer = Writer::default();
    let mut hidden = 0_usize;
    for event in events {
        match event {
            Event::Open {
                name,
                attributes,
                holds,
            } => {
                if hidden > 0 || (*holds && is_hidden(name, attributes)) {
                    hidden += usize::from(*holds);
                } else {
                    writer.open(name);
                }
            }
            Event::Close(name) => {
                if hidden > 0 {
                    hidden -= 1;
                } else {
                    writer.close(name);
                }
            }
            Event::Text(text) if hidden == 0 => writer.text(text),
            Event::Text(_) => {}
        }
    }
    writer.out.trim_end().to_owned()
}

/// What is in the page and not meant to be read: the line that mail programs show beside the subject.
fn is_hidden(name: &str, tag: &str) -> bool {
    if name == "head" {
        return true;
    }
    if !tag.to_ascii_lowercase().contains("display") {
        return false;
    }
    attributes(tag).any(|(key, value)| {
        let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        key == "style" && value.to_ascii_lowercase().contains("display:none")
    })
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Line ends that are due before the next text.
    breaks: usize,
    /// A space is due before the next text of the same line.
    space: bool,
    quotes: usize,
    verbatim: usize,
    started: bool,
}

impl Writer {
    fn open(&mut self, name: &str) {
        match name {
            "br" => self.line_break(),
            "p" | "ul" | "ol" | "dl" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.at_least(2),
            "blockquote" => {
                self.at_least(1);
                self.quotes += 1;
            }
            "pre" => {
                self.at_least(1);
                self.verbatim += 1;
            }
            "li" => {
                self.at_least(1);
                self.word("- ");
            }
            "td" | "th" => self.space = self.started && self.breaks == 0,
            _ if is_block(name) => self.at_least(1),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" | "ul" | "ol" | "dl" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.at_least(2),
            "blockquote" => {
                self.quotes = self.quotes.saturating_sub(1);
                self.at_least(1);
            }
            "pre" => {
                self.verbatim = self.verbatim.saturating_sub(1);
                self.at_least(1);
            }
            _ if is_block(name) => self.at_least(1),
            _ => {}
        }
    }

    fn line_break(&mut self) {
        self.breaks = (self.breaks + 1).min(3);
        self.space = false;
    }

    fn at_least(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
        self.space = false;
    }

    /// A picture of no size only counts who looks.
    fn picture(&mut self, tag: &str) {
        let (mut shown, mut counts) = (String::new(), false);
        for (key, value) in attributes(tag) {
            match key.as_str() {
                "alt" => shown = value.split_whitespace().collect::<Vec<_>>().join(" "),
                "width" | "height" => counts |= matches!(value.trim(), "0" | "1" | "0px" | "1px"),
                _ => {}
            }
        }
        if counts {
            return;
        }
        self.at_least(1);
        self.word(if shown.is_empty() { PICTURE } else { &shown });
        self.at_least(1);
    }

    fn text(&mut self, text: &str) {
        let text = decoded(text);
        if self.verbatim > 0 {
            for (index, line) in text.split('\n').enumerate() {
                if index > 0 {
                    self.line_break();
                }
                if !line.is_empty() {
                    self.word(line.trim_end_matches('\r'));
                }
            }
            return;
        }
        let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        self.space |= text.starts_with(white) && self.breaks == 0;
        let mut first = true;
        for word in text.split(white).filter(|word| !word.is_empty()) {
            self.space |= !first;
            first = false;
            self.word(word);
        }
        self.space = text.ends_with(white) && self.breaks == 0;
    }

    fn word(&mut self, word: &str) {
        if self.started {
            let quote = "> ".repeat(self.quotes.min(10));
            for index in 0..self.breaks {
                // White space before a line's end is nobody's.
                self.out.truncate(self.out.trim_end_matches(' ').len());
                self.out.push('\n');
                if index + 1 == self.breaks || self.quotes > 0 {
                    self.out.push_str(&quote);
                }
            }
            if self.breaks == 0 && self.space {
                self.out.push(' ');
            }
        } else {
            self.out.push_str(&"> ".repeat(self.quotes.min(10)));
        }
        self.started = true;
        self.breaks = 0;
        self.space = false;
        for c in word.chars() {
            match c {
                '\u{a0}' => self.out.push(' '),
                '\0' => self.out.push('\u{fffd}'),
                '\u{200b}' | '\u{feff}' | '\u{ad}' => {}
                c => self.out.push(c),
            }
        }
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "div"
            | "table"
            | "tr"
            | "hr"
            | "form"
            | "center"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "address"
            | "body"
            | "html"
            | "caption"
            | "fieldset"
            | "dt"
            | "dd"
            | "figure"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{everything, to_text};

    #[test]
    fn a_page_that_shows_nothing_is_told_by_what_it_holds() {
        for (page, expected) in [
            (
                "<a href=x><img src=a alt=\"Sale &amp;\n more\"></a><img src=b><img src=c width=1 height=1>",
                "Sale & more\n[image]",
            ),
            ("<html><head><title>t</title><p>Дякую", "Дякую"),
            (
                "<div style=\"display:none\">Sale</div><img src=a>",
                "Sale\n[image]",
            ),
            ("<img src=a height=\"1\">", ""),
            ("<style>p { color: red", ""),
            ("<p>a<img src=\"b", "a"),
            ("", ""),
        ] {
            assert_eq!(everything(page), expected, "{page}");
        }
    }

    #[test]
    fn pages_read_as_they_look() {
        for (page, expected) in [
            ("<p>Дякую</p><p>до  завтра</p>", "Дякую\n\nдо завтра"),
            ("<div>a</div><div>b<br>c</div>", "a\nb\nc"),
            ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
            ("a<b>b</b> <i> c</i>", "ab c"),
            ("<ul><li>a<li>b</ul>c", "- a\n- b\n\nc"),
            (
                "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
                "a b\nc",
            ),
            ("a<blockquote>b<br>c</blockquote>d", "a\n> b\n> c\nd"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc"),
            ("<head><title>t</title></head>a", "a"),
            ("<div style=\"display: none\">x<p>y</p></div>a", "a"),
            ("a&nbsp;&lt;b&gt;", "a <b>"),
            ("", ""),
        ] {
            assert_eq!(to_text(page), expected, "{page}");
        }
    }
}
