//! What moves runs on: those that are due are taken by whichever replica looks first. Other services are asked with no transaction
//! open, and as often as it takes: what they are asked for may be asked for twice.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::actor::Actor;
use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Waker};
use chassis::trace::TraceContext;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sqlx::PgPool;
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
use crate::store::bots::runs::{self as table, Run};

/// Runs that are moved on in one transaction, at most.
const AT_ONCE: i64 = 50;

/// How often another service is asked in vain before a run fails.
const TRIES_MAX: i32 = 8;

/// The first pause after that; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(2);

/// For so long a call is the replica's that makes it: longer than any call lasts.
const CALLED: Duration = Duration::from_secs(30);

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

/// Moves runs on that are due. Returns whether there may be more.
pub async fn round(
    pool: &PgPool,
    waker: &Waker,
    calls: &dyn Calls,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    // A look without locks: mostly there is none.
    let due = table::due(&mut connection, now, AT_ONCE).await?;
    drop(connection);
    if due.is_empty() {
        return Ok(false);
    }
    let asked = each(pool, waker, &due, &Answers::new(), now).await?;
    if !asked.is_empty() {
        // At once: all are through long before their leases end.
        let mut waited = FuturesUnordered::new();
        for one in &asked {
            waited.push(answered(calls, one));
        }
        let mut answers = Answers::new();
        while let Some((key, answer)) = waited.next().await {
            answers.insert(key, answer);
        }
        drop(waited);
        let chats: Vec<ChatId> = asked.iter().map(|one| one.chat).collect();
        each(pool, waker, &chats, &answers, chassis::clock::now()).await?;
    }
    Ok(due.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX) || !asked.is_empty())
}

/// Starts bots in chats whose clients have waited too long (F211). One who was answered meanwhile is left alone.
pub async fn start(pool: &PgPool, waker: &Waker, now: OffsetDateTime) -> Result<bool, Error> {
    let trigger = Trigger::ResponseTimeExceeded;
    let mut tx = pool.begin().await?;
    let noted = table::wanted(&mut tx, trigger, AT_ONCE).await?;
    if noted.is_empty() {
        return Ok(false);
    }
    let mut chats = store::chat::lock(&mut tx, &noted).await?;
    let noted = table::take_wanted(&mut tx, &noted, trigger).await?;
    let waits = |chat: &&Chat| chat.waiting && chat.bot.is_none() && noted.contains(&chat.id);
    let free: Vec<&Chat> = chats.values().filter(waits).collect();
    let bots = table::triggered(&mut tx, &free, trigger).await?;
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
    Ok(noted.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX))
}

async fn answered(calls: &dyn Calls, asked: &Asked) -> ((Uuid, String), Result<(), Status>) {
    ((asked.run, asked.step.clone()), ask(calls, asked).await)
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
    answers: &Answers,
    now: OffsetDateTime,
) -> Result<Vec<Asked>, Error> {
    let error = match step(pool, waker, chats, answers, now).await {
        Err(error) if !error.is_away() => error,
        done => return done,
    };
    tracing::warn!(%error, chats = chats.len(), "bots could not be moved on together");
    let mut asked = Vec::new();
    for chat in chats {
        match step(pool, waker, std::slice::from_ref(chat), answers, now).await {
            Ok(more) => asked.extend(more),
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                tracing::error!(%error, chat.id = %chat, "a bot could not be moved on");
                let mut tx = pool.begin().await?;
                store::chat::lock(&mut tx, std::slice::from_ref(chat)).await?;
                let pause = PAUSE * 2_u32.pow(TRIES_MAX.unsigned_abs());
                table::put_off(&mut tx, *chat, TRIES_MAX, now + pause, now).await?;
                tx.commit().await?;
            }
        }
    }
    Ok(asked)
}

/// Moves the runs of chats on, with what was answered to their calls; returns the calls that are to be made now.
async fn step(
    pool: &PgPool,
    waker: &Waker,
    due: &[ChatId],
    answers: &Answers,
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
        let answer = answers.get(&(run.id, run.at.step.clone()));
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
            (RunState::Calling, None) => {
                run.due_at = Some(now + CALLED);
                asked.extend(wanted(&run));
                None
            }
            (RunState::Waiting, _) => Some(Input::TimedOut),
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
            // What the answer to a call leads to is called for in the next round.
            if run.state == RunState::Calling && answers.is_empty() {
                run.due_at = Some(now + CALLED);
                asked.extend(wanted(&run));
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
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Unknown
    )
}
