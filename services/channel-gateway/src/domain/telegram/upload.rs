//! Files in a call's body: which it wants, and how they are named when they go along with it (channels.md §2.3: always
//! uploaded, never fetched by Telegram).

use serde_json::{Value, json};

use crate::domain::call::FILE;

/// Depth to which a body is searched: an album's items lie in a list of the body.
const DEPTH_MAX: usize = 8;

/// Characters of a file's name at most, before its ending and of it.
const STEM_MAX: usize = 120;
const ENDING_MAX: usize = 16;

/// A file that a body wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The field of the form under which it goes along.
    pub field: String,
    /// Id of the attachment.
    pub attachment_id: String,
}

/// Puts the names of form fields where a body wants files; returns which they are, in order. A file that is wanted twice
/// goes along once.
pub fn attach(body: &mut Value) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    walk(body, &mut wanted, DEPTH_MAX);
    wanted
}

/// Returns a file's name as it can stand in a form, with its ending.
pub fn safe_name(name: &str) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '"' | '/' | '\\');
    let name: String = name.trim().chars().filter(|c| !odd(*c)).collect();
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.chars().count() <= ENDING_MAX => {
            (stem, format!(".{ending}"))
        }
        _ => (name.as_str(), String::new()),
    };
    let stem: String = stem.chars().take(STEM_MAX).collect();
    let stem = if stem.is_empty() { "file" } else { &stem };
    format!("{stem}{ending}")
}

fn walk(value: &mut Value, wanted: &mut Vec<Wanted>, depth: usize) {
    if let Some(attachment_id) = value.get(FILE).and_then(Value::as_str) {
        let field = match wanted.iter().find(|one| one.attachment_id == attachment_id) {
            Some(known) => known.field.clone(),
            None => {
                let field = format!("file{}", wanted.len());
                wanted.push(Wanted {
                    field: field.clone(),
                    attachment_id: attachment_id.to_owned(),
                });
                field
            }
        };
        *value = json!(format!("attach://{field}"));
        return;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value {
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| walk(value, wanted, depth)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| walk(value, wanted, depth)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_body_are_named_in_order() {
        let mut body = json!({
            "chat_id": 5, "caption": "$file",
            "media": [
                {"type": "photo", "media": {"$file": "a"}},
                {"type": "photo", "media": {"$file": "b"}},
                {"type": "photo", "media": {"$file": "a"}},
            ],
        });
        let wanted = attach(&mut body);
        let names: Vec<(&str, &str)> = wanted
            .iter()
            .map(|one| (one.field.as_str(), one.attachment_id.as_str()))
            .collect();
        assert_eq!(names, [("file0", "a"), ("file1", "b")]);
        let media: Vec<&str> = body["media"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["media"].as_str())
            .collect();
        assert_eq!(
            media,
            ["attach://file0", "attach://file1", "attach://file0"]
        );
        assert_eq!(attach(&mut json!({"text": "x"})), []);
    }

    #[test]
    fn names_of_files_keep_what_a_form_can_carry() {
        for (name, expected) in [
            ("рахунок 7.pdf", "рахунок 7.pdf"),
            (" a\"b\\c/d\r\ne\0.pdf ", "abcde.pdf"),
            ("", "file"),
            ("\"\"", "file"),
            (".htaccess", ".htaccess"),
            ("a.not an ending at all", "a.not an ending at all"),
        ] {
            assert_eq!(safe_name(name), expected);
        }
        let long = safe_name(&format!("{}.pdf", "x".repeat(500)));
        assert!(long.chars().count() == 124 && long.ends_with("x.pdf"));
    }
}
