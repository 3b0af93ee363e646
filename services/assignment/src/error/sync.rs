//! What can go wrong with what is kept in step with CRM.

use chassis::grpc;
use tonic::{Code, Status};

use super::DOMAIN;
use crate::domain::ChannelId;

/// Why a synchronisation was not set.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Additional fields in a contact are forbidden (F037).
    #[error("additional fields in a contact are not allowed: allow them first (SetContactFields)")]
    ContactFieldsOff,
    /// Additional fields in a contact cannot be forbidden: these channels and more keep responsibles in step by them.
    #[error("channels keep responsibles in step by these fields: end that first")]
    ChannelsInStep(Vec<ChannelId>),
    /// It is not what the caller saw: this is its revision now.
    #[error("the synchronisation has changed meanwhile: it is at revision {0}")]
    Overtaken(i64),
}

impl SyncError {
    /// Words it for the API.
    pub(super) fn refusal(&self) -> Status {
        let text = self.to_string();
        let refuse = |code, reason: &str, metadata: &[(&str, &str)]| {
            grpc::refusal(DOMAIN, code, reason, &text, metadata)
        };
        match self {
            Self::ContactFieldsOff => refuse(Code::FailedPrecondition, "CONTACT_FIELDS_OFF", &[]),
            Self::ChannelsInStep(channels) => {
                let channels: Vec<_> = channels.iter().map(ToString::to_string).collect();
                refuse(
                    Code::FailedPrecondition,
                    "CHANNELS_IN_STEP",
                    &[("channel_ids", &channels.join(","))],
                )
            }
            Self::Overtaken(revision) => refuse(
                Code::Aborted,
                "CHANGED_MEANWHILE",
                &[("revision", &revision.to_string())],
            ),
        }
    }
}
