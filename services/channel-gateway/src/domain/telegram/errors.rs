//! What a refusal of the Bot API means (channels.md §2.3): parameters first, then words, then the code.

use serde_json::Value;

use super::refusals::TABLE;
pub use super::refusals::{CREDENTIALS_REFUSED, PHOTO_REFUSED};
use crate::domain::refusal::{Class, asked, refusal};
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

/// Tells what a refusal means.
pub fn classify(error: &ApiError) -> Class {
    if let Some(chat) = &error.migrate_to {
        return Class::Moved(chat.clone());
    }
    if error.code == 429 || error.retry_after.is_some() {
        // One second where the provider forgets to say how long.
        return Class::Flood(asked(error.retry_after.unwrap_or(1)));
    }
    let description = error.description.to_lowercase();
    let said = |words: &&str| description.contains(words);
    let known = TABLE.iter().find(|(words, _)| words.iter().any(said));
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
    use std::time::Duration;

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

    /// Code, words, and the reason or class.
    const REFUSALS: &[(u16, &str, &str)] = &[
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
        (400, "Bad Request: text must be non-empty", "MESSAGE_EMPTY"),
        (
            400,
            "Bad Request: message caption is too long",
            "MESSAGE_TOO_LONG",
        ),
        (400, "Bad Request: ENTITY_BOUNDS_INVALID", "Plain"),
        (400, "Bad Request: QUOTE_TEXT_INVALID", "WithoutReply"),
        (400, "Bad Request: PHOTO_INVALID_DIMENSIONS", "AsDocument"),
        (400, "Bad Request: IMAGE_PROCESS_FAILED", "AsDocument"),
        (400, "Bad Request: message to delete not found", "AlreadySo"),
        (
            400,
            "Bad Request: message to edit not found",
            "MESSAGE_NOT_FOUND",
        ),
        (
            400,
            "Bad Request: message to react not found",
            "MESSAGE_NOT_FOUND",
        ),
        (
            400,
            "Bad Request: message can't be edited",
            "MESSAGE_NOT_EDITABLE",
        ),
        (
            400,
            "Bad Request: message can't be deleted for everyone",
            "MESSAGE_NOT_DELETABLE",
        ),
        (400, "Bad Request: REACTION_INVALID", "REACTION_REFUSED"),
        (400, "Bad Request: file is too big", "FILE_TOO_LARGE"),
        (400, "Bad Request: file must be non-empty", "FILE_EMPTY"),
        (
            400,
            "Bad Request: wrong file identifier/HTTP URL specified",
            "FILE_UNAVAILABLE",
        ),
        (
            400,
            "Bad Request: failed to get HTTP URL content",
            "FILE_UNREACHABLE",
        ),
        (
            400,
            "Bad Request: BUSINESS_PEER_USAGE_MISSING",
            "WINDOW_CLOSED",
        ),
        (
            400,
            "Bad Request: business connection not found",
            "BUSINESS_CONNECTION_ENDED",
        ),
        (
            400,
            "Bad Request: VOICE_MESSAGES_FORBIDDEN",
            "VOICE_FORBIDDEN",
        ),
        (
            400,
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
            "PRESS_EXPIRED",
        ),
        (400, "Bad Request: MESSAGE_TOO_LONG", "MESSAGE_TOO_LONG"),
        (400, "Bad Request: something new", "MESSAGE_REFUSED"),
        (
            409,
            "Conflict: terminated by other getUpdates request",
            "CHANNEL_IN_USE",
        ),
        (413, "Request Entity Too Large", "FILE_TOO_LARGE"),
        (502, "Bad Gateway", "Outage"),
    ];

    #[test]
    fn refusals_are_told_apart_by_code_and_words() {
        for (code, description, expected) in REFUSALS {
            let error = ApiError {
                code: *code,
                description: (*description).into(),
                ..ApiError::default()
            };
            assert_eq!(reason(classify(&error)), *expected, "{code} {description}");
        }
    }

    // pitfall 05: a group that moved is written to where it is
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
