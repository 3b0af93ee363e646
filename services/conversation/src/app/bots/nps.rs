//! The question of NPS at the end of a conversation (F202, D15), and what was answered.

use chassis::auth::Caller;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;

use super::BotError;
use crate::app::act::Act;
use crate::app::{access, announce};
use crate::domain::bot::nps::obstacle;
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store;
use crate::store::bots::runs::{self as table, Nps};
use crate::store::bots::{self as bots, Bot, Counted, Total};

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
    let Some(open) = act.chat.open_episode().map(|open| open.id) else {
        return Ok(());
    };
    if bot_of(&mut act.tx, &act.chat).await?.is_none()
        || table::was_sent(&mut act.tx, &act.chat, open).await?
    {
        return Ok(());
    }
    let Some(skipped) = obstacle(&act.chat, act.now) else {
        return Err(BotError::NpsNotSent.into());
    };
    let whose = (&act.chat.account, act.chat.id, act.chat.channel);
    let nps = Nps {
        skipped,
        ..Nps::default()
    };
    table::keep_nps(&mut act.tx, whose, open, &nps, act.now).await?;
    let event = pb::NpsSkipped {
        chat_id: act.chat.id.to_string(),
        channel_id: act.chat.channel.to_string(),
        conversation_id: open.to_string(),
        reason: skipped.to_owned(),
    };
    act.tell(announce::about_chat(&act.chat, &event, &act.cause));
    let reason = [("reason", skipped.to_owned())];
    act.note(format!("{open}/nps"), "nps.skipped", &reason)
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
