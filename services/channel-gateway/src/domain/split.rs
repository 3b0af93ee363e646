//! Splitting a text that a provider cannot take whole, with its formatting.

use switchboard_proto::common::v1::{Text, TextEntity};

/// Splits a text into texts of at most `max` UTF-16 code units, each with its share of the entities.
///
/// Cuts at the last paragraph, else line, else space, of the second half of what fits; else anywhere between two
/// characters. White space at a cut is dropped. A text of white space alone gives none.
pub fn split(text: &Text, max: u32) -> Vec<Text> {
    split_by(text, max, char::len_utf16)
}

/// Splits as [`split`] does, where the provider counts otherwise: `measure` tells how much a character takes of `max`.
pub fn split_by(text: &Text, max: u32, measure: fn(char) -> usize) -> Vec<Text> {
    let mut pieces = Vec::new();
    let mut rest = text.text.as_str();
    let mut offset = 0;
    loop {
        let trimmed = rest.trim_start();
        offset += units(&rest[..rest.len() - trimmed.len()]);
        rest = trimmed;
        if rest.is_empty() {
            return pieces;
        }
        let (piece, after) = rest.split_at(cut(rest, max, measure));
        let kept = piece.trim_end();
        pieces.push(Text {
            text: kept.to_owned(),
            entities: share(&text.entities, offset, units(kept)),
        });
        offset += units(piece);
        rest = after;
    }
}

/// Returns the length of a text in UTF-16 code units, which all offsets count in.
pub fn units(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

/// Returns the byte index at which to cut; never the start of a text that is not empty.
fn cut(text: &str, max: u32, measure: fn(char) -> usize) -> usize {
    let (mut count, mut fits, mut half) = (0, text.len(), 0);
    for (index, character) in text.char_indices() {
        if count * 2 <= max {
            half = index;
        }
        count = u32::try_from(measure(character)).map_or(max, |size| count.saturating_add(size));
        if count > max {
            // A character that fits nowhere goes alone.
            fits = index.max(text.chars().next().map_or(0, char::len_utf8));
            break;
        }
    }
    if fits == text.len() {
        return fits;
    }
    let window = &text[..fits];
    // What is before the middle would leave a short message: there a later, weaker border is better.
    for border in ["\n\n", "\n", " "] {
        if let Some(index) = window.rfind(border).filter(|index| *index >= half) {
            return index + border.len();
        }
    }
    fits
}

/// Returns what of the entities lies in a range, moved to its beginning.
fn share(entities: &[TextEntity], offset: u32, length: u32) -> Vec<TextEntity> {
    let end = offset.saturating_add(length);
    let within = entities.iter().filter_map(|entity| {
        let start = entity.offset.max(offset);
        let stop = entity.offset.saturating_add(entity.length).min(end);
        (start < stop).then(|| TextEntity {
            offset: start - offset,
            length: stop - start,
            ..entity.clone()
        })
    });
    within.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Text {
        Text {
            text: text.to_owned(),
            entities: vec![],
        }
    }

    #[test]
    fn texts_are_cut_where_a_reader_would() {
        for (name, text, max, expected) in [
            ("fits", "one two", 7, vec!["one two"]),
            ("blank", " \n ", 7, vec![]),
            ("space", "one two three", 8, vec!["one two", "three"]),
            (
                "line before space",
                "aaa bbb\nccc ddd",
                12,
                vec!["aaa bbb", "ccc ddd"],
            ),
            (
                "paragraph before line",
                "aaa bb\n\nccc\nddd eee",
                13,
                vec!["aaa bb", "ccc\nddd eee"],
            ),
            ("no border", "abcdefgh", 3, vec!["abc", "def", "gh"]),
            (
                "a border too early is none",
                "a bcdefghij",
                8,
                vec!["a bcdefg", "hij"],
            ),
            (
                "surrogate pairs stay whole",
                "😀😀😀",
                3,
                vec!["😀", "😀", "😀"],
            ),
        ] {
            let pieces: Vec<String> = split(&plain(text), max)
                .into_iter()
                .map(|piece| piece.text)
                .collect();
            assert_eq!(pieces, expected, "{name}");
        }
    }

    #[test]
    fn texts_are_cut_by_the_measure_of_the_provider() {
        let bytes = |text: &str, max| {
            let pieces = split_by(&plain(text), max, char::len_utf8);
            pieces
                .into_iter()
                .map(|piece| piece.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes("Є 42 і 43", 12), ["Є 42 і 43"]);
        assert_eq!(bytes("Добрий день", 13), ["Добрий", "день"]);
        assert_eq!(
            bytes("😀😀", 0),
            ["😀", "😀"],
            "what is measured never stands still"
        );
    }

    #[test]
    fn formatting_stays_on_its_characters() {
        let bold = TextEntity {
            offset: 4,
            length: 9,
            ..TextEntity::default()
        };
        let text = Text {
            text: "😀 two three four".into(),
            entities: vec![bold],
        };
        let pieces = split(&text, 8);
        let ranges: Vec<_> = pieces
            .iter()
            .map(|piece| {
                (
                    piece.text.as_str(),
                    piece
                        .entities
                        .iter()
                        .map(|e| (e.offset, e.length))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(
            ranges,
            [
                ("😀 two", vec![(4, 2)]),
                ("three", vec![(0, 5)]),
                ("four", vec![])
            ]
        );
    }

    #[test]
    fn no_piece_is_too_long_and_no_word_is_lost() {
        let words: Vec<String> = (0..3_000).map(|number| format!("слово{number}")).collect();
        let text = words
            .chunks(7)
            .map(|line| line.join(" "))
            .collect::<Vec<_>>()
            .join("\n");
        let pieces = split(&plain(&text), 4096);
        assert!(pieces.iter().all(|piece| units(&piece.text) <= 4096));
        let kept: Vec<&str> = pieces
            .iter()
            .flat_map(|piece| piece.text.split_whitespace())
            .collect();
        assert_eq!(kept, words);
    }
}
