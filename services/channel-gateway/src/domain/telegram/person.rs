//! What stands around a message's content: who wrote it, what it answers, and where it came from.

use serde_json::Value;
use switchboard_proto::common::v1::{ClientIdentity, Origin, ReplyReference, origin};

use super::chat::Chat;
use super::content::full_name;
use crate::domain::name::{clean, shown};
use crate::domain::value::{id, list, object, text};

/// Characters of a payload of a deep link at most (channels.md §2.2).
const PAYLOAD_MAX: usize = 64;

/// Returns the person who acted; in a private chat the chat itself tells who that is, should `from` be missing.
pub fn person(from: Option<&Value>, holder: &Value) -> ClientIdentity {
    let chat = holder.get("chat").unwrap_or(&Value::Null);
    let person = from.filter(|from| id(from, "id").is_some()).unwrap_or(chat);
    let user_id = id(person, "id").unwrap_or_default();
    let username = clean(&text(person, "username").unwrap_or_default());
    // Who deleted their account has an empty name.
    let told = ["first_name", "last_name"].map(|key| person.get(key));
    let told = told.iter().any(Option::is_some).then(|| full_name(person));
    ClientIdentity {
        scope: "telegram".to_owned(),
        name: shown(told.as_deref(), &username, &user_id),
        user_id,
        username,
        phone: String::new(),
        email: String::new(),
        language: text(person, "language_code").unwrap_or_default(),
    }
}

/// Returns what a message answers: the message, the quoted words, or both.
pub fn reply(message: &Value, chat: &Chat) -> Option<ReplyReference> {
    let quote = object(message, "quote")
        .and_then(|quote| text(quote, "text"))
        .unwrap_or_default();
    let target = object(message, "reply_to_message").and_then(|target| {
        let number = id(target, "message_id")?;
        let elsewhere = object(target, "chat").and_then(|chat| id(chat, "id"));
        let chat = Chat {
            id: elsewhere.unwrap_or_else(|| chat.id.clone()),
            ..chat.clone()
        };
        Some(chat.message_key(&number))
    });
    // A quote may come from another chat (`external_reply`), whose messages we do not have.
    if target.is_none() && quote.is_empty() {
        return None;
    }
    Some(ReplyReference {
        message_id: String::new(),
        provider_key: target.unwrap_or_default(),
        quote,
    })
}

/// Tells where a message was written: in the chat, or under a story.
pub fn origin(message: &Value) -> Origin {
    let (kind, link) = match object(message, "reply_to_story") {
        Some(story) => (origin::Kind::Story, story_link(story).unwrap_or_default()),
        None => (origin::Kind::Direct, String::new()),
    };
    Origin {
        kind: kind.into(),
        link,
        parent_key: String::new(),
        post_key: String::new(),
    }
}

/// Stories of chats with a public name have an address.
fn story_link(story: &Value) -> Option<String> {
    let name = object(story, "chat").and_then(|chat| text(chat, "username"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let number = id(story, "id")?;
    let fits = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
    let numbered = number.chars().all(|c| c.is_ascii_digit());
    (fits && numbered).then(|| format!("https://t.me/{name}/s/{number}"))
}

/// Returns the payload of a deep link: `/start lead_77` (D30).
pub fn start_payload(message: &Value) -> String {
    let text = text(message, "text").unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let command = words.next().unwrap_or_default();
    let start = command == "/start" || command.starts_with("/start@");
    let payload = words
        .next()
        .filter(|payload| start && payload.len() <= PAYLOAD_MAX);
    payload.unwrap_or_default().to_owned()
}

/// Returns the words on the button with this data.
pub fn button_title(message: &Value, data: &str) -> String {
    let rows =
        object(message, "reply_markup").map_or(&[][..], |markup| list(markup, "inline_keyboard"));
    let mut buttons = rows.iter().filter_map(Value::as_array).flatten();
    let pressed = buttons
        .find(|button| !data.is_empty() && text(button, "callback_data").as_deref() == Some(data));
    pressed
        .and_then(|button| text(button, "text"))
        .unwrap_or_default()
}
