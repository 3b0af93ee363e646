//! What agents do with chats: join, add, leave, redirect, unassign (F149–F151, F160–F162, D14, D24). Each is one
//! transaction of one shape: the chat is locked, compared with what the caller saw, changed, answered.

use chassis::auth::Caller;
use chassis::id::AgentId;
use prost::Message;
use sqlx::PgConnection;
use switchboard_proto::assignment::v1 as pb;
use time::OffsetDateTime;

use super::App;
use super::access::{self, name_of};
use super::assign::Origin;
use super::board::{AgentKey, Board};
use super::change::{self, Doing};
use super::once::Once;
use crate::domain::ChatId;
use crate::domain::actions::{self, By, Leaving, Refusal};
use crate::domain::candidates::{LeftOut, barred};
use crate::domain::chat::Chat;
use crate::domain::words::{GivenBack, Rule};
use crate::error::Error;
use crate::figures;
use crate::wire;

/// A parsed act on a chat.
#[derive(Debug, Clone)]
pub struct Acting<'r> {
    /// Who asks.
    pub caller: &'r Caller,
    /// The chat.
    pub chat: ChatId,
    /// The responsible that the caller sees; not compared where absent.
    pub expected: Option<Option<AgentId>>,
    /// The request id.
    pub request_id: Option<&'r str>,
    /// What is done.
    pub deed: Deed,
}

/// What is done with a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The caller joins (F149–F151).
    Join,
    /// Agents are added (F160).
    Add(Vec<AgentId>),
    /// The caller leaves (F161).
    Leave,
    /// Another answers instead of the responsible, who leaves (F162).
    Redirect(AgentId),
    /// Nobody answers any more (F124).
    Unassign(GivenBack),
}

impl Deed {
    const fn method(&self) -> &'static str {
        match self {
            Self::Join => "JoinChat",
            Self::Add(_) => "AddParticipants",
            Self::Leave => "LeaveChat",
            Self::Redirect(_) => "RedirectChat",
            Self::Unassign(_) => "UnassignChat",
        }
    }

    /// Returns whose loads have to be locked: of everybody whose rights are looked at or whose load may change.
    fn concerns(&self, chat: &Chat, caller: Option<AgentId>) -> Vec<AgentId> {
        let mut agents: Vec<AgentId> = match self {
            Self::Join | Self::Unassign(_) => Vec::new(),
            Self::Add(agents) => agents.clone(),
            Self::Leave => chat.participants.clone(),
            Self::Redirect(agent) => vec![*agent],
        };
        agents.extend(chat.agent);
        agents.extend(caller);
        agents
    }
}

impl App {
    /// Does it, or refuses naming who was faster (X03); a repeat of the request is answered as the first.
    pub async fn act<A: Message + Default>(
        &self,
        acting: Acting<'_>,
        request: &impl Message,
        answer: fn(Option<pb::ChatAssignment>) -> A,
        now: OffsetDateTime,
    ) -> Result<A, Error> {
        let Acting {
            caller,
            chat,
            request_id,
            ..
        } = acting;
        access::may_use_chats(caller)?;
        let (account, method) = (caller.account(), acting.deed.method());
        let once = Once {
            caller,
            method,
            request_id,
        };
        let mut transaction = self.pool.begin().await?;
        let mut board = Board::of_known(&mut transaction, account, &[chat].into()).await?;
        let held = board
            .chat(chat)
            .filter(|held| access::sees_channel(caller, held.channel));
        let concerns = acting
            .deed
            .concerns(held.ok_or(Error::UnknownChat(chat))?, caller.agent());
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        let concerns: Vec<AgentKey> = concerns
            .into_iter()
            .map(|agent| (account.clone(), agent))
            .collect();
        board
            .lock_staff(&mut transaction, &self.memory, &[], &concerns, now)
            .await?;
        if let Err(refusal) = act(&mut board, &acting, now)? {
            figures::REFUSALS.of([method]).increment(1);
            return Err(worded(&mut transaction, caller, chat, refusal).await?);
        }
        let answer = answer(board.chat(chat).map(wire::assignment));
        once.store(&mut transaction, &answer).await?;
        let saved = board.save(&mut transaction, now).await?;
        transaction.commit().await?;
        if saved.events > 0 {
            self.waker.wake();
        }
        self.drain_soon(&saved.freed, now).await;
        Ok(answer)
    }
}

/// Applies a deed to the held chat.
fn act(
    board: &mut Board,
    acting: &Acting<'_>,
    now: OffsetDateTime,
) -> Result<Result<(), Refusal>, Error> {
    let caller = acting.caller;
    let agent = || caller.agent().ok_or(Error::AgentRequired);
    let doing = Doing {
        actor: caller.actor(),
        origin: Origin::of_request(),
        request: acting.request_id.unwrap_or_default().to_owned(),
        now,
    };
    let done = match &acting.deed {
        Deed::Join => join(board, acting, agent()?, &doing),
        Deed::Add(agents) => add(board, acting, agents, &doing),
        Deed::Leave => leave(board, acting, agent()?, &doing),
        Deed::Redirect(to) => redirect(board, acting, *to, &doing),
        Deed::Unassign(given_back) => unassign(board, acting, *given_back, &doing),
    };
    Ok(done)
}

fn join(
    board: &mut Board,
    acting: &Acting<'_>,
    agent: AgentId,
    doing: &Doing,
) -> Result<(), Refusal> {
    let new = actions::joining(seen(board, acting)?, &[agent])?;
    // The record that came with the token may be older than a grant that was taken away (D26).
    left_out(board, acting.chat, agent).map_or(Ok(()), |why| Err(Refusal::Barred(why)))?;
    change::join(board, acting.chat, &new, doing);
    Ok(())
}

fn add(
    board: &mut Board,
    acting: &Acting<'_>,
    agents: &[AgentId],
    doing: &Doing,
) -> Result<(), Refusal> {
    let chat = seen(board, acting)?;
    actions::worked_by(chat, by(acting.caller))?;
    let new = actions::joining(chat, agents)?;
    let barred: Vec<_> = new
        .iter()
        .filter_map(|agent| Some((*agent, left_out(board, acting.chat, *agent)?)))
        .collect();
    if !barred.is_empty() {
        return Err(Refusal::AllBarred(barred));
    }
    change::join(board, acting.chat, &new, doing);
    Ok(())
}

fn leave(
    board: &mut Board,
    acting: &Acting<'_>,
    agent: AgentId,
    doing: &Doing,
) -> Result<(), Refusal> {
    let id = acting.chat;
    let may_follow = |joined| left_out(board, id, joined).is_none();
    let left = pb::PartReason::Left;
    match actions::leaving(seen(board, acting)?, agent, may_follow)? {
        Leaving::Participant => change::part(board, id, agent, left, doing),
        Leaving::FollowedBy(next) => {
            change::follow(board, id, (agent, next), (Rule::Successor, left), doing);
        }
    }
    Ok(())
}

fn redirect(
    board: &mut Board,
    acting: &Acting<'_>,
    to: AgentId,
    doing: &Doing,
) -> Result<(), Refusal> {
    let id = acting.chat;
    let former = actions::worked_by(seen(board, acting)?, by(acting.caller))?;
    match left_out(board, id, to) {
        Some(LeftOut::AgentUnknown) => return Err(Refusal::Unknown(to)),
        Some(why) => return Err(Refusal::TargetBarred(to, why)),
        None => {}
    }
    if former != to {
        let why = (Rule::Redirect, pb::PartReason::Redirected);
        change::follow(board, id, (former, to), why, doing);
    }
    Ok(())
}

fn unassign(
    board: &mut Board,
    acting: &Acting<'_>,
    given_back: GivenBack,
    doing: &Doing,
) -> Result<(), Refusal> {
    actions::worked_by(seen(board, acting)?, by(acting.caller))?;
    let why = pb::PartReason::Unassigned;
    change::take_back(board, acting.chat, given_back, why, doing);
    Ok(())
}

/// Returns the held chat where it is as the caller saw it.
fn seen<'b>(board: &'b Board, acting: &Acting<'_>) -> Result<&'b Chat, Refusal> {
    let chat = board.chat(acting.chat).ok_or(Refusal::NotOpen)?;
    actions::as_seen(chat, acting.expected)?;
    Ok(chat)
}

/// Says why a locked agent may not have a held chat.
fn left_out(board: &Board, id: ChatId, agent: AgentId) -> Option<LeftOut> {
    let chat = board.chat(id)?;
    let staff = board.staff(&chat.account);
    let colleague = staff.and_then(|staff| staff.get(&agent));
    colleague.map_or(Some(LeftOut::AgentUnknown), |c| barred(c, chat.channel))
}

fn by(caller: &Caller) -> By {
    match (caller.agent(), caller.access()) {
        (Some(agent), access) if access.is_none_or(|access| !access.settings) => By::Agent(agent),
        _ => By::Supervisor,
    }
}

/// Words a refusal, with the names of those whom it names.
async fn worded(
    connection: &mut PgConnection,
    caller: &Caller,
    chat: ChatId,
    refusal: Refusal,
) -> Result<Error, Error> {
    let account = caller.account();
    Ok(match refusal {
        Refusal::NotOpen => Error::ChatNotOpen(chat),
        Refusal::Changed(Some(agent)) => {
            Error::ResponsibleChanged(Some(name_of(connection, account, agent).await?))
        }
        Refusal::Changed(None) => Error::ResponsibleChanged(None),
        Refusal::Nobody => Error::NobodyResponsible(chat),
        Refusal::JoinFirst(agent) => Error::JoinFirst(name_of(connection, account, agent).await?),
        Refusal::NotIn => Error::NotInChat(chat),
        Refusal::Sole => Error::SoleResponsible(chat),
        Refusal::TooMany => Error::TooManyParticipants,
        Refusal::Barred(why) => Error::CallerBarred(why),
        Refusal::Unknown(agent) => Error::UnknownAgent(agent),
        Refusal::TargetBarred(agent, why) => Error::TargetBarred(agent, why),
        Refusal::AllBarred(agents) => Error::AllBarred(agents),
    })
}
