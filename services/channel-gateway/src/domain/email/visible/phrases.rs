//! Words by which mail programs of many languages announce what they quote.

use std::sync::LazyLock;

use regex::Regex;

use super::heads::FIELDS;
use super::vocabulary::{FORWARD_SUBJECTS, FORWARDED, ON, ORIGINAL, SENT_FROM, WROTE};

static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\d{1,2}[:.h]\d{2}|(?:19|20)\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}月").ok()
});

static DATE_FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})").ok()
});

/// Tells whether a text holds something like a date or a time.
pub fn has_date(text: &str) -> bool {
    DATE.as_ref().is_some_and(|date| date.is_match(text))
}

/// Tells whether a text begins with a date in digits.
pub fn starts_with_date(text: &str) -> bool {
    DATE_FIRST.as_ref().is_some_and(|date| date.is_match(text))
}

/// Tells whether a line in lower case begins as the line before a quotation does.
pub fn starts_like_attribution(lower: &str) -> bool {
    lower.starts_with(|c: char| c.is_ascii_digit()) || ON.iter().any(|word| lower.starts_with(word))
}

/// Returns what stands behind the last "wrote" of a line in lower case.
pub fn behind_wrote(lower: &str) -> Option<&str> {
    let mut best: Option<usize> = None;
    for word in WROTE {
        if let Some(at) = lower.rfind(word) {
            let before = lower[..at].chars().next_back();
            let end = at + word.len();
            let after = lower[end..].chars().next();
            let inside =
                |c: Option<char>| c.is_some_and(char::is_alphabetic) && word.chars().all(is_spaced);
            if !inside(before) && !inside(after) {
                best = best.max(Some(end));
            }
        }
    }
    best.map(|end| &lower[end..])
}

/// Letters of scripts that put spaces between words.
fn is_spaced(c: char) -> bool {
    !matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// Takes away the signs with which a line is set off.
fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || "-_*=>~#:：".contains(c))
}

/// Tells whether a line says that the original message follows.
pub fn is_original(line: &str) -> bool {
    let marked = line.trim_start().starts_with(['-', '_', '*', '=']);
    marked && line.len() < 200 && {
        let lower = bare(line).to_lowercase();
        ORIGINAL.contains(&lower.as_str())
    }
}

/// Tells whether a line says that a forwarded message follows.
pub fn is_forward(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c == '>' || c.is_whitespace());
    let line = line.trim_end();
    if line.is_empty() || line.len() > 200 {
        return false;
    }
    let marked = line.starts_with("--")
        || line.starts_with("__")
        || line.starts_with("==")
        || line.ends_with([':', '：', '-']);
    marked && {
        let lower = bare(line).to_lowercase();
        FORWARDED
            .iter()
            .any(|phrase| lower == *phrase || (lower.starts_with(phrase) && line.starts_with('-')))
    }
}

/// Tells whether a subject says that the mail is forwarded.
pub fn is_forward_subject(subject: &str) -> bool {
    let lower = subject.trim_start().to_lowercase();
    let Some((word, _)) = lower.split_once([':', '：']) else {
        return false;
    };
    let word = word
        .trim()
        .trim_end_matches(|c: char| c == '[' || c == ']' || c.is_ascii_digit());
    FORWARD_SUBJECTS.contains(&word)
}

/// Tells whether a line is what a telephone or program puts under a mail.
pub fn is_sent_from(line: &str) -> bool {
    let line = line
        .trim()
        .trim_start_matches(|c: char| "*_-–—<>([ ".contains(c));
    if line.len() > 160 {
        return false;
    }
    let lower = line.to_lowercase();
    SENT_FROM.iter().any(|start| lower.starts_with(start))
}

/// A field of a quoted mail's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Who wrote.
    From,
    /// When.
    Date,
    /// When, by a word that only mails have.
    Sent,
    /// To whom.
    To,
    /// About what.
    Subject,
    /// Anything else that such heads hold.
    Other,
}

/// Returns the field that a line shows, and its value.
pub fn field(line: &str) -> Option<(Field, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '*' || c == '_');
    let end = line
        .char_indices()
        .take(28)
        .find(|(_, c)| *c == ':' || *c == '：')?;
    let name = line[..end.0].trim_end_matches(|c: char| c.is_whitespace() || c == '*' || c == '_');
    let value =
        line[end.0 + end.1.len_utf8()..].trim_matches(|c: char| c.is_whitespace() || c == '*');
    let name = name.to_lowercase();
    let field = FIELDS
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()))?
        .0;
    Some((field, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_mail_programs_are_known() {
        for line in [
            "-----Original Message-----",
            "*-------- Original Message --------*",
            "-----Исходное сообщение-----",
            "---- 原始邮件 ----",
        ] {
            assert!(is_original(line), "{line}");
        }
        assert!(!is_original("Original message") && !is_original("- my original message -"));
        for line in [
            "---------- Forwarded message ---------",
            "> Begin forwarded message:",
            "-------- Переслане повідомлення --------",
        ] {
            assert!(is_forward(line), "{line}");
        }
        assert!(!is_forward("I saw the forwarded message"));
        for subject in ["Fwd: a", "FW: a", "WG: a", "Fwd[2]: a"] {
            assert!(is_forward_subject(subject), "{subject}");
        }
        assert!(
            !is_forward_subject("Re: Fwd: a")
                && !is_forward_subject("Forward: a")
                && !is_forward_subject("a")
        );
        for line in [
            "Sent from my iPhone",
            "Надіслано з мого iPhone",
            "发自我的 iPhone",
        ] {
            assert!(is_sent_from(line), "{line}");
        }
        assert_eq!(
            field("*Від:* a@b.example"),
            Some((Field::From, "a@b.example"))
        );
        assert_eq!(field("To: b"), Some((Field::To, "b")));
        assert_eq!(field("Price: 5"), None);
    }
}
