//! What happened to cards, contacts and companies, and notes of cards.

use switchboard_proto::crm_cards::v1::{CardNote, HistoryEntry};

use crate::output::{Cell, Show, View, cell, words};
use crate::verbs::audit::{summary, told};

fn who(actor: &str, view: &View) -> String {
    match actor.split_once(':') {
        Some(("agent", id)) => view.name(id),
        _ => actor.to_owned(),
    }
}

impl Show for HistoryEntry {
    const NAME: &'static str = "switchboard.crm_cards.v1.HistoryEntry";
    const OPTIONAL: &'static [&'static str] = &["ENTRY", "WHEN"];
    const HEADERS: &'static [&'static str] = &["ENTRY", "WHEN", "WHO", "WHAT", "CHANGES"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.entry_id),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
            cell(who(&self.actor, view)),
            cell(words::word(self.kind().as_str_name(), "KIND_")),
            cell(summary(&self.changes)),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let line = |change| {
            format!(
                "  {}",
                crate::output::table::harmless(&told(change, usize::MAX))
            )
        };
        self.changes.iter().map(line).collect()
    }
}

impl Show for CardNote {
    const NAME: &'static str = "switchboard.crm_cards.v1.CardNote";
    const OPTIONAL: &'static [&'static str] = &["ID", "WHEN"];
    const HEADERS: &'static [&'static str] = &["ID", "WHEN", "WHO", "TEXT"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.note_id),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
            cell(who(&self.actor, view)),
            cell(&self.text),
        ]
    }
}
