//! Responsibles kept in step with CRM, on the wire.

use std::collections::BTreeSet;

use chassis::grpc::timestamp_opt;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::common::v1 as common;
use tonic::Status;

use super::{PARSE, stamp};
use crate::domain::ChannelId;
use crate::domain::sync::{EntityKind, Linked, SyncPolicy, Wanted};
use crate::store::sync::SyncRow;

/// Writes a kind.
pub const fn kind(kind: EntityKind) -> common::EntityKind {
    match kind {
        EntityKind::Lead => common::EntityKind::Lead,
        EntityKind::Deal => common::EntityKind::Deal,
        EntityKind::Contact => common::EntityKind::Contact,
        EntityKind::Company => common::EntityKind::Company,
        EntityKind::Customer => common::EntityKind::Customer,
    }
}

/// Reads a kind; none for an unset one or one of a newer service.
pub fn kind_of(kind: i32) -> Option<EntityKind> {
    Some(match common::EntityKind::try_from(kind).ok()? {
        common::EntityKind::Unspecified => return None,
        common::EntityKind::Lead => EntityKind::Lead,
        common::EntityKind::Deal => EntityKind::Deal,
        common::EntityKind::Contact => EntityKind::Contact,
        common::EntityKind::Company => EntityKind::Company,
        common::EntityKind::Customer => EntityKind::Customer,
    })
}

/// Writes an entity whose responsible was not taken.
pub fn linked(wanted: &Wanted) -> common::LinkedEntity {
    common::LinkedEntity {
        kind: kind(wanted.kind).into(),
        entity_id: wanted.entity.to_string(),
        responsible_agent_id: wanted.agent.to_string(),
        stamp: Some(stamp(wanted.stamp)),
    }
}

/// Reads an entity that an event tells of; none of a kind of a newer service.
pub fn linked_of(field: &str, entity: &common::LinkedEntity) -> Result<Option<Linked>, Status> {
    let Some(kind) = kind_of(entity.kind) else {
        return Ok(None);
    };
    let told = entity.stamp.as_ref();
    let time = told.and_then(|stamp| stamp.time.as_ref());
    let event = told.map_or("", |stamp| stamp.event_id.as_str());
    Ok(Some(Linked {
        kind,
        entity: PARSE.id(&format!("{field}.entity_id"), &entity.entity_id)?,
        responsible: PARSE.id_opt(
            &format!("{field}.responsible_agent_id"),
            &entity.responsible_agent_id,
        )?,
        stamp: chassis::stamp::Stamp {
            time: PARSE.time(&format!("{field}.stamp.time"), time)?,
            event: PARSE.id(&format!("{field}.stamp.event_id"), event)?,
        },
    }))
}

/// Writes what a channel keeps in step.
pub fn sync(channel: ChannelId, row: &SyncRow) -> pb::ResponsibleSync {
    let kinds = |kinds: &BTreeSet<EntityKind>| kinds.iter().map(|it| kind(*it).into()).collect();
    pb::ResponsibleSync {
        channel_id: channel.to_string(),
        from_crm: kinds(&row.policy.from_crm),
        to_crm: kinds(&row.policy.to_crm),
        revision: row.revision,
        update_time: timestamp_opt(row.updated_at),
    }
}

/// Reads what a channel is to keep in step.
pub fn policy_of(sync: &pb::ResponsibleSync) -> Result<SyncPolicy, Status> {
    Ok(SyncPolicy {
        from_crm: kinds_of("sync.from_crm", &sync.from_crm)?,
        to_crm: kinds_of("sync.to_crm", &sync.to_crm)?,
    })
}

fn kinds_of(field: &str, kinds: &[i32]) -> Result<BTreeSet<EntityKind>, Status> {
    let read = kinds.iter().enumerate().map(|(place, kind)| {
        kind_of(*kind).ok_or_else(|| {
            let rule = "must be lead, deal, contact, company or customer";
            PARSE.refuse(&format!("{field}[{place}]"), rule)
        })
    });
    read.collect()
}
