//! Spam: `MarkSpam` and `RestoreChat` (F171–F173, D13).

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::Act;
use super::announce;
use crate::domain::ChatId;
use crate::error::Error;

/// Marks a chat as spam and closes it; one that is spam already stays as it is.
pub async fn mark(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<pb::MarkSpamResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if act.chat.condemn() {
        act.close().await?;
        let event = pb::ChatSpam {
            chat_id: act.chat.id.to_string(),
            channel_id: act.chat.channel.to_string(),
        };
        act.tell(announce::about_chat(&act.chat, &event, &act.cause));
        act.note(announce::of_act(&act.chat), "chat.spam", &[])?;
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::MarkSpamResponse { chat })
}

/// Takes the mark of spam away; a chat without one stays as it is.
pub async fn restore(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<pb::RestoreChatResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if act.chat.restore() {
        let event = pb::ChatRestored {
            chat_id: act.chat.id.to_string(),
            channel_id: act.chat.channel.to_string(),
        };
        act.tell(announce::about_chat(&act.chat, &event, &act.cause));
        act.note(announce::of_act(&act.chat), "chat.restored", &[])?;
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::RestoreChatResponse { chat })
}
