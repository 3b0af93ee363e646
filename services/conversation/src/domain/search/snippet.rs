//! Some of a text around what was found.

use std::ops::Range;

use super::query::Query;
use super::words;

/// Characters before the first word that was found.
const BEFORE: usize = 40;

/// Characters at most.
const LENGTH: usize = 200;

/// Some of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snippet {
    /// In one line.
    pub text: String,
    /// Words that were found, in UTF-16 code units.
    pub matches: Vec<Range<usize>>,
}

/// Cuts a snippet from the first of texts that has a word that is searched for, else from the first that is not empty.
pub fn cut<'t>(texts: impl IntoIterator<Item = &'t str>, query: &Query) -> Snippet {
    let mut other = None;
    for text in texts {
        let snippet = of(text, query);
        if !snippet.matches.is_empty() {
            return snippet;
        }
        other = other.or(Some(snippet).filter(|snippet| !snippet.text.is_empty()));
    }
    other.unwrap_or_default()
}

fn of(text: &str, query: &Query) -> Snippet {
    let found = words(text)
        .filter(|word| query.has(&word.normal))
        .map(|word| word.range);
    let found: Vec<Range<usize>> = found.collect();
    let first = found.first().map_or(0, |first| first.start);
    let before = text.get(..first).unwrap_or_default();
    let start = before.char_indices().rev().take(BEFORE).last();
    let mut start = start.map_or(first, |(at, _)| at);
    if start > 0 {
        // From the beginning of a word on, where one begins.
        let part = text.get(start..first).unwrap_or_default();
        let gap = part.char_indices().find(|(_, c)| c.is_whitespace());
        start += gap.map_or(0, |(at, c)| at + c.len_utf8());
    }
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.char_indices().nth(LENGTH);
    let end = end.map_or(text.len(), |(at, _)| start + at);
    let mut snippet = Snippet::default();
    if start > 0 {
        snippet.text.push('…');
    }
    let lead = snippet.text.encode_utf16().count();
    let units = |to: usize| {
        let before = text.get(start..to).unwrap_or_default();
        lead + before.encode_utf16().count()
    };
    let shown = found
        .iter()
        .filter(|word| word.start >= start && word.end <= end);
    snippet.matches = shown
        .map(|word| units(word.start)..units(word.end))
        .collect();
    let line = text.get(start..end).unwrap_or_default().chars();
    // As long as before: places stay.
    snippet
        .text
        .extend(line.map(|c| if c.is_control() { ' ' } else { c }));
    if end < text.len() {
        snippet.text.push('…');
    }
    snippet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snippet with what was found in brackets.
    fn shown(texts: &[&str], query: &str) -> String {
        let snippet = cut(texts.iter().copied(), &Query::parse(query).unwrap());
        let mut units: Vec<u16> = snippet.text.encode_utf16().collect();
        for range in snippet.matches.iter().rev() {
            units.insert(range.end, u16::from(b']'));
            units.insert(range.start, u16::from(b'['));
        }
        String::from_utf16(&units).unwrap()
    }

    #[test]
    fn b12_a_snippet_shows_the_words_that_were_found_where_they_stand() {
        let far = format!("{}тут ціна", "слово ".repeat(50));
        for (texts, query, expected) in [
            (&["Чи є 42 розмір?"][..], "розм", "Чи є 42 [розмір]?"),
            (
                &["П’ять\nкав 😀 і п'ятьсот"],
                "пять",
                "[П’ять] кав 😀 і [п'ятьсот]",
            ),
            (&["кава і чай"], "кава -чай", "[кава] і чай"),
            (&["кавун кава"], "кава x", "кавун [кава]"),
            (&["", "рахунок", "price.pdf"], "pri", "[price].pdf"),
            (&["", "рахунок"], "інше", "рахунок"),
            (&[], "x", ""),
            (&[&far], "ціна", "…слово слово слово слово слово тут [ціна]"),
        ] {
            assert_eq!(shown(texts, query), expected);
        }
        let long = shown(&[&"мова ".repeat(100)], "мова");
        assert_eq!(long.matches("[мова]").count(), 40);
        assert!(long.ends_with(" …"), "{long}");
    }
}
