//! Calls to the Graph API as values: what a command becomes, and where it goes (channels.md §4.4).

mod outage;
pub mod pictures;
mod piece;

use serde_json::{Value, json};
use switchboard_proto::common::v1::content_part::Content;
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};

pub use self::outage::after_outage;
pub use self::piece::{FILE_MAX, PICTURE_MAX};
use self::piece::{Piece, content, media};
use super::window::Window;
use super::wire::{comment_id, comment_key, is_id, key};
use crate::domain::call::{Amendment, Call, FILE};
use crate::domain::delivery::Unfit;
use crate::domain::split::split_by;

/// Bytes of a text in Direct at most: one page of the documentation says characters, another bytes.
pub const TEXT_MAX: u32 = 1_000;

/// Characters of a comment at most (unverified).
pub const COMMENT_MAX: u32 = 2_200;

/// So many pictures go in one message.
pub const IMAGES_MAX: usize = 10;

/// The call of everything that goes to Direct; the path is the token's own account.
pub(super) const MESSAGES: &str = "POST /me/messages";

/// What is known when a command is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How<'a> {
    /// What may be sent to the customer now.
    pub window: Window,
    /// Several pictures may go in one message of this account.
    pub several_images: bool,
    /// An answer names the message that is answered: not documented for Instagram.
    pub reply_to: bool,
    /// The comment that is answered, where it is one.
    pub comment: Target<'a>,
    /// A comment of the customer that may still be answered in Direct: the way to who never wrote there, or long ago.
    pub private_reply: Option<&'a str>,
    /// One of the customer's comments was answered so, and they may not have answered there yet.
    pub private_reply_used: bool,
    /// Provider keys of what is to be deleted or reacted to, where the gateway knows them; else the command names one.
    pub targets: &'a [&'a str],
}

impl Default for How<'_> {
    fn default() -> Self {
        Self {
            window: Window::Open,
            several_images: true,
            reply_to: false,
            comment: Target::default(),
            private_reply: None,
            private_reply_used: false,
            targets: &[],
        }
    }
}

/// A comment that is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Id of the comment that it answers itself: there the answer goes, since threads have one level.
    pub parent: Option<&'a str>,
    /// Nick of who wrote it: an answer in a thread begins with it.
    pub username: Option<&'a str>,
}

/// Where a message goes; never to both (X12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// To the customer's Direct (F093).
    Direct,
    /// Under this comment (F091).
    Comment(&'a str),
}

/// Decides where a message goes, by what it answers alone: whatever the customer wrote last, a message that answers no
/// comment goes to Direct.
pub fn destination(command: &OutboundCommand) -> Destination<'_> {
    let answered = command
        .reply
        .as_ref()
        .map(|reply| reply.provider_key.as_str());
    answered
        .and_then(comment_id)
        .map_or(Destination::Direct, Destination::Comment)
}

const UNSUPPORTED_COMMAND: Unfit = Unfit {
    reason: "UNSUPPORTED_COMMAND",
    detail: "Instagram lets nobody do that to this message.",
};
const UNSUPPORTED_CONTENT: Unfit = Unfit {
    reason: "UNSUPPORTED_CONTENT",
    detail: "This kind of content cannot be sent to Instagram.",
};
const MESSAGE_EMPTY: Unfit = Unfit {
    reason: "MESSAGE_EMPTY",
    detail: "The message has nothing to send.",
};
const COMMENT_TEXT_ONLY: Unfit = Unfit {
    reason: "COMMENT_TEXT_ONLY",
    detail: "A comment holds text only: send the file to Direct.",
};
const WINDOW_CLOSED: Unfit = Unfit {
    reason: "WINDOW_CLOSED",
    detail: "The customer wrote too long ago: Instagram lets nobody answer until they write again.",
};
const PRIVATE_REPLY_USED: Unfit = Unfit {
    reason: "PRIVATE_REPLY_USED",
    detail: "The one private reply to the customer's comment was sent, and they have not answered in Direct yet: nothing more can go there until they do.",
};
const PRIVATE_REPLY_TEXT_ONLY: Unfit = Unfit {
    reason: "PRIVATE_REPLY_TEXT_ONLY",
    detail: "The customer only commented: Instagram takes one short text to Direct, until they answer there.",
};
const REACTION_UNSUPPORTED: Unfit = Unfit {
    reason: "REACTION_UNSUPPORTED",
    detail: "Instagram does not know this reaction.",
};

/// Turns a command into calls, in order; each is one part. All of them go to one destination (X12).
///
/// The reaction of a command that reacts is its first text; none takes it back.
pub fn plan(command: &OutboundCommand, how: How<'_>) -> Result<Vec<Call>, Unfit> {
    if command.chat_key.contains('\0') {
        return Err(UNSUPPORTED_CONTENT);
    }
    let named = command
        .reply
        .as_ref()
        .map(|reply| reply.provider_key.as_str());
    let one = named.as_slice();
    let targets = if how.targets.is_empty() {
        one
    } else {
        how.targets
    };
    let calls = match (command.action(), destination(command)) {
        (Action::Send, Destination::Direct) => direct(command, how)?,
        (Action::Send, Destination::Comment(comment)) => comments(command, comment, how.comment)?,
        (Action::Delete, _) => targets
            .iter()
            .map(|target| comment_id(target).map(deleted).ok_or(UNSUPPORTED_COMMAND))
            .collect::<Result<_, _>>()?,
        (Action::React, _) => targets
            .iter()
            .map(|target| reaction(command, target, how))
            .collect::<Result<_, _>>()?,
        (Action::Edit | Action::Unspecified, _) => return Err(UNSUPPORTED_COMMAND),
    };
    match command.action() {
        _ if !calls.is_empty() => Ok(calls),
        Action::Send => Err(MESSAGE_EMPTY),
        _ => Err(UNSUPPORTED_COMMAND),
    }
}

/// Returns the one message to Direct that a comment allows, for seven days and before the customer wrote there. It does
/// not open the window.
pub fn private_reply(text: &str, comment_id: &str) -> Call {
    message(
        json!({ "recipient": { "comment_id": comment_id }, "message": { "text": text } }),
        Window::Open,
    )
}

/// Returns the comment that a call answers in Direct.
pub fn answered_in_direct(call: &Call) -> Option<&str> {
    call.params.pointer("/recipient/comment_id")?.as_str()
}

/// Returns the body to send to this chat.
pub fn body(call: &Call, chat_key: &str) -> Value {
    let mut body = call.params.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove(pictures::REST);
        body.remove(pictures::SENT);
        body.remove(outage::OUTAGES);
    }
    if call.method == MESSAGES && body.get("recipient").is_none() {
        body["recipient"] = json!({ "id": chat_key });
    }
    body
}

/// Returns the provider key of what was sent, by the answer of the call; none where it has none, as a reaction.
pub fn provider_key(call: &Call, answer: &Value) -> Option<String> {
    if call.method == MESSAGES {
        return key(answer, "message_id");
    }
    let made = key(answer, "id").filter(|id| is_id(id))?;
    call.method
        .ends_with("/replies")
        .then(|| comment_key(&made))
}

/// Amends a call. None where there is nothing to take away.
pub fn amended(call: &Call, amendment: Amendment) -> Option<Call> {
    let mut amended = call.clone();
    match amendment {
        Amendment::WithoutReply => amended.params.as_object_mut()?.remove("reply_to")?,
        Amendment::Plain | Amendment::AsDocument => return None,
    };
    Some(amended)
}

fn direct(command: &OutboundCommand, how: How<'_>) -> Result<Vec<Call>, Unfit> {
    let mut messages = Vec::new();
    let mut images = Vec::new();
    for part in &command.parts {
        let (kind, file) = match content(part)? {
            Piece::Text(text) => {
                flush(&mut images, how, &mut messages);
                let pieces = split_by(&text, TEXT_MAX, char::len_utf8);
                messages.extend(pieces.iter().map(|piece| json!({ "text": piece.text })));
                continue;
            }
            Piece::File(file) => (media(file)?, file),
        };
        let attachment =
            json!({ "type": kind, "payload": { "url": { FILE: file.attachment_id } } });
        if kind == "image" {
            images.push(attachment);
        } else {
            flush(&mut images, how, &mut messages);
            messages.push(json!({ "attachment": attachment }));
        }
    }
    flush(&mut images, how, &mut messages);
    if how.window == Window::Closed && !messages.is_empty() {
        // One message for each comment, and it opens nothing: who answers it, opens the window.
        let comment = how.private_reply.ok_or(if how.private_reply_used {
            PRIVATE_REPLY_USED
        } else {
            WINDOW_CLOSED
        })?;
        return match messages.as_slice() {
            [one] => one
                .get("text")
                .and_then(Value::as_str)
                .map(|text| vec![private_reply(text, comment)])
                .ok_or(PRIVATE_REPLY_TEXT_ONLY),
            _ => Err(PRIVATE_REPLY_TEXT_ONLY),
        };
    }
    let answered = command.reply.as_ref().map(|reply| &reply.provider_key);
    let answered = answered.filter(|mid| how.reply_to && !mid.is_empty() && !mid.contains('\0'));
    let calls = messages.into_iter().enumerate().map(|(index, content)| {
        let mut params = json!({ "message": content });
        // Only the first part answers: the others follow it.
        if let Some(mid) = answered.filter(|_| index == 0) {
            params["reply_to"] = json!({ "mid": mid });
        }
        message(params, how.window)
    });
    Ok(calls.collect())
}

/// Puts the pictures that were gathered into as few messages as the account allows.
fn flush(images: &mut Vec<Value>, how: How<'_>, messages: &mut Vec<Value>) {
    let together = if how.several_images { IMAGES_MAX } else { 1 };
    for group in images.chunks(together) {
        messages.push(match group {
            [image] => json!({ "attachment": image }),
            images => json!({ "attachments": images }),
        });
    }
    images.clear();
}

fn message(mut params: Value, window: Window) -> Call {
    if window == Window::HumanAgent {
        params["messaging_type"] = json!("MESSAGE_TAG");
        params["tag"] = json!("HUMAN_AGENT");
    }
    Call {
        method: MESSAGES.into(),
        params,
    }
}

fn comments(
    command: &OutboundCommand,
    answered: &str,
    comment: Target<'_>,
) -> Result<Vec<Call>, Unfit> {
    let parent = comment.parent.filter(|id| is_id(id));
    let method = format!("POST /{}/replies", parent.unwrap_or(answered));
    let mut calls = Vec::new();
    for part in &command.parts {
        let Piece::Text(mut text) = content(part)? else {
            return Err(COMMENT_TEXT_ONLY);
        };
        // In the thread of another comment the nick tells who is answered.
        if let Some(username) = comment
            .username
            .filter(|_| parent.is_some() && calls.is_empty())
        {
            let nick = format!("@{}", username.replace('\0', "").trim_start_matches('@'));
            if nick.len() > 1 && !text.text.trim_start().starts_with(&nick) {
                text.text = format!("{nick} {}", text.text.trim_start());
            }
        }
        let pieces = split_by(&text, COMMENT_MAX, |_| 1);
        calls.extend(pieces.iter().map(|piece| Call {
            method: method.clone(),
            params: json!({ "message": piece.text }),
        }));
    }
    Ok(calls)
}

fn deleted(comment: &str) -> Call {
    Call {
        method: format!("DELETE /{comment}"),
        params: json!({}),
    }
}

fn reaction(command: &OutboundCommand, target: &str, how: How<'_>) -> Result<Call, Unfit> {
    if comment_id(target).is_some() || target.is_empty() || target.contains('\0') {
        return Err(UNSUPPORTED_COMMAND);
    }
    if how.window == Window::Closed {
        return Err(WINDOW_CLOSED);
    }
    let emoji = command.parts.iter().find_map(|part| match &part.content {
        Some(Content::Text(text)) => Some(text.text.trim()).filter(|text| !text.is_empty()),
        _ => None,
    });
    let params = match emoji {
        None => json!({ "sender_action": "unreact", "payload": { "message_id": target } }),
        Some(emoji) => {
            let word = word(emoji).ok_or(REACTION_UNSUPPORTED)?;
            json!({ "sender_action": "react", "payload": { "message_id": target, "reaction": word } })
        }
    };
    Ok(Call {
        method: MESSAGES.into(),
        params,
    })
}

/// Instagram's word for a reaction.
fn word(emoji: &str) -> Option<&'static str> {
    Some(match emoji.trim_end_matches('\u{fe0f}') {
        "\u{2764}" => "love",
        "👍" => "like",
        "👎" => "dislike",
        "😆" | "😂" => "smile",
        "😮" => "wow",
        "😢" => "sad",
        "😠" | "😡" => "angry",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
