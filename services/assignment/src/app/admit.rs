//! Who may write into a chat: assignment's to say (architecture §5; F101, F128, D19, X03).

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use switchboard_proto::assignment::v1::AdmitReplyResponse;
use time::OffsetDateTime;

use super::App;
use super::access::name_of;
use super::assign::{Act, Origin, assign, by_rules};
use super::board::Board;
use crate::domain::chat::Told;
use crate::domain::choose::{Candidate, LeftOut, barred};
use crate::domain::words::Rule;
use crate::domain::{ChannelId, ChatId};
use crate::error::Error;
use crate::wire;

/// A parsed request to write.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// What the caller knows of the chat's newest conversation; none before its first.
    pub told: Option<Told>,
    /// Who wants to write.
    pub agent: AgentId,
    /// Request id of the message.
    pub request_id: String,
}

impl App {
    /// Applies what the caller tells as if the event had come, then admits, claims or refuses, naming who is
    /// responsible.
    ///
    /// It needs no stored answers: asked again it says the same, unless the chat has changed hands since.
    pub async fn admit_reply(
        &self,
        reply: &Reply,
        now: OffsetDateTime,
    ) -> Result<AdmitReplyResponse, Error> {
        let (account, chat, agent) = (&reply.account, reply.chat, reply.agent);
        let mut transaction = self.pool.begin().await?;
        let known: BTreeMap<_, _> = [(chat, (account.clone(), reply.channel))].into();
        let mut board = Board::of(&mut transaction, &known).await?;
        let choose = reply
            .told
            .as_ref()
            .is_some_and(|told| board.hear(chat, told).choose);
        let to_choose = if choose { vec![chat] } else { Vec::new() };
        board
            .lock_staff(&mut transaction, &to_choose, &[(account.clone(), agent)])
            .await?;
        if choose {
            by_rules(&mut board, chat, Origin::of_request(), now);
        }
        let colleague = board.staff(account).and_then(|staff| staff.get(&agent));
        let left_out = colleague.map_or(Some(LeftOut::AgentUnknown), |c| barred(c, reply.channel));
        if let Some(reason) = left_out {
            return Err(Error::CallerBarred(reason));
        }
        let load = colleague.map_or(0, |colleague| colleague.load);
        let held = board.chat(chat).ok_or(Error::UnknownChat(chat))?;
        let inactive = !held.open;
        let claimed = match held.agent {
            _ if inactive => false,
            // The first answer made them responsible; a repeat of it is told so again.
            _ if held.is_theirs(agent) => {
                !reply.request_id.is_empty() && held.claim_request == reply.request_id
            }
            Some(responsible) => {
                metrics::counter!("assignment_refusals_total", "method" => "AdmitReply")
                    .increment(1);
                return Err(Error::WrittenBy(
                    name_of(&mut transaction, account, responsible).await?,
                ));
            }
            None => {
                let act = Act {
                    chat,
                    agent,
                    rule: Rule::FirstReply,
                    actor: Actor::Agent(agent.uuid()),
                    expected: Some(None),
                    candidates: vec![Candidate {
                        agent,
                        load,
                        left_out: None,
                    }],
                    origin: Origin::of_request(),
                    request: reply.request_id.clone(),
                };
                assign(&mut board, act, now).is_ok()
            }
        };
        let mut assignment = board.chat(chat).map(wire::assignment);
        if let Some(assignment) = assignment.as_mut().filter(|_| inactive) {
            // Whoever answered for the conversation before does not answer for the one this message opens.
            assignment.agent_id.clear();
            assignment.participant_agent_ids.clear();
        }
        let answer = AdmitReplyResponse {
            assignment,
            claimed,
        };
        let saved = board.save(&mut transaction, now).await?;
        transaction.commit().await?;
        if saved.events > 0 {
            self.waker.wake();
        }
        self.drain_soon(&saved.freed, now).await;
        Ok(answer)
    }
}
