//! The methods that change what was sent: edits, deletions, reactions; and the answer to a press of a button.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::answer::{Answer, Refusal};
use super::business;
use super::kept::Sent;
use super::params::Params;
use super::send::{self, chat_of, outgoing, record};
use super::state::{Bot, State};

/// How long a message can be deleted.
const DELETABLE_MS: i64 = 48 * 60 * 60 * 1_000;

/// Reactions that bots can set (a part of Telegram's list).
const REACTIONS: [&str; 24] = [
    "👍",
    "👎",
    "❤",
    "🔥",
    "🥰",
    "👏",
    "😁",
    "🤔",
    "🤯",
    "😱",
    "😢",
    "🎉",
    "🤩",
    "🙏",
    "👌",
    "🕊",
    "😍",
    "❤\u{200d}🔥",
    "💯",
    "🤣",
    "⚡",
    "🏆",
    "🤝",
    "😡",
];

const NOT_MODIFIED: &str = "message is not modified: specified new message content and reply markup are exactly the same \
                            as a current content and reply markup of the message";

pub(super) fn edit(state: &State, bot: &Bot, method: &str, params: Params) -> Answer {
    let (chat, via) = chat_of(state, bot, &params)?;
    let texts = method == "editMessageText";
    let mut content = if texts {
        send::text(bot, &params)?
    } else {
        json!({})
    };
    let id = params.integer("message_id").unwrap_or_default();
    let history = bot.history(chat, id);
    let Some(first) = history.first().filter(|_| !is_deleted(&history)) else {
        let description = if history.is_empty() && bot.knows_message(id) {
            "message can't be edited"
        } else {
            "message to edit not found"
        };
        return Err(Refusal::bad(description));
    };
    let at = first
        .message_ids
        .iter()
        .position(|of| *of == id)
        .unwrap_or(0);
    let media = first.media.get(at);
    let field = if texts { "text" } else { "caption" };
    match (texts, media) {
        (true, Some(_)) => {
            return Err(Refusal::bad("there is no text in the message to edit"));
        }
        (false, None) => {
            return Err(Refusal::bad("there is no caption in the message to edit"));
        }
        (false, Some(media)) => {
            content = media.clone();
            if let Some(content) = content.as_object_mut() {
                content.retain(|key, _| {
                    !matches!(
                        key.as_str(),
                        "caption" | "caption_entities" | "show_caption_above_media"
                    )
                });
            }
            send::add_caption(&mut content, &params.values)?;
        }
        (true, None) => {}
    }
    let wanted = content
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let edited = history.iter().rev().find(|sent| sent.method == method);
    let before = match edited {
        Some(sent) => sent.params.get(field),
        None if texts => first.params.get(field),
        None => media.and_then(|media| media.get(field)),
    };
    if before.and_then(Value::as_str).unwrap_or_default() == wanted {
        return Err(Refusal::bad(NOT_MODIFIED));
    }
    record(bot, method, chat, vec![id], params, vec![]);
    content["edit_date"] = json!(OffsetDateTime::now_utc().unix_timestamp());
    Ok(outgoing(bot, chat, via.as_ref(), id, content))
}

fn is_deleted(history: &[Sent]) -> bool {
    history.iter().any(|sent| sent.method.starts_with("delete"))
}

/// Whether a message of a chat can be deleted: the bot's own and, in private chats, the client's too.
fn deletable(bot: &Bot, chat: i64, id: i64) -> Result<(), Refusal> {
    let history = bot.history(chat, id);
    if is_deleted(&history) || (history.is_empty() && !bot.knows_message(id)) {
        return Err(Refusal::bad("message to delete not found"));
    }
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    let oldest = i64::try_from(now).unwrap_or(i64::MAX) - DELETABLE_MS;
    if history.first().is_some_and(|sent| sent.at_ms < oldest) {
        return Err(Refusal::bad("message can't be deleted for everyone"));
    }
    Ok(())
}

pub(super) fn delete(state: &State, bot: &Bot, params: Params) -> Answer {
    let (chat, _) = chat_of(state, bot, &params)?;
    let id = params
        .integer("message_id")
        .ok_or_else(|| Refusal::bad("message identifier is not specified"))?;
    deletable(bot, chat, id)?;
    record(bot, "deleteMessage", chat, vec![id], params, vec![]);
    Ok(json!(true))
}

fn several(params: &Params) -> Result<Vec<i64>, Refusal> {
    let ids = params.integers("message_ids");
    match ids.len() {
        0 => Err(Refusal::bad("message identifiers are not specified")),
        1..=100 => Ok(ids),
        _ => Err(Refusal::bad("too many message identifiers specified")),
    }
}

/// What cannot be found is passed over.
pub(super) fn delete_several(state: &State, bot: &Bot, params: Params) -> Answer {
    let (chat, _) = chat_of(state, bot, &params)?;
    let ids = several(&params)?;
    let found = ids
        .into_iter()
        .filter(|id| deletable(bot, chat, *id).is_ok());
    let found = found.collect();
    record(bot, "deleteMessages", chat, found, params, vec![]);
    Ok(json!(true))
}

pub(super) fn delete_business(bot: &Bot, params: Params) -> Answer {
    business::connected(bot, &params)?;
    let ids = several(&params)?;
    let chat = ids.iter().find_map(|id| bot.chat_of_message(*id));
    let chat = chat.ok_or_else(|| Refusal::bad("message to delete not found"))?;
    record(bot, "deleteBusinessMessages", chat, ids, params, vec![]);
    Ok(json!(true))
}

pub(super) fn react(state: &State, bot: &Bot, params: Params) -> Answer {
    let (chat, _) = chat_of(state, bot, &params)?;
    let id = params.integer("message_id").unwrap_or_default();
    let history = bot.history(chat, id);
    if is_deleted(&history) || (history.is_empty() && !bot.knows_message(id)) {
        return Err(Refusal::bad("message to react not found"));
    }
    let reactions = params.structured("reaction").unwrap_or(json!([]));
    let reactions = reactions.as_array().map_or(&[][..], Vec::as_slice);
    if reactions.len() > 1 {
        return Err(Refusal::bad("REACTIONS_TOO_MANY"));
    }
    let known = |reaction: &Value| match reaction["type"].as_str() {
        Some("emoji") => reaction["emoji"]
            .as_str()
            .is_some_and(|emoji| REACTIONS.contains(&emoji)),
        Some("custom_emoji") => reaction["custom_emoji_id"].is_string(),
        _ => false,
    };
    if !reactions.iter().all(known) {
        return Err(Refusal::bad("REACTION_INVALID"));
    }
    record(bot, "setMessageReaction", chat, vec![id], params, vec![]);
    Ok(json!(true))
}

pub(super) fn answer_press(bot: &Bot, params: &Params) -> Answer {
    let query = params.text("callback_query_id").unwrap_or_default();
    if bot.forget_press(query) {
        return Ok(json!(true));
    }
    Err(Refusal::bad(
        "query is too old and response timeout expired or query ID is invalid",
    ))
}
