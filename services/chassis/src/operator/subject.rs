//! What a service tells of its own subject, and what it tries of its own when it is diagnosed.

use switchboard_proto::operator::v1::{Finding, Level};
use time::OffsetDateTime;

use super::Pausable;
use crate::grpc::timestamp;
use crate::pauses::PauseKind;

/// What a service knows of its subject: the gateway of channels, conversation of chats that wait.
#[tonic::async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Tells how it is, cheaply: it is asked every few seconds.
    ///
    /// # Errors
    /// Returns an error where the database cannot tell.
    async fn told(&self, now: OffsetDateTime) -> Result<Vec<Finding>, sqlx::Error>;

    /// Tries what is the service's own to try, such as an object store. Each try is bounded in time.
    async fn tried(&self, _now: OffsetDateTime) -> Vec<Finding> {
        Vec::new()
    }

    /// Finds something of its own that can be paused: a channel, or an account whose deliveries it has.
    ///
    /// # Errors
    /// Returns an error where the database cannot tell.
    async fn pausable(
        &self,
        _kind: PauseKind,
        _subject: &str,
    ) -> Result<Option<Pausable>, sqlx::Error> {
        Ok(None)
    }
}

/// Something that is as it should be.
pub fn fine(subject: &str, text: impl Into<String>) -> Finding {
    finding(subject, Level::Ok, text.into(), String::new())
}

/// Something that works and that somebody should look at, with what to do next.
pub fn doubtful(subject: &str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    finding(subject, Level::Warn, text.into(), next.into())
}

/// Something that does not work, with what to do next.
pub fn broken(subject: &str, text: impl Into<String>, next: impl Into<String>) -> Finding {
    finding(subject, Level::Fail, text.into(), next.into())
}

/// The same finding with since when it is so.
#[must_use]
pub fn since(finding: Finding, time: OffsetDateTime) -> Finding {
    Finding {
        since_time: Some(timestamp(time)),
        ..finding
    }
}

fn finding(subject: &str, level: Level, text: String, next_step: String) -> Finding {
    Finding {
        subject: subject.to_owned(),
        level: level.into(),
        text,
        next_step,
        ..Finding::default()
    }
}
