//! What ends a connection to a mailbox, and what ends following it.

use std::time::Duration;

use crate::provider::imap::ImapError;

/// Why a session ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to.
    Stopped,
    /// Another replica holds the mailbox.
    Lost,
    /// The server refuses the credentials.
    Refused,
}

/// What ended a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("stopped")]
    Stopped,
    #[error("another replica holds the mailbox")]
    Lost,
    #[error(transparent)]
    Imap(#[from] ImapError),
    #[error("database: {0}")]
    Store(#[from] sqlx::Error),
    #[error("mails cannot be stored now")]
    Sink,
    #[error("the channel's account is not known now")]
    Account,
    #[error("the access token was refused")]
    Token,
    /// A mail is tried again after so long.
    #[error("a mail could not be fetched: {1}")]
    Mail(Duration, ImapError),
}
