//! Dead letters counted by their cause.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use switchboard_proto::operator::v1::DeadLetter;

use crate::error::CliError;
use crate::output::{View, cell, say, words};

/// One line a cause: how many, of which service and type, first and last time.
pub(super) fn show(letters: &[DeadLetter], view: &View) -> Result<(), CliError> {
    let mut groups: BTreeMap<(String, String, String), Vec<&DeadLetter>> = BTreeMap::new();
    for letter in letters {
        groups.entry(key(letter)).or_default().push(letter);
    }
    let named =
        |letters: &[&DeadLetter]| letters.first().map(|letter| id(letter)).unwrap_or_default();
    let ends = |letters: &[&DeadLetter]| {
        let time = |letter: &&DeadLetter| letter.time.map(|time| (time.seconds, time.nanos));
        let first = letters
            .iter()
            .min_by_key(|letter| time(letter))
            .and_then(|letter| letter.time);
        let last = letters
            .iter()
            .max_by_key(|letter| time(letter))
            .and_then(|letter| letter.time);
        (first, last)
    };
    if view.is_table() {
        let rows = groups.iter().map(|((service, kind, cause), letters)| {
            let (first, last) = ends(letters);
            vec![
                cell(named(letters)),
                cell(letters.len()),
                cell(service),
                cell(kind),
                cell(cause),
                cell(words::ago(first.as_ref(), view.now)).dim(),
                cell(words::ago(last.as_ref(), view.now)).dim(),
            ]
        });
        let headers = [
            "GROUP", "COUNT", "SERVICE", "TYPE", "CAUSE", "FIRST", "LAST",
        ];
        view.rows(&headers, &["FIRST", "TYPE"], rows.collect());
    } else if view.is_ids() {
        for letters in groups.values() {
            say!("{}", named(letters));
        }
    } else {
        let values = groups.iter().map(|((service, kind, cause), letters)| {
            let (first, last) = ends(letters);
            serde_json::json!({
                "group": named(letters), "count": letters.len(), "service": service, "type": kind, "cause": cause,
                "firstTime": first.as_ref().map(ToString::to_string), "lastTime": last.as_ref().map(ToString::to_string),
                "sequences": letters.iter().map(|letter| letter.sequence).collect::<Vec<_>>(),
            })
        });
        view.values(values.collect());
    }
    view.judge_empty(groups.is_empty())
}

/// What letters of one cause have in common.
fn key(letter: &DeadLetter) -> (String, String, String) {
    let kind = letter.event_type.rsplit('.').next().unwrap_or_default();
    (
        letter.service.clone(),
        kind.to_owned(),
        cause(&letter.error),
    )
}

/// Id of a letter's group: the same for the same cause, today and tomorrow.
pub(super) fn id(letter: &DeadLetter) -> String {
    let (service, kind, cause) = key(letter);
    let digest = Sha256::digest(format!("{service}\n{kind}\n{cause}").as_bytes());
    let number = digest
        .iter()
        .take(4)
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{number:08x}")
}

/// An error without what differs from letter to letter: ids and numbers.
pub(super) fn cause(error: &str) -> String {
    let words = error.split(' ').map(|word| {
        let id = word.len() > 30
            && word
                .chars()
                .all(|c| c.is_ascii_hexdigit() || "-,.:;()\"'`".contains(c));
        if id {
            "…".to_owned()
        } else {
            word.chars()
                .map(|c| if c.is_ascii_digit() { '#' } else { c })
                .collect()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_grouped_without_ids_and_numbers() {
        for (error, expected) in [
            (
                "chat 0197e7a4-0000-7000-8000-000000000000 has no channel",
                "chat … has no channel",
            ),
            ("offset 412 is beyond 7", "offset ### is beyond #"),
            ("not decodable", "not decodable"),
        ] {
            assert_eq!(cause(error), expected);
        }
    }
}
