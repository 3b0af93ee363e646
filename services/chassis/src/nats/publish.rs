//! Publishing one message with its answer.

use std::time::Duration;

use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode, publish::PublishAck};
use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;

use super::Nats;

/// Why a message was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No connection, or no stream answers: certainly not stored if never sent, else unknown.
    #[error("NATS is away: {0}")]
    Away(String),
    /// No answer in time: stored or not, nobody knows. Repeat it under the same id.
    #[error("NATS did not acknowledge in time")]
    TimedOut,
    /// The stream has reached its bound.
    #[error("the stream is full: {0}")]
    Full(String),
    /// The message exceeds what the server takes.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// The server refused, with its error code.
    #[error("NATS refused ({code}): {description}")]
    Refused {
        /// `JetStream`'s `err_code`.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// Publishes one message and awaits its acknowledgement for at most `timeout`.
pub async fn publish(
    nats: &Nats,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    timeout: Duration,
) -> Result<PublishAck, PublishError> {
    if !nats.is_connected() {
        return Err(PublishError::Away("not connected".into()));
    }
    let request = Request::new()
        .headers(headers)
        .payload(payload)
        .timeout(Some(timeout));
    // The inner timeout bounds the answer only; a full send buffer would wait beyond it.
    let answer = tokio::time::timeout(timeout, nats.client.send_request(subject, request))
        .await
        .map_err(|_| PublishError::TimedOut)?
        .map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => PublishError::TimedOut,
            RequestErrorKind::MaxPayloadExceeded => PublishError::TooLarge(error.to_string()),
            RequestErrorKind::NoResponders => {
                PublishError::Away("no stream takes this subject".into())
            }
            _ => PublishError::Away(error.to_string()),
        })?;
    let response: Response<PublishAck> =
        serde_json::from_slice(&answer.payload).map_err(|error| PublishError::Refused {
            code: 0,
            description: error.to_string(),
        })?;
    match response {
        Response::Ok(ack) => Ok(ack),
        Response::Err { error } => Err(refusal(&error)),
    }
}

fn refusal(error: &jetstream::Error) -> PublishError {
    let description = error.to_string();
    let full = description.contains("maximum bytes exceeded")
        || description.contains("maximum messages exceeded");
    match error.error_code() {
        ErrorCode::INSUFFICIENT_RESOURCES | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => {
            PublishError::Full(description)
        }
        ErrorCode::STREAM_STORE_FAILED if full => PublishError::Full(description),
        ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::STREAM_STORE_FAILED => {
            PublishError::Away(description)
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            PublishError::TooLarge(description)
        }
        other => PublishError::Refused {
            code: other.0,
            description,
        },
    }
}
