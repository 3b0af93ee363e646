//! `MarkRead` and `WaiveReply`: what a person has seen, and what needs no reply (F072, F206, F209).

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::Act;
use super::announce;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::store;

/// Marks the newest conversation of a chat as read, unless the client wrote after what the caller has seen.
pub async fn mark_read(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, seen): (ChatId, Option<MessageId>),
    now: OffsetDateTime,
) -> Result<pb::MarkReadResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if seen_all(&mut act, seen).await? {
        act.chat.read();
        if let Some(agent) = caller.agent() {
            // Who has read it has read its notification.
            let account = &act.chat.account;
            store::notifications::mark(&mut act.tx, account, agent, &[act.chat.id]).await?;
        }
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::MarkReadResponse { chat })
}

/// Takes a chat out of those that wait, unless the client wrote after what the caller has seen.
pub async fn waive_reply(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, seen): (ChatId, Option<MessageId>),
    now: OffsetDateTime,
) -> Result<pb::WaiveReplyResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if seen_all(&mut act, seen).await? {
        let waited = act.chat.waiting;
        act.chat.waive();
        if waited {
            act.note(announce::of_act(&act.chat), "chat.reply-waived", &[])?;
        }
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::WaiveReplyResponse { chat })
}

/// Tells whether the client wrote nothing after the message that the caller names as the newest they have seen.
async fn seen_all(act: &mut Act, seen: Option<MessageId>) -> Result<bool, Error> {
    let Some(seen) = seen else {
        return Ok(true);
    };
    let message = store::message::get(&mut act.tx, act.chat.id, seen).await?;
    let position = message.ok_or(Error::MessageNotFound)?.sequence;
    let positions = std::iter::once((act.chat.id, position)).collect();
    let later = store::delivery::client_messages_after(&mut act.tx, &positions).await?;
    Ok(later
        .get(&act.chat.id)
        .is_none_or(|later| later.messages == 0))
}
