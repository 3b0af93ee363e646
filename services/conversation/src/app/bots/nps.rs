//! The question of NPS at the end of a conversation (F202, D15), and what was answered.

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::BotError;
use super::runs::Outcome;
use crate::app::access;
use crate::app::act::Act;
use crate::app::announce::{self, Cause, Notice};
use crate::domain::ConversationId;
use crate::domain::bot::nps::obstacle;
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store;
use crate::store::bots::runs::{self as table, Nps};
use crate::store::bots::{self as bots, Bot, Counted, Total};
use crate::store::message::Stored;

/// The bot of NPS that the rule of a chat's channel names; none where it names none that may be started.
pub async fn bot_of(connection: &mut PgConnection, chat: &Chat) -> Result<Option<Bot>, Error> {
    let rule = store::channel_rule::get(connection, &chat.account, chat.channel).await?;
    let Some(bot) = rule.and_then(|rule| rule.nps_bot) else {
        return Ok(None);
    };
    let bot = bots::get(connection, &chat.account, bot).await?;
    Ok(bot.filter(|bot| bot.enabled && bot.nps))
}

/// Refuses to close a conversation before the question was sent (F202). Where the channel cannot take it, that is noted, and the
/// conversation may be closed (D15).
pub async fn before_close(act: &mut Act) -> Result<(), Error> {
    let Some(open) = act.chat.open_episode().map(|open| (open.id, open.revision)) else {
        return Ok(());
    };
    if bot_of(&mut act.tx, &act.chat).await?.is_none()
        || table::is_settled(&mut act.tx, &act.chat, open.0).await?
    {
        return Ok(());
    }
    let Some(obstacle) = obstacle(&act.chat, act.now) else {
        return Err(BotError::NpsNotSent.into());
    };
    let whose = (&act.chat.account, act.chat.id, act.chat.channel);
    let nps = Nps {
        skipped: obstacle,
        ..Nps::default()
    };
    table::keep_nps(&mut act.tx, whose, open.0, &nps, act.now).await?;
    let (row, events) = skipped(&mut act.chat, open, obstacle, &act.cause, act.now)?;
    act.take(Outcome {
        rows: vec![row],
        events,
        ..Outcome::default()
    })
    .await
}

/// Tells that a conversation's client is not asked, to integrators and in the chat.
pub(super) fn skipped(
    chat: &mut Chat,
    (open, revision): (ConversationId, i64),
    reason: &str,
    cause: &Cause,
    now: OffsetDateTime,
) -> Result<(Stored, Vec<Outgoing>), Error> {
    let event = pb::NpsSkipped {
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: open.to_string(),
        reason: reason.to_owned(),
    };
    let told = announce::about_chat(chat, &event, cause);
    let notice = Notice {
        // A conversation that goes on after its end may end so again.
        of: format!("{}/nps", announce::of_revision(open, revision)),
        kind: "nps.skipped",
        parameters: &[("reason", reason.to_owned())],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    Ok((row, vec![told, event]))
}

/// Counts what clients answered.
pub async fn totals(
    pool: &PgPool,
    caller: &Caller,
    mut counted: Counted,
) -> Result<Vec<Total>, Error> {
    access::may_use_chats(caller)?;
    counted.granted = access::granted(caller);
    let mut connection = pool.acquire().await?;
    Ok(bots::totals(&mut connection, caller.account(), &counted).await?)
}
