//! Messages.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::unreadable;
use crate::domain::amendment::Moment;
use crate::domain::words::{DeliveryState, MessageKind};
use crate::domain::{AgentId, ChannelId, ChatId, ConversationId, MessageId};
use crate::error::Error;
use crate::wire::Reactions;

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Id.
    pub id: MessageId,
    /// Whose it is.
    pub account: AccountSlug,
    /// Chat.
    pub chat: ChatId,
    /// Channel.
    pub channel: ChannelId,
    /// Conversation; none for a message into spam that never had one.
    pub conversation: Option<ConversationId>,
    /// Whose message it is.
    pub kind: MessageKind,
    /// The agent who wrote it.
    pub agent: Option<AgentId>,
    /// Encoded content, see [`crate::wire::body`].
    pub body: Vec<u8>,
    /// The provider's key; empty until it has one.
    pub provider_key: String,
    /// The provider's running number; 0 where there is none.
    pub provider_number: i64,
    /// When it was sent, by the provider's clock for client messages.
    pub time: OffsetDateTime,
    /// Order of storing within the chat, from 1.
    pub sequence: i64,
    /// The newest edit.
    pub edited: Option<Moment>,
    /// When it was deleted.
    pub deleted_at: Option<OffsetDateTime>,
    /// Reactions as they are now.
    pub reactions: Reactions,
    /// State of delivery, for a message that goes out.
    pub delivery: Option<DeliveryState>,
    /// Number of the newest command.
    pub out_seq: i64,
    /// Number of the newest attempt.
    pub attempt: i32,
    /// Reason of a failure.
    pub failure_reason: String,
    /// A sentence about it.
    pub failure_detail: String,
    /// A retry may succeed.
    pub retryable: bool,
    /// When the delivery's state was reached.
    pub delivery_at: Option<OffsetDateTime>,
}

struct Row {
    id: MessageId,
    account: AccountSlug,
    chat: ChatId,
    channel: ChannelId,
    conversation: Option<ConversationId>,
    kind: String,
    agent: Option<AgentId>,
    body: Vec<u8>,
    provider_key: String,
    provider_number: i64,
    time: OffsetDateTime,
    sequence: i64,
    edited_at: Option<OffsetDateTime>,
    edit_key: String,
    deleted_at: Option<OffsetDateTime>,
    reactions: Json<Reactions>,
    delivery: Option<String>,
    out_seq: i64,
    attempt: i32,
    failure_reason: String,
    failure_detail: String,
    retryable: bool,
    delivery_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Stored {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let delivery = row.delivery.as_deref().map(DeliveryState::try_from);
        Ok(Self {
            id: row.id,
            account: row.account,
            chat: row.chat,
            channel: row.channel,
            conversation: row.conversation,
            kind: MessageKind::try_from(row.kind.as_str())
                .map_err(|error| unreadable("message.kind", error))?,
            agent: row.agent,
            body: row.body,
            provider_key: row.provider_key,
            provider_number: row.provider_number,
            time: row.time,
            sequence: row.sequence,
            edited: row.edited_at.map(|time| Moment::new(time, row.edit_key)),
            deleted_at: row.deleted_at,
            reactions: row.reactions.0,
            delivery: delivery
                .transpose()
                .map_err(|error| unreadable("message.delivery", error))?,
            out_seq: row.out_seq,
            attempt: row.attempt,
            failure_reason: row.failure_reason,
            failure_detail: row.failure_detail,
            retryable: row.retryable,
            delivery_at: row.delivery_at,
        })
    }
}

/// Returns from when to when the messages of a chat are; none where it has none.
pub async fn span(
    connection: &mut PgConnection,
    chat: ChatId,
) -> Result<Option<(OffsetDateTime, OffsetDateTime)>, sqlx::Error> {
    let row = sqlx::query!(
        "select (select time from message where chat_id = $1 order by time, provider_number, sequence limit 1) as first,
                (select time from message where chat_id = $1 order by time desc, provider_number desc, sequence desc limit 1) as last",
        chat as ChatId,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.first.zip(row.last))
}

/// Selects whole messages with a literal tail of the statement.
macro_rules! select_messages {
    ($($tail:literal)+ $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select message_id as "id: MessageId", account as "account: AccountSlug", chat_id as "chat: ChatId",
                   channel_id as "channel: ChannelId", conversation_id as "conversation: ConversationId", kind,
                   agent_id as "agent: AgentId", body, provider_key, provider_number, time, sequence, edited_at,
                   edit_key, deleted_at, reactions as "reactions: Json<Reactions>", delivery, out_seq, attempt,
                   failure_reason, failure_detail, retryable, delivery_at
               from message "# $(+ $tail)+,
            $($argument),*
        )
    };
}

fn messages(rows: Vec<Row>) -> Result<Vec<Stored>, sqlx::Error> {
    rows.into_iter().map(Stored::try_from).collect()
}

/// Inserts messages.
///
/// # Errors
/// Returns [`Error::Overtaken`] when another transaction has stored one of them meanwhile under another chat.
pub async fn insert(
    connection: &mut PgConnection,
    new: &[Stored],
    now: OffsetDateTime,
) -> Result<(), Error> {
    macro_rules! column {
        (|$message:ident| $value:expr) => {
            new.iter().map(|$message| $value).collect::<Vec<_>>()
        };
    }
    if new.is_empty() {
        return Ok(());
    }
    let inserted = sqlx::query!(
        "insert into message (message_id, account, chat_id, channel_id, conversation_id, kind, agent_id, body,
             provider_key, provider_number, time, sequence, deleted_at, delivery, out_seq, attempt, delivery_at,
             created_at)
         select *, $18 from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[],
             $7::uuid[], $8::bytea[], $9::text[], $10::bigint[], $11::timestamptz[], $12::bigint[],
             $13::timestamptz[], $14::text[], $15::bigint[], $16::int[], $17::timestamptz[])
         on conflict do nothing",
        &column!(|message| message.id) as &[MessageId],
        &column!(|message| message.account.to_string()),
        &column!(|message| message.chat) as &[ChatId],
        &column!(|message| message.channel) as &[ChannelId],
        &column!(|message| message.conversation) as &[Option<ConversationId>],
        &column!(|message| message.kind.as_str().to_owned()),
        &column!(|message| message.agent) as &[Option<AgentId>],
        &column!(|message| message.body.clone()),
        &column!(|message| message.provider_key.clone()),
        &column!(|message| message.provider_number),
        &column!(|message| message.time),
        &column!(|message| message.sequence),
        &column!(|message| message.deleted_at) as &[Option<OffsetDateTime>],
        &column!(|message| message.delivery.map(|state| state.as_str().to_owned())) as &[Option<String>],
        &column!(|message| message.out_seq),
        &column!(|message| message.attempt),
        &column!(|message| message.delivery_at) as &[Option<OffsetDateTime>],
        now,
    )
    .execute(connection)
    .await?
    .rows_affected();
    if usize::try_from(inserted).unwrap_or(usize::MAX) < new.len() {
        return Err(Error::Overtaken);
    }
    Ok(())
}

/// A message found by the provider's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub message: MessageId,
    /// Its chat.
    pub chat: ChatId,
}

/// A provider's key within its channel.
pub type Key = (ChannelId, String);

/// Finds messages by the provider's keys: the clients' own, and ours that were sent.
pub async fn by_keys(
    connection: &mut PgConnection,
    keys: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, Known>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (channels, keys): (Vec<ChannelId>, Vec<String>) = keys.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"select wanted.channel_id as "channel!: ChannelId", wanted.provider_key as "key!",
               message.message_id as "message!: MessageId", message.chat_id as "chat!: ChatId"
           from unnest($1::uuid[], $2::text[]) as wanted (channel_id, provider_key)
           -- One look into the index a key, whatever the statistics of the hour say: hence laterals with a limit.
           cross join lateral (
               select message_id, chat_id from message
               where message.channel_id = wanted.channel_id and message.provider_key = wanted.provider_key
                   and message.kind = 'client'
               limit 1) as message
           union all
           select wanted.channel_id, wanted.provider_key, message.message_id, message.chat_id
           from unnest($1::uuid[], $2::text[]) as wanted (channel_id, provider_key)
           cross join lateral (
               select message_id from message_part
               where message_part.channel_id = wanted.channel_id
                   and message_part.provider_key = wanted.provider_key and message_part.provider_key <> ''
               limit 1) as message_part
           join message on message.message_id = message_part.message_id"#,
        &channels as &[ChannelId],
        &keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let known = Known {
                message: row.message,
                chat: row.chat,
            };
            ((row.channel, row.key), known)
        })
        .collect())
}

/// Returns when messages were stored.
pub async fn stored_at(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<BTreeMap<MessageId, OffsetDateTime>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select message_id as "id: MessageId", created_at from message where message_id = any($1)"#,
        ids as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.created_at))
        .collect())
}

/// Returns which of these ids are stored.
pub async fn existing(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<BTreeSet<MessageId>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select message_id as "id: MessageId" from message where message_id = any($1)"#,
        ids as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Locks messages, sorted. Their chats are locked before.
pub async fn lock(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<BTreeMap<MessageId, Stored>, sqlx::Error> {
    let rows = select_messages!(
        "where message_id = any($1) order by message_id for no key update",
        ids as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    Ok(messages(rows)?
        .into_iter()
        .map(|message| (message.id, message))
        .collect())
}

/// Returns messages, in no order.
pub async fn some(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<Vec<Stored>, sqlx::Error> {
    let rows = select_messages!("where message_id = any($1)", ids as &[MessageId])
        .fetch_all(connection)
        .await?;
    messages(rows)
}

/// Returns one message of a chat.
pub async fn get(
    connection: &mut PgConnection,
    chat: ChatId,
    id: MessageId,
) -> Result<Option<Stored>, sqlx::Error> {
    select_messages!(
        "where message_id = $1 and chat_id = $2",
        id as MessageId,
        chat as ChatId
    )
    .fetch_optional(connection)
    .await?
    .map(Stored::try_from)
    .transpose()
}

/// Where a page of history begins: below the message with this time, provider number and sequence.
pub type Position = (OffsetDateTime, i64, i64);

/// Above every message: where the first page begins.
const END: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999999 UTC);

/// Lists messages of a chat below a place, newest first: by provider time, then provider number, then order of storing (§5).
pub async fn history(
    connection: &mut PgConnection,
    chat: ChatId,
    below: Option<Position>,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    let (time, number, sequence) = below.unwrap_or((END, i64::MAX, i64::MAX));
    let rows = select_messages!(
        "where chat_id = $1
           and (time, provider_number, sequence) < ($2, $3, $4)
         order by time desc, provider_number desc, sequence desc limit $5",
        chat as ChatId,
        time,
        number,
        sequence,
        limit,
    )
    .fetch_all(connection)
    .await?;
    messages(rows)
}

/// Lists messages of a chat above a place, from there on: the oldest of them first.
pub async fn newer(
    connection: &mut PgConnection,
    chat: ChatId,
    above: Position,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    let (time, number, sequence) = above;
    let rows = select_messages!(
        "where chat_id = $1
           and (time, provider_number, sequence) > ($2, $3, $4)
         order by time, provider_number, sequence limit $5",
        chat as ChatId,
        time,
        number,
        sequence,
        limit,
    )
    .fetch_all(connection)
    .await?;
    messages(rows)
}

/// Lists messages of a chat in the order in which they were stored, after a place in it.
pub async fn stored_after(
    connection: &mut PgConnection,
    chat: ChatId,
    sequence: i64,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    let rows = select_messages!(
        "where chat_id = $1 and sequence > $2 order by sequence limit $3",
        chat as ChatId,
        sequence,
        limit,
    )
    .fetch_all(connection)
    .await?;
    messages(rows)
}

/// Writes what edits, reactions and deletions changed in locked messages.
pub async fn amend(connection: &mut PgConnection, amended: &[&Stored]) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$message:ident| $value:expr) => {
            amended.iter().map(|$message| $value).collect::<Vec<_>>()
        };
    }
    if amended.is_empty() {
        return Ok(());
    }
    let reactions: Vec<serde_json::Value> = amended
        .iter()
        .map(|message| serde_json::to_value(&message.reactions))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "update message set body = new.body, edited_at = new.edited_at, edit_key = new.edit_key,
             deleted_at = new.deleted_at, reactions = new.reactions
         from unnest($1::uuid[], $2::bytea[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::jsonb[])
             as new (message_id, body, edited_at, edit_key, deleted_at, reactions)
         where message.message_id = new.message_id",
        &column!(|message| message.id) as &[MessageId],
        &column!(|message| message.body.clone()),
        &column!(|message| message.edited.as_ref().map(|edit| edit.time)) as &[Option<OffsetDateTime>],
        &column!(|message| message.edited.as_ref().map_or_else(String::new, |edit| edit.key.clone())),
        &column!(|message| message.deleted_at) as &[Option<OffsetDateTime>],
        &reactions,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the state of delivery of locked messages.
pub async fn deliver(
    connection: &mut PgConnection,
    changed: &[&Stored],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$message:ident| $value:expr) => {
            changed.iter().map(|$message| $value).collect::<Vec<_>>()
        };
    }
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update message set delivery = new.delivery, out_seq = new.out_seq, attempt = new.attempt,
             failure_reason = new.failure_reason, failure_detail = new.failure_detail, retryable = new.retryable,
             delivery_at = new.delivery_at, provider_key = new.provider_key
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::bool[],
                 $8::timestamptz[], $9::text[])
             as new (message_id, delivery, out_seq, attempt, failure_reason, failure_detail, retryable,
                 delivery_at, provider_key)
         where message.message_id = new.message_id",
        &column!(|message| message.id) as &[MessageId],
        &column!(|message| message.delivery.map(|state| state.as_str().to_owned())) as &[Option<String>],
        &column!(|message| message.out_seq),
        &column!(|message| message.attempt),
        &column!(|message| message.failure_reason.clone()),
        &column!(|message| message.failure_detail.clone()),
        &column!(|message| message.retryable),
        &column!(|message| message.delivery_at) as &[Option<OffsetDateTime>],
        &column!(|message| message.provider_key.clone()),
    )
    .execute(connection)
    .await
    .map(drop)
}
