//! Telling echoes and receipts of our own sends from what is somebody else's (architecture §3).

use std::time::Duration;

use switchboard_proto::channel_gateway::v1::InboundMessage;
use time::OffsetDateTime;

use super::call::Call;
use super::{email, instagram};

/// An echo of an attempt tells a time that differs from the attempt's by so much at most.
const ABOUT_THEN: time::Duration = time::Duration::seconds(30);

/// What an item about a sent message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It speaks of what we sent.
    Ours,
    /// It speaks of something else.
    Foreign,
    /// It may speak of an attempt whose outcome is not known yet.
    Wait,
}

/// Judges an item: `known` when we sent what it names, `sending` while an attempt of its chat has no outcome; it waits no
/// longer than `most`.
pub fn judge(known: bool, sending: bool, waited: time::Duration, most: Duration) -> Verdict {
    if known {
        Verdict::Ours
    } else if sending && waited < most {
        Verdict::Wait
    } else {
        Verdict::Foreign
    }
}

/// Tells whether a message that left is what an attempt without an outcome sent: the mail has its Message-ID, a message of
/// Instagram says the same and left when the attempt began (channels.md §7.13).
pub fn is_of(
    call: &Call,
    began: OffsetDateTime,
    message: &InboundMessage,
    left: OffsetDateTime,
) -> bool {
    if call.method == email::plan::SEND {
        let own = call.params.get("message_id").and_then(|id| id.as_str());
        return own == Some(message.provider_key.as_str());
    }
    (left - began).abs() <= ABOUT_THEN && instagram::echo::says(call, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use switchboard_proto::common::v1::{ContentPart, Text, content_part::Content};

    #[test]
    fn pitfall_13_an_echo_is_of_an_attempt_that_says_the_same_about_then() {
        let text = Content::Text(Text {
            text: "Yes".to_owned(),
            entities: vec![],
        });
        let message = InboundMessage {
            provider_key: "<m1@shop.example>".to_owned(),
            parts: vec![ContentPart {
                content: Some(text),
            }],
            ..InboundMessage::default()
        };
        let call = |method: &str, params| Call {
            method: method.to_owned(),
            params,
        };
        let direct = call("POST /me/messages", json!({ "message": { "text": "Yes" } }));
        let mail = |id: &str| call("mail", json!({ "message_id": id, "text": "Yes" }));
        let telegram = call("sendMessage", json!({ "text": "Yes" }));
        for (call, apart, expected) in [
            (&direct, 0, true),
            (&direct, 30, true),
            (&direct, -30, true),
            (&direct, 31, false),
            (&mail("<m1@shop.example>"), 86_400, true),
            (&mail("<m2@shop.example>"), 0, false),
            (&telegram, 0, false),
        ] {
            let began = OffsetDateTime::UNIX_EPOCH;
            let left = began + time::Duration::seconds(apart);
            assert_eq!(
                is_of(call, began, &message, left),
                expected,
                "{call:?} {apart}"
            );
        }
    }

    #[test]
    fn an_echo_is_foreign_only_when_no_attempt_can_be_its_cause() {
        let most = Duration::from_secs(10);
        for (known, sending, waited, expected) in [
            (true, false, 0, Verdict::Ours),
            (true, true, 0, Verdict::Ours),
            (false, false, 0, Verdict::Foreign),
            (false, true, 0, Verdict::Wait),
            (false, true, 9, Verdict::Wait),
            (false, true, 10, Verdict::Foreign),
        ] {
            let waited = time::Duration::seconds(waited);
            assert_eq!(judge(known, sending, waited, most), expected);
        }
    }
}
