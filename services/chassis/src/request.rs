//! Request ids: the same id with the same content gets the stored answer, with other content it is refused.
//!
//! Answers are kept for seven days. A request id belongs to one account and method.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tonic::{Code, Status};

use crate::id::AccountSlug;

/// How long a request id is remembered.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What is known of a request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Not seen before: do the work, then [`store`] its answer in the same transaction.
    New,
    /// Done before with the same content: this is the answer.
    Done(Bytes),
    /// Used before with other content.
    Conflict,
}

/// Returns the hash of a request that tells whether a repeat has the same content.
pub fn hash(request: &impl prost::Message) -> [u8; 32] {
    Sha256::digest(request.encode_to_vec()).into()
}

/// Claims a request id within the transaction that does the work; a concurrent repeat waits for its end.
pub async fn claim(
    connection: &mut PgConnection,
    account: &AccountSlug,
    method: &str,
    request_id: &str,
    request_hash: &[u8],
    now: OffsetDateTime,
) -> Result<Claim, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into chassis.request (account, method, request_id, request_hash, created_at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        account.as_str(),
        method,
        request_id,
        request_hash,
        now,
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if inserted == 1 {
        return Ok(Claim::New);
    }
    let earlier = sqlx::query!(
        "select request_hash, response from chassis.request
         where account = $1 and method = $2 and request_id = $3 for update",
        account.as_str(),
        method,
        request_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(match earlier {
        Some(row) if row.request_hash != request_hash => Claim::Conflict,
        // Without an answer the earlier transaction committed no work either: the row is ours now.
        Some(row) => row
            .response
            .map_or(Claim::New, |answer| Claim::Done(answer.into())),
        // Purged between the two statements, after seven days.
        None => Claim::New,
    })
}

/// Stores the answer of a claimed request id, in the transaction that did the work.
pub async fn store(
    connection: &mut PgConnection,
    account: &AccountSlug,
    method: &str,
    request_id: &str,
    response: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update chassis.request set response = $4
         where account = $1 and method = $2 and request_id = $3",
        account.as_str(),
        method,
        request_id,
        response,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the refusal of a [`Claim::Conflict`].
pub fn reused(domain: &'static str, request_id: &str) -> Status {
    crate::grpc::refusal(
        domain,
        Code::AlreadyExists,
        "REQUEST_ID_REUSED",
        "the request id was used before with another content",
        &[("request_id", request_id)],
    )
}

/// Forgets request ids older than seven days, a bounded number at a time.
pub async fn purge(pool: &PgPool, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let mut purged = 0;
    loop {
        let some = sqlx::query!(
            "delete from chassis.request where ctid = any(array(
                 select ctid from chassis.request where created_at < $1 limit 5000))",
            now - KEPT,
        )
        .execute(pool)
        .await?
        .rows_affected();
        purged += some;
        if some < 5000 {
            return Ok(purged);
        }
    }
}
