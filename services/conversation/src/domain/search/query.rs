//! What messages are searched for: words as `websearch_to_tsquery` has them, of which the last one may be a beginning.

use super::{ASKED_MAX, Scope, words};

/// What marks a word of a message.
pub(super) const WORD: &str = "w";

/// What marks two words of a message that stand one after the other: a phrase of common words is found by them without looking at all
/// messages that have its words somewhere.
pub(super) const PAIR: &str = "p";

/// Writes two words as one lexeme of the mark [`PAIR`]. A word holds no space.
pub(super) fn pair(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

/// A question: of its parts one must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<Vec<Term>>);

/// Words that stand one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    words: Vec<String>,
    /// They must not be there.
    negated: bool,
    /// Of the last word its beginning is enough.
    begins: bool,
}

impl Term {
    /// Tells whether it is the beginning of a word, of one letter.
    fn is_letter(&self) -> bool {
        self.begins
            && self.words.len() == 1
            && self.words.iter().all(|word| word.chars().count() == 1)
    }

    fn written(&self, scope: &Scope) -> String {
        let words = self.words.iter().map(|word| scope.lexeme(WORD, word));
        let words = words.collect::<Vec<_>>().join(" <-> ");
        let not = if self.negated { "!" } else { "" };
        format!("{not}({words}{})", self.ending())
    }

    /// Writes a phrase as the pairs of its words: all messages that have it have them, and few others do.
    fn in_pairs(&self, scope: &Scope) -> Option<String> {
        let pairs = self.words.iter().zip(self.words.get(1..)?);
        let pairs = pairs.map(|(first, second)| scope.lexeme(PAIR, &pair(first, second)));
        let pairs: Vec<_> = pairs.collect();
        let is_paired = !self.negated && !pairs.is_empty();
        is_paired.then(|| format!("({}{})", pairs.join(" & "), self.ending()))
    }

    fn ending(&self) -> &'static str {
        if self.begins { ":*" } else { "" }
    }
}

impl Query {
    /// Reads a question. None where one of its parts has no word that must be there: nothing could be looked up.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![Vec::new()];
        let mut left = ASKED_MAX;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let negated = rest.starts_with('-');
            let token = rest.strip_prefix('-').unwrap_or(rest);
            let quoted = token.strip_prefix('"').map(|token| token.split_once('"'));
            let closed = matches!(quoted, Some(Some(_)));
            let (token, after) = match quoted {
                Some(Some(halves)) => halves,
                Some(None) => (token, ""),
                None => {
                    let end = token.find(|c: char| c.is_whitespace() || c == '"');
                    token.split_at(end.unwrap_or(token.len()))
                }
            };
            rest = after.trim_start();
            if quoted.is_none() && !negated && token.eq_ignore_ascii_case("or") {
                parts.push(Vec::new());
                continue;
            }
            let words: Vec<String> = words(token).map(|word| word.normal).take(left).collect();
            left -= words.len();
            if let (Some(part), false) = (parts.last_mut(), words.is_empty()) {
                part.push(Term {
                    words,
                    negated,
                    begins: rest.is_empty() && !negated && !closed,
                });
            }
        }
        parts.retain(|part| !part.is_empty());
        let answered = |part: &Vec<Term>| part.iter().any(|term| !term.negated);
        (!parts.is_empty() && parts.iter().all(answered)).then_some(Self(parts))
    }

    /// Writes it as a `tsquery` over a scope.
    pub fn tsquery(&self, scope: &Scope) -> String {
        let term = |term: &Term| term.written(scope);
        self.written(|_, _| true, term)
    }

    /// Writes what of it is looked up in the index. A beginning of one letter is none of it beside another word: to gather a tenth
    /// of all words takes longer than to look at the messages with the other one.
    pub fn looked_up(&self, scope: &Scope) -> String {
        let stays = |part: &[Term], term: &Term| {
            let mut others = part.iter().filter(|other| !other.negated);
            !term.is_letter() || !others.any(|other| !other.is_letter())
        };
        self.written(stays, |term| {
            term.in_pairs(scope).unwrap_or_else(|| term.written(scope))
        })
    }

    fn written(
        &self,
        stays: impl Fn(&[Term], &Term) -> bool,
        term: impl Fn(&Term) -> String,
    ) -> String {
        let part = |part: &Vec<Term>| {
            let terms = part.iter().filter(|term| stays(part, term));
            let terms = terms.map(&term);
            terms.collect::<Vec<_>>().join(" & ")
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(" | ")
    }

    /// Tells whether a word is one of those that are searched for.
    pub(super) fn has(&self, word: &str) -> bool {
        let mut terms = self.0.iter().flatten().filter(|term| !term.negated);
        terms.any(|term| {
            let begins =
                term.begins && term.words.last().is_some_and(|last| word.starts_with(last));
            begins || term.words.iter().any(|asked| asked == word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_a_question_is_read_as_in_a_search_box() {
        for (text, expected) in [
            ("", None),
            ("?! or", None),
            ("-foo", None),
            ("a or -b", None),
            ("Ціна", Some("('.wцiна':*)")),
            ("добрий день", Some("('.wдобрий') & ('.wдень':*)")),
            ("-чай кава", Some("!('.wчай') & ('.wкава':*)")),
            ("кава -чай", Some("('.wкава') & !('.wчай')")),
            ("\"добрий день\"", Some("('.wдобрий' <-> '.wдень')")),
            ("\"добрий де", Some("('.wдобрий' <-> '.wде':*)")),
            ("a OR b c", Some("('.wa') | ('.wb') & ('.wc':*)")),
            ("x \"or\"", Some("('.wx') & ('.wor')")),
            ("o@x.ua", Some("('.wo' <-> '.wx' <-> '.wua':*)")),
            (
                "a -\"b c\" - d",
                Some("('.wa') & !('.wb' <-> '.wc') & ('.wd':*)"),
            ),
            ("'a' | !b:* & (c)", Some("('.wa') & ('.wb') & ('.wc':*)")),
        ] {
            let query = Query::parse(text).map(|query| query.tsquery(&Scope(".".into())));
            assert_eq!(query.as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("к", "('.wк':*)"),
            ("кава ч", "('.wкава')"),
            ("кава ча", "('.wкава') & ('.wча':*)"),
            ("-кава ч", "!('.wкава') & ('.wч':*)"),
            ("чай or кава ч", "('.wчай') | ('.wкава')"),
            ("\"a b c\"", "('.pa b' & '.pb c')"),
            ("к \"a b", "('.wк') & ('.pa b':*)"),
            ("\"a b\" к", "('.pa b')"),
            ("кава -\"a b\"", "('.wкава') & !('.wa' <-> '.wb')"),
            ("o@x.ua", "('.po x' & '.px ua':*)"),
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!(query.looked_up(&Scope(".".into())), expected, "{text}");
        }
        let long = Query::parse(&"слово ".repeat(40)).unwrap();
        assert_eq!(long.0[0].len(), ASKED_MAX);
    }
}
