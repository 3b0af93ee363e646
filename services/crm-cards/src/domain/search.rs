//! How cards, contacts and companies are found: by the beginnings of words; contacts and companies by whole phones, addresses
//! and kinds of messengers too.

use std::fmt::Write as _;

use chassis::id::AccountSlug;

/// Words of one text by which something can be found.
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
    push_words(&mut vector, [(title, 'A'), (contact, 'B')]);
    vector
}

/// Writes the words of texts with their weights behind what a `tsvector` holds already.
fn push_words<'t>(vector: &mut String, texts: impl IntoIterator<Item = (&'t str, char)>) {
    let mut position = 0;
    for (text, weight) in texts {
        for word in words(text).take(WORDS_MAX) {
            position += 1;
            let _ = write!(vector, " '{word}':{position}{weight}");
        }
    }
}

/// By what a contact or a company is found.
#[derive(Debug, Clone, Default)]
pub struct Found<'t> {
    /// Its name.
    pub name: &'t str,
    /// Phones in E.164.
    pub phones: &'t [String],
    /// Addresses, folded.
    pub emails: &'t [String],
    /// Nicks.
    pub nicks: Vec<&'t str>,
    /// Kinds of messengers that know it.
    pub messengers: Vec<&'t str>,
}

/// Writes by what a contact or a company is found as a `tsvector`: the account behind an @, phones and addresses as they are,
/// messengers behind a #, none of which is a word; then the words of the name, and of phones, addresses and nicks.
pub fn person(account: &AccountSlug, found: &Found<'_>) -> String {
    let mut vector = format!("'@{account}'");
    let whole = found.phones.iter().chain(found.emails).cloned();
    let messengers = found.messengers.iter().map(|kind| format!("#{kind}"));
    for lexeme in whole.chain(messengers) {
        let _ = write!(vector, " {}", quoted(&lexeme));
    }
    let texts = std::iter::once((found.name, 'A'))
        .chain(found.phones.iter().map(|phone| (phone.as_str(), 'B')))
        .chain(found.emails.iter().map(|email| (email.as_str(), 'B')))
        .chain(found.nicks.iter().map(|nick| (*nick, 'B')));
    push_words(&mut vector, texts);
    vector
}

/// What of contacts or companies is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Text, by the beginnings of its words.
    pub text: Option<String>,
    /// A phone in E.164.
    pub phone: Option<String>,
    /// An address, folded.
    pub email: Option<String>,
    /// A kind of messenger.
    pub messenger: Option<String>,
}

impl Asked {
    /// Tells whether anything is asked for.
    pub const fn is_anything(&self) -> bool {
        self.text.is_some()
            || self.phone.is_some()
            || self.email.is_some()
            || self.messenger.is_some()
    }
}

/// Writes what is asked of contacts or companies as a `tsquery`; none for a text without any word, which nobody answers.
pub fn asked(account: &AccountSlug, asked: &Asked) -> Option<String> {
    let mut query = match &asked.text {
        Some(text) => self::query(account, text, true)?,
        None => format!("'@{account}'"),
    };
    let messenger = asked.messenger.as_ref().map(|kind| format!("#{kind}"));
    let whole = [asked.phone.clone(), asked.email.clone(), messenger];
    for lexeme in whole.into_iter().flatten() {
        let _ = write!(query, " & {}", quoted(&lexeme));
    }
    Some(query)
}

/// Writes a lexeme as it stands in a `tsvector` or `tsquery`.
fn quoted(lexeme: &str) -> String {
    let lexeme = lexeme.replace('\\', r"\\");
    format!("'{}'", lexeme.replace('\'', "''"))
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
    fn f158_a_contact_is_found_by_what_is_known_of_it() {
        let acme = AccountSlug::parse("acme").unwrap();
        let (phones, emails) = (["+380441234567".to_owned()], ["o'neil@x.org".to_owned()]);
        let found = Found {
            name: "Анна О'Ніл",
            phones: &phones,
            emails: &emails,
            nicks: vec!["anna_b"],
            messengers: vec!["telegram"],
        };
        assert_eq!(
            person(&acme, &found),
            "'@acme' '+380441234567' 'o''neil@x.org' '#telegram' 'анна':1A 'о':2A 'ніл':3A '380441234567':4B 'o':5B \
             'neil':6B 'x':7B 'org':8B 'anna':9B 'b':10B"
        );
        for (text, phone, email, messenger, expected) in [
            ("", "+38044", "", "", Some("'@acme' & '+38044'")),
            (
                "ан",
                "",
                "o'neil@x.org",
                "",
                Some("'@acme' & 'ан':* & 'o''neil@x.org'"),
            ),
            ("", "", "", "viber", Some("'@acme' & '#viber'")),
            ("", "", "", r"\'", Some(r"'@acme' & '#\\'''")),
            ("!", "", "", "viber", None),
        ] {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let question = Asked {
                text: some(text),
                phone: some(phone),
                email: some(email),
                messenger: some(messenger),
            };
            assert!(question.is_anything());
            assert_eq!(asked(&acme, &question).as_deref(), expected);
        }
        assert!(!Asked::default().is_anything());
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
