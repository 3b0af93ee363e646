//! What customers do, in Meta's words.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Account, Comment, State, now_ms};

/// What a customer does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Writes to Direct.
    Write {
        /// What.
        text: String,
        /// Id of the message that is answered.
        #[serde(default)]
        reply_to: Option<String>,
    },
    /// Sends a file to Direct.
    Attach {
        /// `image`, `video`, `audio`, `file`, `share` …
        kind: String,
        /// Where it is.
        url: String,
    },
    /// Answers a story.
    StoryReply {
        /// What.
        text: String,
        /// Where the story's picture is.
        url: String,
    },
    /// Comments a post.
    Comment {
        /// Id of the post.
        media: String,
        /// What.
        text: String,
        /// Id of the comment that is answered.
        #[serde(default)]
        parent: Option<String>,
    },
    /// Takes a message back.
    Unsend {
        /// Id of the message.
        mid: String,
    },
    /// Edits a message.
    Edit {
        /// Id of the message.
        mid: String,
        /// What it says now.
        text: String,
        /// Which edit of it this is.
        number: u32,
    },
    /// Reacts to a message, or takes the reaction back.
    React {
        /// Id of the message.
        mid: String,
        /// The emoji; none takes it back.
        #[serde(default)]
        emoji: Option<String>,
    },
    /// Reads all up to a message.
    Read {
        /// Id of the message.
        mid: String,
    },
    /// Presses a button.
    Press {
        /// On the button.
        title: String,
        /// Behind it.
        payload: String,
    },
    /// Anything that stands beside sender and recipient.
    Raw {
        /// The fields.
        item: Value,
    },
}

/// An item for the webhook.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// Id of the account.
    pub account: String,
    /// The list of the entry in which it stands.
    pub place: &'static str,
    /// The word by which faults and subscriptions name it.
    pub word: &'static str,
    /// Id of the message or comment.
    pub key: Option<String>,
    pub value: Value,
}

/// Words what a customer does, and remembers what Instagram remembers of it.
pub(super) fn word(state: &State, account: &Account, customer: &str, action: Action) -> Item {
    let opens = matches!(
        action,
        Action::Write { .. }
            | Action::Attach { .. }
            | Action::StoryReply { .. }
            | Action::Press { .. }
    );
    if opens {
        state.change_customer(&account.id, customer, |customer| {
            (customer.wrote, customer.open) = (true, true);
        });
    }
    let mid = state.next_mid();
    let (word, key, content) = match action {
        Action::Comment {
            media,
            text,
            parent,
        } => {
            let comment = Comment {
                media,
                text,
                from: customer.to_owned(),
                username: username(customer),
                parent,
                private_reply: false,
            };
            return comment_item(state, account, comment);
        }
        Action::Write { text, reply_to } => {
            let mut message = json!({ "mid": mid, "text": text });
            if let Some(answered) = reply_to {
                message["reply_to"] = json!({ "mid": answered });
            }
            ("messages", Some(mid), json!({ "message": message }))
        }
        Action::Attach { kind, url } => {
            let attachment = json!({ "type": kind, "payload": { "url": url } });
            let message = json!({ "mid": mid, "attachments": [attachment] });
            ("messages", Some(mid), json!({ "message": message }))
        }
        Action::StoryReply { text, url } => {
            let story = json!({ "id": state.next_number().to_string(), "url": url });
            let message = json!({ "mid": mid, "text": text, "reply_to": { "story": story } });
            ("messages", Some(mid), json!({ "message": message }))
        }
        Action::Unsend { mid } => {
            let message = json!({ "mid": mid, "is_deleted": true });
            ("messages", Some(mid), json!({ "message": message }))
        }
        Action::Edit { mid, text, number } => {
            let edit = json!({ "mid": mid, "text": text, "num_edit": number });
            ("message_edit", Some(mid), json!({ "message_edit": edit }))
        }
        Action::React { mid, emoji } => {
            let change = match emoji {
                Some(emoji) => {
                    json!({ "mid": mid, "action": "react", "reaction": "other", "emoji": emoji })
                }
                None => json!({ "mid": mid, "action": "unreact" }),
            };
            (
                "message_reactions",
                Some(mid),
                json!({ "reaction": change }),
            )
        }
        Action::Read { mid } => ("messaging_seen", None, json!({ "read": { "mid": mid } })),
        Action::Press { title, payload } => {
            let press = json!({ "mid": mid, "title": title, "payload": payload });
            (
                "messaging_postbacks",
                Some(mid),
                json!({ "postback": press }),
            )
        }
        Action::Raw { item } => ("messages", None, item),
    };
    Item {
        account: account.id.clone(),
        place: "messaging",
        word,
        key,
        value: between(customer, &account.id, content),
    }
}

/// The echo of a message that left the account.
pub(super) fn echo(account: &Account, customer: &str, mid: &str, message: &Value) -> Item {
    let mut echoed = json!({ "mid": mid, "is_echo": true });
    if let Some(text) = message.get("text") {
        echoed["text"] = text.clone();
    }
    let one = message
        .get("attachment")
        .cloned()
        .map(|attachment| json!([attachment]));
    if let Some(attachments) = message.get("attachments").cloned().or(one) {
        echoed["attachments"] = attachments;
    }
    Item {
        account: account.id.clone(),
        place: "messaging",
        word: "message_echoes",
        key: Some(mid.to_owned()),
        value: between(&account.id, customer, json!({ "message": echoed })),
    }
}

/// Keeps a comment and words the event of it; the account's own are told as well.
pub(super) fn comment_item(state: &State, account: &Account, comment: Comment) -> Item {
    let id = (17_000_000_000_000_000 + state.next_number() % 1_000_000_000_000_000).to_string();
    let mut value = json!({
        "id": id, "text": comment.text, "from": { "id": comment.from, "username": comment.username },
        "media": { "id": comment.media, "media_product_type": "FEED" },
    });
    if let Some(parent) = &comment.parent {
        value["parent_id"] = json!(parent);
    }
    state.put_comment(&id, comment);
    Item {
        account: account.id.clone(),
        place: "changes",
        word: "comments",
        key: Some(id),
        value: json!({ "field": "comments", "value": value }),
    }
}

/// The nick of a customer.
pub(super) fn username(customer: &str) -> String {
    format!("customer.{customer}")
}

fn between(sender: &str, recipient: &str, content: Value) -> Value {
    let mut item = json!({
        "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": now_ms(),
    });
    if let (Some(item), Value::Object(content)) = (item.as_object_mut(), content) {
        item.extend(content);
    }
    item
}
