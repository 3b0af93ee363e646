//! What a command becomes: calls in order, each one part of its delivery (architecture.md §10).

use serde_json::{Value, json};
use switchboard_proto::conversation::v1::{OutboundCommand, outbound_command::Action};

use super::call::{DELETE_BUSINESS, call, in_reply_to, send};
use super::chat::{Chat, number};
use super::edit::edits;
use super::layout::layout;
use crate::domain::call::Call;
use crate::domain::delivery::{MESSAGE_EMPTY, UNSUPPORTED_COMMAND, Unfit};

/// Calls of one command at most.
const CALLS_MAX: usize = 100;

/// Messages that one call deletes at most.
const DELETED_MAX: usize = 100;

/// Digits from which on a reaction is the id of a custom emoji, and not the keycap of a number.
const CUSTOM_EMOJI_DIGITS: usize = 10;

const MESSAGE_TOO_LONG: Unfit = Unfit {
    reason: "MESSAGE_TOO_LONG",
    detail: "The message would become too many messages in Telegram.",
};
const NOT_SENT: Unfit = Unfit {
    reason: "MESSAGE_NOT_SENT",
    detail: "The message never reached Telegram, so there is nothing to change.",
};
const NO_REACTIONS: Unfit = Unfit {
    reason: "UNSUPPORTED_COMMAND",
    detail: "Telegram does not let bots react in the chats of a business account.",
};

/// Turns a command into calls, in order. What cannot go together is split (F190).
///
/// An edit carries the whole message as it shall be, files too: what of it is a text of its own and what stands with a
/// file is told by the number of messages that were sent.
pub fn plan(command: &OutboundCommand) -> Result<Vec<Call>, Unfit> {
    let chat = Chat::parse(&command.chat_key);
    let calls = match command.action() {
        Action::Send => sends(command)?,
        Action::Edit => edits(&command.parts, &targets(command)?, &chat)?,
        Action::Delete => deletions(&targets(command)?, &chat),
        Action::React => vec![reaction(command, &chat)?],
        Action::Unspecified => return Err(UNSUPPORTED_COMMAND),
    };
    if calls.len() > CALLS_MAX {
        return Err(MESSAGE_TOO_LONG);
    }
    Ok(calls)
}

fn sends(command: &OutboundCommand) -> Result<Vec<Call>, Unfit> {
    let pieces = layout(&command.parts, true)?;
    let mut calls: Vec<Call> = pieces.iter().map(send).collect();
    if calls.is_empty() {
        return Err(MESSAGE_EMPTY);
    }
    // Only the first part answers: the others follow it.
    if let Some(reply) = &command.reply {
        let first = in_reply_to(calls.remove(0), reply);
        calls.insert(0, first);
    }
    Ok(calls)
}

/// Returns the numbers of the messages that a command changes.
fn targets(command: &OutboundCommand) -> Result<Vec<i64>, Unfit> {
    let numbers = command.target_keys.iter().filter_map(|key| number(key));
    let numbers: Vec<i64> = numbers.collect();
    if numbers.is_empty() {
        return Err(NOT_SENT);
    }
    Ok(numbers)
}

/// Deletes messages.
pub(super) fn deletions(numbers: &[i64], chat: &Chat) -> Vec<Call> {
    let chunks = numbers.chunks(DELETED_MAX);
    let calls = chunks.map(|numbers| match numbers {
        numbers if chat.connection.is_some() => {
            call(DELETE_BUSINESS, json!({ "message_ids": numbers }))
        }
        [number] => call("deleteMessage", json!({ "message_id": number })),
        numbers => call("deleteMessages", json!({ "message_ids": numbers })),
    });
    calls.collect()
}

/// A bot has one reaction on a message; that on an album stands on its first.
fn reaction(command: &OutboundCommand, chat: &Chat) -> Result<Call, Unfit> {
    if chat.connection.is_some() {
        return Err(NO_REACTIONS);
    }
    let numbers = targets(command)?;
    let reaction: Vec<Value> = command
        .emojis
        .iter()
        .take(1)
        .map(|emoji| worded(emoji))
        .collect();
    let number = numbers.first().copied().unwrap_or_default();
    let params = json!({ "message_id": number, "reaction": reaction });
    Ok(call("setMessageReaction", params))
}

fn worded(emoji: &str) -> Value {
    // Telegram's reactions are written without the selector that asks for a colourful picture.
    let emoji: String = emoji.trim().chars().filter(|c| *c != '\u{fe0f}').collect();
    if emoji.len() >= CUSTOM_EMOJI_DIGITS && emoji.bytes().all(|byte| byte.is_ascii_digit()) {
        json!({ "type": "custom_emoji", "custom_emoji_id": emoji })
    } else {
        json!({ "type": "emoji", "emoji": emoji })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::common::v1::{
        Attachment, ContentPart, ReplyReference, Text, attachment, content_part::Content,
    };

    fn text(text: &str) -> ContentPart {
        ContentPart {
            content: Some(Content::Text(Text {
                text: text.to_owned(),
                entities: vec![],
            })),
        }
    }

    fn photo() -> ContentPart {
        ContentPart {
            content: Some(Content::Attachment(Attachment {
                attachment_id: "a".to_owned(),
                kind: attachment::Kind::Photo.into(),
                ..Attachment::default()
            })),
        }
    }

    fn command(action: Action, keys: &[&str], parts: Vec<ContentPart>) -> OutboundCommand {
        OutboundCommand {
            action: action.into(),
            chat_key: "5".to_owned(),
            target_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            parts,
            ..OutboundCommand::default()
        }
    }

    /// Method and parameters of each call, or the reason why there is none.
    fn planned(command: &OutboundCommand) -> Value {
        match plan(command) {
            Ok(calls) => calls
                .into_iter()
                .map(|call| json!([call.method, call.params]))
                .collect(),
            Err(unfit) => json!(unfit.reason),
        }
    }

    #[test]
    fn a_long_text_becomes_several_calls_and_only_the_first_is_a_reply() {
        let command = OutboundCommand {
            reply: Some(ReplyReference {
                provider_key: "5:77".into(),
                ..ReplyReference::default()
            }),
            ..command(
                Action::Send,
                &[],
                vec![text(&"word ".repeat(2_000)), photo()],
            )
        };
        let calls = plan(&command).unwrap();
        let replies: Vec<bool> = calls
            .iter()
            .map(|call| call.params.get("reply_parameters").is_some())
            .collect();
        assert_eq!(replies, [true, false, false, false]);
    }

    #[test]
    fn f189_files_and_text_are_one_message_and_an_album_has_its_text_on_the_first() {
        let one = command(Action::Send, &[], vec![photo(), text("чек")]);
        assert_eq!(
            planned(&one),
            json!([["sendPhoto", {"photo": {"$file": "a"}, "caption": "чек"}]])
        );
        let two = command(Action::Send, &[], vec![text("чек"), photo(), photo()]);
        assert_eq!(
            planned(&two),
            json!([["sendMediaGroup", {"media": [
                {"type": "photo", "media": {"$file": "a"}, "caption": "чек", "show_caption_above_media": true},
                {"type": "photo", "media": {"$file": "a"}, "show_caption_above_media": true},
            ]}]])
        );
    }

    #[test]
    fn deletions_go_by_the_hundred_and_by_the_connection() {
        let many: Vec<String> = (1..=101).map(|number| format!("5:{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let calls = plan(&command(Action::Delete, &many, vec![])).unwrap();
        assert_eq!(
            calls[0].params["message_ids"].as_array().unwrap().len(),
            100
        );
        assert_eq!(calls[1], call("deleteMessage", json!({"message_id": 101})));
        let business = OutboundCommand {
            chat_key: "business:bc:5".to_owned(),
            ..command(Action::Delete, &["bc:5:9"], vec![])
        };
        assert_eq!(
            planned(&business),
            json!([["deleteBusinessMessages", {"message_ids": [9]}]])
        );
        let body = super::super::call::body(&plan(&business).unwrap()[0], &business.chat_key);
        assert_eq!(
            body,
            json!({"message_ids": [9], "business_connection_id": "bc"})
        );
        assert_eq!(
            planned(&command(Action::Delete, &[], vec![])),
            json!("MESSAGE_NOT_SENT")
        );
    }

    #[test]
    fn reactions_are_one_on_the_first_message() {
        let react = |emojis: &[&str]| OutboundCommand {
            emojis: emojis.iter().map(|emoji| (*emoji).to_owned()).collect(),
            ..command(Action::React, &["5:1", "5:2"], vec![])
        };
        for (emojis, expected) in [
            (vec![], json!([])),
            (vec!["👍", "🔥"], json!([{"type": "emoji", "emoji": "👍"}])),
            (vec!["❤\u{fe0f}"], json!([{"type": "emoji", "emoji": "❤"}])),
            (
                vec!["5852631516261125005"],
                json!([{"type": "custom_emoji", "custom_emoji_id": "5852631516261125005"}]),
            ),
        ] {
            assert_eq!(
                planned(&react(&emojis)),
                json!([["setMessageReaction", {"message_id": 1, "reaction": expected}]])
            );
        }
        let business = OutboundCommand {
            chat_key: "business:bc:5".to_owned(),
            ..react(&["👍"])
        };
        assert_eq!(planned(&business), json!("UNSUPPORTED_COMMAND"));
    }

    #[test]
    fn what_cannot_be_planned_is_named() {
        let empty = ContentPart::default();
        for (command, reason) in [
            (command(Action::Send, &[], vec![]), "MESSAGE_EMPTY"),
            (command(Action::Send, &[], vec![text(" ")]), "MESSAGE_EMPTY"),
            (
                command(Action::Send, &[], vec![empty]),
                "UNSUPPORTED_CONTENT",
            ),
            (
                command(Action::Send, &[], vec![text(&"x".repeat(500_000))]),
                "MESSAGE_TOO_LONG",
            ),
            (
                command(Action::Edit, &[], vec![text("b")]),
                "MESSAGE_NOT_SENT",
            ),
            (
                command(Action::Edit, &["5:cb:9"], vec![text("b")]),
                "MESSAGE_NOT_SENT",
            ),
            (
                command(Action::Unspecified, &["5:1"], vec![]),
                "UNSUPPORTED_COMMAND",
            ),
        ] {
            assert_eq!(planned(&command), json!(reason));
        }
    }
}
