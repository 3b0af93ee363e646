//! What is found by which words: words of messages (B12), and of chats (F075).
//!
//! Words are compared as `normal` writes them: no case, no accents and no apostrophes, by whole words or by their beginnings.

pub mod chats;
pub mod messages;
pub mod query;
pub mod snippet;

use std::ops::Range;

use chassis::id::AccountSlug;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

/// Characters of a word that count.
const WORD_MAX: usize = 60;

/// Words of a question at most; further ones are left out.
const ASKED_MAX: usize = 10;

/// What stands for an apostrophe.
const APOSTROPHES: [char; 8] = ['\'', '’', '‘', 'ʼ', '`', '´', '′', '＇'];

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it is compared.
    pub normal: String,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
}

/// The words of a text: letters, digits and the marks on them; apostrophes before letters do not end one.
pub fn words(text: &str) -> impl Iterator<Item = Word> {
    let starts = |c: char| c.is_alphanumeric() && !APOSTROPHES.contains(&c);
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (start, first) = rest.find(|(_, c)| starts(*c))?;
            let mut end = start + first.len_utf8();
            while let Some((at, c)) = rest.peek().copied() {
                let after = text.get(at + c.len_utf8()..).unwrap_or_default();
                let inside = APOSTROPHES.contains(&c) && after.starts_with(char::is_alphabetic);
                if !(inside || starts(c) || is_combining_mark(c)) {
                    break;
                }
                rest.next();
                end = at + c.len_utf8();
            }
            let normal = normal(text.get(start..end).unwrap_or_default());
            if !normal.is_empty() {
                return Some(Word {
                    normal,
                    range: start..end,
                });
            }
        }
    })
}

/// Writes a word as it is compared: in lower case, without accents and apostrophes. `й` and `ї` are letters and no `и` and `і` with
/// marks; `ґ` is `г`, and `і` the Latin letter that is often typed for it.
fn normal(word: &str) -> String {
    word.nfc()
        .flat_map(char::to_lowercase)
        .flat_map(|c| {
            let (own, other) = match c {
                'й' | 'ї' => (Some(c), None),
                'ґ' => (Some('г'), None),
                'і' => (Some('i'), None),
                'ł' => (Some('l'), None),
                'ø' => (Some('o'), None),
                _ => (None, Some(c)),
            };
            own.into_iter().chain(other.into_iter().nfkd())
        })
        .filter(|c| c.is_alphanumeric() && !is_combining_mark(*c) && !APOSTROPHES.contains(c))
        .take(WORD_MAX)
        .collect()
}

/// Where words are looked for: an account, or some of it. All their lexemes begin alike, so that one index serves them all, and
/// a beginning of a word is looked for in few pages. Two that happen to begin alike are told apart by the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    fn new(account: &AccountSlug, part: &str) -> Self {
        let hash = chassis::id::v5("search", &[account.as_str(), part]);
        Self(hash.simple().to_string().chars().take(6).collect())
    }

    /// Writes a lexeme as it stands in a `tsvector` or a `tsquery`. The mark tells what kind of word it is; neither has a quote.
    fn lexeme(&self, mark: &str, word: &str) -> String {
        format!("'{}{mark}{word}'", self.0)
    }
}

/// What of an id stands in a lexeme.
fn short(id: Uuid) -> String {
    id.simple().to_string().split_off(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_f075_words_are_compared_without_case_accents_and_apostrophes() {
        for (text, expected) in [
            ("", &[][..]),
            (" — !?", &[]),
            ("Добрий ДЕНЬ!", &["добрий", "день"]),
            ("п'ять П’ЯТЬ пʼять пять", &["пять"; 4]),
            ("it's 'so' rock'n'roll", &["its", "so", "rocknroll"]),
            ("ёлка елка за\u{301}мок", &["елка", "елка", "замок"]),
            (
                "мій мии\u{306} їжа i\u{308}жа",
                &["мiй", "мий", "їжа", "iжа"],
            ),
            ("їжа і\u{308}жа", &["їжа", "їжа"]),
            ("ціна цiна Ґанок", &["цiна", "цiна", "ганок"]),
            ("Crème brûlée Łódź ﬁn", &["creme", "brulee", "lodz", "fin"]),
            (
                "ціна-1, invoice_2024.pdf",
                &["цiна", "1", "invoice", "2024", "pdf"],
            ),
            ("a@b.ua <b>x</b> '); --", &["a", "b", "ua", "b", "x", "b"]),
        ] {
            let words: Vec<Word> = words(text).collect();
            let normal: Vec<&str> = words.iter().map(|word| word.normal.as_str()).collect();
            assert_eq!(normal, expected, "{text}");
            for word in words {
                assert_eq!(super::normal(&text[word.range]), word.normal, "{text}");
            }
        }
        assert_eq!(
            words(&"щ".repeat(100))
                .next()
                .unwrap()
                .normal
                .chars()
                .count(),
            60
        );
    }
}
