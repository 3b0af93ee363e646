//! `CloseConversation` (F105).

use chassis::auth::Caller;
use chassis::outbox::{self, Waker};
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::access;
use super::announce::{self, Cause, Notice};
use crate::domain::{ChatId, ConversationId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::wire;

/// Closes the open conversation of a chat, or the one that the caller means.
///
/// Everybody who sees the chat may close it, not its responsible alone: a supervisor tidies up, an integration ends
/// what it was told to end, and the client's next word opens the chat again.
pub async fn close(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    meant: Option<ConversationId>,
    now: OffsetDateTime,
) -> Result<pb::CloseConversationResponse, Error> {
    let mut tx = pool.begin().await?;
    let mut chat = access::lock_chat(&mut tx, caller, chat).await?;
    let newest = chat.episode.as_ref();
    if let Some(meant) = meant
        && newest.is_none_or(|newest| newest.id != meant)
    {
        // Every conversation but the newest is closed.
        let earlier = store::conversation::get(&mut tx, chat.id, meant).await?;
        let number = earlier.ok_or(Error::ConversationNotFound)?.number;
        return Err(Error::ConversationClosed { number });
    }
    let number = newest.map_or(0, |newest| newest.number);
    let Some(closed) = chat.close(now) else {
        return Err(Error::ConversationClosed { number });
    };
    let cause = Cause::request(caller.actor());
    let actor = cause.actor_text();
    store::conversation::update(&mut tx, &[&closed], Some(&actor)).await?;
    let notice = Notice {
        of: announce::of_revision(closed.id, closed.revision),
        kind: "conversation.closed",
        parameters: &[("number", closed.number.to_string())],
        time: now,
    };
    let event = announce::closed(&chat, &closed, &cause);
    let (row, noted) = announce::system(&mut chat, &notice, &cause)?;
    store::message::insert(&mut tx, &[row], now).await?;
    store::chat::save(&mut tx, std::iter::once(&chat)).await?;
    outbox::write(&mut tx, DOMAIN, vec![event, noted], now).await?;
    tx.commit().await?;
    waker.wake();
    Ok(pb::CloseConversationResponse {
        conversation: Some(wire::conversation(chat.id, &closed)),
    })
}
