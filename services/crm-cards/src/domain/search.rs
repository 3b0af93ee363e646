//! How cards are found by text: by the beginnings of words of the title and of the contact's name.

use std::fmt::Write as _;

use chassis::id::AccountSlug;

/// Words of a card that can be found, of title and name each.
const WORDS_MAX: usize = 60;
/// Characters of a word that count.
const WORD_MAX: usize = 60;
/// Words of a question at most; further ones are left out.
const ASKED_MAX: usize = 10;

/// The words of a text, in lower case: what stands between anything but letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.chars()
                .take(WORD_MAX)
                .collect::<String>()
                .to_lowercase()
        })
        // What becomes of a letter in lower case may hold a sign that is none.
        .map(|word| word.replace(|c: char| !c.is_alphanumeric(), ""))
        .filter(|word| !word.is_empty())
}

/// Writes the words of a card as a `tsvector`: of the title with weight A, of the contact's name with B, and the account
/// behind a sign that no word has, so that one index serves all accounts.
pub fn vector(account: &AccountSlug, title: &str, contact: &str) -> String {
    let mut vector = format!("'@{account}'");
    let mut position = 0;
    for (text, weight) in [(title, 'A'), (contact, 'B')] {
        for word in words(text).take(WORDS_MAX) {
            position += 1;
            let _ = write!(vector, " '{word}':{position}{weight}");
        }
    }
    vector
}

/// Writes a question as a `tsquery`: each word is the beginning of one of the card's; of its title alone where the caller
/// may not see all contacts. None for a question without any word, which no card answers.
pub fn query(account: &AccountSlug, text: &str, names: bool) -> Option<String> {
    let mut query = format!("'@{account}'");
    let weight = if names { "" } else { "A" };
    let mut any = false;
    for word in words(text).take(ASKED_MAX) {
        any = true;
        let _ = write!(query, " & '{word}':*{weight}");
    }
    any.then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_has_the_words_of_its_title_and_of_its_contacts_name() {
        let acme = AccountSlug::parse("acme").unwrap();
        for (title, name, expected) in [
            ("", "", "'@acme'"),
            (
                "Нова шафа, 2 м",
                "Олена О'Коннор",
                "'@acme' 'нова':1A 'шафа':2A '2':3A 'м':4A 'олена':5B 'о':6B 'коннор':7B",
            ),
            ("it's '); drop", "", "'@acme' 'it':1A 's':2A 'drop':3A"),
        ] {
            assert_eq!(vector(&acme, title, name), expected);
        }
        assert_eq!(
            vector(&acme, &"a ".repeat(500), "").matches("'a'").count(),
            60
        );
    }

    #[test]
    fn a_question_asks_for_beginnings_of_all_its_words() {
        let acme = AccountSlug::parse("acme").unwrap();
        for (text, names, expected) in [
            ("Шаф ол", true, Some("'@acme' & 'шаф':* & 'ол':*")),
            ("Шаф", false, Some("'@acme' & 'шаф':*A")),
            (
                "anna@example.com",
                true,
                Some("'@acme' & 'anna':* & 'example':* & 'com':*"),
            ),
            (" !? ", true, None),
            ("", true, None),
        ] {
            assert_eq!(query(&acme, text, names).as_deref(), expected, "{text}");
        }
    }
}
