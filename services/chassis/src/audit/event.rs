//! The event `setting.changed`: an entry as other services hear of it.

use prost::Message as _;
use switchboard_proto::operator::v1 as wire;
use time::OffsetDateTime;
use uuid::Uuid;

use super::value::told;
use super::{Entry, FieldChange};
use crate::grpc::timestamp;
use crate::outbox::{LARGEST, Outgoing};

/// Names of fields at most that are told of an entry that is too large to be told whole.
const NAMED: usize = 1_000;

/// Returns an entry's event. Its subject is what the setting is of; its id is the entry's, so that both are told once.
pub fn announced(service: &str, id: Uuid, entry: Entry, now: OffsetDateTime) -> Outgoing {
    let mut event = wire::SettingChanged {
        entry: Some(wire::AuditEntry {
            entry_id: id.to_string(),
            time: Some(timestamp(now)),
            actor: entry.actor.to_string(),
            action: entry.action.to_owned(),
            subject_kind: entry.subject.kind.to_owned(),
            subject_id: entry.subject.id.clone(),
            subject_name: entry.subject.name,
            changes: entry.changes.into_iter().map(change).collect(),
            service: service.to_owned(),
        }),
    };
    shorten(&mut event, LARGEST);
    Outgoing::with_id(id, &entry.account, entry.subject.id, &event).actor(entry.actor)
}

/// Writes a change for the wire.
pub fn change(change: FieldChange) -> wire::FieldChange {
    wire::FieldChange {
        field: change.field,
        before: change.before.map(told),
        after: change.after.map(told),
    }
}

/// Leaves out of an event that is too large what the fields were and became: the setting must not be refused for it.
fn shorten(event: &mut wire::SettingChanged, largest: usize) {
    if event.encoded_len() <= largest {
        return;
    }
    if let Some(entry) = &mut event.entry {
        entry.changes.truncate(NAMED);
        for change in &mut entry.changes {
            change.before = None;
            change.after = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b11_what_is_too_large_to_be_published_is_told_by_its_fields_alone() {
        let large = |field: &str| wire::FieldChange {
            field: field.into(),
            before: None,
            after: Some(told("x".repeat(1_000).into())),
        };
        let event = wire::SettingChanged {
            entry: Some(wire::AuditEntry {
                changes: vec![large("one"), large("two")],
                ..wire::AuditEntry::default()
            }),
        };
        for (largest, whole) in [(3_000, true), (1_500, false)] {
            let mut shortened = event.clone();
            shorten(&mut shortened, largest);
            assert_eq!(shortened == event, whole);
            assert!(shortened.encoded_len() <= largest);
            let changes = shortened.entry.unwrap().changes;
            let fields: Vec<&str> = changes.iter().map(|change| &*change.field).collect();
            assert_eq!(fields, ["one", "two"]);
        }
    }
}
