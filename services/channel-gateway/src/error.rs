//! What can go wrong, and how callers are told.

use chassis::grpc;
use chassis::seal::SealError;
use tonic::{Code, Status};

use crate::app::accept::NotAccepted;
use crate::domain::channel::ChannelKind;
use crate::domain::mailbox::server::ServerAway;
use crate::domain::quota::Full;
use crate::domain::refusal::Refusal;
use crate::files::store::StoreError;

/// This service's name: the domain of its errors.
pub const DOMAIN: &str = "channel-gateway";

/// Why a request or an event could not be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away or refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A secret could not be sealed or opened.
    #[error("secret: {0}")]
    Seal(#[from] SealError),
    /// Nothing of this account that the caller may see has this id.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// The line stands on another channel.
    #[error("{} is connected already: use that channel, or disconnect it first", .0.line())]
    AlreadyConnected(ChannelKind),
    /// The id that the caller chose is taken.
    #[error("the channel id is taken")]
    IdTaken,
    /// The channel was changed while it was worked on.
    #[error("the channel was changed meanwhile: try again")]
    Changed,
    /// The request id was used with another content.
    #[error("the request id was used before with another content")]
    RequestIdReused(String),
    /// The agent's role does not let it.
    #[error("the agent may not do this: {0}")]
    Forbidden(&'static str),
    /// The provider refused.
    #[error("the provider refused: {}", .0.reason)]
    Refused(Refusal),
    /// The provider does not answer.
    #[error("{} does not answer", .0.provider())]
    ProviderAway(ChannelKind),
    /// A server of a mailbox cannot be used: which, why, and what to do.
    #[error("{0}")]
    MailServerAway(Box<ServerAway>),
    /// The object store is away, or lacks what it should have.
    #[error("files: {0}")]
    Files(#[from] StoreError),
    /// INBOUND did not take an item.
    #[error("inbound: {0}")]
    NotAccepted(#[from] NotAccepted),
    /// The file's bytes are not in the store.
    #[error("the file is not stored: ask for its state")]
    NotStored,
    /// The account's uploads take what they may.
    #[error("{0}")]
    QuotaReached(#[from] Full),
    /// A field is wrong.
    #[error("{field} {rule}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refuse =
            |code, reason: &str| grpc::refusal(DOMAIN, code, reason, &error.to_string(), &[]);
        match &error {
            Error::Database(
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed,
            ) => grpc::unavailable(DOMAIN, "database"),
            Error::NotFound(_) => refuse(Code::NotFound, "NOT_FOUND"),
            Error::AlreadyConnected(_) => refuse(Code::AlreadyExists, "CHANNEL_ALREADY_CONNECTED"),
            Error::IdTaken => refuse(Code::AlreadyExists, "CHANNEL_ID_TAKEN"),
            Error::Changed => refuse(Code::Aborted, "CHANNEL_CHANGED"),
            Error::RequestIdReused(id) => chassis::request::reused(DOMAIN, id),
            Error::Forbidden(reason) => refuse(Code::PermissionDenied, reason),
            Error::Refused(refusal) => grpc::refusal(
                DOMAIN,
                Code::FailedPrecondition,
                refusal.reason,
                refusal.detail,
                &[],
            ),
            Error::NotAccepted(_) => grpc::unavailable(DOMAIN, "inbound"),
            Error::Files(StoreError::Away(_) | StoreError::Silent) => {
                grpc::unavailable(DOMAIN, "files")
            }
            Error::Database(_) | Error::Seal(_) | Error::Files(_) => grpc::internal(DOMAIN, &error),
            Error::NotStored => refuse(Code::FailedPrecondition, "ATTACHMENT_NOT_STORED"),
            Error::ProviderAway(kind) => grpc::unavailable(DOMAIN, kind.as_str()),
            Error::MailServerAway(away) => grpc::refusal(
                DOMAIN,
                Code::Unavailable,
                "DEPENDENCY_AWAY",
                &away.to_string(),
                &[
                    ("dependency", ChannelKind::Email.as_str()),
                    ("server", away.server),
                    ("address", &away.address),
                ],
            ),
            Error::QuotaReached(full) => grpc::refusal(
                DOMAIN,
                Code::ResourceExhausted,
                "UPLOAD_QUOTA_REACHED",
                &error.to_string(),
                &[
                    ("used_bytes", &full.used.to_string()),
                    ("limit_bytes", &full.limit.to_string()),
                    ("file_bytes", &full.size.to_string()),
                ],
            ),
            Error::Invalid { field, rule } => {
                grpc::invalid(DOMAIN, &[grpc::FieldViolation::new(*field, *rule)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_connected_already_is_named_by_its_kind() {
        for (kind, words) in [
            (ChannelKind::TelegramBot, "the bot is connected already"),
            (ChannelKind::ViberBot, "the bot is connected already"),
            (
                ChannelKind::Instagram,
                "the Instagram profile is connected already",
            ),
            (
                ChannelKind::Email,
                "the mailbox (server and login), or in this account its address at that server, is connected already",
            ),
        ] {
            let status = Status::from(Error::AlreadyConnected(kind));
            assert_eq!(status.code(), Code::AlreadyExists);
            assert!(status.message().starts_with(words), "{}", status.message());
        }
    }
}
