//! What a call would change: its request, held against what there is now where the contracts have a method that tells.

use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage as _, Value,
};
use serde_json::Value as Json;
use tonic::transport::Channel;

use super::raw;
use crate::output::json;
use crate::output::table::harmless;

/// Lines of one preview at most.
const LINES: usize = 60;

/// Fields that make a call idempotent, and change nothing.
const TECHNICAL: [&str; 2] = ["requestId", "expectedRevision"];

/// What a call would change.
#[derive(Debug, Default)]
pub(super) struct Preview {
    current: Option<Json>,
    changes: Vec<Change>,
}

/// A field as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

/// Reads a request, and what there is now.
pub(super) async fn of(
    reader: Channel,
    method: &MethodDescriptor,
    request: &[u8],
    headers: &http::HeaderMap,
) -> Preview {
    let Ok(request) = DynamicMessage::decode(method.input(), request) else {
        return Preview::default();
    };
    let told = json::of_dynamic(&request).unwrap_or_default();
    let current = match asker(method, &request) {
        Some((path, question)) => {
            let answer = raw::call(reader, path.path, headers, question.encode_to_vec()).await;
            answer
                .ok()
                .and_then(|bytes| DynamicMessage::decode(path.output, bytes.as_slice()).ok())
                .and_then(|answer| subject(&answer))
        }
        None => None,
    };
    let removes = removes(method.name());
    let kind = current
        .as_ref()
        .map(|current| current.descriptor().full_name().to_owned());
    let wanted = wanted(&request, kind.as_deref()).unwrap_or(told);
    let current = current.and_then(|current| json::of_dynamic(&current));
    Preview {
        changes: compared(&wanted, current.as_ref(), removes),
        current,
    }
}

/// A method that tells what there is now.
struct Asker {
    path: String,
    output: prost_reflect::MessageDescriptor,
}

/// The method `GetX` to `UpdateX`, `SetX` or the like, in the same package, with its question filled from the request.
fn asker(method: &MethodDescriptor, request: &DynamicMessage) -> Option<(Asker, DynamicMessage)> {
    let name = method.name();
    // `UpdateAgent` is of an `Agent`.
    let thing = name
        .get(1..)?
        .trim_start_matches(|c: char| c.is_lowercase());
    let wanted = format!("Get{thing}");
    let package = method.parent_service().package_name().to_owned();
    let services = method.parent_pool().services();
    let found = services
        .filter(|service| service.package_name() == package)
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .find(|candidate| candidate.name() == wanted)?;
    let mut question = DynamicMessage::new(found.input());
    for field in found.input().fields() {
        let value = held(request, &field)?;
        question.set_field(&field, value);
    }
    let path = format!("/{}/{}", found.parent_service().full_name(), found.name());
    let asker = Asker {
        path,
        output: found.output(),
    };
    Some((asker, question))
}

/// The value of a field of the same name and kind, in a request or in a message within it.
fn held(request: &DynamicMessage, wanted: &FieldDescriptor) -> Option<Value> {
    let fields = request.descriptor();
    if let Some(field) = fields.get_field_by_name(wanted.name())
        && field.kind() == wanted.kind()
        && request.has_field(&field)
    {
        return Some(request.get_field(&field).into_owned());
    }
    fields
        .fields()
        .find_map(|field| match &*request.get_field(&field) {
            Value::Message(inner) if request.has_field(&field) => held(inner, wanted),
            _ => None,
        })
}

/// Whether a method takes away what there is.
fn removes(method: &str) -> bool {
    ["Delete", "EndPause"]
        .iter()
        .any(|removing| method.starts_with(removing))
}

/// The message that an answer is about: its first one.
fn subject(answer: &DynamicMessage) -> Option<DynamicMessage> {
    answer
        .descriptor()
        .fields()
        .find_map(|field| match &*answer.get_field(&field) {
            Value::Message(inner) if answer.has_field(&field) => Some(inner.clone()),
            _ => None,
        })
}

/// What the request wants of that: the message of the same kind in it, where it has one.
fn wanted(request: &DynamicMessage, kind: Option<&str>) -> Option<Json> {
    let kind = kind?;
    request
        .descriptor()
        .fields()
        .find_map(|field| match &*request.get_field(&field) {
            Value::Message(inner)
                if request.has_field(&field) && inner.descriptor().full_name() == kind =>
            {
                json::of_dynamic(inner)
            }
            _ => None,
        })
}

/// What differs. Where something is removed, all that there is goes.
fn compared(wanted: &Json, current: Option<&Json>, removes: bool) -> Vec<Change> {
    let (mut after, mut before) = (Vec::new(), Vec::new());
    flat("", wanted, &mut after);
    if let Some(current) = current {
        flat("", current, &mut before);
    }
    if removes && current.is_some() {
        let gone = before.into_iter().map(|(path, value)| Change {
            path,
            before: Some(value),
            after: None,
        });
        return gone.collect();
    }
    let was = |path: &str| {
        let found = before.iter().find(|(known, _)| known == path);
        found.map(|(_, value)| value.clone())
    };
    after
        .into_iter()
        .filter(|(path, _)| !TECHNICAL.contains(&path.as_str()))
        .map(|(path, value)| Change {
            before: was(&path),
            after: Some(value),
            path,
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Paths and values of a message's fields.
fn flat(path: &str, value: &Json, into: &mut Vec<(String, String)>) {
    let under = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                flat(&under(name), value, into);
            }
        }
        Json::String(text) => into.push((path.to_owned(), text.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}

/// Whether a field holds what nobody may read over a shoulder.
fn is_secret(path: &str) -> bool {
    let path = path.to_lowercase();
    ["token", "secret", "password", "key", "credentials"]
        .iter()
        .any(|word| path.contains(word))
        && !path.ends_with("providerkey")
}

impl Preview {
    /// For people.
    pub fn lines(&self, method: &str) -> Vec<String> {
        let mut lines = vec![if self.current.is_some() && removes(method) {
            format!("{method} would remove")
        } else if self.current.is_some() {
            format!("{method} would change")
        } else {
            format!("{method} would be called with")
        }];
        let shown = |path: &str, value: &str| {
            let value = if is_secret(path) { "(secret)" } else { value };
            format!("{path}: {}", harmless(value))
        };
        for change in &self.changes {
            if let Some(before) = &change.before {
                lines.push(format!("- {}", shown(&change.path, before)));
            }
            if let Some(after) = &change.after {
                lines.push(format!("+ {}", shown(&change.path, after)));
            }
        }
        if self.changes.is_empty() {
            lines.push("  nothing: it is so already".to_owned());
        }
        if lines.len() > LINES {
            let more = lines.len() - LINES;
            lines.truncate(LINES);
            lines.push(format!("  and {more} more"));
        }
        lines
    }

    /// For programs.
    pub fn value(&self, method: &str) -> Json {
        let masked = |path: &str, value: &Option<String>| {
            value.as_ref().map(|value| {
                if is_secret(path) {
                    "(secret)".to_owned()
                } else {
                    value.clone()
                }
            })
        };
        let changes: Vec<Json> = self
            .changes
            .iter()
            .map(|change| {
                serde_json::json!({
                    "field": change.path, "before": masked(&change.path, &change.before),
                    "after": masked(&change.path, &change.after),
                })
            })
            .collect();
        serde_json::json!({ "dryRun": true, "method": method, "known": self.current.is_some(), "changes": changes })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(wanted: &Json, current: Option<&Json>, removes: bool) -> Vec<String> {
        let preview = Preview {
            current: current.cloned(),
            changes: compared(wanted, current, removes),
        };
        preview.lines("X").split_off(1)
    }

    #[test]
    fn o204_a_diff_tells_what_differs_and_no_secret() {
        let now = json!({"agentId": "1", "name": "Olena", "grants": {"chats": "FULL"}});
        for (wanted, current, removes, expected) in [
            (
                json!({"agentId": "1", "name": "Olena K", "requestId": "r"}),
                Some(&now),
                false,
                vec!["- name: Olena", "+ name: Olena K"],
            ),
            (
                json!({"agentId": "1", "name": "Olena"}),
                Some(&now),
                false,
                vec!["  nothing: it is so already"],
            ),
            (
                json!({"grants": {"chats": "NONE"}}),
                Some(&now),
                false,
                vec!["- grants.chats: FULL", "+ grants.chats: NONE"],
            ),
            (
                json!({"telegramBot": {"botToken": "700:x"}}),
                None,
                false,
                vec!["+ telegramBot.botToken: (secret)"],
            ),
            (
                json!({"agentId": "1"}),
                Some(&json!({"name": "Olena"})),
                true,
                vec!["- name: Olena"],
            ),
        ] {
            assert_eq!(told(&wanted, current, removes), expected, "{wanted}");
        }
    }

    #[test]
    fn o204_what_there_is_is_asked_by_the_method_that_tells_it() {
        let method = |path: &str| json::method(path).unwrap();
        let of = |path: &str, request: Json| {
            let method = method(path);
            let request = DynamicMessage::deserialize(method.input(), request).unwrap();
            asker(&method, &request).map(|(asker, question)| {
                (asker.path, json::of_dynamic(&question).unwrap_or_default())
            })
        };
        let agent = of(
            "/switchboard.assignment.v1.AssignmentService/UpdateAgent",
            json!({"agentId": "a", "name": "x"}),
        );
        assert_eq!(
            agent,
            Some((
                "/switchboard.assignment.v1.AssignmentService/GetAgent".to_owned(),
                json!({"agentId": "a"})
            ))
        );
        let card = of(
            "/switchboard.crm_cards.v1.CardService/DeleteCard",
            json!({"cardId": "c"}),
        );
        assert_eq!(
            card.map(|(path, _)| path).as_deref(),
            Some("/switchboard.crm_cards.v1.CrmCardsService/GetCard")
        );
        let none = of(
            "/switchboard.conversation.v1.ConversationService/SendMessage",
            json!({"chatId": "c"}),
        );
        assert_eq!(none, None);
    }
}
