//! Bots: their scenarios, and their runs in chats (F187, F197-F199, F202, F203).

pub mod keep;
pub mod named;
pub mod nps;
pub mod round;
pub mod runs;
mod start;

pub use start::{send_nps, start};

use std::collections::BTreeMap;

use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::AccountSlug;
use chassis::outbox::Waker;
use chassis::request::{self, Claim};
use chassis::{audit, id};
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use self::named::Things;
use self::runs::Outcome;
use super::access;
use super::act::{Act, Repeat};
use super::read::{self, Page};
use crate::audit as told;
use crate::domain::bot::{self, Flaw, RunState, Trigger};
use crate::domain::channel_rule::ChannelRule;
use crate::domain::words::{EntityKind, NpsSkipped};
use crate::domain::{BotId, ChannelId, ChatId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::store::bots::runs::{self as table, Listed, Run};
use crate::store::bots::{self as bots, Bot};
use crate::wire;

/// The call, as request ids are kept under it.
const CREATE: &str = "CreateBot";

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
    /// It names what there is not.
    #[error("{} fields name what there is not", .0.len())]
    Unknown(Vec<FieldViolation>),
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
    #[error(
        "NPS has to be sent before this conversation is closed: send it by SendNps, or `switchboardctl bot nps {0}`, then close"
    )]
    NpsNotSent(ChatId),
    /// It was sent already.
    #[error("NPS was sent in this conversation")]
    NpsSent,
    /// The channel cannot take it now.
    #[error("the channel cannot take a message now: {}", .0.as_str())]
    NpsImpossible(NpsSkipped),
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

impl Wanted {
    /// It gets the usual questions of NPS.
    fn is_usual(&self) -> bool {
        self.nps && self.steps.is_empty()
    }
}

/// Creates a bot.
pub async fn create(
    pool: &PgPool,
    things: &dyn Things,
    caller: &Caller,
    (mut wanted, repeat): (Wanted, Repeat),
    now: OffsetDateTime,
) -> Result<pb::CreateBotResponse, Error> {
    access::may_change_settings(caller)?;
    may_name(caller, &wanted.channels)?;
    let account = caller.account();
    // Other services are asked with no transaction open.
    bot::check(&wanted.steps, wanted.nps)
        .or_else(|flaws| {
            if wanted.is_usual() {
                Ok(())
            } else {
                Err(flaws)
            }
        })
        .map_err(BotError::Flawed)?;
    let mut tx = pool.begin().await?;
    if let Some(made) = made_before(&mut tx, account, &repeat, now).await? {
        return Ok(made);
    }
    tx.rollback().await?;
    named::check(things, caller, &wanted, None).await?;
    let mut tx = pool.begin().await?;
    if let Some(made) = made_before(&mut tx, account, &repeat, now).await? {
        return Ok(made);
    }
    audit::alone(&mut tx, account, "bots", account).await?;
    if bots::count(&mut tx, account).await? >= OF_ACCOUNT_MAX {
        return Err(BotError::TooMany.into());
    }
    if wanted.is_usual() {
        let language = store::account::language(&mut tx, account).await?;
        wanted.steps = bot::nps::scenario(language);
    }
    let made = whole(id::v7(now).into(), wanted, (1, now), now);
    bots::put(&mut tx, account, &made).await?;
    let made = wire::bot(&made);
    let entry = told::bot(caller, (None, Some(&made)))?;
    let answer = pb::CreateBotResponse { bot: Some(made) };
    if let Some(request_id) = &repeat.request_id {
        let answer = answer.encode_to_vec();
        request::store(&mut tx, account, CREATE, request_id, &answer).await?;
    }
    audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Returns the first answer of a request that is made again; else claims it, until the transaction ends.
async fn made_before(
    connection: &mut PgConnection,
    account: &AccountSlug,
    repeat: &Repeat,
    now: OffsetDateTime,
) -> Result<Option<pb::CreateBotResponse>, Error> {
    let Some(request_id) = &repeat.request_id else {
        return Ok(None);
    };
    match request::claim(connection, account, CREATE, request_id, &repeat.hash, now).await? {
        Claim::New => Ok(None),
        Claim::Done(answer) => Ok(Some(pb::CreateBotResponse::decode(answer)?)),
        Claim::Conflict => Err(Error::RequestIdReused(request_id.clone())),
    }
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
    things: &dyn Things,
    caller: &Caller,
    (bot, wanted): (BotId, Wanted),
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<Bot, Error> {
    access::may_change_settings(caller)?;
    may_name(caller, &wanted.channels)?;
    let account = caller.account();
    let known = get(pool, caller, bot).await?;
    // Steps that were saved when less was asked of them are not looked at again: such a bot can still be renamed, and switched off.
    if known.steps != wanted.steps || known.nps != wanted.nps {
        bot::check(&wanted.steps, wanted.nps).map_err(BotError::Flawed)?;
    }
    named::check(things, caller, &wanted, Some(&known)).await?;
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
    let mut entries = vec![told::bot(caller, (Some(&before), None))?];
    // What its deletion makes of rules is told as their change, in the order of their changes.
    let channels = store::channel_rule::naming(&mut tx, account, bot).await?;
    audit::alone_all(&mut tx, account, "channel-rules", &channels).await?;
    bots::delete(&mut tx, account, bot).await?;
    for after in store::channel_rule::forget_bot(&mut tx, account, bot, now).await? {
        let was = ChannelRule {
            nps_bot: Some(bot),
            ..after.clone()
        };
        entries.push(told::channel_rule(caller, &(Some(was), after))?);
    }
    audit::write(&mut tx, DOMAIN, entries, now).await?;
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

/// Lists the runs in a chat, or in the chats that are linked with a card or contact, before one, the newest first (F197).
pub async fn runs_of(
    pool: &PgPool,
    caller: &Caller,
    mut listed: Listed,
    before: (OffsetDateTime, Uuid),
    size: u32,
) -> Result<Page<Run, (OffsetDateTime, Uuid)>, Error> {
    let mut connection = pool.acquire().await?;
    access::may_use_chats(caller)?;
    if let Some(chat) = listed.chat {
        access::chat(&mut connection, caller, chat).await?;
    }
    if let Some(entity) = listed.entity
        && !sees_entity(&mut connection, caller, entity).await?
    {
        return Ok((Vec::new(), None));
    }
    listed.granted = access::granted(caller);
    let account = caller.account();
    let found = table::list(
        &mut connection,
        account,
        &listed,
        before,
        i64::from(size) + 1,
    )
    .await?;
    Ok(read::cut(found, size, |run| (run.started_at, run.id)))
}

/// Tells whether the caller may know which chats a card or contact is linked with (F176). One that is not known here has none.
async fn sees_entity(
    connection: &mut PgConnection,
    caller: &Caller,
    entity: Uuid,
) -> Result<bool, Error> {
    let account = caller.account();
    let Some((kind, responsible)) = store::chat_words::entity(connection, account, entity).await?
    else {
        return Ok(caller.access().is_none());
    };
    let (own_cards, own_people) = access::sees_own_only(caller);
    let (sees, own) = match kind {
        EntityKind::Card => (access::sees_cards(caller), own_cards),
        _ => (access::sees_people(caller), own_people),
    };
    Ok(sees && (!own || responsible == caller.agent()))
}
