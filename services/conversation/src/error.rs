//! What can go wrong, and how it is told to callers.

mod bots;
mod quick_replies;

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};

pub use quick_replies::QuickReplyError;

use crate::app::bots::BotError;
use crate::domain::{first_message, label, own_amendment};

/// The domain of our `ErrorInfo`s.
pub const DOMAIN: &str = "conversation";

/// A use case's error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or holds what cannot be read.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A stored message cannot be decoded.
    #[error("a stored message cannot be read: {0}")]
    Stored(#[from] prost::DecodeError),
    /// Another transaction did the same meanwhile; once more it will be seen.
    #[error("another transaction stored the same meanwhile")]
    Overtaken,
    /// An inbound item or event that can never be handled.
    #[error("{0}")]
    Broken(String),
    /// No such chat, or one beyond the caller's rights.
    #[error("there is no such chat")]
    ChatNotFound,
    /// No such message in the chat.
    #[error("there is no such message in this chat")]
    MessageNotFound,
    /// No such conversation in the chat.
    #[error("there is no such conversation in this chat")]
    ConversationNotFound,
    /// No such channel for the caller.
    #[error("there is no such channel")]
    ChannelNotFound,
    /// A channel's rule is not what the caller saw.
    #[error("the rule has changed meanwhile: it is at revision {revision}")]
    RuleChanged {
        /// Its revision now.
        revision: i64,
    },
    /// The agent may not change settings.
    #[error("the agent may not change settings")]
    SettingsAccessMissing,
    /// The agent has no access to chats (F175).
    #[error("the agent has no access to chats")]
    ChatAccessMissing,
    /// Only agents write to clients.
    #[error("only an agent may write: the token names none")]
    AgentRequired,
    /// The conversation is closed.
    #[error("conversation {number} is already closed")]
    ConversationClosed {
        /// Its number; 0 where the chat never had one.
        number: i64,
    },
    /// A conversation is open already.
    #[error("conversation {number} of this chat is open already: write into it")]
    ConversationOpen {
        /// Its number.
        number: i64,
    },
    /// Nobody can be written to first.
    #[error(transparent)]
    NotFirst(first_message::Refusal),
    /// The chat is marked as spam.
    #[error("the chat is marked as spam: restore it first")]
    ChatIsSpam,
    /// The message is in no state in which it can be sent again.
    #[error("the message is {state}: only a failed or uncertain one can be sent again")]
    NotRetryable {
        /// Its state of delivery.
        state: &'static str,
    },
    /// The chat changed again and again while assignment was asked.
    #[error("the chat changed while the message was being admitted")]
    ChatStateChanged,
    /// The request id was used for another content.
    #[error("the request id was used before with another content")]
    RequestIdReused(String),
    /// What an agent may see changed while a list was watched.
    #[error("what you may see has changed: list again, and watch with the new rights")]
    AccessChanged,
    /// The place from which a list shall be watched is not one of this database.
    #[error("this place is not known any more: list again, and watch without a token")]
    PlaceUnknown,
    /// A message is not to be changed so.
    #[error(transparent)]
    NotAmended(own_amendment::Refusal),
    /// Another change of the message has not come to its end.
    #[error("another change of this message is under way: wait for its outcome")]
    AmendmentUnderWay,
    /// No such filter of the caller's.
    #[error("there is no such filter")]
    FilterNotFound,
    /// There are too many filters.
    #[error("there are 100 filters already: delete one first")]
    TooManyFilters,
    /// Another filter has the name.
    #[error("another of these filters has this name: choose another name, or change that filter")]
    FilterNameTaken,
    /// So many search already that another one would not be answered in time.
    #[error("too many searches wait already: try again in a moment")]
    TooManySearches,
    /// Labels are not to be set so.
    #[error(transparent)]
    NotLabelled(label::Refusal),
    /// The agent does not take part in the chat.
    #[error("only who may write into the chat as it stands: claim or join it first")]
    NotInChat,
    /// The broker does not take what is said.
    #[error("the broker is away: {0}")]
    BrokerAway(String),
    /// A field is wrong.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What must hold.
        rule: &'static str,
    },
    /// Fields are wrong, each for its own reason.
    #[error("{} fields are wrong", .0.len())]
    Fields(Vec<FieldViolation>),
    /// Who the account's agents are cannot be told.
    #[error("{0}")]
    StaffAway(String),
    /// Of bots.
    #[error(transparent)]
    Bot(#[from] BotError),
    /// Of quick replies.
    #[error(transparent)]
    QuickReply(#[from] QuickReplyError),
    /// Another service refused: its status is passed on as it is.
    #[error("refused: {}", .0.message())]
    Refused(Status),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refuse = |code, reason, facts: &[(&str, &str)]| {
            grpc::refusal(DOMAIN, code, reason, &error.to_string(), facts)
        };
        match &error {
            Error::Database(database) if is_away(database) => grpc::unavailable(DOMAIN, "database"),
            Error::Database(_) | Error::Stored(_) | Error::Broken(_) => {
                grpc::internal(DOMAIN, &error)
            }
            Error::Overtaken => refuse(Code::Aborted, "OVERTAKEN", &[]),
            Error::ChatNotFound => refuse(Code::NotFound, "CHAT_NOT_FOUND", &[]),
            Error::MessageNotFound => refuse(Code::NotFound, "MESSAGE_NOT_FOUND", &[]),
            Error::ConversationNotFound => refuse(Code::NotFound, "CONVERSATION_NOT_FOUND", &[]),
            Error::ChannelNotFound => refuse(Code::NotFound, "CHANNEL_NOT_FOUND", &[]),
            Error::RuleChanged { revision } => refuse(
                Code::Aborted,
                "CHANGED_MEANWHILE",
                &[("revision", &revision.to_string())],
            ),
            Error::SettingsAccessMissing => {
                refuse(Code::PermissionDenied, "SETTINGS_ACCESS_MISSING", &[])
            }
            Error::ChatAccessMissing => refuse(Code::PermissionDenied, "CHAT_ACCESS_MISSING", &[]),
            Error::AgentRequired => refuse(Code::PermissionDenied, "AGENT_REQUIRED", &[]),
            Error::ConversationClosed { number } => refuse(
                Code::FailedPrecondition,
                "CONVERSATION_CLOSED",
                &[("number", &number.to_string())],
            ),
            Error::ConversationOpen { number } => refuse(
                Code::FailedPrecondition,
                "CONVERSATION_OPEN",
                &[("number", &number.to_string())],
            ),
            Error::NotFirst(why) => not_first(why, &error.to_string()),
            Error::ChatIsSpam => refuse(Code::FailedPrecondition, "CHAT_IS_SPAM", &[]),
            Error::NotRetryable { state } => refuse(
                Code::FailedPrecondition,
                "MESSAGE_NOT_RETRYABLE",
                &[("state", state)],
            ),
            Error::ChatStateChanged => refuse(Code::Aborted, "CHAT_STATE_CHANGED", &[]),
            Error::AccessChanged => refuse(Code::Aborted, "ACCESS_CHANGED", &[]),
            Error::NotAmended(why) => refuse(Code::FailedPrecondition, why.reason(), &[]),
            Error::AmendmentUnderWay => {
                refuse(Code::FailedPrecondition, "AMENDMENT_UNDER_WAY", &[])
            }
            Error::FilterNotFound => refuse(Code::NotFound, "FILTER_NOT_FOUND", &[]),
            Error::TooManyFilters => refuse(Code::FailedPrecondition, "TOO_MANY_FILTERS", &[]),
            Error::FilterNameTaken => refuse(Code::AlreadyExists, "FILTER_NAME_TAKEN", &[]),
            Error::TooManySearches => refuse(Code::ResourceExhausted, "TOO_MANY_SEARCHES", &[]),
            Error::NotLabelled(why) => refuse(Code::FailedPrecondition, why.reason(), &[]),
            Error::NotInChat => refuse(Code::FailedPrecondition, "NOT_IN_CHAT", &[]),
            Error::BrokerAway(_) => grpc::unavailable(DOMAIN, "nats"),
            Error::PlaceUnknown => refuse(Code::OutOfRange, "PLACE_UNKNOWN", &[]),
            Error::RequestIdReused(id) => chassis::request::reused(DOMAIN, id),
            Error::Invalid { field, rule } => {
                grpc::invalid(DOMAIN, &[FieldViolation::new(*field, *rule)])
            }
            Error::Fields(violations) => grpc::invalid(DOMAIN, violations),
            Error::StaffAway(why) => {
                tracing::warn!(why, "who the account's agents are cannot be told");
                grpc::unavailable(DOMAIN, "assignment")
            }
            Error::Bot(error) => bots::status(error),
            Error::QuickReply(error) => error.status(),
            Error::Refused(status) => status.clone(),
        }
    }
}

impl Error {
    /// Tells whether the database is away, or asks to try again: it says nothing about what was tried.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Database(error) if is_away(error))
    }
}

/// Says why nobody can be written to first.
fn not_first(why: &first_message::Refusal, said: &str) -> Status {
    use first_message::{Other, Refusal};
    let refuse =
        |code, facts: &[(&str, &str)]| grpc::refusal(DOMAIN, code, why.reason(), said, facts);
    match why {
        Refusal::NotSettled { address } => refuse(Code::Aborted, &[("address", address)]),
        Refusal::Anothers { address, other } => match other {
            None => refuse(Code::FailedPrecondition, &[("address", address)]),
            Some(Other { id, name }) => refuse(
                Code::FailedPrecondition,
                &[
                    ("address", address),
                    ("contact_id", &id.to_string()),
                    ("contact_name", name),
                ],
            ),
        },
        _ => refuse(Code::FailedPrecondition, &[]),
    }
}

/// Tells whether the database is away, or asks to try again.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Shutting down, out of resources, serialization failure, deadlock, lock timeout.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["57", "53", "08"]
                .iter()
                .any(|class| code.starts_with(class))
                || matches!(&*code, "40001" | "40P01" | "55P03")
        }),
        _ => false,
    }
}
