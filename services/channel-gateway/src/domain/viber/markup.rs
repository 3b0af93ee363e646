//! Formatting as Viber's clients read it: marks in the text itself, and no way to escape them (channels.md §3.3).

use std::cmp::Reverse;
use std::ops::Range;

use switchboard_proto::common::v1::{Text, TextEntity, text_entity::Kind};

use crate::domain::split::units;

/// Writes the addresses of links out behind the words that link to them: `text (address)`.
///
/// Done before a text is split, so that an address counts. Formatting moves along.
pub fn with_addresses(text: &Text) -> Text {
    let mut links: Vec<&TextEntity> = text
        .entities
        .iter()
        .filter(|entity| entity.kind() == Kind::TextLink && !entity.url.trim().is_empty())
        .collect();
    links.sort_by_key(|link| link.offset.saturating_add(link.length));
    let mut written = String::with_capacity(text.text.len());
    // Where something was inserted, in units of the old text, and how much in all up to there.
    let mut inserted: Vec<(u32, u32)> = Vec::new();
    let (mut from, mut total) = (0, 0_u32);
    for link in links {
        let end = link.offset.saturating_add(link.length);
        let Some(range) = range(&text.text, link.offset, end) else {
            continue;
        };
        let address = link.url.trim();
        // Words that are the address already say enough.
        if text.text[range.clone()].contains(address) {
            continue;
        }
        let address = format!(" ({address})");
        written.push_str(&text.text[from..range.end]);
        written.push_str(&address);
        from = range.end;
        total = total.saturating_add(units(&address));
        inserted.push((end, total));
    }
    written.push_str(&text.text[from..]);
    let before = |place: u32, including: bool| {
        let count = inserted.partition_point(|(at, _)| *at < place || (including && *at == place));
        count.checked_sub(1).map_or(0, |last| inserted[last].1)
    };
    let moved = text.entities.iter().map(|entity| {
        let end = entity.offset.saturating_add(entity.length);
        let start = entity.offset.saturating_add(before(entity.offset, true));
        TextEntity {
            offset: start,
            // What is inserted at the very end stands behind the formatting, not in it.
            length: end.saturating_add(before(end, false)).saturating_sub(start),
            ..entity.clone()
        }
    });
    Text {
        entities: moved
            .filter(|entity| entity.kind() != Kind::TextLink)
            .collect(),
        text: written,
    }
}

/// Writes a text with Viber's marks: `*bold*`, `_italic_`, `~strike~` and three backticks around code.
///
/// A mark is set only where it cannot go wrong: its character stands nowhere else in the text, the range begins and ends
/// at words and stays within a line, and no other mark crosses it or lies in it. What else is formatted stays plain.
pub fn marked(text: &Text) -> String {
    let mut wanted: Vec<(Range<usize>, &str)> = text
        .entities
        .iter()
        .filter_map(|entity| {
            let mark = mark(entity.kind())?;
            let end = entity.offset.saturating_add(entity.length);
            let range = trimmed(&text.text, range(&text.text, entity.offset, end)?)?;
            safe(&text.text, &range, mark).then_some((range, mark))
        })
        .collect();
    // The outer one of two: it says more.
    wanted.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
    let mut written = String::with_capacity(text.text.len() + wanted.len() * 2);
    let mut from = 0;
    for (range, mark) in wanted {
        if range.start < from {
            continue;
        }
        written.push_str(&text.text[from..range.start]);
        written.push_str(mark);
        written.push_str(&text.text[range.clone()]);
        written.push_str(mark);
        from = range.end;
    }
    written.push_str(&text.text[from..]);
    written
}

fn mark(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Bold => "*",
        Kind::Italic => "_",
        Kind::Strikethrough => "~",
        Kind::Code | Kind::Pre => "```",
        _ => return None,
    })
}

/// Tells whether clients will read the mark as it is meant.
fn safe(text: &str, range: &Range<usize>, mark: &str) -> bool {
    let code = mark == "```";
    let alone = !text.contains(&mark[..1]);
    let inside = &text[range.clone()];
    // Code stands as it is, over several lines too; of other ranges nobody knows how they go on in the next line.
    let whole = code || !inside.contains(['\n', '\r', '*', '_', '~', '`']);
    let word = |neighbour: Option<char>| {
        neighbour.is_some_and(|neighbour| {
            neighbour.is_alphanumeric() || matches!(neighbour, '*' | '_' | '~' | '`')
        })
    };
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    alone && whole && !word(before) && !word(after)
}

/// Returns the bytes between two places that are given in UTF-16 code units; none where a place lies in no text or
/// within a character.
fn range(text: &str, from: u32, to: u32) -> Option<Range<usize>> {
    let mut place = 0;
    let mut start = (from == 0).then_some(0);
    let mut end = None;
    for (index, character) in text.char_indices() {
        place += u32::try_from(character.len_utf16()).unwrap_or(2);
        let next = index + character.len_utf8();
        if place == from {
            start = Some(next);
        }
        if place == to {
            end = Some(next);
        }
        if place >= to {
            break;
        }
    }
    let range = start?..end?;
    (range.start < range.end).then_some(range)
}

/// Returns a range without white space at its ends; none where nothing else is in it.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let inside = &text[range.clone()];
    let start = range.start + (inside.len() - inside.trim_start().len());
    let kept = inside.trim();
    (!kept.is_empty()).then_some(start..start + kept.len())
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
            ..TextEntity::default()
        }
    }

    fn written(text: &str, entities: &[(Kind, u32, u32)]) -> String {
        let entities = entities.iter();
        marked(&Text {
            text: text.to_owned(),
            entities: entities
                .map(|(kind, offset, length)| entity(*kind, *offset, *length, ""))
                .collect(),
        })
    }

    #[test]
    fn marks_are_set_where_they_cannot_go_wrong() {
        for (name, text, entities, expected) in [
            (
                "bold",
                "Є 42 та 43",
                vec![(Kind::Bold, 2, 2)],
                "Є *42* та 43",
            ),
            (
                "after a pair",
                "😀 ok",
                vec![(Kind::Italic, 3, 2)],
                "😀 _ok_",
            ),
            (
                "strike",
                "was 10",
                vec![(Kind::Strikethrough, 4, 2)],
                "was ~10~",
            ),
            ("code", "run a_b", vec![(Kind::Code, 4, 3)], "run ```a_b```"),
            (
                "lines of code",
                "a\nb",
                vec![(Kind::Pre, 0, 3)],
                "```a\nb```",
            ),
            ("white space", "a b c", vec![(Kind::Bold, 1, 3)], "a *b* c"),
            (
                "two",
                "a b c",
                vec![(Kind::Italic, 4, 1), (Kind::Bold, 0, 1)],
                "*a* b _c_",
            ),
            (
                "nested: the outer one",
                "a b c",
                vec![(Kind::Italic, 2, 1), (Kind::Bold, 0, 5)],
                "*a b c*",
            ),
            (
                "crossed: the first one",
                "a b c",
                vec![(Kind::Bold, 0, 3), (Kind::Italic, 2, 3)],
                "*a b* c",
            ),
            (
                "the mark elsewhere",
                "5*3 is 15",
                vec![(Kind::Bold, 7, 2)],
                "5*3 is 15",
            ),
            (
                "other marks within",
                "a_b c",
                vec![(Kind::Bold, 0, 3)],
                "a_b c",
            ),
            ("within a word", "abc", vec![(Kind::Bold, 1, 1)], "abc"),
            ("over lines", "a\nb", vec![(Kind::Bold, 0, 3)], "a\nb"),
            ("backticks in code", "a`b", vec![(Kind::Code, 0, 3)], "a`b"),
            (
                "no mark for it",
                "abc",
                vec![(Kind::Underline, 0, 3)],
                "abc",
            ),
            ("beyond the end", "abc", vec![(Kind::Bold, 1, 9)], "abc"),
            ("within a character", "😀", vec![(Kind::Bold, 1, 1)], "😀"),
            (
                "white space alone",
                "a  b",
                vec![(Kind::Bold, 1, 2)],
                "a  b",
            ),
            ("without length", "abc", vec![(Kind::Bold, 1, 0)], "abc"),
            ("huge", "abc", vec![(Kind::Bold, u32::MAX, u32::MAX)], "abc"),
        ] {
            assert_eq!(written(text, &entities), expected, "{name}");
        }
    }

    #[test]
    fn addresses_of_links_are_written_out_and_formatting_moves_along() {
        let text = Text {
            text: "see here and there now https://c.example".to_owned(),
            entities: vec![
                entity(Kind::TextLink, 4, 4, "https://a.example"),
                entity(Kind::Bold, 4, 4, ""),
                entity(Kind::TextLink, 13, 5, "https://b.example"),
                entity(Kind::Italic, 19, 3, ""),
                entity(Kind::TextLink, 23, 17, "https://c.example"),
            ],
        };
        let written = with_addresses(&text);
        assert_eq!(
            marked(&written),
            "see *here* (https://a.example) and there (https://b.example) _now_ https://c.example"
        );
        assert!(
            written
                .entities
                .iter()
                .all(|entity| entity.kind() != Kind::TextLink)
        );
        let plain = Text {
            text: "a".to_owned(),
            entities: vec![],
        };
        assert_eq!(with_addresses(&plain), plain);
    }

    #[test]
    fn formatting_around_a_link_holds_its_address_too() {
        let text = Text {
            text: "a b c".to_owned(),
            entities: vec![
                entity(Kind::Bold, 0, 5, ""),
                entity(Kind::TextLink, 2, 1, "https://a.example"),
            ],
        };
        assert_eq!(
            marked(&with_addresses(&text)),
            "*a b (https://a.example) c*"
        );
    }
}
