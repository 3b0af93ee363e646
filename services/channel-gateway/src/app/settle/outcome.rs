//! What became of an attempt.

use std::time::Duration;

use switchboard_proto::channel_gateway::v1::RecipientRefusal;

use crate::domain::call::Call;
use crate::domain::refusal::Refusal;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The provider accepted it.
    Sent {
        /// The provider's keys of the messages that it made of the part; most are one.
        provider_keys: Vec<String>,
        /// Recipients that were refused while others were accepted.
        refused: Vec<RecipientRefusal>,
    },
    /// It failed for good.
    Failed {
        /// `UPPER_SNAKE_CASE`.
        reason: String,
        /// A sentence that an agent can read.
        detail: String,
        /// A later retry by an agent may succeed.
        retryable: bool,
        /// The refused credentials' number, where the credentials were refused.
        disconnect: Option<i64>,
    },
    /// Nobody knows.
    Uncertain {
        /// What happened.
        detail: String,
    },
    /// The provider accepted a piece of it; the rest goes now.
    Further {
        /// The provider's key of the piece.
        provider_key: String,
        /// The call for the rest.
        call: Call,
    },
    /// It was not carried out, and goes again.
    Again {
        /// Not before this long.
        wait: Duration,
        /// The provider asked to wait.
        flood: bool,
        /// The call, amended or as it was.
        call: Call,
        /// The chat's new key.
        chat_key: Option<String>,
    },
    /// The provider takes nothing from the whole channel for now: it goes again when the channel does.
    Paused {
        /// Why, for administrators.
        refusal: Refusal,
        /// The call as it was.
        call: Call,
    },
}

impl Outcome {
    /// Returns the word that metrics count it by.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Failed { .. } => "failed",
            Self::Uncertain { .. } => "uncertain",
            Self::Further { .. } => "further",
            Self::Again { .. } | Self::Paused { .. } => "again",
        }
    }

    /// Returns why, for metrics: one of the few reasons that are told to agents, or a word for what holds it up. Empty
    /// where there is nothing to tell.
    pub fn cause(&self) -> String {
        match self {
            Self::Sent { refused, .. } if !refused.is_empty() => "RECIPIENT_REFUSED".to_owned(),
            Self::Failed { reason, .. } => reason.clone(),
            Self::Paused { refusal, .. } => refusal.reason.to_owned(),
            Self::Again { flood: true, .. } => "FLOOD".to_owned(),
            Self::Sent { .. }
            | Self::Uncertain { .. }
            | Self::Further { .. }
            | Self::Again { .. } => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_counted_by_its_word_and_its_cause() {
        let call = || Call {
            method: "sendMessage".to_owned(),
            params: json!({}),
        };
        let again = |flood| Outcome::Again {
            wait: Duration::ZERO,
            flood,
            call: call(),
            chat_key: None,
        };
        let sent = |refused| Outcome::Sent {
            provider_keys: Vec::new(),
            refused,
        };
        let balance = Refusal {
            reason: "BALANCE_EXHAUSTED",
            detail: "Paid no more.",
            retryable: true,
        };
        for (outcome, word, cause) in [
            (sent(Vec::new()), "sent", ""),
            (
                sent(vec![RecipientRefusal::default()]),
                "sent",
                "RECIPIENT_REFUSED",
            ),
            (
                Outcome::Failed {
                    reason: "WINDOW_CLOSED".to_owned(),
                    detail: String::new(),
                    retryable: false,
                    disconnect: None,
                },
                "failed",
                "WINDOW_CLOSED",
            ),
            (
                Outcome::Uncertain {
                    detail: String::new(),
                },
                "uncertain",
                "",
            ),
            (again(false), "again", ""),
            (again(true), "again", "FLOOD"),
            (
                Outcome::Paused {
                    refusal: balance,
                    call: call(),
                },
                "again",
                "BALANCE_EXHAUSTED",
            ),
        ] {
            assert_eq!((outcome.word(), &*outcome.cause()), (word, cause));
        }
    }
}
