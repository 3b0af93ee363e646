//! What a refusal of the Graph API means (channels.md §4.4): by its numbers; its words are for readers.

use std::time::Duration;

use serde_json::Value;

use crate::domain::refusal::{Class, Refusal, asked, passing, refusal};
use crate::domain::value;

/// A refusal as the Graph API words it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status: 400 for most, also for a dead token.
    pub status: u16,
    /// `code`; none where the answer is not the Graph API's.
    pub code: Option<i64>,
    /// `error_subcode`.
    pub subcode: Option<i64>,
    /// Meta's sentence, without what could be a token.
    pub message: String,
    /// By this Meta finds the call again.
    pub trace: String,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// Reads an answer that holds an error.
    pub fn read(status: u16, body: &Value, retry_after: Option<u64>) -> Self {
        let error = value::object(body, "error").unwrap_or(body);
        // An error of the log-in repeats the status in place of a code.
        let code = value::int(error, "code").filter(|code| *code != i64::from(status));
        let message = value::text(error, "message").or_else(|| value::text(error, "error_message"));
        Self {
            status,
            code,
            subcode: value::int(error, "error_subcode"),
            message: without_secrets(&message.unwrap_or_default()),
            trace: value::text(error, "fbtrace_id").unwrap_or_default(),
            retry_after,
        }
    }

    /// An answer that is not the Graph API's: of something between it and us, which says nothing of token or message.
    /// A 429 is taken for a flood, everything else for an outage.
    pub fn between(status: u16, retry_after: Option<u64>) -> Self {
        Self {
            status: if status == 429 { 429 } else { 503 },
            message: format!("status {status} without an answer of the Graph API"),
            retry_after,
            ..Self::default()
        }
    }
}

/// Meta repeats a malformed token in its sentence: long words are left out.
fn without_secrets(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let token = word.len() > 32 && word.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if token { "…" } else { word }
    });
    words.take(100).collect::<Vec<_>>().join(" ")
}

/// The provider no longer believes the token. What customers write goes on coming.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "Instagram refused the account's token: an administrator must connect the channel anew.",
    retryable: true,
};

/// The token lacks a permission, or the app a feature.
pub const PERMISSION_MISSING: Refusal = Refusal {
    reason: "PERMISSION_MISSING",
    detail: "Instagram misses a permission for this: an administrator must connect the channel anew and grant it.",
    retryable: true,
};

/// Meta has blocked the account or the app.
pub const POLICY_BLOCKED: Refusal = Refusal {
    reason: "POLICY_BLOCKED",
    detail: "Meta has blocked this account for what it sent: an administrator must clear that with Meta.",
    retryable: true,
};

/// Meta says that it is out of order, time and again: as often that the customer may have blocked the account.
pub const OUT_OF_ORDER: Refusal = Refusal {
    reason: "PROVIDER_UNAVAILABLE",
    detail: "Instagram could not send the message, though it was tried several times: Instagram is out of order, or the customer has blocked this account.",
    retryable: true,
};

const SEVERAL_IMAGES: i64 = 2_534_068;

/// How long to wait where Meta says that too much was asked but not how long.
const PAUSE: Duration = Duration::from_mins(1);
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Tells whether the account may not send several pictures in one message yet: then they go one by one.
pub fn wants_single_images(error: &ApiError) -> bool {
    error.subcode == Some(SEVERAL_IMAGES) || error.code == Some(SEVERAL_IMAGES)
}

/// Tells what a refusal means.
pub fn classify(error: &ApiError) -> Class {
    let told = error.retry_after.map(asked);
    if let Some(class) = error.subcode.and_then(of_subcode) {
        return class;
    }
    match error.code {
        Some(4 | 17 | 32 | 613 | 80_002) => Class::Flood(told.unwrap_or(PAUSE)),
        _ if error.subcode == Some(2_534_040) || error.status == 429 => {
            Class::Flood(told.unwrap_or(SHORT_PAUSE))
        }
        Some(190 | 102) => Class::Disconnected(CREDENTIALS_REFUSED),
        Some(3 | 10 | 200..=299) => Class::Disconnected(PERMISSION_MISSING),
        Some(368 | 1_893_063) => Class::Disconnected(POLICY_BLOCKED),
        Some(1 | 2 | 1_545_133) => Class::Outage,
        Some(551 | 1_545_041) => UNREACHABLE,
        Some(9_000_001) => refusal("MESSAGE_NOT_FOUND", "The message is gone in Instagram."),
        Some(SEVERAL_IMAGES) => SINGLE_IMAGES,
        _ if error.status >= 500 => Class::Outage,
        _ => refusal("MESSAGE_REFUSED", "Instagram refused the message."),
    }
}

const UNREACHABLE: Class = passing(
    "CLIENT_UNREACHABLE",
    "The client cannot be reached in Instagram: blocked or deactivated.",
);
const SINGLE_IMAGES: Class = refusal(
    "SEVERAL_IMAGES_REFUSED",
    "This account may send one picture in a message only.",
);

/// Subcodes that say more than their code, whichever that is.
fn of_subcode(subcode: i64) -> Option<Class> {
    Some(match subcode {
        2_534_022 | 2_018_278 => refusal(
            "WINDOW_CLOSED",
            "The customer wrote too long ago: Instagram lets nobody answer until they write again.",
        ),
        33 | 2_018_001 | 2_534_014 => refusal(
            "CHAT_NOT_FOUND",
            "Instagram does not know this client or message on this account.",
        ),
        2_534_025 => refusal(
            "PRIVATE_REPLY_USED",
            "A comment can be answered in Direct once only, and this one was.",
        ),
        SEVERAL_IMAGES => SINGLE_IMAGES,
        1_545_041 => UNREACHABLE,
        1_545_133 => Class::Outage,
        1_893_063 => Class::Disconnected(POLICY_BLOCKED),
        9_000_001 => refusal("MESSAGE_NOT_FOUND", "The message is gone in Instagram."),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn word(class: Class) -> String {
        match class {
            Class::Refused(refusal) => refusal.reason.to_owned(),
            Class::Disconnected(refusal) => format!("reconnect: {}", refusal.reason),
            Class::Flood(pause) => format!("wait {}", pause.as_secs()),
            other => format!("{other:?}"),
        }
    }

    // pitfall 16: a dead token is told from all else
    #[test]
    fn refusals_are_told_apart_by_their_numbers() {
        for (status, code, subcode, expected) in [
            (400, 1, None, "Outage"),
            (500, 2, None, "Outage"),
            (400, 2, Some(1_545_133), "Outage"),
            (400, 4, None, "wait 60"),
            (400, 17, None, "wait 60"),
            (400, 32, None, "wait 60"),
            (400, 613, Some(2_534_040), "wait 60"),
            (400, 80_002, None, "wait 60"),
            (429, 1, None, "wait 5"),
            (400, 10, Some(2_534_022), "WINDOW_CLOSED"),
            (400, 10, Some(2_018_278), "WINDOW_CLOSED"),
            (403, 10, None, "reconnect: PERMISSION_MISSING"),
            (400, 200, None, "reconnect: PERMISSION_MISSING"),
            (400, 230, Some(7), "reconnect: PERMISSION_MISSING"),
            (400, 3, None, "reconnect: PERMISSION_MISSING"),
            (400, 100, Some(33), "CHAT_NOT_FOUND"),
            (400, 100, Some(2_018_001), "CHAT_NOT_FOUND"),
            (400, 100, Some(2_534_014), "CHAT_NOT_FOUND"),
            (400, 100, Some(2_534_025), "PRIVATE_REPLY_USED"),
            (400, 100, None, "MESSAGE_REFUSED"),
            (400, 100, Some(2_534_068), "SEVERAL_IMAGES_REFUSED"),
            (400, 190, Some(463), "reconnect: CREDENTIALS_REFUSED"),
            (400, 190, Some(458), "reconnect: CREDENTIALS_REFUSED"),
            (400, 368, None, "reconnect: POLICY_BLOCKED"),
            (400, 551, Some(1_545_041), "CLIENT_UNREACHABLE"),
            (400, 9_000_001, None, "MESSAGE_NOT_FOUND"),
            (400, 77, None, "MESSAGE_REFUSED"),
            (503, 77, None, "Outage"),
        ] {
            let body =
                json!({ "error": { "message": "m", "code": code, "error_subcode": subcode } });
            let error = ApiError::read(status, &body, None);
            assert_eq!(
                word(classify(&error)),
                expected,
                "{status} {code} {subcode:?}"
            );
            assert_eq!(wants_single_images(&error), subcode == Some(2_534_068));
        }
    }

    #[test]
    fn what_stands_between_is_never_taken_for_the_graph_api() {
        for (status, after, expected) in [
            (404, None, "Outage"),
            (401, None, "Outage"),
            (502, None, "Outage"),
            (429, None, "wait 5"),
            (429, Some(7), "wait 7"),
        ] {
            assert_eq!(
                word(classify(&ApiError::between(status, after))),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_token_that_meta_repeats_is_not_kept() {
        let token = "EAAG".repeat(20);
        let body = json!({ "error": { "message": format!("Malformed access token {token} (#190)"), "code": "190", "fbtrace_id": "T" } });
        let error = ApiError::read(400, &body, Some(3));
        assert_eq!(error.message, "Malformed access token … (#190)");
        assert_eq!((error.code, error.trace.as_str()), (Some(190), "T"));
        let login = json!({ "error_type": "OAuthException", "code": 400, "error_message": "No." });
        let error = ApiError::read(400, &login, None);
        assert_eq!((error.code, error.message.as_str()), (None, "No."));
        assert_eq!(word(classify(&error)), "MESSAGE_REFUSED");
    }
}
