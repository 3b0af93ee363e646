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

/// Reasons of failures for which the installation, its channel or the provider is to blame: what customers do, what a channel's
/// rules forbid and what a message cannot be sent as are others.
const MISSED: [&str; 10] = [
    "BALANCE_EXHAUSTED",
    "CHANNEL_DISCONNECTED",
    "CHANNEL_SUSPENDED",
    "CREDENTIALS_REFUSED",
    "FILE_MISSING",
    "FILE_UNAVAILABLE",
    "PERMISSION_MISSING",
    "PROVIDER_UNAVAILABLE",
    "SMTP_CREDENTIALS_REFUSED",
    "UNSUPPORTED_COMMAND",
];

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

    /// Returns what the objective of deliveries counts it as, where it is the end of one.
    pub fn result(&self) -> Option<&'static str> {
        match self {
            Self::Sent { .. } => Some("delivered"),
            Self::Uncertain { .. } => Some("missed"),
            Self::Failed { reason, .. } if MISSED.contains(&reason.as_str()) => Some("missed"),
            Self::Failed { .. } => Some("impossible"),
            Self::Further { .. } | Self::Again { .. } | Self::Paused { .. } => None,
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
    fn o28_an_outcome_is_counted_by_its_word_its_cause_and_what_it_means_for_the_objective() {
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
        for (outcome, word, cause, result) in [
            (sent(Vec::new()), "sent", "", Some("delivered")),
            (
                sent(vec![RecipientRefusal::default()]),
                "sent",
                "RECIPIENT_REFUSED",
                Some("delivered"),
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
                Some("impossible"),
            ),
            (
                Outcome::Failed {
                    reason: "PROVIDER_UNAVAILABLE".to_owned(),
                    detail: String::new(),
                    retryable: true,
                    disconnect: None,
                },
                "failed",
                "PROVIDER_UNAVAILABLE",
                Some("missed"),
            ),
            (
                Outcome::Uncertain {
                    detail: String::new(),
                },
                "uncertain",
                "",
                Some("missed"),
            ),
            (again(false), "again", "", None),
            (again(true), "again", "FLOOD", None),
            (
                Outcome::Paused {
                    refusal: balance,
                    call: call(),
                },
                "again",
                "BALANCE_EXHAUSTED",
                None,
            ),
        ] {
            assert_eq!(
                (outcome.word(), &*outcome.cause(), outcome.result()),
                (word, cause, result)
            );
        }
    }
}
