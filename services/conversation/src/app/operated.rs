//! What operators are told of this service's own subject: in which accounts clients wait for an answer.

use chassis::grpc::timestamp_opt;
use chassis::operator::Subject;
use chassis::operator::subject::fine;
use sqlx::PgPool;
use switchboard_proto::operator::v1::Finding;
use time::OffsetDateTime;

use crate::store::counts::{self, Waiting};

/// Accounts told of at most.
const TOLD: i64 = 20;

/// What is told of.
pub struct Operated(pub PgPool);

#[tonic::async_trait]
impl Subject for Operated {
    async fn told(&self, _now: OffsetDateTime) -> Result<Vec<Finding>, sqlx::Error> {
        let mut connection = self.0.acquire().await?;
        let waiting = counts::waiting(&mut connection, TOLD).await?;
        Ok(waiting.into_iter().map(told).collect())
    }
}

fn told(waiting: Waiting) -> Finding {
    Finding {
        count: u64::try_from(waiting.chats).unwrap_or(0),
        account: waiting.account,
        since_time: timestamp_opt(waiting.oldest),
        ..fine("waiting chats", "clients wait for an answer")
    }
}
