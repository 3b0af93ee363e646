//! What a refusal of Viber means (channels.md §3.3): one table of its statuses.

use std::time::Duration;

use serde_json::Value;

use crate::domain::refusal::{BLOCKED, Class, Refusal, asked, passing, refusal};
use crate::domain::value;

/// The status of a bot whose webhook is lost: it must be set again before the same call can succeed.
pub const WEBHOOK_NOT_SET: u64 = 10;
/// The status of a call that came too soon after others.
pub const TOO_MANY_REQUESTS: u64 = 12;
/// The status of a token that Viber does not know.
pub const INVALID_TOKEN: u64 = 2;

/// How long a flood lasts where Viber does not say, as it never does: minutes. Its rule counts the messages to one customer
/// who does not answer (channels.md §3.3): those to others may go on.
const FLOOD: Duration = Duration::from_mins(5);

/// A refusal as Viber words it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiError {
    /// Viber's own status; none where the answer is not Viber's.
    pub status: Option<u64>,
    /// The answer is of something between Viber and us.
    pub between: bool,
    /// The provider's words. Hold no secret.
    pub message: String,
    /// The `Retry-After` header, in seconds, should something between Viber and us send one.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// Reads an answer whose `status` is not 0. HTTP says 200 all the same.
    pub fn read(body: &Value, retry_after: Option<u64>) -> Self {
        let status = value::int(body, "status").and_then(|status| u64::try_from(status).ok());
        let message = value::text(body, "status_message").unwrap_or_default();
        Self {
            // A status below 0 is Viber's too, and none of its table.
            status: Some(status.unwrap_or(u64::MAX)),
            between: false,
            message: message.chars().take(200).collect(),
            retry_after,
        }
    }

    /// An answer that is not Viber's: of something between it and us, which says nothing of token or message. A 429 is
    /// taken for a flood, everything else for an outage.
    pub fn between(http_status: u16, retry_after: Option<u64>) -> Self {
        Self {
            status: (http_status == 429).then_some(TOO_MANY_REQUESTS),
            between: true,
            message: format!("status {http_status} without an answer of Viber"),
            retry_after,
        }
    }

    /// Tells whether the webhook must be set again before the call is repeated.
    pub fn webhook_lost(&self) -> bool {
        self.status == Some(WEBHOOK_NOT_SET)
    }
}

/// The provider no longer believes the token.
pub const CREDENTIALS_REFUSED: Refusal = Refusal {
    reason: "CREDENTIALS_REFUSED",
    detail: "Viber refused the bot's token: an administrator must connect the channel anew.",
    retryable: true,
};

/// The provider believes the token and does not let the bot work.
const BOT_SUSPENDED: Refusal = Refusal {
    reason: "CHANNEL_SUSPENDED",
    detail: "Viber has blocked or suspended the bot: its owner must settle that with Viber.",
    retryable: true,
};

/// The bot may send again once somebody has paid: failing each message until then helps nobody.
const BALANCE_EXHAUSTED: Refusal = Refusal {
    reason: "BALANCE_EXHAUSTED",
    detail: "The bot's free messages or its balance at Viber are used up: messages wait until its owner tops it up there.",
    retryable: true,
};

/// Tells what a refusal means.
pub fn classify(error: &ApiError) -> Class {
    let Some(status) = error.status else {
        return Class::Outage;
    };
    match status {
        1 => refusal(
            "WEBHOOK_REFUSED",
            "Viber does not take the webhook's address.",
        ),
        INVALID_TOKEN | 8 | 15 => Class::Disconnected(CREDENTIALS_REFUSED),
        3 | 4 => refusal("MESSAGE_REFUSED", "Viber refused the message."),
        5 => refusal(
            "CLIENT_DELETED",
            "The client is no longer registered with Viber.",
        ),
        6 => passing(
            BLOCKED,
            "The client is not subscribed to the bot or has blocked it.",
        ),
        7 | 9 => Class::Disconnected(BOT_SUSPENDED),
        11 => refusal(
            "CLIENT_UNREACHABLE",
            "None of the client's devices can show messages of bots.",
        ),
        TOO_MANY_REQUESTS => {
            let wait = error.retry_after.map_or(FLOOD, asked);
            if error.between {
                Class::Flood(wait)
            } else {
                Class::ChatFlood(wait)
            }
        }
        13 | 14 => refusal(
            "CLIENT_APP_TOO_OLD",
            "The client's Viber is too old for this message.",
        ),
        16..=20 | 22 => refusal(
            "MESSAGE_REFUSED",
            "Viber does not let this bot send such a message.",
        ),
        21 => refusal(
            "CLIENT_UNREACHABLE",
            "Viber does not let bots write to the client's country.",
        ),
        23 | 24 => Class::Paused(BALANCE_EXHAUSTED),
        // 10 among them: the same again, once the webhook is set.
        _ => Class::Outage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reason(status: i64) -> String {
        let error = ApiError::read(&json!({ "status": status, "status_message": "x" }), None);
        match classify(&error) {
            Class::Refused(refusal) => refusal.reason.to_owned(),
            Class::Disconnected(refusal) => format!("disconnected: {}", refusal.reason),
            Class::Paused(refusal) => format!("paused: {}", refusal.reason),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        for (status, expected) in [
            (1, "WEBHOOK_REFUSED"),
            (2, "disconnected: CREDENTIALS_REFUSED"),
            (3, "MESSAGE_REFUSED"),
            (4, "MESSAGE_REFUSED"),
            (5, "CLIENT_DELETED"),
            (6, "CLIENT_BLOCKED_CHANNEL"),
            (7, "disconnected: CHANNEL_SUSPENDED"),
            (8, "disconnected: CREDENTIALS_REFUSED"),
            (9, "disconnected: CHANNEL_SUSPENDED"),
            (10, "Outage"),
            (11, "CLIENT_UNREACHABLE"),
            (12, "ChatFlood(300s)"),
            (13, "CLIENT_APP_TOO_OLD"),
            (14, "CLIENT_APP_TOO_OLD"),
            (15, "disconnected: CREDENTIALS_REFUSED"),
            (16, "MESSAGE_REFUSED"),
            (19, "MESSAGE_REFUSED"),
            (21, "CLIENT_UNREACHABLE"),
            (22, "MESSAGE_REFUSED"),
            (23, "paused: BALANCE_EXHAUSTED"),
            (24, "paused: BALANCE_EXHAUSTED"),
            (25, "Outage"),
            (999, "Outage"),
            (-1, "Outage"),
        ] {
            assert_eq!(reason(status), expected, "{status}");
        }
    }

    #[test]
    fn a_lost_webhook_is_told_from_other_outages() {
        let lost = ApiError::read(&json!({ "status": 10 }), None);
        assert!(lost.webhook_lost());
        assert!(!ApiError::between(502, None).webhook_lost());
    }

    #[test]
    fn what_stands_between_viber_and_us_refuses_neither_token_nor_message() {
        for status in [302, 401, 403, 404, 413, 500, 502] {
            assert_eq!(
                classify(&ApiError::between(status, None)),
                Class::Outage,
                "{status}"
            );
        }
        let flood = classify(&ApiError::between(429, Some(7)));
        assert_eq!(flood, Class::Flood(Duration::from_secs(7)));
    }
}
