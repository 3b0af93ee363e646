//! Who may write into a chat: assignment's to say (architecture §5; F101, F128, D19, X03).

use std::collections::BTreeMap;

use chassis::actor::Actor;
use chassis::id::{AccountSlug, AgentId};
use switchboard_proto::assignment::v1::AdmitReplyResponse;
use time::OffsetDateTime;

use super::App;
use super::access::name_of;
use super::assign::{Act, Occasion, Origin, assign, by_rules};
use super::board::Board;
use super::change::{Doing, take_from_barred};
use crate::domain::candidates::{Candidate, Colleague, LeftOut, barred};
use crate::domain::chat::Told;
use crate::domain::words::Rule;
use crate::domain::{ChannelId, ChatId};
use crate::error::Error;
use crate::figures;
use crate::store::reply_rules::{self, ReplyRules};
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
        let told = reply.told.as_ref();
        let heard = told.map(|told| board.hear(chat, told)).unwrap_or_default();
        let choose = heard.choose;
        let to_choose = if choose { vec![chat] } else { Vec::new() };
        // A channel's options matter only where nobody answers, or one who has joined writes.
        let held = board.chat(chat);
        let joins = held.is_some_and(|held| held.participants.contains(&agent));
        let joined = held.and_then(|held| held.agent).filter(|_| joins);
        let rules = if joined.is_some() || held.is_some_and(|held| held.agent.is_none()) {
            reply_rules::get(&mut transaction, &(account.clone(), reply.channel)).await?
        } else {
            ReplyRules::default()
        };
        let concerned = joined.into_iter().chain([agent]);
        let concerned: Vec<_> = concerned.map(|agent| (account.clone(), agent)).collect();
        board
            .lock_staff(&mut transaction, &self.memory, &to_choose, &concerned, now)
            .await?;
        let doing = Doing {
            actor: Actor::Rule("access".to_owned()),
            origin: Origin::of_request(),
            request: String::new(),
            now,
        };
        if heard.taken.is_some() {
            take_from_barred(&mut board, chat, &doing);
        }
        if choose {
            board.learn_queues(&mut transaction, &to_choose).await?;
            let origin = doing.origin.clone();
            by_rules(&mut board, chat, Occasion::New, &[], origin, now);
        }
        let colleague = board.staff(account).and_then(|staff| staff.get(&agent));
        let left_out = barred_or_unknown(colleague, reply.channel);
        if let Some(reason) = left_out {
            return Err(Error::CallerBarred(reason));
        }
        let load = colleague.map_or(0, |colleague| colleague.load);
        let held = board.chat(chat).ok_or(Error::UnknownChat(chat))?;
        let inactive = !held.open;
        let act = |rule, expected| Act {
            chat,
            agent,
            rule,
            actor: Actor::Agent(agent.uuid()),
            expected: Some(expected),
            candidates: vec![Candidate::only(agent, load)],
            origin: Origin::of_request(),
            request: reply.request_id.clone(),
            offer_end: None,
            crm: None,
        };
        let claimed = match held.agent {
            _ if inactive => false,
            // D09: who has joined takes over by writing.
            Some(responsible) if rules.reassign_on_reply && held.participants.contains(&agent) => {
                assign(&mut board, act(Rule::Reply, Some(responsible)), now).is_ok()
            }
            // The first answer made them responsible; a repeat of it is told so again.
            _ if held.agent == Some(agent) && held.offer_end.is_some() => {
                // Writing takes what was offered.
                assign(&mut board, act(Rule::FirstReply, Some(agent)), now).is_ok()
            }
            _ if held.is_theirs(agent) => {
                !reply.request_id.is_empty() && held.claim_request == reply.request_id
            }
            Some(responsible) => {
                figures::REFUSALS.of(["AdmitReply"]).increment(1);
                return Err(Error::JoinFirst(
                    name_of(&mut transaction, account, responsible).await?,
                ));
            }
            // D18: the channel wants a claim first.
            None if rules.claim_before_reply => {
                figures::REFUSALS.of(["AdmitReply"]).increment(1);
                return Err(Error::ClaimFirst(chat));
            }
            None => assign(&mut board, act(Rule::FirstReply, None), now).is_ok(),
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
        self.memory.keep(saved.looks).await;
        if saved.events > 0 {
            self.waker.wake();
        }
        self.drain_soon(&saved.freed, now).await;
        Ok(answer)
    }
}

fn barred_or_unknown(colleague: Option<&Colleague>, channel: ChannelId) -> Option<LeftOut> {
    colleague.map_or(Some(LeftOut::AgentUnknown), |c| barred(c, channel))
}
