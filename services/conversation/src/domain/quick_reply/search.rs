//! How quick replies are found: by the beginnings of words of their shortcut, title and text (F095).

use std::fmt::Write as _;

use chassis::id::AccountSlug;

/// Words of one text by which something can be found.
const WORDS_MAX: usize = 300;

/// Characters of a word that count.
const WORD_MAX: usize = 60;

/// Words of a question at most; further ones are left out.
const ASKED_MAX: usize = 10;

/// The words of a text, in lower case: what stands between anything but letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .map(|word| {
            let word: String = word.chars().take(WORD_MAX).collect();
            // What becomes of a letter in lower case may hold a sign that is none.
            word.to_lowercase()
                .replace(|c: char| !c.is_alphanumeric(), "")
        })
        .filter(|word| !word.is_empty())
}

/// Writes the words of a quick reply as a `tsvector`, with the account behind a sign that no word has, so that one index
/// serves all accounts.
pub fn vector(account: &AccountSlug, texts: [&str; 3]) -> String {
    let mut vector = format!("'@{account}'");
    for text in texts {
        for word in words(text).take(WORDS_MAX) {
            let _ = write!(vector, " '{word}'");
        }
    }
    vector
}

/// Writes a question as a `tsquery`: each word is the beginning of one of the reply's. None for a question without any
/// word.
pub fn query(account: &AccountSlug, text: &str) -> Option<String> {
    let mut query = format!("'@{account}'");
    let mut any = false;
    for word in words(text).take(ASKED_MAX) {
        any = true;
        let _ = write!(query, " & '{word}':*");
    }
    any.then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f095_a_reply_has_the_words_of_its_shortcut_title_and_text() {
        let acme = AccountSlug::parse("acme").unwrap();
        for (texts, expected) in [
            (["", "", ""], "'@acme'"),
            (
                ["ціна-1", "Ціни, що діють", "it's '); drop"],
                "'@acme' 'ціна' '1' 'ціни' 'що' 'діють' 'it' 's' 'drop'",
            ),
        ] {
            assert_eq!(vector(&acme, texts), expected);
        }
        let long = "a ".repeat(10_000);
        assert_eq!(vector(&acme, ["", "", &long]).matches("'a'").count(), 300);
    }

    #[test]
    fn f095_a_question_asks_for_beginnings_of_all_its_words() {
        let acme = AccountSlug::parse("acme").unwrap();
        for (text, expected) in [
            ("/Ціна", Some("'@acme' & 'ціна':*")),
            ("ЦІН ді", Some("'@acme' & 'цін':* & 'ді':*")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(query(&acme, text).as_deref(), expected, "{text}");
        }
    }
}
