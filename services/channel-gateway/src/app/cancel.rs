//! Taking commands back of which nothing was tried yet.

use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::announce::{self, Note};
use crate::domain::delivery::PartState;
use crate::error::Error;
use crate::store::attempts::SettledPart;
use crate::store::{commands, lanes};

/// Notes commands as taken back, whether they are here already or come later, and applies it to those that are.
pub async fn note(
    connection: &mut PgConnection,
    cancelled: &[(Uuid, i64)],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    if cancelled.is_empty() {
        return Ok(Vec::new());
    }
    let (chats, numbers): (Vec<Uuid>, Vec<i64>) = cancelled.iter().copied().unzip();
    let mut sorted = chats.clone();
    sorted.sort_unstable();
    sorted.dedup();
    lanes::lock(connection, &sorted).await?;
    commands::note_cancelled(connection, &chats, &numbers, now).await?;
    apply(connection, &sorted, now).await
}

/// Applies what was noted to commands of these chats, whose lanes are locked.
pub(super) async fn apply(
    connection: &mut PgConnection,
    chats: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let mut events = Vec::new();
    for part in commands::cancel(connection, chats, now).await? {
        let part = SettledPart {
            account: part.account,
            channel_id: part.channel_id,
            chat_id: part.chat_id,
            out_seq: part.out_seq,
            part: part.part,
            parts: part.parts,
            message_id: part.message_id,
            attempt: part.attempt,
            state: PartState::Cancelled.as_str().to_owned(),
            provider_key: String::new(),
            reason: String::new(),
            cause: None,
            trace: String::new(),
        };
        events.extend(announce::settled(
            &part,
            &Note {
                detail: "",
                ..Note::default()
            },
            now,
        )?);
    }
    Ok(events)
}
