//! Errors of use cases, and how they are answered.

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};

/// This service's name: the domain of its errors and the source of its events.
pub const SERVICE: &str = "crm-cards";

/// Why a use case did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away, or something must be fixed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The agent's rights on leads or contacts do not reach this at all (F175, F176).
    #[error("the rights on leads or contacts do not allow this")]
    CrmAccess,
    /// The agent may not work with chats (F175).
    #[error("chats are not open to this agent")]
    ChatAccess,
    /// The agent may not change settings.
    #[error("settings are not open to this agent")]
    SettingsAccess,
    /// It does not exist, or not for this caller.
    #[error("the {what} is not known")]
    Unknown {
        /// What, for a person: `card`.
        what: &'static str,
        /// The reason in the answer: `CARD_UNKNOWN`.
        reason: &'static str,
        /// Its id.
        id: String,
    },
    /// A field is wrong.
    #[error("{field}: {description}")]
    Field {
        /// The field.
        field: &'static str,
        /// What must hold.
        description: &'static str,
    },
    /// Orders are made for buyers only (F117).
    #[error("the contact is not saved as a buyer")]
    NotABuyer,
    /// A source's name is unique in its account.
    #[error("a source of this name exists")]
    SourceExists,
    /// A request id was used before with other content.
    #[error("the request id was used before with another content")]
    RequestIdReused(String),
}

impl Error {
    /// Says that something does not exist, or not for this caller.
    pub fn unknown(what: &'static str, reason: &'static str, id: impl std::fmt::Display) -> Self {
        Self::Unknown {
            what,
            reason,
            id: id.to_string(),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |code, reason, facts: &[(&str, &str)]| {
            grpc::refusal(SERVICE, code, reason, &message, facts)
        };
        match &error {
            Error::Database(cause) if is_away(cause) => grpc::unavailable(SERVICE, "database"),
            Error::Database(cause) => grpc::internal(SERVICE, cause),
            Error::CrmAccess => refuse(Code::PermissionDenied, "CRM_ACCESS_MISSING", &[]),
            Error::ChatAccess => refuse(Code::PermissionDenied, "CHAT_ACCESS_MISSING", &[]),
            Error::SettingsAccess => refuse(Code::PermissionDenied, "SETTINGS_ACCESS_MISSING", &[]),
            Error::Unknown { reason, id, .. } => refuse(Code::NotFound, reason, &[("id", id)]),
            Error::Field { field, description } => {
                grpc::invalid(SERVICE, &[FieldViolation::new(*field, *description)])
            }
            Error::NotABuyer => refuse(Code::FailedPrecondition, "CONTACT_NOT_A_BUYER", &[]),
            Error::SourceExists => refuse(Code::AlreadyExists, "SOURCE_EXISTS", &[]),
            Error::RequestIdReused(id) => chassis::request::reused(SERVICE, id),
        }
    }
}

/// Tells whether trying again later may help: no connection, or another transaction stood in the way.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        // Serialization, deadlock, lock timeout, statement cancelled, shutdown, too many connections.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(
                &*code,
                "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "53300"
            )
        }),
        _ => false,
    }
}
