//! `RetryMessage`: a failed or uncertain message is sent again, as the next command with the same message id (§10).

use chassis::auth::Caller;
use chassis::outbox::{self, Waker};
use chassis::request::{self, Claim};
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::Cause;
use super::{access, send};
use crate::domain::words::DeliveryState;
use crate::domain::{ChatId, MessageId};
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

/// Queues another attempt. The message was admitted when it was first sent: any agent who sees the chat may ask.
pub async fn retry(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    command: &Command,
    now: OffsetDateTime,
) -> Result<pb::RetryMessageResponse, Error> {
    const METHOD: &str = "RetryMessage";
    access::may_use_chats(caller)?;
    access::agent(caller)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    if let Some(request_id) = &command.request_id {
        match request::claim(&mut tx, account, METHOD, request_id, &command.hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => return Ok(pb::RetryMessageResponse::decode(answer)?),
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.clone())),
        }
    }
    let mut chat = access::lock_chat(&mut tx, caller, command.chat).await?;
    let found = store::message::lock(&mut tx, &[command.message])
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
    row.out_seq = chat.next_command();
    row.attempt += 1;
    row.delivery = Some(DeliveryState::Queued);
    row.failure_reason.clear();
    row.failure_detail.clear();
    row.retryable = false;
    row.delivery_at = Some(now);
    let cause = Cause::request(caller.actor());
    let queued = send::queue(&mut tx, &chat, &row, &cause, now).await?;
    store::message::deliver(&mut tx, &[&row]).await?;
    store::chat::save(&mut tx, std::iter::once(&chat)).await?;
    let response = pb::RetryMessageResponse {
        message: Some(wire::message(&row)?),
    };
    if let Some(request_id) = &command.request_id {
        let answer = response.encode_to_vec();
        request::store(&mut tx, account, METHOD, request_id, &answer).await?;
    }
    outbox::write(&mut tx, DOMAIN, vec![queued], now).await?;
    tx.commit().await?;
    waker.wake();
    Ok(response)
}
