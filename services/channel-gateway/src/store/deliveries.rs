//! Deliveries as they are read.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A part with its command.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// The message.
    pub message_id: Uuid,
    /// Number of the command in its chat.
    pub out_seq: i64,
    /// Number of the attempt.
    pub attempt: i32,
    /// Number of the part.
    pub part: i32,
    /// State, as stored.
    pub state: String,
    /// Why it failed.
    pub reason: String,
    /// The provider's key.
    pub provider_key: String,
    /// When the state was reached.
    pub updated_at: OffsetDateTime,
}

/// Returns the channel of a chat of an account that has deliveries.
pub async fn channel_of(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select channel_id from lane where account = $1 and chat_id = $2",
        account.as_str(),
        chat
    )
    .fetch_optional(connection)
    .await
}

/// Returns a page of a chat's deliveries, newest first, before (number, part).
pub async fn page(
    connection: &mut PgConnection,
    chat: Uuid,
    before: Option<(i64, i32)>,
    limit: i64,
) -> Result<Vec<DeliveryRow>, sqlx::Error> {
    let (number, part) = before.unzip();
    sqlx::query_as!(
        DeliveryRow,
        "select c.message_id, p.out_seq, c.attempt, p.part, p.state, p.reason, p.provider_key, p.updated_at
         from part p join command c using (chat_id, out_seq)
         where p.chat_id = $1 and ($2::bigint is null or (p.out_seq, p.part) < ($2, $3::integer))
         order by p.out_seq desc, p.part desc limit $4",
        chat,
        number,
        part,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns what waits to be delivered.
pub async fn queued(connection: &mut PgConnection) -> Result<QueuedParts, sqlx::Error> {
    sqlx::query_as!(
        QueuedParts,
        r#"select count(*)::float8 as "count!", min(updated_at) as oldest
           from (select updated_at from part where state = 'queued' order by updated_at limit 10000) as oldest"#
    )
    .fetch_one(connection)
    .await
}

/// What waits to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct QueuedParts {
    /// How many parts, ten thousand at most.
    pub count: f64,
    /// Since when the first of them.
    pub oldest: Option<OffsetDateTime>,
}
