//! Calls to providers as values: what a part of a message becomes.

use serde_json::Value;

/// A call: the method and its parameters, without the chat, which may move before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The provider's method, as `sendMessage`.
    pub method: String,
    /// Parameters. An object `{"$file": "<attachment id>"}` stands where the provider wants a file: whoever makes the
    /// call puts there what the provider takes, a link or the file itself.
    pub params: Value,
}

/// The field that stands for a file in a call's parameters.
pub const FILE: &str = "$file";

/// A change to a call that was refused, so that it can be tried again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amendment {
    /// Without the reference to the message that is answered.
    WithoutReply,
    /// Without formatting.
    Plain,
    /// With the picture as a document.
    AsDocument,
}

/// Depth to which parameters are searched for files.
const DEPTH_MAX: usize = 8;

/// Returns the ids of the files that parameters want, each once, in order.
pub fn files(params: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(params, &mut found, DEPTH_MAX);
    found
}

fn walk(value: &Value, found: &mut Vec<String>, depth: usize) {
    if let Some(id) = value.get(FILE).and_then(Value::as_str) {
        if !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
        return;
    }
    let inner: Vec<&Value> = match value {
        Value::Array(values) => values.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => return,
    };
    if let Some(depth) = depth.checked_sub(1) {
        for value in inner {
            walk(value, found, depth);
        }
    }
}

/// Puts a link in the place of a file.
pub fn put_link(params: &mut Value, id: &str, link: &str) {
    put(params, id, link, DEPTH_MAX);
}

fn put(value: &mut Value, id: &str, link: &str, depth: usize) {
    if value.get(FILE).and_then(Value::as_str) == Some(id) {
        *value = Value::String(link.to_owned());
        return;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value {
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| put(value, id, link, depth)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| put(value, id, link, depth)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_are_found_wherever_they_stand_and_links_take_their_place() {
        let file = |id: &str| json!({ FILE: id });
        let mut params = json!({ "media": file("a"), "list": [{ "url": file("b") }, file("a")], "text": "$file" });
        assert_eq!(files(&params), ["b", "a"], "fields come by name");
        put_link(&mut params, "a", "https://gw.example/f/x/a.jpg");
        assert_eq!(files(&params), ["b"]);
        assert_eq!(params["list"][1], "https://gw.example/f/x/a.jpg");
        let mut deep = file("a");
        for _ in 0..DEPTH_MAX {
            deep = json!([deep]);
        }
        assert_eq!(files(&deep).len(), 1);
        assert!(
            files(&json!([deep])).is_empty(),
            "what is deeper is no call of ours"
        );
    }
}
