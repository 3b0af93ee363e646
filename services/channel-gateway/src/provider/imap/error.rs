//! What can go wrong with a mailbox, and how a server's words become it.

use std::fmt::Display;
use std::io;

use async_imap::error::Error as Imap;
use async_imap::imap_proto::Outcome;

/// The longest explanation that is kept of a server's.
const TOLD_MAX: usize = 200;

/// Why a mailbox could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImapError {
    /// The server refuses who logs in.
    #[error("the mail server refused the credentials: {0}")]
    Credentials(String),
    /// The server is not reached, does not answer, or does not let us now.
    #[error("the mail server is away: {0}")]
    Away(String),
    /// The server ended the session.
    #[error("the mail server ended the session: {0}")]
    Bye(String),
    /// The server cannot give this message.
    #[error("message {uid} cannot be fetched: {why}")]
    Protocol {
        /// The message.
        uid: u32,
        /// Why, in the server's words or the parser's.
        why: String,
    },
    /// The server's answer cannot be read.
    #[error("the mail server's answer cannot be read: {0}")]
    Garbled(String),
    /// The server refuses a command.
    #[error("the mail server refused {0}")]
    Refused(String),
}

/// Returns what was read; there is nothing to be read where the connection ended.
pub(super) fn present<R>(read: io::Result<Option<R>>) -> Result<R, ImapError> {
    read.map_err(broken)?.ok_or_else(ended)
}

pub(super) fn ended() -> ImapError {
    ImapError::Away("the connection ended".into())
}

/// Returns what a command brought.
pub(super) fn answered<T>(result: Result<T, Imap>) -> Result<T, ImapError> {
    result.map_err(failed)
}

pub(super) fn failed(error: Imap) -> ImapError {
    match error {
        Imap::No(text) | Imap::Bad(text) => ImapError::Refused(bounded(&text)),
        Imap::Io(error) => broken(error),
        Imap::ConnectionLost => ended(),
        other => ImapError::Garbled(bounded(&other.to_string())),
    }
}

/// Tells a connection that broke from bytes that nobody understands.
pub(super) fn broken(error: io::Error) -> ImapError {
    match error.kind() {
        // The parser would tell all that it did not understand: whole mails.
        io::ErrorKind::Other => ImapError::Garbled("it breaks the protocol".into()),
        io::ErrorKind::InvalidData => ImapError::Garbled(bounded(&error.to_string())),
        _ => away(error),
    }
}

pub(super) fn away(error: impl Display) -> ImapError {
    ImapError::Away(bounded(&error.to_string()))
}

/// What a server says in words.
pub(super) fn told(outcome: &Outcome<'_>) -> String {
    let code = outcome.code.as_ref().map(|code| format!("{code:?} "));
    let text = outcome.information.as_deref().unwrap_or_default();
    bounded(&format!("{}{text}", code.unwrap_or_default()))
}

pub(super) fn bounded(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(TOLD_MAX)
        .collect()
}
