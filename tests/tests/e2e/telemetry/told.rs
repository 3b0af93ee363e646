//! What `/metrics` says, read line by line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

/// One line: a series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Series {
    /// Name and labels.
    pub fn identity(&self) -> String {
        format!("{}{:?}", self.name, self.labels)
    }

    /// Tells whether it is of a figure, or of a part of a histogram, and has its labels.
    pub fn is_of(&self, figure: &str, labels: &BTreeSet<String>) -> bool {
        let named = ["", "_bucket", "_sum", "_count"]
            .iter()
            .any(|end| self.name == format!("{figure}{end}"));
        named && labels.iter().all(|label| self.labels.contains_key(label))
    }

    /// Tells whether a label looks like an id, a phone, an address or a name that was given here.
    pub fn names_somebody(&self) -> bool {
        self.labels.iter().any(|(label, value)| {
            // Names of conditions stand in the code, with spaces in them.
            let own = matches!(
                label.as_str(),
                "le" | "method" | "component" | "stream" | "latch"
            );
            !own && strange(value)
        })
    }
}

/// Words of ours are short: letters, hyphens, underscores, and the three digits of a status.
fn strange(value: &str) -> bool {
    let word = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '.');
    let status = value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit());
    !status && (value.len() > 40 || !value.chars().all(word))
}

/// Reads all lines.
pub fn parse(text: &str) -> anyhow::Result<Vec<Series>> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| series(line).with_context(|| line.to_owned()))
        .collect()
}

fn series(line: &str) -> anyhow::Result<Series> {
    let (head, value) = line.rsplit_once(' ').context("no value")?;
    let (name, rest) = head.split_once('{').unwrap_or((head, "}"));
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}').context("no end of labels")?;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").context("no label")?;
        // No value here holds a quote: one that does is found as a label that nobody declares.
        let (value, after) = after.split_once('"').context("no end of a value")?;
        labels.insert(label.to_owned(), value.to_owned());
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok(Series {
        name: name.to_owned(),
        labels,
        value: value.parse()?,
    })
}

#[test]
fn o26_labels_with_ids_phones_and_names_are_found() {
    let line = |label: &str, value: &str| {
        let line = format!("x_total{{{label}=\"{value}\",component=\"crm-cards\"}} 3");
        parse(&line).unwrap().remove(0).names_somebody()
    };
    for value in [
        "0197c2a4-7d1e-7c55-9c3b-0c6a7a0a2f11",
        "380671234567",
        "t0a1b2c3d4e5f",
        "olena@example.com",
        "Olena P",
        "+380",
    ] {
        assert!(line("rule", value), "{value}");
    }
    for value in ["round-robin", "200", "WINDOW_CLOSED", "", "telegram-bot"] {
        assert!(!line("rule", value), "{value}");
    }
    assert!(!line("le", "0.0005"));
}
