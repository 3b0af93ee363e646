//! What is kept of what happens to entities.

use chassis::audit::FieldChange;

use super::words::words;

words! {
    /// What happened to an entity.
    pub enum EntryKind {
        /// It was created.
        Created = "created",
        /// Fields were changed.
        Updated = "updated",
        /// It got another status.
        Moved = "moved",
        /// It got another responsible.
        Responsible = "responsible",
        /// Agents take part, or do not any more.
        Participants = "participants",
        /// A note was added.
        Note = "note",
        /// A chat was linked to it.
        Linked = "linked",
        /// It was deleted.
        Deleted = "deleted",
        /// The person did something that matters (F193).
        KeyAction = "key-action",
        /// Another contact was merged into it, or it into another (B08).
        Merged = "merged",
        /// A merge was taken back.
        Unmerged = "unmerged",
    }
}

impl EntryKind {
    /// What is listed where nothing is asked for: key actions are off (F194).
    pub fn by_default() -> Vec<Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|kind| *kind != Self::KeyAction).collect()
    }

    /// The kind of entry that tells of a field's change.
    fn of(field: &str) -> Self {
        match field.split(['.', '[']).next().unwrap_or(field) {
            "status" | "pipeline_id" => Self::Moved,
            "responsible_agent_id" => Self::Responsible,
            "participant_agent_ids" => Self::Participants,
            _ => Self::Updated,
        }
    }
}

/// Parts what one act changed into entries, each of one kind, so that whoever asks for one finds it.
pub fn parted(changes: Vec<FieldChange>) -> Vec<(EntryKind, Vec<FieldChange>)> {
    let mut parts: Vec<(EntryKind, Vec<FieldChange>)> = Vec::new();
    for change in changes {
        let kind = EntryKind::of(&change.field);
        match parts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, changes)) => changes.push(change),
            None => parts.push((kind, vec![change])),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_told_by_entries_of_one_kind_each() {
        let change = |field: &str| FieldChange {
            field: field.to_owned(),
            before: None,
            after: None,
        };
        let parts = parted(
            [
                "title",
                "status.name",
                "pipeline_id",
                "responsible_agent_id",
                "fields.city.text",
            ]
            .map(change)
            .to_vec(),
        );
        let told: Vec<(EntryKind, Vec<&str>)> = parts
            .iter()
            .map(|(kind, changes)| (*kind, changes.iter().map(|one| &*one.field).collect()))
            .collect();
        assert_eq!(
            told,
            [
                (EntryKind::Updated, vec!["title", "fields.city.text"]),
                (EntryKind::Moved, vec!["status.name", "pipeline_id"]),
                (EntryKind::Responsible, vec!["responsible_agent_id"]),
            ]
        );
        assert!(parted(Vec::new()).is_empty());
    }

    #[test]
    fn f194_key_actions_are_off_by_default() {
        let shown = EntryKind::by_default();
        assert_eq!(shown.len(), EntryKind::ALL.len() - 1);
        assert!(!shown.contains(&EntryKind::KeyAction));
    }
}
