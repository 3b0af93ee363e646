//! Roles and groups on the wire.

use chassis::grpc::timestamp;
use switchboard_proto::assignment::v1 as pb;

use super::kind_access;
use crate::store::groups::Group;
use crate::store::roles::Role;

/// Writes a role.
pub fn role(role: &Role) -> pb::Role {
    pb::Role {
        role_id: role.id.to_string(),
        name: role.name.clone(),
        leads: Some(kind_access(role.rights.leads)),
        contacts: Some(kind_access(role.rights.contacts)),
        settings: role.rights.settings,
        agent_count: i32::try_from(role.agents).unwrap_or(i32::MAX),
        revision: role.revision,
        create_time: Some(timestamp(role.created_at)),
    }
}

/// Writes a group.
pub fn group(group: &Group) -> pb::Group {
    pb::Group {
        group_id: group.id.to_string(),
        name: group.name.clone(),
        agent_ids: group.agents.iter().map(ToString::to_string).collect(),
        revision: group.revision,
        create_time: Some(timestamp(group.created_at)),
    }
}
