//! Internal chats.

use chassis::grpc::timestamp;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::entity_reference::Kind;

use crate::domain::words::EntityKind;
use crate::store::internal_chat::{InternalMessage, Notified};

/// Reads a kind of entity; none for one that is not set or not known.
pub fn entity_kind(kind: i32) -> Option<EntityKind> {
    match Kind::try_from(kind).ok()? {
        Kind::Unspecified => None,
        Kind::Card => Some(EntityKind::Card),
        Kind::Contact => Some(EntityKind::Contact),
        Kind::Company => Some(EntityKind::Company),
        Kind::Order => Some(EntityKind::Order),
    }
}

/// Writes an internal message.
pub fn internal_message(message: &InternalMessage) -> pb::InternalMessage {
    let kind = match message.entity.kind {
        EntityKind::Card => Kind::Card,
        EntityKind::Contact => Kind::Contact,
        EntityKind::Company => Kind::Company,
        EntityKind::Order => Kind::Order,
        EntityKind::Channel => Kind::Unspecified,
    };
    let agent = message.author.strip_prefix("agent:");
    pb::InternalMessage {
        internal_message_id: message.id.to_string(),
        entity: Some(pb::EntityReference {
            kind: kind.into(),
            entity_id: message.entity.id.to_string(),
        }),
        text: Some(message.text.clone()),
        actor: message.author.clone(),
        agent_id: agent.unwrap_or_default().to_owned(),
        addressed_agent_ids: message.agents.iter().map(ToString::to_string).collect(),
        addressed_group_ids: message.groups.iter().map(ToString::to_string).collect(),
        create_time: Some(timestamp(message.created_at)),
    }
}

/// Writes a notification of an internal message.
pub fn internal_notification(notified: &Notified) -> pb::InternalNotification {
    pb::InternalNotification {
        message: Some(internal_message(&notified.message)),
        read: notified.read,
    }
}
