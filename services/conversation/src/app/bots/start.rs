//! Bots that somebody starts: who may, and where (F202, F203, D18, D19).

use chassis::auth::Caller;
use chassis::id;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::assignment::v1 as assignment_pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::runs::{self, Outcome};
use super::{BotError, nps, stop_in};
use crate::app::act::Act;
use crate::app::send::{self, ADMISSIONS, Admission, Admitted};
use crate::domain::admission::Standing;
use crate::domain::bot::RunState;
use crate::domain::{BotId, ChatId, ConversationId};
use crate::error::Error;
use crate::store::bots::nps as answers;
use crate::store::bots::runs::{self as table, Run};
use crate::store::bots::{self as bots, Bot};

/// What is to be started.
#[derive(Clone, Copy)]
enum What {
    /// This bot, where none runs.
    Bot(BotId),
    /// The bot of NPS that the channel's rule names, instead of what runs.
    Nps,
}

/// A start that somebody asks for.
struct Starting<'s> {
    pool: &'s PgPool,
    waker: &'s Waker,
    caller: &'s Caller,
    chat: ChatId,
    what: What,
    /// Id of the run.
    id: Uuid,
    now: OffsetDateTime,
}

/// What came of one attempt to start a run.
enum Attempt {
    Begun(Box<Run>),
    /// Assignment has to be asked, for a chat that stands so.
    Ask(Box<(Standing, assignment_pb::AdmitReplyRequest)>),
}

/// Starts a bot in a chat with an open conversation, for who may write into it. The same request begins no second run.
pub async fn start(
    pool: &PgPool,
    waker: &Waker,
    admission: &dyn Admission,
    caller: &Caller,
    (chat, bot, request_id): (ChatId, BotId, Option<&str>),
    now: OffsetDateTime,
) -> Result<Run, Error> {
    let id = match request_id {
        None => id::v7(now),
        Some(request_id) => {
            let of = [
                caller.account().as_str(),
                &chat.to_string(),
                &bot.to_string(),
                request_id,
            ];
            id::v5("bot-run", &of)
        }
    };
    let starting = Starting {
        pool,
        waker,
        caller,
        chat,
        what: What::Bot(bot),
        id,
        now,
    };
    starting.admitted(admission).await
}

/// Starts the bot of NPS of the chat's channel (F202, F203), for who may write into the chat.
pub async fn send_nps(
    pool: &PgPool,
    waker: &Waker,
    admission: &dyn Admission,
    caller: &Caller,
    chat: ChatId,
    now: OffsetDateTime,
) -> Result<Run, Error> {
    let starting = Starting {
        pool,
        waker,
        caller,
        chat,
        what: What::Nps,
        id: id::v7(now),
        now,
    };
    starting.admitted(admission).await
}

impl Starting<'_> {
    /// Attempts it, and asks assignment where the chat's own copy does not say that the agent may write (D18, D19). A service
    /// needs no claim: it is no participant of chats.
    async fn admitted(&self, admission: &dyn Admission) -> Result<Run, Error> {
        let mut admitted = None;
        for _ in 0..=ADMISSIONS {
            match (self.attempt(admitted.as_ref()).await?, self.caller.agent()) {
                (Attempt::Begun(run), _) => return Ok(*run),
                (Attempt::Ask(asked), Some(agent)) => {
                    admitted = Some(Admitted::ask(admission, self.caller, agent, *asked).await?);
                }
                (Attempt::Ask(..), None) => break,
            }
        }
        Err(Error::ChatStateChanged)
    }

    async fn attempt(&self, admitted: Option<&Admitted>) -> Result<Attempt, Error> {
        let mut act = Act::begin(self.pool, self.caller, self.chat, self.now).await?;
        let bot = match self.what {
            What::Bot(bot) => {
                let mut begun = table::several(&mut act.tx, &[self.id]).await?;
                if let Some(begun) = begun.remove(&self.id) {
                    return Ok(Attempt::Begun(Box::new(begun)));
                }
                let bot = bots::get(&mut act.tx, self.caller.account(), bot).await?;
                bot.ok_or(BotError::NotFound)?
            }
            What::Nps => {
                let bot = nps::bot_of(&mut act.tx, &act.chat).await?;
                bot.ok_or(BotError::NpsOff)?
            }
        };
        if bot.nps {
            may_ask(&mut act).await?;
        }
        let open = may_begin(&act, &bot)?;
        match self.what {
            What::Bot(_) => no_other(&mut act).await?,
            // What another bot was about is over: the agent comes to the end.
            What::Nps => stop_in(&mut act, RunState::Stopped).await.map(drop)?,
        }
        // The last of all, as it may claim the chat.
        if let Some(agent) = self.caller.agent()
            && !send::admits(&mut act.tx, &mut act.chat, agent, admitted).await?
        {
            let question = send::question(&act.chat, agent, self.id.to_string());
            let asked = (Standing::of(&act.chat), question);
            return Ok(Attempt::Ask(Box::new(asked)));
        }
        let mut outcome = Outcome::default();
        let of = (self.id, &bot, open);
        let run = runs::begin(&mut act.chat, of, &act.cause, act.now, &mut outcome)?;
        if run.nps {
            nps::asked(&mut act.tx, &act.chat, &run, act.now).await?;
        }
        act.take(outcome).await?;
        act.finish(self.waker).await?;
        Ok(Attempt::Begun(Box::new(run)))
    }
}

/// Refuses a start where another bot runs.
async fn no_other(act: &mut Act) -> Result<(), Error> {
    let Some((run, _)) = act.chat.bot else {
        return Ok(());
    };
    let names = table::names(&mut act.tx, &[run]).await?;
    let name = names.into_values().next().map(|(_, name)| name);
    Err(BotError::Runs(name.unwrap_or_default()).into())
}

/// Refuses to ask a client of NPS who was asked in this conversation, or cannot be.
async fn may_ask(act: &mut Act) -> Result<(), Error> {
    if let Some(open) = act.chat.open_episode()
        && answers::asked(&mut act.tx, &act.chat, open.id)
            .await?
            .is_sent(open.revision)
    {
        return Err(BotError::NpsSent.into());
    }
    match nps::obstacle(&mut act.tx, &act.chat, act.now).await? {
        Some(obstacle) => Err(BotError::NpsImpossible(obstacle).into()),
        None => Ok(()),
    }
}

/// Returns the conversation in which a bot is to begin.
fn may_begin(act: &Act, bot: &Bot) -> Result<ConversationId, Error> {
    if !bot.enabled {
        return Err(BotError::Disabled.into());
    }
    if act.chat.spam {
        return Err(Error::ChatIsSpam);
    }
    let number = act.chat.episode.as_ref().map_or(0, |last| last.number);
    let open = act.chat.open_episode().map(|open| open.id);
    open.ok_or(Error::ConversationClosed { number })
}
