//! Tables fit to the terminal.

use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Table, presets};

/// What a cell means, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// As it should be.
    Good,
    /// Somebody should look.
    Attention,
    /// Something is wrong.
    Bad,
    /// Less important.
    Dim,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

/// A plain cell; an empty text becomes `-`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`cell(3)` and `cell(name)` read better than with a sign of reference"
)]
pub(crate) fn cell(text: impl ToString) -> Cell {
    let text = harmless(&text.to_string());
    Cell {
        text: if text.is_empty() { "-".into() } else { text },
        tone: Tone::Plain,
    }
}

/// Shows what customers wrote without letting it steer the reader's terminal: control characters and those that turn
/// the direction of writing are shown as their names; a line break becomes a space, as a cell is one line.
pub(crate) fn harmless(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => " ".to_owned(),
            c if c.is_control() || turns(c) => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect()
}

impl Cell {
    /// The text as it is shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the cell a tone.
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Less important.
    pub fn dim(self) -> Self {
        self.tone(Tone::Dim)
    }

    /// Coloured by the word's meaning.
    pub fn by_word(self) -> Self {
        let tone = match self.text.as_str() {
            "handled" | "active" | "online" | "enabled" | "sent" | "delivered" | "read"
            | "successful" | "created" | "yes" | "well" | "set" => Tone::Good,
            "unassigned" | "away" | "queued" | "sending" | "uncertain" | "new" | "degraded"
            | "hint" => Tone::Attention,
            "failed" | "disconnected" | "rejected" | "foreign" | "missing" | "failing" => Tone::Bad,
            "inactive" | "offline" | "disabled" | "-" | "no" | "none" | "skipped" | "cancelled" => {
                Tone::Dim
            }
            _ => Tone::Plain,
        };
        self.tone(tone)
    }

    /// Tells whether the text must not be broken: it could not be pasted again.
    fn is_whole(&self) -> bool {
        !self.text.contains(' ') || self.text.len() < 13
    }

    fn comfy(self, colour: bool) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(self.text);
        if !colour {
            return cell;
        }
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::Green),
            Tone::Attention => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
            Tone::Dim => cell.add_attribute(Attribute::Dim),
        }
    }
}

/// The same for a text of several lines, whose breaks are kept.
pub(crate) fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// Leaves out the named columns below which nothing stands.
pub(crate) fn drop_empty(headers: &mut Vec<&str>, rows: &mut [Vec<Cell>], named: &[&str]) {
    for name in named {
        let Some(at) = headers.iter().position(|header| header == name) else {
            continue;
        };
        if rows
            .iter()
            .filter_map(|row| row.get(at))
            .all(|cell| cell.text == "-")
        {
            headers.remove(at);
            for row in rows.iter_mut().filter(|row| at < row.len()) {
                row.remove(at);
            }
        }
    }
}

/// What a column of sentences needs at least to be read.
const SENTENCE: usize = 20;

/// Leaves out columns, in the order given, until the rest fits the width. Returns the names of those
/// left out.
pub(crate) fn fit<'h>(
    headers: &mut Vec<&'h str>,
    rows: &mut [Vec<Cell>],
    optional: &[&str],
    width: Option<u16>,
) -> Vec<&'h str> {
    let Some(width) = width else {
        return Vec::new();
    };
    let mut left_out = Vec::new();
    for name in optional {
        let needed: usize = (0..headers.len())
            .map(|at| needed(headers[at], rows.iter().filter_map(|row| row.get(at))) + 2)
            .sum();
        if needed <= usize::from(width) {
            break;
        }
        if let Some(at) = headers.iter().position(|header| header == name) {
            left_out.push(headers.remove(at));
            for row in rows.iter_mut().filter(|row| at < row.len()) {
                row.remove(at);
            }
        }
    }
    left_out
}

/// The least width of a column: whole words stay whole, sentences may break.
fn needed<'c>(header: &str, cells: impl Iterator<Item = &'c Cell>) -> usize {
    let least = |cell: &Cell| {
        let length = cell.text.chars().count();
        if cell.is_whole() {
            length
        } else {
            length.min(SENTENCE)
        }
    };
    cells.map(least).max().unwrap_or(0).max(header.len())
}

/// The terminal's width; none where stdout is no terminal, so that a pipe gets whole lines.
pub(crate) fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// A table with headers.
pub(crate) fn render(
    headers: &[&str],
    rows: Vec<Vec<Cell>>,
    colour: bool,
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty();
    if colour {
        table.enforce_styling();
    }
    if let Some(width) = width {
        table.set_width(width);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    // A column of words without spaces (ids, states, numbers) is never broken.
    let whole: Vec<bool> = (0..headers.len())
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .all(Cell::is_whole)
        })
        .collect();
    table.set_header(headers.iter().map(|header| {
        let cell = comfy_table::Cell::new(header);
        if colour {
            cell.add_attribute(Attribute::Bold)
        } else {
            cell
        }
    }));
    table.add_rows(rows.into_iter().map(|row| {
        row.into_iter()
            .map(|cell| cell.comfy(colour))
            .collect::<Vec<_>>()
    }));
    for (column, whole) in table.column_iter_mut().zip(whole) {
        column.set_padding((0, 2));
        if whole {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
}

/// One message as lines of label and value.
pub(crate) fn details(headers: &[&str], cells: Vec<Cell>, colour: bool) -> String {
    let width = headers
        .iter()
        .map(|header| header.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let lines: Vec<String> = headers
        .iter()
        .zip(cells)
        .map(|(header, cell)| {
            let padded = format!("{:<width$}", header.to_lowercase());
            if colour {
                format!("\u{1b}[2m{padded}\u{1b}[0m{}", cell.text)
            } else {
                format!("{padded}{}", cell.text)
            }
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0197e7a4-0000-7000-8000-000000000000";

    fn rows() -> Vec<Vec<Cell>> {
        vec![vec![
            cell(ID),
            cell("active").by_word(),
            cell("good day, is the red one still there in size forty-two?"),
        ]]
    }

    #[test]
    fn what_customers_wrote_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("plain, з кирилицею 👍", "plain, з кирилицею 👍"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("bell\u{7}", "bell\\u{7}"),
            ("two\nlines", "two lines"),
            ("\u{202e}turned", "\\u{202e}turned"),
        ] {
            assert_eq!(cell(text).text, shown);
        }
    }

    #[test]
    fn a_table_fits_the_terminal_and_keeps_ids_whole() {
        for width in [70_u16, 90, 200] {
            let text = render(&["ID", "STATE", "LAST MESSAGE"], rows(), false, Some(width));
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= usize::from(width)),
                "{width}:\n{text}"
            );
            assert!(text.contains(ID), "{width}:\n{text}");
            assert!(text.starts_with("ID"), "{text}");
        }
        let piped = render(&["ID", "STATE", "LAST MESSAGE"], rows(), false, None);
        assert_eq!(piped.lines().count(), 2, "{piped}");
    }

    #[test]
    fn a_column_of_nothing_is_left_out_where_it_may_be() {
        for (state, sparse, expected) in [
            ("", &["STATE"][..], vec!["ID", "TEXT"]),
            ("", &[], vec!["ID", "STATE", "TEXT"]),
            ("active", &["STATE"], vec!["ID", "STATE", "TEXT"]),
        ] {
            let mut headers = vec!["ID", "STATE", "TEXT"];
            let mut rows = vec![
                vec![cell("1"), cell(state), cell("a")],
                vec![cell("2"), cell(""), cell("")],
            ];
            drop_empty(&mut headers, &mut rows, sparse);
            assert_eq!(headers, expected);
            assert!(rows.iter().all(|row| row.len() == expected.len()));
        }
        assert_eq!(harmless_lines("a\r\n\u{1b}b\n"), "a\n\\u{1b}b");
    }

    #[test]
    fn a_narrow_terminal_leaves_out_what_matters_least() {
        for (width, expected) in [
            (200, vec!["ID", "STATE", "LAST MESSAGE"]),
            (62, vec!["ID", "LAST MESSAGE"]),
        ] {
            let (mut headers, mut rows) = (vec!["ID", "STATE", "LAST MESSAGE"], rows());
            let left_out = fit(&mut headers, &mut rows, &["STATE"], Some(width - 2));
            assert_eq!(headers, expected, "{width}");
            assert_eq!(left_out.len() + rows[0].len(), 3);
        }
        assert!(fit(&mut vec!["ID"], &mut rows(), &["ID"], None).is_empty());
    }

    #[test]
    fn colour_is_used_only_when_allowed() {
        assert!(!render(&["ID", "STATE", "TEXT"], rows(), false, Some(90)).contains('\u{1b}'));
        assert!(render(&["ID", "STATE", "TEXT"], rows(), true, Some(90)).contains('\u{1b}'));
        assert_eq!(
            details(&["ID", "STATE"], vec![cell("x"), cell("")], false),
            "id     x\nstate  -"
        );
    }
}
