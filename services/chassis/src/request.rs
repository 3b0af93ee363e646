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
pub const KEPT: Duration = Duration::from_hours(7 * 24);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const METHOD: &str = "CreateChannel";

    #[tokio::test]
    async fn a_request_id_answers_its_repeats_and_refuses_other_content() {
        let database = testing::database(&crate::MIGRATOR).await;
        let (acme, now) = (testing::account("acme"), crate::clock::now());
        let claim = async |account: &AccountSlug, id: &str, hash: &[u8], answer: Option<&[u8]>| {
            let mut tx = database.pool.begin().await.unwrap();
            let claimed = claim(&mut tx, account, METHOD, id, hash, now)
                .await
                .unwrap();
            if let Some(answer) = answer {
                store(&mut tx, account, METHOD, id, answer).await.unwrap();
            }
            tx.commit().await.unwrap();
            claimed
        };
        assert_eq!(claim(&acme, "1", b"x", Some(b"answer")).await, Claim::New);
        let done = Claim::Done(Bytes::from_static(b"answer"));
        assert_eq!(claim(&acme, "1", b"x", None).await, done);
        assert_eq!(claim(&acme, "1", b"y", None).await, Claim::Conflict);
        assert_eq!(claim(&acme, "2", b"y", None).await, Claim::New);
        let other = testing::account("other");
        assert_eq!(claim(&other, "1", b"y", None).await, Claim::New);

        assert_eq!(purge(&database.pool, now + KEPT).await.unwrap(), 0);
        let later = now + KEPT + Duration::from_secs(1);
        assert_eq!(purge(&database.pool, later).await.unwrap(), 3);
        assert_eq!(claim(&acme, "1", b"y", None).await, Claim::New);
    }

    #[tokio::test]
    async fn of_two_repeats_at_once_one_works_and_the_other_gets_its_answer() {
        let database = testing::database(&crate::MIGRATOR).await;
        let (acme, now) = (testing::account("acme"), crate::clock::now());
        let mut first = database.pool.begin().await.unwrap();
        let claimed = claim(&mut first, &acme, METHOD, "1", b"x", now).await;
        assert_eq!(claimed.unwrap(), Claim::New);
        let (pool, account) = (database.pool.clone(), acme.clone());
        let second = tokio::spawn(async move {
            let mut tx = pool.begin().await.unwrap();
            claim(&mut tx, &account, METHOD, "1", b"x", now)
                .await
                .unwrap()
        });
        store(&mut first, &acme, METHOD, "1", b"answer")
            .await
            .unwrap();
        first.commit().await.unwrap();
        let done = Claim::Done(Bytes::from_static(b"answer"));
        assert_eq!(second.await.unwrap(), done);
    }
}
