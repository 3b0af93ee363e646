//! Somebody sets a chat's responsible by hand, whoever has it (F102, F103).

use chassis::auth::Caller;
use chassis::id::AgentId;
use switchboard_proto::assignment::v1::{AssignChatRequest, AssignChatResponse};
use time::OffsetDateTime;

use super::App;
use super::access::{self, name_of};
use super::assign::{Act, Faster, Origin, assign};
use super::board::Board;
use super::once::Once;
use crate::domain::ChatId;
use crate::domain::candidates::{Candidate, barred};
use crate::domain::words::Rule;
use crate::error::Error;
use crate::figures;
use crate::wire;

/// A parsed request to hand over a chat.
#[derive(Debug, Clone, Copy)]
pub struct HandOver<'r> {
    /// The chat.
    pub chat: ChatId,
    /// The new responsible.
    pub agent: AgentId,
    /// The responsible that the caller sees; not compared where absent.
    pub expected: Option<Option<AgentId>>,
    /// The request id.
    pub request_id: Option<&'r str>,
}

impl App {
    /// Makes an agent the responsible, unless the responsible is another than the caller saw.
    /// It may exceed the agent's capacity (D25).
    pub async fn assign_chat(
        &self,
        caller: &Caller,
        request: &AssignChatRequest,
        hand: HandOver<'_>,
        now: OffsetDateTime,
    ) -> Result<AssignChatResponse, Error> {
        access::may_use_chats(caller)?;
        let (account, chat, agent) = (caller.account(), hand.chat, hand.agent);
        let once = Once {
            caller,
            method: "AssignChat",
            request_id: hand.request_id,
        };
        let mut transaction = self.pool.begin().await?;
        let mut board = Board::of_known(&mut transaction, account, &[chat].into()).await?;
        let held = board
            .chat(chat)
            .filter(|held| access::sees_channel(caller, held.channel));
        let (channel, former) = held
            .map(|h| (h.channel, h.agent))
            .ok_or(Error::UnknownChat(chat))?;
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        let both: Vec<_> = [Some(agent), former]
            .into_iter()
            .flatten()
            .map(|agent| (account.clone(), agent))
            .collect();
        board
            .lock_staff(&mut transaction, &self.memory, &[], &both, now)
            .await?;
        let colleague = board.staff(account).and_then(|staff| staff.get(&agent));
        let colleague = colleague.ok_or(Error::UnknownAgent(agent))?;
        if let Some(reason) = barred(colleague, channel) {
            return Err(Error::TargetBarred(agent, reason));
        }
        let act = Act {
            chat,
            agent,
            rule: Rule::Hand,
            actor: caller.actor(),
            expected: hand.expected,
            candidates: vec![Candidate::only(agent, colleague.load)],
            origin: Origin::of_request(),
            request: hand.request_id.unwrap_or_default().to_owned(),
            offer_end: None,
            crm: None,
        };
        if let Err(Faster(responsible)) = assign(&mut board, act, now) {
            figures::REFUSALS.of(["AssignChat"]).increment(1);
            let named = match responsible {
                Some(agent) => Some(name_of(&mut transaction, account, agent).await?),
                None => None,
            };
            return Err(Error::ResponsibleChanged(named));
        }
        let answer = AssignChatResponse {
            assignment: board.chat(chat).map(wire::assignment),
        };
        once.store(&mut transaction, &answer).await?;
        let saved = board.save(&mut transaction, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        self.drain_soon(&saved.freed, now).await;
        Ok(answer)
    }
}
