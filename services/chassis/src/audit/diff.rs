//! What differs between a setting before and after: pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is told of a secret that is there.
pub const HIDDEN: &str = "(hidden)";

/// Fields whose values are never told, nor anything below them.
const SECRET: &[&str] = &[
    "credentials",
    "password",
    "secret",
    "client_secret",
    "token",
    "access_token",
    "refresh_token",
];

/// A field that changed. A side that was not there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Path of the field, as `weekly[0].hours`.
    pub field: String,
    /// What it was.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    pub before: Option<Value>,
    /// What it became.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "there"
    )]
    pub after: Option<Value>,
}

/// Reads a side that is there, a null as well.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A value that has no fields of its own, and whether it is a secret.
struct Leaf<'v> {
    value: &'v Value,
    secret: bool,
}

impl Leaf<'_> {
    fn told(&self) -> Value {
        if self.secret {
            Value::from(HIDDEN)
        } else {
            self.value.clone()
        }
    }
}

/// Returns the fields in which two states of a setting differ, by path. A list of plain values is one field, of other
/// lists each entry has its place. A setting that is made or deleted (the other side is null) is told by what it says:
/// what it leaves empty is left out.
pub fn diff(before: &Value, after: &Value) -> Vec<FieldChange> {
    let whole = before.is_null() || after.is_null();
    let (mut was, mut is) = (BTreeMap::new(), BTreeMap::new());
    leaves(before, String::new(), false, &mut was);
    leaves(after, String::new(), false, &mut is);
    let mut fields: Vec<&String> = was.keys().chain(is.keys()).collect();
    fields.sort_unstable_by(|one, other| in_order(one, other));
    fields.dedup();
    let changed = fields.into_iter().filter_map(|field| {
        let (before, after) = (was.get(field), is.get(field));
        let same = before.map(|leaf| leaf.value) == after.map(|leaf| leaf.value);
        let said = |leaf: Option<&Leaf<'_>>| leaf.is_some_and(|leaf| !is_empty(leaf.value));
        // An empty list beside one with entries, which are told themselves.
        let hollow = is_hollow(before) && is_hollow(after);
        if same || hollow || whole && !said(before) && !said(after) {
            return None;
        }
        Some(FieldChange {
            field: field.clone(),
            before: before.map(Leaf::told),
            after: after.map(Leaf::told),
        })
    });
    changed.collect()
}

fn leaves<'v>(
    value: &'v Value,
    path: String,
    secret: bool,
    found: &mut BTreeMap<String, Leaf<'v>>,
) {
    match value {
        // Told whole: how many fields a secret has is its own affair.
        _ if secret => drop(found.insert(path, Leaf { value, secret })),
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let secret = SECRET.contains(&name.as_str());
                leaves(value, path, secret, found);
            }
        }
        Value::Array(entries)
            if entries
                .iter()
                .any(|entry| entry.is_object() || entry.is_array()) =>
        {
            for (place, value) in entries.iter().enumerate() {
                leaves(value, format!("{path}[{place}]"), false, found);
            }
        }
        Value::Null if path.is_empty() => {}
        _ => drop(found.insert(path, Leaf { value, secret })),
    }
}

/// Tells whether there is no value, or one without any inside.
fn is_hollow(leaf: Option<&Leaf<'_>>) -> bool {
    leaf.is_none_or(|leaf| match leaf.value {
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    })
}

/// Tells whether a value says nothing: what fields of the contracts have that nobody set.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        // 64-bit numbers are texts in protobuf JSON.
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Orders paths as a person counts: `days[2]` before `days[10]`.
fn in_order(one: &str, other: &str) -> std::cmp::Ordering {
    fn key(path: &str) -> Vec<(u64, &str)> {
        let parts = path.split('[').map(|part| match part.split_once(']') {
            Some((place, rest)) => (place.parse().unwrap_or(0), rest),
            None => (0, part),
        });
        parts.collect()
    }
    key(one).cmp(&key(other))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Fields with their sides, as `field: before -> after`; a dot is none.
    fn told(before: &Value, after: &Value) -> Vec<String> {
        let side = |side: &Option<Value>| {
            side.as_ref()
                .map_or_else(|| ".".to_owned(), ToString::to_string)
        };
        diff(before, after)
            .iter()
            .map(|change| {
                format!(
                    "{}: {} -> {}",
                    change.field,
                    side(&change.before),
                    side(&change.after)
                )
            })
            .collect()
    }

    #[test]
    fn b11_what_differs_is_told_by_field_from_what_to_what() {
        let null = Value::Null;
        for (name, before, after, expected) in [
            ("nothing", json!({"a": 1}), json!({"a": 1}), vec![]),
            ("nothing at all", null.clone(), null.clone(), vec![]),
            (
                "a value",
                json!({"name": "A", "on": true}),
                json!({"name": "B", "on": true}),
                vec![r#"name: "A" -> "B""#],
            ),
            (
                "to its default",
                json!({"on": true, "n": 3, "name": "A"}),
                json!({"on": false, "n": 0, "name": ""}),
                vec![r"n: 3 -> 0", r#"name: "A" -> """#, "on: true -> false"],
            ),
            (
                "nested",
                json!({"grants": {"leads": {"view": "OWN", "create": true}}}),
                json!({"grants": {"leads": {"view": "ALL", "create": true}}}),
                vec![r#"grants.leads.view: "OWN" -> "ALL""#],
            ),
            (
                "a field that comes, and one that goes",
                json!({"a": {"x": 1}}),
                json!({"b": 2}),
                vec!["a.x: 1 -> .", "b: . -> 2"],
            ),
            (
                "an optional field that is said to be empty",
                json!({"a": 1}),
                json!({"a": 1, "b": false}),
                vec!["b: . -> false"],
            ),
            (
                "an entry of a list of messages",
                json!({"pool": [{"agent": "x", "weight": 1}, {"agent": "y", "weight": 1}]}),
                json!({"pool": [{"agent": "x", "weight": 2}, {"agent": "y", "weight": 1}]}),
                vec!["pool[0].weight: 1 -> 2"],
            ),
            (
                "a list of messages that shrinks",
                json!({"days": [{"d": 1}, {"d": 2}]}),
                json!({"days": []}),
                vec!["days[0].d: 1 -> .", "days[1].d: 2 -> ."],
            ),
            (
                "a list of plain values is one field",
                json!({"ids": ["a", "b"]}),
                json!({"ids": ["b"]}),
                vec![r#"ids: ["a","b"] -> ["b"]"#],
            ),
            (
                "made: what it says",
                null.clone(),
                json!({"name": "A", "n": 0, "big": "0", "kind": "KIND_UNSPECIFIED", "off": false, "ids": [], "none": {},
                       "in": {"x": 1, "y": ""}}),
                vec!["in.x: . -> 1", r#"name: . -> "A""#],
            ),
            (
                "deleted: what it said",
                json!({"name": "A", "on": true, "text": ""}),
                null,
                vec![r#"name: "A" -> ."#, "on: true -> ."],
            ),
        ] {
            assert_eq!(told(&before, &after), expected, "{name}");
        }
    }

    #[test]
    fn b11_of_a_secret_only_that_it_changed_is_told() {
        for (name, before, after, expected) in [
            (
                "replaced",
                json!({"credentials": "one"}),
                json!({"credentials": "two"}),
                vec![r#"credentials: "(hidden)" -> "(hidden)""#],
            ),
            (
                "the same",
                json!({"credentials": "one"}),
                json!({"credentials": "one"}),
                vec![],
            ),
            (
                "given",
                Value::Null,
                json!({"credentials": {"telegram_bot": {"token": "7:x"}}}),
                vec![r#"credentials: . -> "(hidden)""#],
            ),
            (
                "forgotten",
                json!({"credentials": "one", "n": 1}),
                json!({"n": 1}),
                vec![r#"credentials: "(hidden)" -> ."#],
            ),
            (
                "deep inside, and a list of them",
                json!({"imap": {"host": "a", "password": "p"}, "list": [{"token": ["x"]}]}),
                json!({"imap": {"host": "b", "password": "q"}, "list": [{"token": ["y"]}]}),
                vec![
                    r#"imap.host: "a" -> "b""#,
                    r#"imap.password: "(hidden)" -> "(hidden)""#,
                    r#"list[0].token: "(hidden)" -> "(hidden)""#,
                ],
            ),
        ] {
            assert_eq!(told(&before, &after), expected, "{name}");
        }
    }

    #[test]
    fn places_are_counted_as_a_person_counts() {
        let days = |range: std::ops::Range<u32>| -> Value {
            range.map(|day| json!({ "d": day })).collect()
        };
        let changes = diff(&json!({"days": days(0..12)}), &json!({"days": days(1..13)}));
        let fields: Vec<_> = changes.into_iter().map(|change| change.field).collect();
        let expected: Vec<_> = (0..12).map(|place| format!("days[{place}].d")).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let changes = diff(&json!({"a": null, "b": 1}), &json!({"a": 2}));
        let text = serde_json::to_string(&changes).unwrap();
        assert_eq!(
            serde_json::from_str::<Vec<FieldChange>>(&text).unwrap(),
            changes
        );
    }
}
