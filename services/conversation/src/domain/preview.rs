//! A message in one line.

use time::OffsetDateTime;

use super::MessageId;
use super::words::MessageKind;

/// Characters of a preview at most.
pub const LENGTH: usize = 120;

/// The newest message of a chat, short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Id of the message.
    pub message: MessageId,
    /// Kind of the message.
    pub kind: MessageKind,
    /// Its first characters, or a word for what it holds.
    pub text: String,
    /// Its time.
    pub time: OffsetDateTime,
}

/// A piece of content, as far as a line can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text.
    Text(&'t str),
    /// Anything else: a word for it, as `[photo]`.
    Word(&'static str),
}

/// Renders content in one line: the first text, else the first word.
pub fn line(pieces: &[Piece<'_>]) -> String {
    let text = pieces.iter().find_map(|piece| match piece {
        Piece::Text(text) if !text.trim().is_empty() => Some(*text),
        _ => None,
    });
    let word = pieces.iter().find_map(|piece| match piece {
        Piece::Word(word) => Some(*word),
        Piece::Text(_) => None,
    });
    shorten(text.or(word).unwrap_or_default())
}

/// One line of at most [`LENGTH`] characters; a NUL, which Postgres cannot store, is dropped.
fn shorten(text: &str) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c == '\0') {
        if word.is_empty() {
            continue;
        }
        let gap = usize::from(length > 0);
        let room = LENGTH.saturating_sub(length + gap);
        if room == 0 {
            break;
        }
        if gap == 1 {
            line.push(' ');
        }
        line.extend(word.chars().take(room));
        length += gap + word.chars().count().min(room);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_first_text_or_a_word() {
        let long = "ä".repeat(500);
        let cut = "ä".repeat(LENGTH);
        for (pieces, expected) in [
            (vec![Piece::Text(" hello\n  there\0 ")], "hello there"),
            (
                vec![Piece::Word("[photo]"), Piece::Text("caption")],
                "caption",
            ),
            (vec![Piece::Word("[photo]"), Piece::Text("  ")], "[photo]"),
            (vec![Piece::Text(&long)], cut.as_str()),
            (vec![], ""),
        ] {
            assert_eq!(line(&pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_line_never_exceeds_its_length() {
        let words = "word ".repeat(100);
        assert!(line(&[Piece::Text(&words)]).chars().count() <= LENGTH);
    }
}
