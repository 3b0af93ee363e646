//! What of a webhook body is for no account that is connected here: kept for the operator, never dropped.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use super::items::{Item, in_a_list};

/// What is nobody's, as a body that can be read again alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// The body as it came, where all of it is nobody's.
    pub raw: Bytes,
    /// Why it is nobody's.
    pub why: Why,
}

/// Why nobody takes something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It names accounts, and none of them is connected here.
    NotConnected,
    /// It names no account, or cannot be parsed at all.
    Unparsable,
}

impl Why {
    /// As an operator reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "no connected account",
            Self::Unparsable => "unparsable",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Items of one piece at most: so few accounts they name that all can be looked up when it is read again.
const PIECE: usize = 500;

/// Returns what of a body is for none of the connected accounts, in pieces. What the app's dashboard sent as a test is
/// nobody's message, and left out.
pub fn rest(raw: &Bytes, found: &[Item], connected: &BTreeSet<String>) -> Vec<Rest> {
    let is_left = |accounts: &[String]| !accounts.iter().any(|id| connected.contains(id));
    let left = found
        .iter()
        .filter(|item| !item.test && is_left(&item.accounts));
    let left: Vec<&Item> = left.collect();
    let whole = left.len() == found.len() && left.len() <= PIECE;
    let pieces = left.chunks(PIECE).map(|piece| {
        let why = if piece.iter().all(|item| item.accounts.is_empty()) {
            Why::Unparsable
        } else {
            Why::NotConnected
        };
        let raw = match piece {
            _ if whole => raw.clone(),
            [only] => only.raw.clone(),
            several => in_a_list(several.iter().map(|item| &item.raw)),
        };
        Rest { raw, why }
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::instagram::items::{ITEMS_MAX, items};

    fn entry(account: &str, mid: &str) -> Value {
        json!({ "id": account, "time": 5, "messaging": [{
            "sender": { "id": "77" }, "recipient": { "id": account }, "timestamp": 1, "message": { "mid": mid } }] })
    }

    fn left(raw: &Bytes, connected: &[&str]) -> Vec<Rest> {
        let connected = connected.iter().map(|id| (*id).to_owned()).collect();
        rest(raw, &items(raw), &connected)
    }

    #[test]
    fn x04_what_is_for_nobody_connected_is_left_and_nothing_else() {
        let of = |entries: &[Value]| json!({ "object": "instagram", "entry": entries });
        let (mine, a, b) = (entry("1", "m"), entry("2", "a"), entry("3", "b"));
        let nameless = json!({ "news": {} });
        let test =
            json!({ "id": "0", "messaging": [{ "sender": { "id": "12334" }, "message": {} }] });
        let all = |entries: &[Value]| of(entries).to_string();
        for (name, body, expected) in [
            ("known", all(std::slice::from_ref(&mine)), None),
            ("a test", all(std::slice::from_ref(&test)), None),
            (
                "unknown",
                all(std::slice::from_ref(&a)),
                Some((all(std::slice::from_ref(&a)), Why::NotConnected)),
            ),
            (
                "all unknown, as it came",
                all(&[a.clone(), b.clone()]),
                Some((all(&[a.clone(), b.clone()]), Why::NotConnected)),
            ),
            (
                "both",
                all(&[mine.clone(), a.clone()]),
                Some((all(std::slice::from_ref(&a)), Why::NotConnected)),
            ),
            (
                "both, and a test",
                all(&[a.clone(), mine.clone(), test, b.clone()]),
                Some((json!([of(&[a]), of(&[b])]).to_string(), Why::NotConnected)),
            ),
            (
                "one that names nobody",
                all(&[mine, nameless.clone()]),
                Some((all(&[nameless]), Why::Unparsable)),
            ),
            (
                "no JSON",
                "{no".to_owned(),
                Some(("{no".to_owned(), Why::Unparsable)),
            ),
            (
                "nothing",
                String::new(),
                Some((String::new(), Why::Unparsable)),
            ),
            (
                "an empty body",
                "{}".to_owned(),
                Some(("{}".to_owned(), Why::Unparsable)),
            ),
        ] {
            let expected: Vec<Rest> = expected
                .into_iter()
                .map(|(raw, why)| Rest {
                    raw: raw.into(),
                    why,
                })
                .collect();
            assert_eq!(left(&body.into(), &["1"]), expected, "{name}");
        }
    }

    #[test]
    fn x04_what_is_left_is_read_again_as_it_was_in_its_body() {
        let body = json!({ "entry": [entry("1", "m"), entry("2", "a"), entry("3", "b")] });
        let rest = left(&body.to_string().into(), &["1"]).remove(0);
        let again: Vec<_> = items(&rest.raw)
            .into_iter()
            .map(|item| item.accounts)
            .collect();
        assert_eq!(again, [["2"], ["3"]]);
        assert_eq!(left(&rest.raw, &["1"]), std::slice::from_ref(&rest));
        assert_eq!(left(&rest.raw, &["2", "3"]), []);
    }

    #[test]
    fn x04_of_a_body_that_is_too_long_only_what_is_nobodys_is_left_in_pieces_that_can_be_read() {
        let mut entries = vec![entry("1", "m"); ITEMS_MAX + 500];
        let raw = |entries: &[Value]| Bytes::from(json!({ "entry": entries }).to_string());
        assert_eq!(left(&raw(&entries), &["1"]), []);
        entries.extend(vec![entry("2", "a"); PIECE + 1]);
        let rest = left(&raw(&entries), &["1"]);
        let sizes: Vec<usize> = rest.iter().map(|rest| items(&rest.raw).len()).collect();
        assert_eq!(sizes, [PIECE, 1]);
        for piece in rest {
            assert_eq!(piece.why, Why::NotConnected);
            assert_eq!(
                left(&piece.raw, &["1"]),
                std::slice::from_ref(&piece),
                "it stays as it is"
            );
            assert_eq!(left(&piece.raw, &["2"]), []);
        }
    }
}
