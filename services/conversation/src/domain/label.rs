//! Labels on chats (B13): words that agents choose freely, each known by its letters without regard to case.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

/// Labels of one chat at most.
pub const OF_CHAT_MAX: usize = 20;

/// Different labels of one account at most.
pub const OF_ACCOUNT_MAX: i64 = 2_000;

/// Characters of a label at most.
pub const CHARACTERS_MAX: usize = 50;

/// A label as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// As it is shown.
    pub name: String,
    /// As it is compared.
    pub key: String,
}

/// Why labels are not to be set so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The chat would have too many.
    #[error("a chat has at most {OF_CHAT_MAX} labels: take others off first")]
    TooManyOfChat,
    /// The account would have too many.
    #[error("an account has at most {OF_ACCOUNT_MAX} different labels: use one that there is")]
    TooManyOfAccount,
}

impl Refusal {
    /// The word by which machines know it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooManyOfChat => "TOO_MANY_LABELS",
            Self::TooManyOfAccount => "TOO_MANY_LABELS_OF_ACCOUNT",
        }
    }
}

/// The form in which labels are compared: spaces within as one, without regard to case.
pub fn key(name: &str) -> String {
    shown(name).to_lowercase()
}

/// A letter is one whether it was typed with its mark or composed of two signs.
fn shown(name: &str) -> String {
    let name: String = name.nfc().collect();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Signs that nobody sees, or that turn around the text beside them.
const fn turns_or_hides(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Reads a label.
///
/// # Errors
/// Says what must hold of one.
pub fn read(name: &str) -> Result<Label, &'static str> {
    let name = shown(name);
    let length = name.chars().count();
    // Joiners within a word belong to it, as in some emoji.
    let hidden = |sign: char| sign.is_control() || turns_or_hides(sign);
    let nothing = name
        .chars()
        .all(|sign| matches!(sign, '\u{200c}' | '\u{200d}'));
    if !(1..=CHARACTERS_MAX).contains(&length) || nothing || name.chars().any(hidden) {
        return Err("must be a word or some, of at most 50 characters that can be seen");
    }
    Ok(Label {
        key: name.to_lowercase(),
        name,
    })
}

/// Returns the labels of a chat after some were added and some taken off, in the order in which they came.
///
/// # Errors
/// Says that they are too many.
pub fn changed(
    before: &[String],
    added: &[Label],
    removed: &BTreeSet<String>,
) -> Result<Vec<String>, Refusal> {
    let mut known: BTreeSet<String> = removed.clone();
    let names = before.iter().chain(added.iter().map(|label| &label.name));
    let after: Vec<String> = names
        .filter(|name| known.insert(key(name)))
        .cloned()
        .collect();
    if after.len() > OF_CHAT_MAX {
        return Err(Refusal::TooManyOfChat);
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b13_labels_are_words_compared_without_case_and_spaces() {
        for (written, name, key) in [
            ("VIP", "VIP", "vip"),
            ("  великий   Клієнт ", "великий Клієнт", "великий клієнт"),
            ("a/b,c", "a/b,c", "a/b,c"),
            ("і\u{308}жа", "їжа", "їжа"),
        ] {
            let expected = Label {
                name: name.into(),
                key: key.into(),
            };
            assert_eq!(read(written), Ok(expected), "{written}");
        }
        let hidden = ["\u{200b}", "a\u{200b}", "\u{202e}evil", "\u{200d}"];
        for wrong in hidden
            .into_iter()
            .chain(["", "   ", "a\u{7}b", &"x".repeat(51)])
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(read(&"ї".repeat(50)).is_ok());
    }

    #[test]
    fn b13_labels_keep_their_order_and_stand_once() {
        let labels = |names: &[&str]| -> Vec<Label> {
            names.iter().map(|name| read(name).unwrap()).collect()
        };
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        for (before, added, removed, after) in [
            (&[][..], &["VIP"][..], &[][..], &["VIP"][..]),
            (&["VIP"], &["vip", "New", "new"], &[], &["VIP", "New"]),
            (&["VIP", "New"], &[], &["vip"], &["New"]),
            (
                &["VIP", "New"],
                &["Old"],
                &["new", "absent"],
                &["VIP", "Old"],
            ),
        ] {
            let removed = removed.iter().map(|name| key(name)).collect();
            let found = changed(&names(before), &labels(added), &removed);
            assert_eq!(found, Ok(names(after)), "{before:?} {added:?}");
        }
        let many: Vec<String> = (0..20).map(|number| format!("l{number}")).collect();
        assert_eq!(
            changed(&many, &labels(&["one more"]), &BTreeSet::new()),
            Err(Refusal::TooManyOfChat)
        );
        assert_eq!(
            changed(&many, &labels(&["L3"]), &BTreeSet::new()),
            Ok(many.clone())
        );
    }
}
