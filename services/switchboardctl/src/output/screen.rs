//! A screen of sections, fit to the terminal: what `status` and `doctor` print for people.

use super::table::{Tone, harmless};

/// The width where there is no terminal.
const WIDTH: usize = 100;

/// Lines that are written top to bottom.
pub(crate) struct Screen {
    width: usize,
    colour: bool,
    lines: Vec<String>,
}

/// Some words of a line, in a tone.
pub(crate) struct Words {
    text: String,
    tone: Tone,
}

/// Plain words.
pub(crate) fn plain(text: impl Into<String>) -> Words {
    toned(text, Tone::Plain)
}

/// Words in a tone.
pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Words {
    Words {
        text: text.into(),
        tone,
    }
}

impl Screen {
    /// An empty screen of a width; of a usual one where there is no terminal.
    pub fn new(width: Option<u16>, colour: bool) -> Self {
        Self {
            width: width.map_or(WIDTH, usize::from).max(40),
            colour,
            lines: Vec::new(),
        }
    }

    /// Begins a section.
    pub fn heading(&mut self, text: &str) {
        let cut = cut(text, self.width);
        self.lines.push(if self.colour {
            format!("\u{1b}[1m{cut}\u{1b}[0m")
        } else {
            cut
        });
    }

    /// Adds a line, cut to the width.
    pub fn line(&mut self, words: &[Words]) {
        let mut left = self.width;
        let mut line = String::new();
        for one in words {
            let text = cut(&harmless(&one.text), left);
            left -= text.chars().count();
            line.push_str(&self.painted(&text, one.tone));
        }
        self.lines.push(line.trim_end().to_owned());
    }

    /// Adds words below each other, broken at spaces, each line behind an indent.
    pub fn paragraph(&mut self, indent: usize, text: &str, tone: Tone) {
        let room = self.width.saturating_sub(indent).max(20);
        let (text, mut line) = (harmless(text), String::new());
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.indented(indent, &std::mem::take(&mut line), tone);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.indented(indent, &line, tone);
    }

    /// Takes the last line back, to be continued.
    pub fn take(&mut self) -> String {
        self.lines.pop().unwrap_or_default()
    }

    /// Adds a line that begins with `head`, which is shown as `column` characters wide, and goes on with a text; what does
    /// not fit goes on below, behind that column.
    pub fn continued(&mut self, head: &str, column: usize, text: &str) {
        let first = self.lines.len();
        self.paragraph(column, text, Tone::Plain);
        if let Some(line) = self.lines.get_mut(first) {
            let shown = if self.colour {
                bare(head)
            } else {
                head.chars().count()
            };
            let gap = column.saturating_sub(shown);
            *line = format!("{head}{:gap$}{}", "", line.trim_start());
        }
    }

    fn indented(&mut self, indent: usize, text: &str, tone: Tone) {
        let painted = self.painted(text, tone);
        self.lines.push(format!("{:indent$}{painted}", ""));
    }

    fn painted(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Attention => 33,
            Tone::Bad => 31,
            Tone::Dim => 2,
            Tone::Plain => return text.to_owned(),
        };
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// The lines.
    pub fn finish(self) -> Vec<String> {
        self.lines
    }
}

/// Characters that a line shows, without those that colour it.
fn bare(line: &str) -> usize {
    let mut inside = false;
    let shown = line.chars().filter(|c| match (*c, inside) {
        ('\u{1b}', _) => {
            inside = true;
            false
        }
        ('m', true) => {
            inside = false;
            false
        }
        (_, inside) => !inside,
    });
    shown.count()
}

/// A text of so many characters at most; what is cut is marked.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    if most > 0 {
        short.push('…');
    }
    short
}

/// A text filled up to a column; one that is longer is cut, so that columns stay below each other.
pub(crate) fn column(text: &str, width: usize) -> String {
    format!("{:<width$} ", cut(text, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o201_lines_are_cut_to_the_width_and_paragraphs_broken() {
        let mut screen = Screen::new(Some(40), false);
        screen.line(&[plain("a".repeat(30)), toned("b".repeat(30), Tone::Bad)]);
        screen.paragraph(4, &"word ".repeat(20), Tone::Plain);
        screen.line(&[plain("\u{1b}[31m")]);
        let lines = screen.finish();
        assert!(
            lines.iter().all(|line| line.chars().count() <= 40),
            "{lines:?}"
        );
        assert!(lines[0].ends_with("b…"), "{lines:?}");
        assert_eq!(lines[1], format!("    {}", ["word"; 7].join(" ")));
        assert!(
            lines.iter().all(|line| !line.contains('\u{1b}')),
            "{lines:?}"
        );
        let mut screen = Screen::new(Some(40), true);
        screen.line(&[toned("b", Tone::Bad)]);
        assert_eq!(screen.finish(), ["\u{1b}[31mb\u{1b}[0m"]);
        assert_eq!(column("abcdef", 4), "abc… ");
    }
}
