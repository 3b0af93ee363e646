//! Bots: their scenarios, and their runs in chats (F187, F197-F199, F202, F203).

pub mod nps;
pub mod round;
pub mod runs;

use std::collections::BTreeMap;

use chassis::auth::Caller;
use chassis::outbox::Waker;
use chassis::request::{self, Claim};
use chassis::{audit, id};
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use self::runs::Outcome;
use super::access;
use super::act::{Act, Repeat};
use super::read::{self, Page};
use crate::audit as told;
use crate::domain::bot::{self, Flaw, RunState, Trigger};
use crate::domain::{BotId, ChannelId, ChatId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::store::bots::runs::{self as table, Run};
use crate::store::bots::{self as bots, Bot};
use crate::wire;

/// Bots of an account at most.
const OF_ACCOUNT_MAX: i64 = 200;

/// Why a bot is not to be started, changed or sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BotError {
    /// No such bot.
    #[error("there is no such bot")]
    NotFound,
    /// Its scenario is not sound.
    #[error("the scenario is not sound")]
    Flawed(Vec<Flaw>),
    /// It is not what the caller saw.
    #[error("the bot has changed meanwhile: it is at revision {0}")]
    Changed(i64),
    /// The account would have too many.
    #[error("an account has at most {OF_ACCOUNT_MAX} bots: delete one first")]
    TooMany,
    /// It is of channels that the caller was not granted.
    #[error("the bot is of all channels, and you were granted some: name channels of yours")]
    AllChannels,
    /// It may not be started.
    #[error("the bot is switched off: enable it first")]
    Disabled,
    /// One runs in the chat.
    #[error("bot \"{0}\" runs in this chat: stop it first")]
    Runs(String),
    /// The question of NPS is off.
    #[error("the rule of this channel names no bot of NPS that is enabled")]
    NpsOff,
    /// The question of NPS has to be sent first (F202).
    #[error("NPS has to be sent before this conversation is closed")]
    NpsNotSent,
    /// It was sent already.
    #[error("NPS was sent in this conversation")]
    NpsSent,
    /// The channel cannot take it now.
    #[error("the channel cannot take a message now: {0}")]
    NpsImpossible(&'static str),
}

/// What a bot is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Steps; none for the usual ones of NPS.
    pub steps: Vec<pb::BotStep>,
    /// When it starts by itself.
    pub trigger: Option<Trigger>,
    /// Channels in which it does; none are all.
    pub channels: Vec<ChannelId>,
    /// It may be started.
    pub enabled: bool,
    /// It asks the question of NPS.
    pub nps: bool,
}

/// Creates a bot.
pub async fn create(
    pool: &PgPool,
    caller: &Caller,
    (mut wanted, repeat): (Wanted, Repeat),
    now: OffsetDateTime,
) -> Result<pb::CreateBotResponse, Error> {
    const METHOD: &str = "CreateBot";
    access::may_change_settings(caller)?;
    may_name(caller, &wanted.channels)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    if let Some(request_id) = &repeat.request_id {
        match request::claim(&mut tx, account, METHOD, request_id, &repeat.hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => return Ok(pb::CreateBotResponse::decode(answer)?),
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.clone())),
        }
    }
    audit::alone(&mut tx, account, "bots", account).await?;
    if bots::count(&mut tx, account).await? >= OF_ACCOUNT_MAX {
        return Err(BotError::TooMany.into());
    }
    if wanted.nps && wanted.steps.is_empty() {
        let language = store::account::language(&mut tx, account).await?;
        wanted.steps = bot::nps::scenario(language);
    }
    bot::check(&wanted.steps, wanted.nps).map_err(BotError::Flawed)?;
    let made = whole(id::v7(now).into(), wanted, (1, now), now);
    bots::put(&mut tx, account, &made).await?;
    let made = wire::bot(&made);
    let entry = told::bot(caller, (None, Some(&made)))?;
    let answer = pb::CreateBotResponse { bot: Some(made) };
    if let Some(request_id) = &repeat.request_id {
        let answer = answer.encode_to_vec();
        request::store(&mut tx, account, METHOD, request_id, &answer).await?;
    }
    audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    tx.commit().await?;
    Ok(answer)
}

fn whole(
    id: BotId,
    wanted: Wanted,
    (revision, created_at): (i64, OffsetDateTime),
    now: OffsetDateTime,
) -> Bot {
    Bot {
        id,
        name: wanted.name,
        steps: wanted.steps,
        trigger: wanted.trigger,
        channels: wanted.channels,
        enabled: wanted.enabled,
        nps: wanted.nps,
        revision,
        created_at,
        updated_at: now,
    }
}

/// Changes a bot, whole.
pub async fn update(
    pool: &PgPool,
    caller: &Caller,
    (bot, wanted): (BotId, Wanted),
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<Bot, Error> {
    access::may_change_settings(caller)?;
    may_name(caller, &wanted.channels)?;
    let account = caller.account();
    bot::check(&wanted.steps, wanted.nps).map_err(BotError::Flawed)?;
    let mut tx = pool.begin().await?;
    audit::alone(&mut tx, account, "bots", account).await?;
    let before = bots::get(&mut tx, account, bot).await?;
    let before = before.ok_or(BotError::NotFound)?;
    may_name(caller, &before.channels)?;
    if expected.is_some_and(|expected| expected != before.revision) {
        return Err(BotError::Changed(before.revision).into());
    }
    let after = whole(bot, wanted, (before.revision + 1, before.created_at), now);
    bots::put(&mut tx, account, &after).await?;
    let sides = (wire::bot(&before), wire::bot(&after));
    let entry = told::bot(caller, (Some(&sides.0), Some(&sides.1)))?;
    audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    tx.commit().await?;
    Ok(after)
}

/// Deletes a bot; rules of channels name it no more.
pub async fn delete(
    pool: &PgPool,
    caller: &Caller,
    bot: BotId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    access::may_change_settings(caller)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    audit::alone(&mut tx, account, "bots", account).await?;
    let before = bots::get(&mut tx, account, bot).await?;
    let before = before.ok_or(BotError::NotFound)?;
    may_name(caller, &before.channels)?;
    let before = wire::bot(&before);
    bots::delete(&mut tx, account, bot).await?;
    let entry = told::bot(caller, (Some(&before), None))?;
    audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    tx.commit().await?;
    Ok(())
}

/// Who makes or changes a bot of channels has them; of a bot of all channels, all.
fn may_name(caller: &Caller, channels: &[ChannelId]) -> Result<(), Error> {
    let Some(granted) = access::granted(caller) else {
        return Ok(());
    };
    if channels.is_empty() {
        return Err(BotError::AllChannels.into());
    }
    let beyond = |channel: &ChannelId| !granted.contains(&channel.uuid());
    if channels.iter().any(beyond) {
        return Err(Error::ChannelNotFound);
    }
    Ok(())
}

/// Returns one bot. Everybody of the account reads them (F199).
pub async fn get(pool: &PgPool, caller: &Caller, bot: BotId) -> Result<Bot, Error> {
    let mut connection = pool.acquire().await?;
    let found = bots::get(&mut connection, caller.account(), bot).await?;
    Ok(found.ok_or(BotError::NotFound)?)
}

/// Lists bots after one.
pub async fn list(
    pool: &PgPool,
    caller: &Caller,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Bot>, Error> {
    let mut connection = pool.acquire().await?;
    Ok(bots::list(&mut connection, caller.account(), after, limit).await?)
}

/// Starts a bot in a chat with an open conversation. The same request begins no second run.
pub async fn start(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, bot): (ChatId, BotId),
    request_id: Option<&str>,
    now: OffsetDateTime,
) -> Result<Run, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let account = caller.account();
    let id = match request_id {
        None => id::v7(now),
        Some(request_id) => {
            let of = [
                account.as_str(),
                &chat.to_string(),
                &bot.to_string(),
                request_id,
            ];
            id::v5("bot-run", &of)
        }
    };
    let begun = table::several(&mut act.tx, &[id]).await?.remove(&id);
    if let Some(begun) = begun {
        return Ok(begun);
    }
    let bot = bots::get(&mut act.tx, account, bot).await?;
    let bot = bot.ok_or(BotError::NotFound)?;
    if bot.nps {
        may_ask(&mut act).await?;
    }
    begin(act, waker, &bot, id).await
}

/// Starts the bot of NPS of the chat's channel (F202, F203).
pub async fn send_nps(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<Run, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let bot = nps::bot_of(&mut act.tx, &act.chat).await?;
    let bot = bot.ok_or(BotError::NpsOff)?;
    may_ask(&mut act).await?;
    // What another bot was about is over: the agent comes to the end.
    if act.chat.bot.is_some() {
        stop_in(&mut act, RunState::Stopped).await?;
    }
    begin(act, waker, &bot, id::v7(now)).await
}

/// Refuses to ask a client of NPS who was asked in this conversation, or cannot be.
async fn may_ask(act: &mut Act) -> Result<(), Error> {
    if let Some(open) = act.chat.open_episode()
        && table::was_sent(&mut act.tx, &act.chat, open.id).await?
    {
        return Err(BotError::NpsSent.into());
    }
    match bot::nps::obstacle(&act.chat, act.now) {
        Some(obstacle) => Err(BotError::NpsImpossible(obstacle).into()),
        None => Ok(()),
    }
}

async fn begin(mut act: Act, waker: &Waker, bot: &Bot, id: Uuid) -> Result<Run, Error> {
    if !bot.enabled {
        return Err(BotError::Disabled.into());
    }
    if act.chat.spam {
        return Err(Error::ChatIsSpam);
    }
    let Some(open) = act.chat.open_episode().map(|open| open.id) else {
        let number = act.chat.episode.as_ref().map_or(0, |last| last.number);
        return Err(Error::ConversationClosed { number });
    };
    if let Some((run, _)) = act.chat.bot {
        let names = table::names(&mut act.tx, &[run]).await?;
        let name = names.into_values().next().map(|(_, name)| name);
        return Err(BotError::Runs(name.unwrap_or_default()).into());
    }
    let mut outcome = Outcome::default();
    let of = (id, bot, open);
    let run = runs::begin(&mut act.chat, of, &act.cause, act.now, &mut outcome)?;
    if bot.nps {
        let nps = table::Nps::default();
        runs::nps_kept(&mut act.tx, &act.chat, &run, nps, act.now).await?;
    }
    act.take(outcome).await?;
    act.finish(waker).await?;
    Ok(run)
}

/// Stops the bot of a chat (F198); none where none runs.
pub async fn stop(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<Option<Run>, Error> {
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let stopped = stop_in(&mut act, RunState::Stopped).await?;
    act.finish(waker).await?;
    Ok(stopped)
}

/// Ends the run of a chat in hand.
pub(super) async fn stop_in(act: &mut Act, state: RunState) -> Result<Option<Run>, Error> {
    let Some((id, _)) = act.chat.bot else {
        return Ok(None);
    };
    let mut known: BTreeMap<Uuid, Run> = table::several(&mut act.tx, &[id]).await?;
    let Some(mut run) = known.remove(&id) else {
        act.chat.bot = None;
        return Ok(None);
    };
    let mut outcome = Outcome::default();
    let (chat, cause) = (&mut act.chat, &act.cause);
    runs::end(chat, &mut run, state, cause, act.now, &mut outcome)?;
    outcome.runs.push(run.clone());
    act.take(outcome).await?;
    Ok(Some(run))
}

/// Ends the run of a chat whose conversation is ended. A bot of NPS goes on (F203), unless the chat is spam.
pub(super) async fn stop_closed(act: &mut Act) -> Result<(), Error> {
    let Some((id, _)) = act.chat.bot else {
        return Ok(());
    };
    let known = table::several(&mut act.tx, &[id]).await?;
    if act.chat.spam || known.get(&id).is_none_or(|run| !run.nps) {
        stop_in(act, RunState::Closed).await?;
    }
    Ok(())
}

/// Lists the runs in a chat before one, the newest first (F197).
pub async fn runs_of(
    pool: &PgPool,
    caller: &Caller,
    chat: ChatId,
    before: (OffsetDateTime, Uuid),
    size: u32,
) -> Result<Page<Run, (OffsetDateTime, Uuid)>, Error> {
    let mut connection = pool.acquire().await?;
    let chat = access::chat(&mut connection, caller, chat).await?;
    let found = table::list(&mut connection, chat.id, before, i64::from(size) + 1).await?;
    Ok(read::cut(found, size, |run| (run.started_at, run.id)))
}
