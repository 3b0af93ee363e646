//! Errors of use cases, and how they are answered.

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};

use crate::app::move_cards;
use crate::app::transfers::TRANSFERS_OF_ACCOUNT;
use crate::domain::csv::BadFile;
use crate::domain::entity::PARTICIPANTS_MAX;
use crate::domain::fields::{self, FIELDS_MAX};
use crate::domain::ids::{ChannelId, ContactId, StatusId};
use crate::domain::merge::NotBound;
use crate::domain::reshape;
use crate::store::merges::MOVED_AT_ONCE;

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
    /// An agent asks for what only services may.
    #[error("only a service's token may ask for this")]
    ServicesOnly,
    /// Who the account's agents are cannot be told.
    #[error("{0}")]
    StaffAway(String),
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
    /// Fields are wrong, each for its own reason.
    #[error("{}", wrong(.0))]
    Fields(Vec<FieldViolation>),
    /// A file cannot be read.
    #[error(transparent)]
    BadFile(BadFile),
    /// So many files are read and written at once already.
    #[error(
        "{} files of this account, or too many of all, are read and written at this moment",
        TRANSFERS_OF_ACCOUNT
    )]
    TooManyTransfers,
    /// It is not what the caller saw: another change came first; this is its revision now.
    #[error("the {0} has changed meanwhile: it is at revision {1}")]
    Overtaken(&'static str, i64),
    /// Channels' rules name it; some of them.
    #[error("channels make cards with the {0}: give them another first")]
    InUse(&'static str, Vec<ChannelId>),
    /// Statuses that are to go have cards, and the request does not say where those go.
    #[error("statuses that are taken away have cards ({}): say where they go (cards_to)", counted(.0))]
    StatusesHaveCards(Vec<(StatusId, String, i64)>),
    /// More cards are to be moved than one transaction moves.
    #[error(
        "{0} cards would have to move, and {most} go at once: move them first (MoveCards)",
        most = move_cards::MOVED_AT_ONCE
    )]
    TooManyCards(i64),
    /// A field's key is unique among those of its kind of entity.
    #[error("a field with the key {0} exists")]
    FieldExists(String),
    /// A kind of entity has as many fields as it may have.
    #[error("there are {FIELDS_MAX} fields already: delete some first")]
    TooManyFields,
    /// More agents would take part in a card than may.
    #[error("at most {PARTICIPANTS_MAX} agents take part in a card: take some off first")]
    TooManyParticipants,
    /// Something is linked to it, which keeps it from being deleted: how much of what.
    #[error("the {0} is not deleted while it has {list}", list = listed(.1))]
    Linked(&'static str, Vec<(&'static str, i64)>),
    /// A contact has more than one merge moves.
    #[error(
        "the contact has {0} chats, cards and orders, and a merge moves {MOVED_AT_ONCE} at most: merge the other one into it"
    )]
    TooMuchToMerge(i64),
    /// The contact was not merged into another one.
    #[error("the contact was not merged into another one")]
    NotMerged,
    /// The contact that it had been merged into was itself merged into another one.
    #[error("the contact that it was merged into was merged itself: take that merge back first")]
    MergedOn(ContactId),
    /// A contact is not to be bound to a buyer (F113, D10).
    #[error("{}", not_bound(*.0))]
    NotBound(NotBound),
    /// What is a deal already is converted into nothing else (F136).
    #[error("the card is a deal already")]
    IsDeal,
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

    /// Names the part of a request that wrong fields belong to: `contact.name` for `name`.
    #[must_use]
    pub fn within(self, part: &'static str) -> Self {
        let within = |field: &str| format!("{part}.{field}");
        match self {
            Self::Field { field, description } => {
                Self::Fields(vec![FieldViolation::new(within(field), description)])
            }
            Self::Fields(violations) => {
                let violations = violations.into_iter().map(|wrong| FieldViolation {
                    field: within(&wrong.field),
                    ..wrong
                });
                Self::Fields(violations.collect())
            }
            other => other,
        }
    }

    /// Says what is wrong with values of custom fields.
    pub fn of_fields(wrong: Vec<fields::Wrong>) -> Self {
        let violation = |one: fields::Wrong| {
            FieldViolation::new(format!("fields[{}]", one.key), one.description)
        };
        Self::Fields(wrong.into_iter().map(violation).collect())
    }
}

impl From<reshape::Refusal> for Error {
    fn from(refusal: reshape::Refusal) -> Self {
        let violation = FieldViolation::new(refusal.field, refusal.description);
        Self::Fields(vec![violation])
    }
}

fn wrong(violations: &[FieldViolation]) -> String {
    let one = |wrong: &FieldViolation| format!("{}: {}", wrong.field, wrong.description);
    violations.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn counted(statuses: &[(StatusId, String, i64)]) -> String {
    let one = |(_, name, cards): &(StatusId, String, i64)| format!("{name}: {cards}");
    statuses.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn listed(linked: &[(&'static str, i64)]) -> String {
    let some = linked.iter().filter(|(_, count)| *count > 0);
    let some: Vec<String> = some
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    some.join(", ")
}

const fn not_bound(why: NotBound) -> &'static str {
    match why {
        NotBound::ToNoBuyer => "the other contact is not saved as a buyer",
        NotBound::IsBuyer => {
            "the contact is saved as a buyer itself: merge the two (MergeContacts)"
        }
        NotBound::IsKnown => {
            "phone and e-mail address of the contact are filled in: merge the two (MergeContacts)"
        }
    }
}

fn joined<T: ToString>(ids: impl IntoIterator<Item = T>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    ids.join(",")
}

/// Tells whether a constraint or a unique index was violated.
pub fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.constraint() == Some(constraint))
}

/// Tells whether what a row refers to is gone, or is to go and is referred to: somebody else was faster.
fn is_overtaken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_foreign_key_violation())
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |code, reason, facts: &[(&str, &str)]| {
            grpc::refusal(SERVICE, code, reason, &message, facts)
        };
        match &error {
            Error::Database(cause) if is_away(cause) => grpc::unavailable(SERVICE, "database"),
            Error::Database(cause) if is_overtaken(cause) => grpc::refusal(
                SERVICE,
                Code::Aborted,
                "CHANGED_MEANWHILE",
                "what the request refers to has changed at this moment: try again",
                &[],
            ),
            Error::Database(cause) => grpc::internal(SERVICE, cause),
            Error::CrmAccess => refuse(Code::PermissionDenied, "CRM_ACCESS_MISSING", &[]),
            Error::ChatAccess => refuse(Code::PermissionDenied, "CHAT_ACCESS_MISSING", &[]),
            Error::SettingsAccess => refuse(Code::PermissionDenied, "SETTINGS_ACCESS_MISSING", &[]),
            Error::ServicesOnly => refuse(Code::PermissionDenied, "SERVICE_TOKEN_REQUIRED", &[]),
            Error::StaffAway(_) => grpc::unavailable(SERVICE, "assignment"),
            Error::Unknown { reason, id, .. } => refuse(Code::NotFound, reason, &[("id", id)]),
            Error::Field { field, description } => {
                grpc::invalid(SERVICE, &[FieldViolation::new(*field, *description)])
            }
            Error::Fields(violations) => grpc::invalid(SERVICE, violations),
            Error::BadFile(_) => refuse(Code::InvalidArgument, "FILE_UNREADABLE", &[]),
            Error::TooManyTransfers => refuse(Code::ResourceExhausted, "TOO_MANY_TRANSFERS", &[]),
            Error::Overtaken(_, revision) => refuse(
                Code::Aborted,
                "CHANGED_MEANWHILE",
                &[("revision", &revision.to_string())],
            ),
            Error::InUse(what, channels) => refuse(
                Code::FailedPrecondition,
                &format!("{}_IN_USE", what.to_uppercase()),
                &[("channel_ids", &joined(channels))],
            ),
            Error::StatusesHaveCards(statuses) => {
                let counts: Vec<(String, String)> = statuses
                    .iter()
                    .map(|(id, _, cards)| (format!("cards[{id}]"), cards.to_string()))
                    .collect();
                let ids = joined(statuses.iter().map(|(id, ..)| id));
                let mut facts = vec![("status_ids", ids.as_str())];
                facts.extend(
                    counts
                        .iter()
                        .map(|(key, cards)| (key.as_str(), cards.as_str())),
                );
                refuse(Code::FailedPrecondition, "STATUS_HAS_CARDS", &facts)
            }
            Error::TooManyCards(cards) => refuse(
                Code::FailedPrecondition,
                "TOO_MANY_CARDS",
                &[("cards", &cards.to_string())],
            ),
            Error::FieldExists(key) => refuse(Code::AlreadyExists, "FIELD_EXISTS", &[("key", key)]),
            Error::TooManyFields => refuse(Code::FailedPrecondition, "TOO_MANY_FIELDS", &[]),
            Error::TooManyParticipants => {
                refuse(Code::FailedPrecondition, "TOO_MANY_PARTICIPANTS", &[])
            }
            Error::Linked(what, linked) => {
                let counts: Vec<(String, String)> = linked
                    .iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(what, count)| (what.replace(' ', "_"), count.to_string()))
                    .collect();
                let facts: Vec<(&str, &str)> = counts
                    .iter()
                    .map(|(what, count)| (what.as_str(), count.as_str()))
                    .collect();
                let reason = format!("{}_IS_LINKED", what.to_uppercase());
                refuse(Code::FailedPrecondition, &reason, &facts)
            }
            Error::TooMuchToMerge(size) => refuse(
                Code::FailedPrecondition,
                "TOO_MUCH_TO_MERGE",
                &[("size", &size.to_string())],
            ),
            Error::NotMerged => refuse(Code::FailedPrecondition, "CONTACT_NOT_MERGED", &[]),
            Error::MergedOn(contact) => refuse(
                Code::FailedPrecondition,
                "CONTACT_MERGED_ON",
                &[("contact_id", &contact.to_string())],
            ),
            Error::NotBound(why) => {
                let reason = match why {
                    NotBound::ToNoBuyer => "CONTACT_NOT_A_BUYER",
                    NotBound::IsBuyer => "CONTACT_IS_BUYER",
                    NotBound::IsKnown => "CONTACT_IS_KNOWN",
                };
                refuse(Code::FailedPrecondition, reason, &[])
            }
            Error::IsDeal => refuse(Code::FailedPrecondition, "CARD_IS_DEAL", &[]),
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
