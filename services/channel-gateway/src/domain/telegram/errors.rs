//! What a refusal of the Bot API means (channels.md §2.3): one table, in order of precedence.

use std::time::Duration;

use serde_json::Value;

use crate::domain::refusal::{BLOCKED, Class, Refusal, passing, refusal};
use crate::domain::value;

/// A refusal as the Bot API words it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, which is `error_code` too.
    pub code: u16,
    /// The provider's sentence. Holds no secret.
    pub description: String,
    /// `parameters.retry_after` or the `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
    /// `parameters.migrate_to_chat_id`.
    pub migrate_to: Option<String>,
}

impl ApiError {
    /// Reads an answer that is not `ok`.
    pub fn read(status: u16, body: &Value, retry_after_header: Option<u64>) -> Self {
        let parameters = body.get("parameters").unwrap_or(&Value::Null);
        let code = value::int(body, "error_code").and_then(|code| u16::try_from(code).ok());
        Self {
            code: code.unwrap_or(status),
            description: value::text(body, "description").unwrap_or_default(),
            retry_after: value::int(parameters, "retry_after")
                .and_then(|seconds| u64::try_from(seconds).ok())
                .or(retry_after_header),
            migrate_to: value::id(parameters, "migrate_to_chat_id"),
        }
    }

    /// An answer that is not the Bot API's: of something between it and us, which says nothing of token or message.
    /// A 429 is taken for a flood, everything else for an outage.
    pub fn between(status: u16, retry_after_header: Option<u64>) -> Self {
        Self {
            code: if status == 429 { 429 } else { 503 },
            description: format!("status {status} without an answer of the Bot API"),
            retry_after: retry_after_header,
            migrate_to: None,
        }
    }
}

/// The provider no longer believes the token.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "Telegram refused the bot's token: an administrator must connect the channel anew.",
    retryable: true,
};

/// Words of the description, in lower case, and what they mean; the first that occurs decides.
static TABLE: [(&str, Class); 34] = [
    ("message to be replied not found", Class::WithoutReply),
    ("replied message not found", Class::WithoutReply),
    ("can't parse entities", Class::Plain),
    ("can't find end of", Class::Plain),
    ("is not modified", Class::AlreadySo),
    (
        "bot was blocked by the user",
        passing(BLOCKED, "The client has blocked the bot."),
    ),
    (
        "user is deactivated",
        refusal(
            "CLIENT_DELETED",
            "The client has deleted the Telegram account.",
        ),
    ),
    (
        "can't initiate conversation",
        refusal(
            "CLIENT_NEVER_STARTED",
            "The client has not started the bot yet: bots cannot write first.",
        ),
    ),
    (
        "messages to bots",
        refusal("CLIENT_IS_BOT", "Bots cannot write to bots."),
    ),
    (
        "bot was kicked",
        refusal("CHAT_LEFT", "The bot was removed from the chat."),
    ),
    (
        "bot is not a member",
        refusal("CHAT_LEFT", "The bot was removed from the chat."),
    ),
    (
        "group chat was deleted",
        refusal("CHAT_GONE", "The chat was deleted."),
    ),
    (
        "group is deactivated",
        refusal("CHAT_GONE", "The chat was deleted."),
    ),
    (
        "chat not found",
        refusal("CHAT_NOT_FOUND", "Telegram does not know this chat."),
    ),
    (
        "user not found",
        refusal("CHAT_NOT_FOUND", "Telegram does not know this client."),
    ),
    (
        "peer_id_invalid",
        refusal("CHAT_NOT_FOUND", "Telegram does not know this chat."),
    ),
    (
        "message is too long",
        refusal("MESSAGE_TOO_LONG", "The message is too long for Telegram."),
    ),
    (
        "message_too_long",
        refusal("MESSAGE_TOO_LONG", "The message is too long for Telegram."),
    ),
    (
        "text is empty",
        refusal("MESSAGE_EMPTY", "The message has no text."),
    ),
    (
        "message text is empty",
        refusal("MESSAGE_EMPTY", "The message has no text."),
    ),
    (
        "message can't be edited",
        refusal(
            "MESSAGE_NOT_EDITABLE",
            "Telegram does not let this message be edited any more.",
        ),
    ),
    (
        "message can't be deleted",
        refusal(
            "MESSAGE_NOT_DELETABLE",
            "Telegram lets bots delete messages within 48 hours only.",
        ),
    ),
    (
        "message to edit not found",
        refusal("MESSAGE_NOT_FOUND", "The message is gone in Telegram."),
    ),
    (
        "message to delete not found",
        refusal("MESSAGE_NOT_FOUND", "The message is gone in Telegram."),
    ),
    (
        "message_id_invalid",
        refusal("MESSAGE_NOT_FOUND", "The message is gone in Telegram."),
    ),
    (
        "not enough rights",
        refusal("RIGHTS_MISSING", "The bot may not do this in the chat."),
    ),
    (
        "need administrator rights",
        refusal("RIGHTS_MISSING", "The bot may not do this in the chat."),
    ),
    (
        "file is too big",
        refusal("FILE_TOO_LARGE", "The file is too large for Telegram."),
    ),
    (
        "request entity too large",
        refusal("FILE_TOO_LARGE", "The file is too large for Telegram."),
    ),
    (
        "photo_invalid_dimensions",
        refusal(
            "PHOTO_REFUSED",
            "Telegram does not take a picture of these dimensions.",
        ),
    ),
    (
        "image_process_failed",
        refusal("PHOTO_REFUSED", "Telegram could not read the picture."),
    ),
    (
        "bad webhook",
        refusal(
            "WEBHOOK_REFUSED",
            "Telegram does not take the webhook's address.",
        ),
    ),
    (
        "invalid bot token",
        Class::Disconnected(CREDENTIALS_REFUSED),
    ),
    (
        "terminated by other getupdates",
        refusal("CHANNEL_IN_USE", "Another program uses this bot's token."),
    ),
];

/// Tells what a refusal means.
pub fn classify(error: &ApiError) -> Class {
    if let Some(chat) = &error.migrate_to {
        return Class::Moved(chat.clone());
    }
    if error.code == 429 || error.retry_after.is_some() {
        // One second where the provider forgets to say how long.
        return Class::Flood(Duration::from_secs(
            error.retry_after.unwrap_or(1).clamp(1, 86_400),
        ));
    }
    let description = error.description.to_lowercase();
    let known = TABLE.iter().find(|(words, _)| description.contains(words));
    if let Some((_, class)) = known {
        return class.clone();
    }
    match error.code {
        // A malformed token is answered 404.
        401 | 404 => Class::Disconnected(CREDENTIALS_REFUSED),
        409 => refusal("CHANNEL_IN_USE", "Another program uses this bot's token."),
        403 => refusal(
            "CHAT_FORBIDDEN",
            "Telegram does not let the bot write to this client.",
        ),
        413 => refusal("FILE_TOO_LARGE", "The message is too large for Telegram."),
        500..=599 => Class::Outage,
        _ => refusal("MESSAGE_REFUSED", "Telegram refused the message."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reason(class: Class) -> String {
        match class {
            Class::Refused(refusal) | Class::Disconnected(refusal) => refusal.reason.to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_stands_between_the_bot_api_and_us_refuses_neither_token_nor_message() {
        for (status, expected) in [
            (401, Class::Outage),
            (403, Class::Outage),
            (404, Class::Outage),
            (413, Class::Outage),
            (502, Class::Outage),
            (302, Class::Outage),
            (429, Class::Flood(Duration::from_secs(1))),
        ] {
            assert_eq!(
                classify(&ApiError::between(status, None)),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn refusals_are_told_apart_by_code_and_words() {
        for (code, description, expected) in [
            (
                403,
                "Forbidden: bot was blocked by the user",
                "CLIENT_BLOCKED_CHANNEL",
            ),
            (403, "Forbidden: user is deactivated", "CLIENT_DELETED"),
            (
                403,
                "Forbidden: bot can't initiate conversation with a user",
                "CLIENT_NEVER_STARTED",
            ),
            (
                403,
                "Forbidden: bot was kicked from the supergroup chat",
                "CHAT_LEFT",
            ),
            (403, "Forbidden: the group chat was deleted", "CHAT_GONE"),
            (403, "Forbidden: something new", "CHAT_FORBIDDEN"),
            // Older servers word kicks as 401: the words decide, the token is fine.
            (401, "Unauthorized: bot was kicked from a chat", "CHAT_LEFT"),
            (401, "Unauthorized", "CREDENTIALS_REFUSED"),
            (404, "Not Found", "CREDENTIALS_REFUSED"),
            (400, "Bad Request: chat not found", "CHAT_NOT_FOUND"),
            (
                400,
                "Bad Request: message to be replied not found",
                "WithoutReply",
            ),
            (
                400,
                "Bad Request: can't parse entities: unexpected end tag",
                "Plain",
            ),
            (
                400,
                "Bad Request: message is not modified: same content",
                "AlreadySo",
            ),
            (400, "Bad Request: message text is empty", "MESSAGE_EMPTY"),
            (400, "Bad Request: MESSAGE_TOO_LONG", "MESSAGE_TOO_LONG"),
            (400, "Bad Request: something new", "MESSAGE_REFUSED"),
            (
                409,
                "Conflict: terminated by other getUpdates request",
                "CHANNEL_IN_USE",
            ),
            (413, "Request Entity Too Large", "FILE_TOO_LARGE"),
            (502, "Bad Gateway", "Outage"),
        ] {
            let error = ApiError {
                code,
                description: description.into(),
                ..ApiError::default()
            };
            assert_eq!(reason(classify(&error)), expected, "{code} {description}");
        }
    }

    #[test]
    fn parameters_say_how_long_to_wait_and_where_the_chat_went() {
        let read = |body: serde_json::Value| classify(&ApiError::read(400, &body, None));
        let body = json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 7}});
        assert_eq!(read(body), Class::Flood(Duration::from_secs(7)));
        let body = json!({"ok": false, "error_code": 400, "parameters": {"migrate_to_chat_id": -1_001_293_752_024_i64}});
        assert_eq!(read(body), Class::Moved("-1001293752024".into()));
        let header = ApiError::read(429, &json!({}), Some(3));
        assert_eq!(classify(&header), Class::Flood(Duration::from_secs(3)));
    }
}
