//! An agent takes an unassigned chat (F125, F126, X03).

use chassis::auth::Caller;
use switchboard_proto::assignment::v1::{ClaimChatRequest, ClaimChatResponse};
use time::OffsetDateTime;

use super::App;
use super::access::{self, name_of};
use super::assign::{Act, Faster, Origin, assign};
use super::board::Board;
use super::once::Once;
use crate::domain::ChatId;
use crate::domain::candidates::{Candidate, LeftOut, barred};
use crate::domain::words::Rule;
use crate::error::Error;
use crate::figures;
use crate::wire;

impl App {
    /// Makes the caller the responsible of an open chat that has none; naming who was faster.
    pub async fn claim_chat(
        &self,
        caller: &Caller,
        request: &ClaimChatRequest,
        (chat, request_id): (ChatId, Option<&str>),
        now: OffsetDateTime,
    ) -> Result<ClaimChatResponse, Error> {
        let agent = caller.agent().ok_or(Error::AgentRequired)?;
        access::may_use_chats(caller)?;
        let account = caller.account();
        let once = Once {
            caller,
            method: "ClaimChat",
            request_id,
        };
        let mut transaction = self.pool.begin().await?;
        let mut board = Board::of_known(&mut transaction, account, &[chat].into()).await?;
        let visible = |channel| access::sees_channel(caller, channel);
        let held = board.chat(chat).filter(|held| visible(held.channel));
        let channel = held.ok_or(Error::UnknownChat(chat))?.channel;
        if let Some(answer) = once.claim(&mut transaction, request, now).await? {
            return Ok(answer);
        }
        board
            .lock_staff(
                &mut transaction,
                &self.memory,
                &[],
                &[(account.clone(), agent)],
                now,
            )
            .await?;
        let colleague = board.staff(account).and_then(|staff| staff.get(&agent));
        let left_out = colleague.map_or(Some(LeftOut::AgentUnknown), |c| barred(c, channel));
        if let Some(reason) = left_out {
            return Err(Error::CallerBarred(reason));
        }
        let load = colleague.map_or(0, |colleague| colleague.load);
        let held = board.chat(chat).ok_or(Error::UnknownChat(chat))?;
        if !held.open && held.agent != Some(agent) {
            return Err(Error::ChatNotOpen(chat));
        }
        let act = Act {
            chat,
            agent,
            rule: Rule::Claim,
            actor: caller.actor(),
            expected: Some(None),
            candidates: vec![Candidate::only(agent, load)],
            origin: Origin::of_request(),
            request: request_id.unwrap_or_default().to_owned(),
            offer_end: None,
            crm: None,
        };
        if let Err(Faster(responsible)) = assign(&mut board, act, now) {
            let responsible = responsible.ok_or(Error::UnknownChat(chat))?;
            figures::REFUSALS.of(["ClaimChat"]).increment(1);
            return Err(Error::ClaimedBy(
                name_of(&mut transaction, account, responsible).await?,
            ));
        }
        let answer = ClaimChatResponse {
            assignment: board.chat(chat).map(wire::assignment),
        };
        once.store(&mut transaction, &answer).await?;
        board.save(&mut transaction, now).await?;
        transaction.commit().await?;
        self.waker.wake();
        Ok(answer)
    }
}
