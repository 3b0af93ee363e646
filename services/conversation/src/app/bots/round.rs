//! What moves runs on: those that are due are taken by whichever replica looks first.
//!
//! Runs that need nobody are moved on by [`round`], those that wait for other services by [`calls`], beside it: a service that does
//! not answer holds up nobody who did not ask it. Other services are asked with no transaction open, and as often as it takes: what
//! they are asked for may be asked for twice.
//!
//! A client runs out of time only when all that was accepted by then has been heard ([`Backlog`]): after a time of silence the
//! answers that wait in the broker come first, however long that takes. A grace after the start would guess how long that is.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::actor::Actor;
use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Waker};
use chassis::trace::TraceContext;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tonic::{Code, Status};
use uuid::Uuid;

use super::runs::{self, Outcome};
use crate::app::announce::{self, Cause};
use crate::domain::bot::{self, Call, Input, RunState, Trigger};
use crate::domain::chat::Chat;
use crate::domain::{BotId, ChatId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::store::bots::nps as answers;
use crate::store::bots::runs::{self as table, GivenUp, Run};
use crate::store::bots::triggers;

/// Runs that are moved on in one transaction, and calls that are made at once, at most.
const AT_ONCE: i64 = 50;

/// How often another service is asked in vain before a run fails.
const TRIES_MAX: i32 = 8;

/// The first pause after that; each is twice as long as the one before: a quarter of an hour in all.
const PAUSE: Duration = Duration::from_secs(2);

/// The pause of a run that cannot be moved on itself: more than an hour in all, which the contract names.
const PUT_OFF: Duration = PAUSE.saturating_mul(2_u32.pow(TRIES_MAX.unsigned_abs()));

/// For so long a call is the replica's that makes it: longer than any call lasts.
const CALLED: Duration = Duration::from_secs(30);

/// How long a call may last.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// How long what the gateway accepted may be on its way into the broker: so long after its end a time counts as over.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// Knows how far what clients wrote has been heard: the broker.
#[tonic::async_trait]
pub trait Backlog: Send + Sync + 'static {
    /// Up to when all that had come into the broker was stored; `now` where nothing waits. None where that cannot be told.
    async fn heard_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime>;
}

/// The other services, as bots ask them. A call is made again where its outcome was not heard.
#[tonic::async_trait]
pub trait Calls: Send + Sync + 'static {
    /// Gives a chat to an agent; `request` makes it idempotent.
    async fn assign(
        &self,
        account: &AccountSlug,
        chat: ChatId,
        agent: &str,
        request: &str,
    ) -> Result<(), Status>;

    /// Writes a text field of a chat's contact.
    async fn set_field(
        &self,
        account: &AccountSlug,
        chat: ChatId,
        field: &str,
        text: &str,
    ) -> Result<(), Status>;
}

/// Who acts where a bot does.
pub fn cause(bot: BotId) -> Cause {
    Cause {
        id: None,
        trace: TraceContext::none(),
        actor: Some(Actor::Rule(format!("bot:{bot}"))),
    }
}

/// A call that a run waits for.
struct Asked {
    run: Uuid,
    account: AccountSlug,
    chat: ChatId,
    step: String,
    questions: i32,
    call: Call,
}

/// What came of the calls.
type Answers = BTreeMap<(Uuid, String), Result<(), Status>>;

/// How runs are moved on.
#[derive(Default)]
struct Moves {
    /// With these answers of other services.
    answers: Answers,
    /// Those that wait for a client only where their time was over by then.
    late: Option<OffsetDateTime>,
    /// What they wait for is asked for now.
    calls: bool,
}

/// Moves runs on that are due and need no other service. Returns whether there may be more.
pub async fn round(
    pool: &PgPool,
    waker: &Waker,
    backlog: &dyn Backlog,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    // A look without locks: mostly there is none.
    let late = if table::any_late(&mut connection, now - ON_ITS_WAY).await? {
        // Not held while the broker is asked.
        drop(connection);
        let heard = backlog.heard_until(now).await;
        connection = pool.acquire().await?;
        heard.map(|heard| heard.min(now) - ON_ITS_WAY)
    } else {
        None
    };
    let due = table::due(&mut connection, now, late, AT_ONCE).await?;
    drop(connection);
    if due.is_empty() {
        return Ok(false);
    }
    let moves = Moves {
        late,
        ..Moves::default()
    };
    each(pool, waker, &due, &moves, now).await?;
    Ok(is_full(due.len()))
}

/// Asks other services for what runs wait for, at once, and moves each on as soon as it is answered. Returns whether there may be
/// more.
pub async fn calls(
    pool: &PgPool,
    waker: &Waker,
    calls: &dyn Calls,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    let due = table::calling(&mut connection, now, AT_ONCE).await?;
    drop(connection);
    if due.is_empty() {
        return Ok(false);
    }
    let moves = Moves {
        calls: true,
        ..Moves::default()
    };
    let asked = each(pool, waker, &due, &moves, now).await?;
    let waited: FuturesUnordered<_> = asked.iter().map(|one| answered(calls, one)).collect();
    let mut waited = waited.ready_chunks(asked.len().max(1));
    while let Some(answers) = waited.next().await {
        let chats: Vec<ChatId> = answers.iter().map(|(chat, ..)| *chat).collect();
        let answers = answers.into_iter().map(|(_, key, answer)| (key, answer));
        let moves = Moves {
            answers: answers.collect(),
            ..Moves::default()
        };
        each(pool, waker, &chats, &moves, chassis::clock::now()).await?;
    }
    Ok(!asked.is_empty())
}

fn is_full(found: usize) -> bool {
    found == usize::try_from(AT_ONCE).unwrap_or(usize::MAX)
}

/// Starts bots in chats whose clients have waited too long (F211). One who was answered meanwhile is left alone.
pub async fn start(pool: &PgPool, waker: &Waker, now: OffsetDateTime) -> Result<bool, Error> {
    let trigger = Trigger::ResponseTimeExceeded;
    let mut tx = pool.begin().await?;
    let noted = triggers::wanted(&mut tx, trigger, AT_ONCE).await?;
    if noted.is_empty() {
        return Ok(false);
    }
    let mut chats = store::chat::lock(&mut tx, &noted).await?;
    let noted = triggers::take_wanted(&mut tx, &noted, trigger).await?;
    let waits = |chat: &&Chat| chat.waiting && chat.bot.is_none() && noted.contains(&chat.id);
    let free: Vec<&Chat> = chats.values().filter(waits).collect();
    let bots = triggers::triggered(&mut tx, &free, trigger).await?;
    let mut outcome = Outcome::default();
    for (id, bot) in &bots {
        if let Some(chat) = chats.get_mut(id) {
            runs::begin_by_itself(chat, bot, now, &mut outcome)?;
        }
    }
    table::save(&mut tx, &outcome.runs).await?;
    store::message::insert(&mut tx, &outcome.rows, now).await?;
    let begun = chats.values().filter(|chat| bots.contains_key(&chat.id));
    store::chat::save(&mut tx, begun).await?;
    outbox::write(&mut tx, DOMAIN, outcome.events, now).await?;
    tx.commit().await?;
    waker.wake();
    Ok(is_full(noted.len()))
}

async fn answered(
    calls: &dyn Calls,
    asked: &Asked,
) -> (ChatId, (Uuid, String), Result<(), Status>) {
    let answer = tokio::time::timeout(ANSWERED_WITHIN, ask(calls, asked)).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
    (asked.chat, (asked.run, asked.step.clone()), answer)
}

async fn ask(calls: &dyn Calls, asked: &Asked) -> Result<(), Status> {
    let (account, chat) = (&asked.account, asked.chat);
    match &asked.call {
        Call::Assign(agent) => {
            // Keys of steps are anything, and a run may come to a step again, with another question between.
            let of = [
                &*asked.run.to_string(),
                &asked.step,
                &asked.questions.to_string(),
            ];
            let request = id::v5("bot-call", &of).to_string();
            calls.assign(account, chat, agent, &request).await
        }
        Call::SetField { field, text } => calls.set_field(account, chat, field, text).await,
    }
}

/// Moves the runs of chats on together; where that fails, each alone, so that one that cannot go on holds up no other.
async fn each(
    pool: &PgPool,
    waker: &Waker,
    chats: &[ChatId],
    moves: &Moves,
    now: OffsetDateTime,
) -> Result<Vec<Asked>, Error> {
    let error = match step(pool, waker, chats, moves, now).await {
        Err(error) if !error.is_away() => error,
        done => return done,
    };
    tracing::warn!(%error, chats = chats.len(), "bots could not be moved on together");
    let mut asked = Vec::new();
    for chat in chats {
        match step(pool, waker, std::slice::from_ref(chat), moves, now).await {
            Ok(more) => asked.extend(more),
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                tracing::error!(%error, chat.id = %chat, "a bot could not be moved on");
                put_off(pool, waker, *chat, now).await?;
            }
        }
    }
    Ok(asked)
}

/// Has a run tried again later that cannot be moved on; after so many tries it is given up, and that is told.
async fn put_off(
    pool: &PgPool,
    waker: &Waker,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut told = true;
    loop {
        let mut tx = pool.begin().await?;
        let mut chats = store::chat::lock(&mut tx, &[chat]).await?;
        let given_up = table::put_off(&mut tx, chat, TRIES_MAX, now + PUT_OFF, now).await?;
        if let (Some(run), Some(chat)) = (&given_up, chats.get(&chat)) {
            answers::take_back(&mut tx, &[(&chat.account, run.conversation)]).await?;
        }
        let done = match (given_up, chats.get_mut(&chat)) {
            (Some(run), Some(chat)) if told => tell(&mut tx, chat, &run, now).await,
            _ => Ok(()),
        };
        match done {
            Ok(()) => {
                tx.commit().await?;
                waker.wake();
                return Ok(());
            }
            Err(error) if error.is_away() => return Err(error),
            // What keeps it from going on may keep it from being told of, too: it ends nevertheless.
            Err(error) => {
                tracing::error!(%error, chat.id = %chat, "a bot was given up, and that cannot be told");
                told = false;
            }
        }
    }
}

/// Tells that the run of a locked chat was given up.
async fn tell(
    tx: &mut PgConnection,
    chat: &mut Chat,
    run: &GivenUp,
    now: OffsetDateTime,
) -> Result<(), Error> {
    chat.bot = None;
    let mut outcome = Outcome::default();
    runs::gave_up(chat, run, &cause(run.bot), now, &mut outcome)?;
    store::message::insert(tx, &outcome.rows, now).await?;
    store::chat::save(tx, std::iter::once(&*chat)).await?;
    Ok(outbox::write(tx, DOMAIN, outcome.events, now).await?)
}

/// Moves the runs of chats on; returns the calls that are to be made now.
async fn step(
    pool: &PgPool,
    waker: &Waker,
    due: &[ChatId],
    moves: &Moves,
    now: OffsetDateTime,
) -> Result<Vec<Asked>, Error> {
    let mut tx = pool.begin().await?;
    let mut chats = store::chat::lock(&mut tx, due).await?;
    let ids: Vec<Uuid> = chats
        .values()
        .filter_map(|chat| Some(chat.bot?.0))
        .collect();
    let mut known = table::several(&mut tx, &ids).await?;
    let clients: Vec<_> = chats.values().map(|chat| chat.client).collect();
    let clients = store::client::profiles(&mut tx, &clients).await?;
    let (mut outcome, mut asked) = (Outcome::default(), Vec::new());
    let before = chats.clone();
    for chat in chats.values_mut() {
        let Some(mut run) = chat.bot.and_then(|(id, _)| known.remove(&id)) else {
            continue;
        };
        let cause = cause(run.bot);
        let input = run.input.clone();
        let answer = moves.answers.get(&(run.id, run.at.step.clone()));
        let input = match (run.state, answer) {
            (RunState::Calling, Some(answer)) => match answer {
                Ok(()) => Some(Input::Done),
                Err(status) if is_passing(status) && run.tries < TRIES_MAX => {
                    run.tries += 1;
                    run.due_at = Some(now + PAUSE * 2_u32.pow(run.tries.unsigned_abs()));
                    None
                }
                Err(status) => {
                    runs::fail(chat, &mut run, status.message(), &cause, now, &mut outcome)?;
                    None
                }
            },
            // Another replica was faster.
            _ if run.due_at.is_none_or(|due| due > now) => continue,
            (RunState::Calling, None) if moves.calls => {
                run.due_at = Some(now + CALLED);
                asked.extend(wanted(&run));
                None
            }
            // All that was said in time has been heard.
            (RunState::Waiting, _) if run.due_at <= moves.late => Some(Input::TimedOut),
            // Another loop asks, or something waits to be read.
            (RunState::Calling | RunState::Waiting, _) => continue,
            _ => Some(input.as_deref().map_or(Input::Begin, Input::Answer)),
        };
        if let Some(input) = input {
            let client = clients.get(&chat.client).cloned().unwrap_or_default();
            if chat.spam {
                runs::end(chat, &mut run, RunState::Closed, &cause, now, &mut outcome)?;
            } else {
                let who = (&mut *chat, &mut run, &client);
                runs::go_on(&mut tx, who, input, &cause, now, &mut outcome).await?;
            }
            let was = before.get(&chat.id);
            outcome
                .events
                .extend(was.and_then(|was| announce::snoozed(was, chat, &cause)));
        }
        outcome.runs.push(run);
    }
    let changed = |chat: &&Chat| before.get(&chat.id) != Some(*chat);
    table::save(&mut tx, &outcome.runs).await?;
    store::message::insert(&mut tx, &outcome.rows, now).await?;
    store::chat::save(&mut tx, chats.values().filter(changed)).await?;
    let events = outcome.events;
    let wake = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    if wake {
        waker.wake();
    }
    Ok(asked)
}

/// The call at whose step a run is.
fn wanted(run: &Run) -> Option<Asked> {
    let call = bot::call(&run.steps, &run.at)?;
    Some(Asked {
        run: run.id,
        account: run.account.clone(),
        chat: run.chat,
        step: run.at.step.clone(),
        questions: run.at.questions,
        call,
    })
}

/// Tells whether a call that failed may succeed later.
fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        // A call's own time-out is told as cancelled.
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Unknown
    )
}
