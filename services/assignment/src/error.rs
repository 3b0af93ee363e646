//! What can go wrong, and how the API words it.

mod staff;
mod sync;

use chassis::grpc;
use chassis::id::AgentId;
use tonic::{Code, Status};

use crate::domain::actions::MAX_PARTICIPANTS;
use crate::domain::candidates::LeftOut;
use crate::domain::{ChannelId, ChatId};

pub use staff::StaffError;
pub use sync::SyncError;

/// The domain of `ErrorInfo`.
pub const DOMAIN: &str = "assignment";

/// An agent as a refusal names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Who.
    pub id: AgentId,
    /// Their name; empty where they are no agent of the account any more.
    pub name: String,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account does not exist.
    #[error("there is no account {0}")]
    UnknownAccount(String),
    /// The account exists with another content.
    #[error("the account {0} exists with another content")]
    AccountExists(String),
    /// The agent does not exist.
    #[error("there is no agent {0}")]
    UnknownAgent(AgentId),
    /// An agent with this id exists.
    #[error("there is an agent {0} already")]
    AgentExists(AgentId),
    /// Of roles and groups.
    #[error(transparent)]
    Staff(#[from] StaffError),
    /// Of what is kept in step with CRM.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The chat does not exist, or not for this caller.
    #[error("there is no chat {0}")]
    UnknownChat(ChatId),
    /// The channel does not exist for this caller.
    #[error("there is no channel {0}")]
    UnknownChannel(ChannelId),
    /// The chat has no open conversation.
    #[error("the chat has no open conversation")]
    ChatNotOpen(ChatId),
    /// Somebody was faster to claim (X03).
    #[error("{} is responsible for the chat", .0.name)]
    ClaimedBy(Named),
    /// Who is neither responsible nor has joined may not write, nor act for those who are (D19, F149).
    #[error("{} is responsible for the chat; join it first", .0.name)]
    JoinFirst(Named),
    /// Writing into an unassigned chat needs a claim first (F128, D18).
    #[error("nobody is responsible for the chat; claim it before you write")]
    ClaimFirst(ChatId),
    /// Nobody is responsible.
    #[error("nobody is responsible for the chat; claim or assign it")]
    NobodyResponsible(ChatId),
    /// Nobody could take over from the responsible (F161).
    #[error(
        "you are the only one who works with the chat; redirect or unassign it, or add somebody first"
    )]
    SoleResponsible(ChatId),
    /// The caller does not take part.
    #[error("you take no part in the chat")]
    NotInChat(ChatId),
    /// More would take part than may.
    #[error("at most {MAX_PARTICIPANTS} agents take part in a chat beside its responsible")]
    TooManyParticipants,
    /// Agents who were to be added may not have the chat; none was added.
    #[error("some of the agents may not work with this chat; none was added")]
    AllBarred(Vec<(AgentId, LeftOut)>),
    /// The responsible is another than the caller saw.
    #[error("the chat's responsible has changed")]
    ResponsibleChanged(Option<Named>),
    /// The caller may not have this chat.
    #[error("you may not work with this chat")]
    CallerBarred(LeftOut),
    /// The agent to whom the chat is handed may not have it.
    #[error("the agent may not work with this chat")]
    TargetBarred(AgentId, LeftOut),
    /// Only an agent can do this.
    #[error("this is done by an agent, and the token is a service's")]
    AgentRequired,
    /// The caller has no access to chats (F175).
    #[error("you have no access to chats")]
    ChatAccessMissing,
    /// The caller may not change settings.
    #[error("you may not change settings")]
    SettingsAccessMissing,
    /// The owner has no calendar of their own.
    #[error("there is no such calendar")]
    UnknownCalendar,
    /// The calendar is another than the caller has read.
    #[error("the calendar was changed meanwhile; read it again")]
    CalendarChanged,
    /// The agent has as many streams as one may have.
    #[error("you have too many open presence streams; close some")]
    TooManyStreams,
    /// The request id was used with another content.
    #[error("the request id was used before with another content")]
    RequestIdReused(String),
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let refuse = |code, reason: &str, metadata: &[(&str, &str)]| {
            grpc::refusal(DOMAIN, code, reason, &text, metadata)
        };
        let named = |code, reason, who: Option<&Named>| {
            let id = who.map(|who| who.id.to_string()).unwrap_or_default();
            let name = who.map_or("", |who| &who.name);
            refuse(code, reason, &[("agent_id", &id), ("agent_name", name)])
        };
        let of_chat = |reason, chat: ChatId| {
            let id = chat.to_string();
            refuse(Code::FailedPrecondition, reason, &[("chat_id", &id)])
        };
        match &error {
            Error::UnknownAccount(slug) => {
                refuse(Code::NotFound, "ACCOUNT_NOT_FOUND", &[("account", slug)])
            }
            Error::AccountExists(slug) => {
                refuse(Code::AlreadyExists, "ACCOUNT_EXISTS", &[("account", slug)])
            }
            Error::UnknownAgent(id) => refuse(
                Code::NotFound,
                "AGENT_NOT_FOUND",
                &[("agent_id", &id.to_string())],
            ),
            Error::AgentExists(id) => refuse(
                Code::AlreadyExists,
                "AGENT_EXISTS",
                &[("agent_id", &id.to_string())],
            ),
            Error::Staff(error) => error.refusal(),
            Error::Sync(error) => error.refusal(),
            Error::UnknownChat(id) => refuse(
                Code::NotFound,
                "CHAT_NOT_FOUND",
                &[("chat_id", &id.to_string())],
            ),
            Error::UnknownChannel(id) => refuse(
                Code::NotFound,
                "CHANNEL_NOT_FOUND",
                &[("channel_id", &id.to_string())],
            ),
            Error::ChatNotOpen(chat) => of_chat("CHAT_NOT_OPEN", *chat),
            Error::ClaimedBy(who) => named(Code::Aborted, "CHAT_HAS_RESPONSIBLE", Some(who)),
            Error::JoinFirst(who) => named(Code::FailedPrecondition, "JOIN_REQUIRED", Some(who)),
            Error::ClaimFirst(chat) => of_chat("CLAIM_REQUIRED", *chat),
            Error::NobodyResponsible(chat) => of_chat("CHAT_HAS_NO_RESPONSIBLE", *chat),
            Error::SoleResponsible(chat) => of_chat("SOLE_RESPONSIBLE", *chat),
            Error::NotInChat(chat) => of_chat("NOT_IN_CHAT", *chat),
            Error::TooManyParticipants => {
                let max = MAX_PARTICIPANTS.to_string();
                let code = Code::FailedPrecondition;
                refuse(code, "TOO_MANY_PARTICIPANTS", &[("max", &max)])
            }
            Error::AllBarred(agents) => {
                let agents: Vec<_> = agents
                    .iter()
                    .map(|(agent, why)| (agent.to_string(), why.as_str()))
                    .collect();
                let facts: Vec<_> = agents.iter().map(|(id, why)| (&**id, *why)).collect();
                refuse(Code::FailedPrecondition, "AGENTS_BARRED", &facts)
            }
            Error::ResponsibleChanged(who) => {
                named(Code::Aborted, "RESPONSIBLE_CHANGED", who.as_ref())
            }
            Error::CallerBarred(reason) => refuse(Code::PermissionDenied, reason.as_str(), &[]),
            Error::TargetBarred(id, reason) => {
                let id = id.to_string();
                refuse(
                    Code::FailedPrecondition,
                    reason.as_str(),
                    &[("agent_id", &id)],
                )
            }
            Error::AgentRequired => refuse(Code::PermissionDenied, "AGENT_REQUIRED", &[]),
            Error::ChatAccessMissing => refuse(Code::PermissionDenied, "CHAT_ACCESS_MISSING", &[]),
            Error::SettingsAccessMissing => {
                refuse(Code::PermissionDenied, "SETTINGS_ACCESS_MISSING", &[])
            }
            Error::UnknownCalendar => refuse(Code::NotFound, "CALENDAR_NOT_FOUND", &[]),
            Error::CalendarChanged => refuse(Code::Aborted, "CALENDAR_CHANGED", &[]),
            Error::TooManyStreams => {
                refuse(Code::ResourceExhausted, "PRESENCE_STREAMS_TOO_MANY", &[])
            }
            Error::RequestIdReused(id) => chassis::request::reused(DOMAIN, id),
            Error::Database(error) if is_away(error) => grpc::unavailable(DOMAIN, "database"),
            Error::Database(error) => grpc::internal(DOMAIN, error),
        }
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
