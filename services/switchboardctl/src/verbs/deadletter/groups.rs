//! Dead letters counted by their cause.

use std::collections::BTreeMap;

use switchboard_proto::operator::v1::DeadLetter;

use crate::error::CliError;
use crate::output::{View, cell, words};

/// One line a cause: how many, of which service and type, first and last time.
pub(super) fn show(letters: &[DeadLetter], view: &View) -> Result<(), CliError> {
    let mut groups: BTreeMap<(String, String, String), Vec<&DeadLetter>> = BTreeMap::new();
    for letter in letters {
        let kind = letter
            .event_type
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        groups
            .entry((letter.service.clone(), kind, cause(&letter.error)))
            .or_default()
            .push(letter);
    }
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
                cell(letters.len()),
                cell(service),
                cell(kind),
                cell(cause),
                cell(words::ago(first.as_ref(), view.now)).dim(),
                cell(words::ago(last.as_ref(), view.now)).dim(),
            ]
        });
        let headers = ["COUNT", "SERVICE", "TYPE", "CAUSE", "FIRST", "LAST"];
        view.rows(&headers, &["FIRST", "TYPE"], rows.collect());
    } else {
        let values = groups.iter().map(|((service, kind, cause), letters)| {
            let (first, last) = ends(letters);
            serde_json::json!({
                "count": letters.len(), "service": service, "type": kind, "cause": cause,
                "firstTime": first.as_ref().map(ToString::to_string), "lastTime": last.as_ref().map(ToString::to_string),
                "sequences": letters.iter().map(|letter| letter.sequence).collect::<Vec<_>>(),
            })
        });
        view.values(values.collect());
    }
    view.judge_empty(groups.is_empty())
}

/// An error without what differs from letter to letter: ids and numbers.
fn cause(error: &str) -> String {
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
