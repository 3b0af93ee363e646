//! What can go wrong with roles and groups.

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};
use uuid::Uuid;

use super::DOMAIN;
use crate::domain::policy::Member;
use crate::domain::{ChannelId, GroupId, RoleId};

/// Why something was not done with a role or a group.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    /// The role does not exist.
    #[error("there is no role {0}")]
    UnknownRole(RoleId),
    /// The role that an agent is to have does not exist.
    #[error("there is no role {0}")]
    NoSuchRole(RoleId),
    /// Rights on leads, contacts or settings were given beside a role.
    #[error(
        "leads, contacts and settings are granted by the agent's role: change the role, or take it away first"
    )]
    RightsOfRole,
    /// Agents have the role.
    #[error("the role is in use by {0} agent{s}: give them another first", s = plural(*.0))]
    RoleInUse(i64),
    /// The group does not exist.
    #[error("there is no group {0}")]
    UnknownGroup(GroupId),
    /// A group's members who are no agents of the account, and the field that names them.
    #[error("the group names agents that do not exist")]
    UnknownMembers(&'static str, Vec<Uuid>),
    /// Agents and groups of a pool that do not exist. Where the request names them is for its reader to say.
    #[error("the pool names agents or groups that do not exist")]
    UnknownInPool(Vec<Member>),
    /// Channels distribute among the group; some of them.
    #[error("channels distribute chats among the group: take it out of their pools first")]
    GroupInUse(Vec<ChannelId>),
    /// Another of its kind has the name.
    #[error("there is a {0} named {1:?} already")]
    NameTaken(&'static str, String),
    /// It is not what the caller saw: another change came first; this is its revision now.
    #[error("the {0} has changed meanwhile: it is at revision {1}")]
    Overtaken(&'static str, i64),
}

/// The ending of a noun after a number.
const fn plural(number: i64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

impl StaffError {
    /// Words it for the API.
    pub(super) fn refusal(&self) -> Status {
        let text = self.to_string();
        let refuse = |code, reason: &str, metadata: &[(&str, &str)]| {
            grpc::refusal(DOMAIN, code, reason, &text, metadata)
        };
        match self {
            Self::UnknownRole(id) => refuse(
                Code::NotFound,
                "ROLE_NOT_FOUND",
                &[("role_id", &id.to_string())],
            ),
            Self::NoSuchRole(_) => {
                grpc::invalid(DOMAIN, &[FieldViolation::new("role_id", text.clone())])
            }
            Self::RightsOfRole => {
                grpc::invalid(DOMAIN, &[FieldViolation::new("grants", text.clone())])
            }
            Self::RoleInUse(agents) => refuse(
                Code::FailedPrecondition,
                "ROLE_IN_USE",
                &[("agents", &agents.to_string())],
            ),
            Self::UnknownGroup(id) => refuse(
                Code::NotFound,
                "GROUP_NOT_FOUND",
                &[("group_id", &id.to_string())],
            ),
            Self::UnknownMembers(field, agents) => {
                let violations: Vec<_> = agents
                    .iter()
                    .map(|id| FieldViolation::new(*field, format!("there is no agent {id}")))
                    .collect();
                grpc::invalid(DOMAIN, &violations)
            }
            Self::UnknownInPool(unknown) => {
                let missing = unknown.iter().map(|member| member.missing());
                let violations: Vec<_> = missing
                    .map(|missing| FieldViolation::new("policy.pool", missing))
                    .collect();
                grpc::invalid(DOMAIN, &violations)
            }
            Self::GroupInUse(channels) => {
                let channels: Vec<_> = channels.iter().map(ToString::to_string).collect();
                refuse(
                    Code::FailedPrecondition,
                    "GROUP_IN_USE",
                    &[("channel_ids", &channels.join(","))],
                )
            }
            Self::NameTaken(..) => refuse(Code::AlreadyExists, "NAME_TAKEN", &[]),
            Self::Overtaken(_, revision) => refuse(
                Code::Aborted,
                "CHANGED_MEANWHILE",
                &[("revision", &revision.to_string())],
            ),
        }
    }
}
