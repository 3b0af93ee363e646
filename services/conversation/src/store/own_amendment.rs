//! Table `own_amendment`: what agents asked to be changed of messages at the provider.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::unreadable;
use crate::domain::words::{AmendmentKind, DeliveryState};
use crate::domain::{AgentId, ChatId, MessageId};

/// What an agent asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAmendment {
    /// Id of its command, which is that of a message nowhere.
    pub id: MessageId,
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub message: MessageId,
    /// What is changed.
    pub kind: AmendmentKind,
    /// Who asked for it.
    pub agent: AgentId,
    /// Of an edit the content as it shall be.
    pub body: Vec<u8>,
    /// Of a reaction; empty takes it back.
    pub emoji: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Reason of a failure.
    pub reason: String,
    /// A sentence about it.
    pub detail: String,
    /// When it was asked for.
    pub created_at: OffsetDateTime,
}

struct Row {
    id: MessageId,
    account: AccountSlug,
    chat: ChatId,
    message: MessageId,
    kind: String,
    agent: AgentId,
    body: Vec<u8>,
    emoji: String,
    state: String,
    reason: String,
    detail: String,
    created_at: OffsetDateTime,
}

impl TryFrom<Row> for OwnAmendment {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            account: row.account,
            chat: row.chat,
            message: row.message,
            kind: AmendmentKind::try_from(row.kind.as_str())
                .map_err(|error| unreadable("own_amendment.kind", error))?,
            agent: row.agent,
            body: row.body,
            emoji: row.emoji,
            state: DeliveryState::try_from(row.state.as_str())
                .map_err(|error| unreadable("own_amendment.state", error))?,
            reason: row.reason,
            detail: row.detail,
            created_at: row.created_at,
        })
    }
}

/// Selects amendments with a literal tail of the statement.
macro_rules! select_amendments {
    ($head:literal, $tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            $head + r#" amendment_id as "id: MessageId", account as "account: AccountSlug", chat_id as "chat: ChatId",
                   message_id as "message: MessageId", kind, agent_id as "agent: AgentId", body, emoji, state, reason,
                   detail, created_at
               from own_amendment "# + $tail,
            $($argument),*
        )
    };
}

/// Inserts one.
pub async fn insert(connection: &mut PgConnection, new: &OwnAmendment) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into own_amendment (amendment_id, account, chat_id, message_id, kind, agent_id, body, emoji, state,
             created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.id as MessageId,
        new.account.as_str(),
        new.chat as ChatId,
        new.message as MessageId,
        new.kind.as_str(),
        new.agent as AgentId,
        new.body,
        new.emoji,
        new.state.as_str(),
        new.created_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the newest amendment of each message that has one.
pub async fn newest(
    connection: &mut PgConnection,
    messages: &[MessageId],
) -> Result<BTreeMap<MessageId, OwnAmendment>, sqlx::Error> {
    if messages.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = select_amendments!(
        "select distinct on (message_id)",
        "where message_id = any($1) order by message_id, created_at desc, amendment_id desc",
        messages as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.message, row.try_into()?)))
        .collect()
}

/// Locks those of these ids that are amendments, sorted.
pub async fn lock(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<BTreeMap<MessageId, OwnAmendment>, sqlx::Error> {
    let rows = select_amendments!(
        "select",
        "where amendment_id = any($1) order by amendment_id for no key update",
        ids as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.id, row.try_into()?)))
        .collect()
}

/// Writes how locked amendments stand.
pub async fn save(
    connection: &mut PgConnection,
    changed: &[&OwnAmendment],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$amendment:ident| $value:expr) => {
            changed.iter().map(|$amendment| $value).collect::<Vec<_>>()
        };
    }
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update own_amendment a set state = n.state, reason = n.reason, detail = n.detail
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) n(amendment_id, state, reason, detail)
         where a.amendment_id = n.amendment_id",
        &column!(|amendment| amendment.id) as &[MessageId],
        &column!(|amendment| amendment.state.as_str().to_owned()),
        &column!(|amendment| amendment.reason.clone()),
        &column!(|amendment| amendment.detail.clone()),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the keys by which the provider knows a message of ours, in the order of what was sent: running numbers are ordered
/// as numbers.
pub async fn keys(
    connection: &mut PgConnection,
    message: MessageId,
    attempt: i32,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select key as "key!" from (
               select provider_key as key from message_part
               where message_id = $1 and attempt = $2 and provider_key <> ''
               union
               select provider_key from message_key where message_id = $1) known
           order by length(key), key limit 200"#,
        message as MessageId,
        attempt,
    )
    .fetch_all(connection)
    .await
}
