//! Several pictures of one message for an account that takes one a message (channels.md §4.4): one part, one call after
//! the other, so that what was taken is known even where the next is not.

use serde_json::{Value, json};

use super::outage::OUTAGES;
use crate::domain::call::Call;

/// The field of a call's parameters that holds the pictures that go after it.
pub(super) const REST: &str = "$rest";

/// The field of a call's parameters that holds the keys of the pictures that went before it.
pub(super) const SENT: &str = "$sent";

/// Returns a call with several pictures, which an account may not be allowed to send, as one that sends the first of
/// them; the others are left for [`further`].
pub fn one_by_one(call: &Call) -> Option<Call> {
    let images = call.params.pointer("/message/attachments")?.as_array()?;
    let (first, rest) = images.split_first()?;
    let mut single = call.clone();
    single.params["message"] = json!({ "attachment": first });
    single.params[REST] = json!(rest);
    Some(single)
}

/// Returns the call for what a call left, after it was taken under this key; none where it left nothing.
pub fn further(call: &Call, key: &str) -> Option<Call> {
    let (next, rest) = call.params.get(REST)?.as_array()?.split_first()?;
    let mut further = call.clone();
    further.params["message"] = json!({ "attachment": next });
    further.params[REST] = json!(rest);
    let sent: Vec<String> = earlier(call).chain([key.to_owned()]).collect();
    further.params[SENT] = json!(sent);
    let params = further.params.as_object_mut()?;
    // Only the first picture answers, and each has tries of its own.
    params.remove("reply_to");
    params.remove(OUTAGES);
    Some(further)
}

/// Returns the keys of what was sent before this call, of the same part.
pub fn earlier(call: &Call) -> impl Iterator<Item = String> {
    let sent = call.params.get(SENT).and_then(Value::as_array);
    let sent = sent.into_iter().flatten().filter_map(Value::as_str);
    sent.map(str::to_owned)
}

/// Tells whether a call leaves pictures for further ones, or follows such a call.
pub fn is_piece(call: &Call) -> bool {
    call.params.get(REST).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instagram::call::{MESSAGES, body};

    #[test]
    fn f190_pictures_that_are_refused_together_go_one_after_the_other() {
        let image = |id: &str| json!({ "type": "image", "payload": { "url": { "$file": id } } });
        let together = Call {
            method: MESSAGES.to_owned(),
            params: json!({ "message": { "attachments": [image("a"), image("b"), image("c")] }, "reply_to": { "mid": "m0" } }),
        };
        let mut call = one_by_one(&together).unwrap();
        let mut bodies = Vec::new();
        for key in ["k1", "k2", "k3"] {
            assert!(is_piece(&call));
            bodies.push(body(&call, "77"));
            match further(&call, key) {
                Some(next) => call = next,
                None => assert_eq!(key, "k3", "all of them went"),
            }
        }
        assert_eq!(earlier(&call).collect::<Vec<_>>(), ["k1", "k2"]);
        let expected = |id: &str| json!({ "recipient": { "id": "77" }, "message": { "attachment": image(id) } });
        let mut first = expected("a");
        first["reply_to"] = json!({ "mid": "m0" });
        assert_eq!(bodies, [first, expected("b"), expected("c")]);
        assert!(one_by_one(&call).is_none());
        assert!(further(&together, "k").is_none());
        assert!(!is_piece(&together));
    }
}
