//! Comments and the posts they stand under. Every number is a post; its page is made of it.

use serde_json::json;

use super::answer::Refusal;
use super::api::{Call, Done};
use super::state::Comment;
use super::wording::comment_item;

/// Reads a comment, or a post where `permalink` is asked for.
pub(super) fn read(call: &Call<'_>) -> Option<Done> {
    let id = &call.node;
    if let Some(comment) = call.state.comment(id) {
        let mut answer = json!({
            "id": id, "text": comment.text, "username": comment.username, "hidden": false,
            "from": { "id": comment.from, "username": comment.username }, "media": { "id": comment.media },
        });
        if let Some(parent) = comment.parent {
            answer["parent_id"] = json!(parent);
        }
        return Some(Done::answer(answer));
    }
    let asked = call
        .query
        .get("fields")
        .is_some_and(|fields| fields.contains("permalink"));
    let number = id.bytes().all(|byte| byte.is_ascii_digit());
    (asked && number).then(|| {
        Done::answer(json!({
            "id": id, "permalink": format!("https://www.instagram.com/p/{id}/"),
            "caption": format!("Post {id}"), "media_product_type": "FEED",
        }))
    })
}

/// Answers a comment: threads have one level.
pub(super) fn reply(call: &Call<'_>) -> Result<Done, Refusal> {
    let answered = call
        .state
        .comment(&call.node)
        .ok_or_else(|| Refusal::unknown(&call.node))?;
    if answered.parent.is_some() {
        return Err(Refusal::bad("A reply cannot be replied to"));
    }
    add(call, answered.media, Some(call.node.clone()))
}

/// Writes a comment under a post.
pub(super) fn write(call: &Call<'_>) -> Result<Done, Refusal> {
    add(call, call.node.clone(), None)
}

fn add(call: &Call<'_>, media: String, parent: Option<String>) -> Result<Done, Refusal> {
    let text = call.body["message"]
        .as_str()
        .filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Refusal::bad("message"))?.to_owned();
    if text.chars().count() > 2_200 {
        return Err(Refusal::bad("The comment is too long"));
    }
    let comment = Comment {
        media,
        text,
        from: call.account.id.clone(),
        username: call.account.username.clone(),
        parent,
        private_reply: false,
    };
    let item = comment_item(call.state, &call.account, comment);
    Ok(Done {
        answer: json!({ "id": item.key }),
        id: item.key.clone(),
        echo: Some(item),
        kept: true,
    })
}

pub(super) fn delete(call: &Call<'_>) -> Result<Done, Refusal> {
    if !call.state.remove_comment(&call.node) {
        return Err(Refusal::unknown(&call.node));
    }
    Ok(Done {
        answer: json!({ "success": true }),
        kept: true,
        ..Done::default()
    })
}
