//! Quick replies.

use chassis::grpc::timestamp;
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use crate::domain::quick_reply::{Owner, OwnerKind};
use crate::store::quick_replies::QuickReply;

/// Reads a kind of owner; none for one that is not set or not known.
pub fn owner_kind(kind: i32) -> Option<OwnerKind> {
    match pb::quick_reply::OwnerKind::try_from(kind).ok()? {
        pb::quick_reply::OwnerKind::Account => Some(OwnerKind::Account),
        pb::quick_reply::OwnerKind::Group => Some(OwnerKind::Group),
        pb::quick_reply::OwnerKind::Agent => Some(OwnerKind::Agent),
        pb::quick_reply::OwnerKind::Unspecified => None,
    }
}

/// Writes a quick reply.
pub fn quick_reply(reply: &QuickReply) -> pb::QuickReply {
    use pb::quick_reply::OwnerKind as Kind;
    let (kind, owner) = match reply.owner {
        Owner::Account => (Kind::Account, String::new()),
        Owner::Group(group) => (Kind::Group, group.to_string()),
        Owner::Agent(agent) => (Kind::Agent, agent.to_string()),
    };
    pb::QuickReply {
        quick_reply_id: reply.id.to_string(),
        owner_kind: kind.into(),
        owner_id: owner,
        folder: reply.folder.clone(),
        shortcut: reply.shortcut.clone(),
        title: reply.title.clone(),
        text: Some(reply.text.clone()),
        attachment_ids: reply.files.iter().map(Uuid::to_string).collect(),
        revision: reply.revision,
        create_time: Some(timestamp(reply.created_at)),
        update_time: Some(timestamp(reply.updated_at)),
    }
}
