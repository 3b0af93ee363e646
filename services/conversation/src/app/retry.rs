//! `RetryMessage`: a failed or uncertain message is sent again, as the next command with the same message id (§10).

use bytes::Bytes;
use chassis::auth::Caller;
use chassis::outbox::{self, Waker};
use chassis::request::{self, Claim};
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::assignment::v1 as assignment_pb;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::Cause;
use super::send::{Admission, Admitted};
use super::{access, send};
use crate::domain::admission::Standing;
use crate::domain::words::DeliveryState;
use crate::domain::{AgentId, ChatId, MessageId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::wire;

/// Which message is sent again.
#[derive(Debug, Clone)]
pub struct Command {
    /// Makes it idempotent; none where the caller gave none.
    pub request_id: Option<String>,
    /// Hash of the request.
    pub hash: [u8; 32],
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub message: MessageId,
}

/// What came of one attempt to retry.
enum Attempt {
    Queued(Box<pb::RetryMessageResponse>),
    Repeated(Bytes),
    /// Assignment has to be asked, for a chat that stands so.
    Ask(Standing, assignment_pb::AdmitReplyRequest),
}

/// Queues another attempt, for an agent who may write into the chat now: what held when the message was first sent
/// need not hold any more. Into a chat without an open conversation nothing is sent again; a new message opens one.
pub async fn retry(
    pool: &PgPool,
    waker: &Waker,
    admission: &dyn Admission,
    caller: &Caller,
    command: &Command,
    now: OffsetDateTime,
) -> Result<pb::RetryMessageResponse, Error> {
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let mut admitted = None;
    for asked in 0..=send::ADMISSIONS {
        let mut tx = pool.begin().await?;
        match attempt(&mut tx, caller, agent, command, admitted.as_ref(), now).await? {
            Attempt::Queued(response) => {
                tx.commit().await?;
                waker.wake();
                return Ok(*response);
            }
            Attempt::Repeated(answer) => return Ok(pb::RetryMessageResponse::decode(answer)?),
            Attempt::Ask(standing, question) if asked < send::ADMISSIONS => {
                tx.rollback().await?;
                let asked = (standing, question);
                admitted = Some(Admitted::ask(admission, caller, agent, asked).await?);
            }
            Attempt::Ask(..) => break,
        }
    }
    Err(Error::ChatStateChanged)
}

async fn attempt(
    tx: &mut PgConnection,
    caller: &Caller,
    agent: AgentId,
    command: &Command,
    admitted: Option<&Admitted>,
    now: OffsetDateTime,
) -> Result<Attempt, Error> {
    const METHOD: &str = "RetryMessage";
    let account = caller.account();
    // A stored answer is not for who may not see the chat any more.
    let mut chat = access::lock_chat(tx, caller, command.chat).await?;
    if let Some(request_id) = &command.request_id {
        match request::claim(tx, account, METHOD, request_id, &command.hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => return Ok(Attempt::Repeated(answer)),
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.clone())),
        }
    }
    let found = store::message::lock(tx, &[command.message])
        .await?
        .remove(&command.message);
    let mut row = found
        .filter(|row| row.chat == chat.id)
        .ok_or(Error::MessageNotFound)?;
    match row.delivery {
        Some(state) if state.may_be_retried() => {}
        other => {
            let state = other.map_or("not outgoing", DeliveryState::as_str);
            return Err(Error::NotRetryable { state });
        }
    }
    if chat.open_episode().is_none() {
        let number = chat.episode.as_ref().map_or(0, |newest| newest.number);
        return Err(Error::ConversationClosed { number });
    }
    if !send::admits(tx, &mut chat, agent, admitted).await? {
        let own = || command.message.to_string();
        let key = command.request_id.clone().unwrap_or_else(own);
        let question = send::question(&chat, agent, key);
        return Ok(Attempt::Ask(Standing::of(&chat), question));
    }
    row.out_seq = chat.next_command();
    row.attempt += 1;
    row.delivery = Some(DeliveryState::Queued);
    row.failure_reason.clear();
    row.failure_detail.clear();
    row.retryable = false;
    row.delivery_at = Some(now);
    let cause = Cause::request(caller.actor());
    let queued = send::queue(tx, &chat, &row, &cause, now).await?;
    store::message::deliver(tx, &[&row]).await?;
    store::chat::save(tx, std::iter::once(&chat)).await?;
    let response = pb::RetryMessageResponse {
        message: Some(wire::message(&row)?),
    };
    if let Some(request_id) = &command.request_id {
        let answer = response.encode_to_vec();
        request::store(tx, account, METHOD, request_id, &answer).await?;
    }
    outbox::write(tx, DOMAIN, vec![queued], now).await?;
    Ok(Attempt::Queued(Box::new(response)))
}
