//! Snoozed chats (B13): out of sight until a time, or until the client writes.

use chassis::actor::Actor;
use chassis::auth::Caller;
use chassis::grpc::timestamp;
use chassis::outbox::{self, Waker};
use chassis::trace::TraceContext;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::Act;
use super::announce::{self, Cause, Notice};
use crate::domain::ChatId;
use crate::domain::chat::Snooze;
use crate::error::{DOMAIN, Error};
use crate::store;

/// Who wakes chats whose time has come, as events name their actor.
const RULE: &str = "snooze";

/// Chats that are woken in one transaction, at most.
const WOKEN: i64 = 200;

/// Puts a chat out of sight, or changes until when.
pub async fn snooze(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, snooze): (ChatId, Snooze),
    now: OffsetDateTime,
) -> Result<pb::SnoozeChatResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if act.chat.spam {
        return Err(Error::ChatIsSpam);
    }
    if act.chat.open_episode().is_none() {
        let number = act.chat.episode.as_ref().map_or(0, |last| last.number);
        return Err(Error::ConversationClosed { number });
    }
    if act.chat.snooze != Some(snooze) {
        act.chat.snooze = Some(snooze);
        let until = snooze.until.map(|until| timestamp(until).to_string());
        let until = until.unwrap_or_default();
        let of = announce::of_act(&act.chat);
        act.note(of, "chat.snoozed", &[("until", until)])?;
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::SnoozeChatResponse { chat })
}

/// Takes a snoozed chat up again; one that is not snoozed stays as it is.
pub async fn wake(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<pb::WakeChatResponse, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    if act.chat.snooze.take().is_some() {
        act.note(announce::of_act(&act.chat), "chat.woken", &[])?;
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::WakeChatResponse { chat })
}

/// Wakes the chats whose time has come, on whichever replica looks first. Returns whether there may be more.
pub async fn round(pool: &PgPool, waker: &Waker, now: OffsetDateTime) -> Result<bool, Error> {
    let mut tx = pool.begin().await?;
    let mut chats = store::chat::asleep(&mut tx, now, WOKEN).await?;
    if chats.is_empty() {
        return Ok(false);
    }
    let cause = Cause {
        id: None,
        trace: TraceContext::none(),
        actor: Some(Actor::Rule(RULE.to_owned())),
    };
    let (mut rows, mut events) = (Vec::new(), Vec::new());
    for chat in &mut chats {
        let before = chat.clone();
        chat.remind();
        let notice = Notice {
            of: announce::of_act(chat),
            kind: "chat.woken",
            parameters: &[],
            time: now,
        };
        let (row, event) = announce::system(chat, &notice, &cause)?;
        rows.push(row);
        events.push(event);
        events.extend(announce::snoozed(&before, chat, &cause));
        events.extend(announce::read_mark(&before, chat, &cause));
    }
    store::message::insert(&mut tx, &rows, now).await?;
    store::chat::save(&mut tx, chats.iter()).await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    waker.wake();
    Ok(chats.len() == usize::try_from(WOKEN).unwrap_or(usize::MAX))
}
