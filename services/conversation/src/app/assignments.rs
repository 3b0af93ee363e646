//! Assignment's word on chats: the copy of responsible and participants, and what agents read of it (F083).

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::assignment::v1 as pb;
use time::OffsetDateTime;

use super::announce::{self, Cause, Notice};
use crate::domain::ChatId;
use crate::domain::assignment::{self, Assignment};
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store::{self, message::Stored};
use crate::wire;

/// One event of assignment about a chat.
#[derive(Debug, Clone)]
pub struct Change {
    /// Whose it is.
    pub account: AccountSlug,
    /// The assignment as it was after the event.
    pub assignment: Assignment,
    /// What agents read: a kind with parameters.
    pub notice: &'static str,
    /// Parameters of it.
    pub parameters: Vec<(&'static str, String)>,
    /// It confirms the responsible in place: nothing that agents have not read yet.
    pub confirms: bool,
    /// When.
    pub time: OffsetDateTime,
    /// The event.
    pub cause: Cause,
}

/// Reads an assignment of the wire.
pub fn parse(word: &pb::ChatAssignment) -> Result<Assignment, Error> {
    let broken = |field| Error::Broken(format!("chat assignment: {field} is no UUID"));
    let agent = |text: &String| text.parse().map_err(|_| broken("participant_agent_ids"));
    let responsible = match word.agent_id.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| broken("agent_id"))?),
    };
    Ok(Assignment {
        chat: word.chat_id.parse().map_err(|_| broken("chat_id"))?,
        number: word.number,
        responsible,
        participants: word
            .participant_agent_ids
            .iter()
            .map(agent)
            .collect::<Result<_, _>>()?,
        version: word.version,
        offered: word.offer_end_time.is_some(),
    })
}

/// Why somebody does not work with a chat any more, in a word; empty where the event does not say.
pub fn reason(reason: pb::PartReason) -> String {
    if reason == pb::PartReason::Unspecified {
        return String::new();
    }
    let name = reason.as_str_name().trim_start_matches("PART_REASON_");
    name.to_ascii_lowercase().replace('_', "-")
}

/// Takes what an answer of assignment says about a locked chat.
pub async fn learn(
    connection: &mut PgConnection,
    chat: &mut Chat,
    word: &pb::ChatAssignment,
) -> Result<(), Error> {
    let assignment = parse(word)?;
    if assignment.chat != chat.id {
        return Ok(());
    }
    let (number, responsible) = (assignment.number, assignment.responsible);
    let kept = store::assignment::keep(connection, &[(chat.account.clone(), assignment)]).await?;
    if !kept.is_empty() {
        chat.assigned(number, responsible);
    }
    Ok(())
}

/// Applies changes to locked chats. Of chats that are not known the copy is kept for later.
pub async fn apply(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    changes: &[Change],
    rows: &mut Vec<Stored>,
    events: &mut Vec<Outgoing>,
) -> Result<(), Error> {
    let accounts: BTreeMap<ChatId, &AccountSlug> = changes
        .iter()
        .map(|change| (change.assignment.chat, &change.account))
        .collect();
    let newest = assignment::newest(changes.iter().map(|c| c.assignment.clone()).collect());
    let newest: Vec<(AccountSlug, Assignment)> = newest
        .into_iter()
        .filter_map(|assignment| Some(((*accounts.get(&assignment.chat)?).clone(), assignment)))
        .collect();
    let kept = store::assignment::keep(connection, &newest).await?;
    // A chat that was made while we waited for the row of its copy is seen only now.
    let late: Vec<ChatId> = kept
        .iter()
        .copied()
        .filter(|id| !chats.contains_key(id))
        .collect();
    if !late.is_empty() {
        chats.append(&mut store::chat::lock(connection, &late).await?);
    }
    for (account, assignment) in &newest {
        let chat = chats.get_mut(&assignment.chat);
        let Some(chat) = chat.filter(|chat| chat.account == *account) else {
            continue;
        };
        if kept.contains(&chat.id) {
            chat.assigned(assignment.number, assignment.responsible);
        }
    }
    let notes: Vec<Note<'_>> = changes
        .iter()
        .filter(|change| !change.confirms)
        .map(|change| Note {
            chat: change.assignment.chat,
            account: &change.account,
            notice: Notice {
                of: change.cause.id.unwrap_or_default().to_string(),
                kind: change.notice,
                parameters: &change.parameters,
                time: change.time,
            },
            cause: &change.cause,
        })
        .collect();
    note(connection, chats, &notes, rows, events).await
}

/// A system message to be left in a chat, once.
pub struct Note<'n> {
    /// The chat.
    pub chat: ChatId,
    /// Whose it is.
    pub account: &'n AccountSlug,
    /// What it says.
    pub notice: Notice<'n>,
    /// The event that it reports.
    pub cause: &'n Cause,
}

/// Leaves system messages in locked chats; those that were left before, and those of unknown chats, are skipped.
pub async fn note(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    notes: &[Note<'_>],
    rows: &mut Vec<Stored>,
    events: &mut Vec<Outgoing>,
) -> Result<(), Error> {
    let ids: Vec<_> = notes
        .iter()
        .map(|note| wire::system_id(&note.notice.of, note.notice.kind))
        .collect();
    let mut left: BTreeSet<_> = store::message::existing(connection, &ids).await?;
    for (note, id) in notes.iter().zip(ids) {
        let chat = chats.get_mut(&note.chat);
        let Some(chat) = chat.filter(|chat| chat.account == *note.account) else {
            continue;
        };
        if left.insert(id) {
            let (row, event) = announce::system(chat, &note.notice, note.cause)?;
            rows.push(row);
            events.push(event);
        }
    }
    Ok(())
}
