//! What can go wrong with quick replies.

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};

use super::DOMAIN;
use crate::domain::TEXT_MAX;
use crate::domain::quick_reply::{ACCOUNT_MAX, AGENT_MAX, Flaw};

/// An error of a use case of quick replies.
#[derive(Debug, thiserror::Error)]
pub enum QuickReplyError {
    /// No such quick reply, or one beyond the caller's rights.
    #[error("there is no such quick reply")]
    NotFound,
    /// Who calls may not change the account's and groups' quick replies.
    #[error(
        "the account's and groups' quick replies are changed with the scope channels:admin, by agents whose role has settings"
    )]
    SettingsAccessMissing,
    /// It is not what the caller saw: another change came first; this is its revision now.
    #[error("the quick reply has changed meanwhile: it is at revision {0}")]
    Overtaken(i64),
    /// Its owner has one with this shortcut.
    #[error("the owner has a quick reply with the shortcut {0} already")]
    ShortcutTaken(String),
    /// The account has as many as it may have.
    #[error("the account has {ACCOUNT_MAX} quick replies already: delete some first")]
    TooMany,
    /// The agent has as many own ones as one may have.
    #[error("the agent has {AGENT_MAX} quick replies already: delete some first")]
    TooManyOfAgent,
    /// Its text cannot be one of a quick reply.
    #[error("text.text: {0}")]
    Text(#[from] Flaw),
    /// A field is wrong.
    #[error("{field}: {rule}")]
    Field {
        /// The field.
        field: String,
        /// What must hold.
        rule: &'static str,
    },
    /// With the values that it has in the chat, its text is longer than a message's may be.
    #[error(
        "the quick reply has {0} characters in this chat, and a message's text has {TEXT_MAX} at most"
    )]
    RenderedTooLong(usize),
}

impl QuickReplyError {
    /// Says what is wrong with a field.
    pub fn field(field: impl Into<String>, rule: &'static str) -> Self {
        Self::Field {
            field: field.into(),
            rule,
        }
    }

    /// Returns what callers are told.
    pub fn status(&self) -> Status {
        let refuse = |code, reason, facts: &[(&str, &str)]| {
            grpc::refusal(DOMAIN, code, reason, &self.to_string(), facts)
        };
        match self {
            Self::NotFound => refuse(Code::NotFound, "QUICK_REPLY_NOT_FOUND", &[]),
            Self::SettingsAccessMissing => {
                refuse(Code::PermissionDenied, "SETTINGS_ACCESS_MISSING", &[])
            }
            Self::Overtaken(revision) => refuse(
                Code::Aborted,
                "CHANGED_MEANWHILE",
                &[("revision", &revision.to_string())],
            ),
            Self::ShortcutTaken(shortcut) => refuse(
                Code::AlreadyExists,
                "SHORTCUT_TAKEN",
                &[("shortcut", shortcut)],
            ),
            Self::TooMany => refuse(
                Code::FailedPrecondition,
                "TOO_MANY_QUICK_REPLIES",
                &[("limit", &ACCOUNT_MAX.to_string())],
            ),
            Self::TooManyOfAgent => refuse(
                Code::FailedPrecondition,
                "TOO_MANY_QUICK_REPLIES",
                &[("limit", &AGENT_MAX.to_string())],
            ),
            Self::Text(flaw) => grpc::invalid(
                DOMAIN,
                &[FieldViolation::new("text.text", flaw.to_string())],
            ),
            Self::Field { field, rule } => {
                grpc::invalid(DOMAIN, &[FieldViolation::new(field, *rule)])
            }
            Self::RenderedTooLong(characters) => refuse(
                Code::FailedPrecondition,
                "RENDERED_TOO_LONG",
                &[("characters", &characters.to_string())],
            ),
        }
    }
}
