//! `CloseConversation` (F105, F167, F169, F201).

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::Act;
use super::bots;
use crate::domain::{ChatId, ConversationId};
use crate::error::Error;
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
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let newest = act.chat.episode.as_ref();
    if let Some(meant) = meant
        && newest.is_none_or(|newest| newest.id != meant)
    {
        // Every conversation but the newest is closed.
        let earlier = store::conversation::get(&mut act.tx, act.chat.id, meant).await?;
        let number = earlier.ok_or(Error::ConversationNotFound)?.number;
        return Err(Error::ConversationClosed { number });
    }
    let number = newest.map_or(0, |newest| newest.number);
    bots::nps::before_close(&mut act).await?;
    let Some(closed) = act.close().await? else {
        return Err(Error::ConversationClosed { number });
    };
    let conversation = Some(wire::conversation(act.chat.id, &closed));
    act.finish(waker).await?;
    Ok(pb::CloseConversationResponse { conversation })
}
