//! `AddNote`: what agents tell each other in a chat (F098).

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::{Act, Repeat};
use super::{access, announce};
use crate::domain::words::MessageKind;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::figures;
use crate::wire;

/// A note to be left.
#[derive(Debug, Clone)]
pub struct Command {
    /// What makes it idempotent.
    pub repeat: Repeat,
    /// The chat.
    pub chat: ChatId,
    /// The text.
    pub text: common::Text,
    /// Id of the note to be.
    pub note: MessageId,
}

/// Leaves a note. It has no delivery, so that nothing ever brings it to the client; it counts as no answer (X09), and does not
/// stand for the chat's newest message in lists.
pub async fn add(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    command: Command,
    now: OffsetDateTime,
) -> Result<pb::AddNoteResponse, Error> {
    const METHOD: &str = "AddNote";
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let mut act = Act::begin(pool, caller, command.chat, now).await?;
    if let Some(answer) = act.repeated(METHOD, &command.repeat).await? {
        return Ok(answer);
    }
    let content = pb::Message {
        parts: vec![common::ContentPart {
            content: Some(Content::Text(command.text)),
        }],
        ..pb::Message::default()
    };
    let (id, kind) = (command.note, MessageKind::Note);
    let row = announce::new_message(&mut act.chat, id, kind, Some(agent), now, &content);
    let note = wire::message(&row)?;
    let event = announce::stored(&act.chat, note.clone(), &act.cause);
    act.keep(row, event);
    let answer = pb::AddNoteResponse {
        message: Some(note),
    };
    act.remember(METHOD, &command.repeat, &answer).await?;
    act.finish(waker).await?;
    figures::STORED.of(["note"]).increment(1);
    Ok(answer)
}
