//! Parts of messages that go out, and the commands to the provider.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::unreadable;
use crate::domain::chat::Later;
use crate::domain::delivery::Part;
use crate::domain::words::DeliveryState;
use crate::domain::{ChannelId, ChatId, MessageId};

/// Which part of which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey {
    /// The message.
    pub message: MessageId,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// Number of the part, from 0.
    pub part: i32,
}

/// What is stored of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// How many parts the attempt has.
    pub parts: i32,
    /// Channel.
    pub channel: ChannelId,
    /// State and failure.
    pub part: Part,
    /// The provider's key of what was sent; empty until then.
    pub provider_key: String,
    /// When the state was reached.
    pub time: OffsetDateTime,
}

/// Returns all parts of messages.
pub async fn parts(
    connection: &mut PgConnection,
    messages: &[MessageId],
) -> Result<BTreeMap<PartKey, StoredPart>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select message_id as "message: MessageId", attempt, part, parts, channel_id as "channel: ChannelId",
               state, provider_key, reason, detail, retryable, time
           from message_part where message_id = any($1)"#,
        messages as &[MessageId],
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = PartKey {
                message: row.message,
                attempt: row.attempt,
                part: row.part,
            };
            let state = DeliveryState::try_from(row.state.as_str())
                .map_err(|error| unreadable("message_part.state", error))?;
            let stored = StoredPart {
                parts: row.parts,
                channel: row.channel,
                part: Part {
                    state,
                    reason: row.reason,
                    detail: row.detail,
                    retryable: row.retryable,
                },
                provider_key: row.provider_key,
                time: row.time,
            };
            Ok((key, stored))
        })
        .collect()
}

/// Writes parts of locked messages.
pub async fn save_parts(
    connection: &mut PgConnection,
    changed: &BTreeMap<PartKey, &StoredPart>,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$key:pat_param, $part:pat_param| $value:expr) => {
            changed
                .iter()
                .map(|($key, $part)| $value)
                .collect::<Vec<_>>()
        };
    }
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into message_part (message_id, attempt, part, parts, channel_id, state, provider_key, reason,
             detail, retryable, time)
         select * from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::uuid[], $6::text[], $7::text[],
             $8::text[], $9::text[], $10::bool[], $11::timestamptz[])
         on conflict (message_id, attempt, part) do update
         set parts = excluded.parts, state = excluded.state, provider_key = excluded.provider_key,
             reason = excluded.reason, detail = excluded.detail, retryable = excluded.retryable,
             time = excluded.time",
        &column!(|key, _| key.message) as &[MessageId],
        &column!(|key, _| key.attempt),
        &column!(|key, _| key.part),
        &column!(|_, part| part.parts),
        &column!(|_, part| part.channel) as &[ChannelId],
        &column!(|_, part| part.part.state.as_str().to_owned()),
        &column!(|_, part| part.provider_key.clone()),
        &column!(|_, part| part.part.reason.clone()),
        &column!(|_, part| part.part.detail.clone()),
        &column!(|_, part| part.part.retryable),
        &column!(|_, part| part.time),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A command to the provider, to be kept.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// Whose it is.
    pub account: AccountSlug,
    /// Its chat.
    pub chat: ChatId,
    /// Its number in the chat.
    pub out_seq: i64,
    /// Encoded `OutboundCommand`.
    pub command: Vec<u8>,
}

/// Keeps commands to providers.
pub async fn keep_commands(
    connection: &mut PgConnection,
    commands: &[NewCommand],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$command:ident| $value:expr) => {
            commands.iter().map(|$command| $value).collect::<Vec<_>>()
        };
    }
    if commands.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into outbound_command (chat_id, out_seq, account, command, created_at)
         select new.*, $5 from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[]) as new (chat_id, out_seq, account, command)
         order by new.chat_id, new.out_seq",
        &column!(|command| command.chat) as &[ChatId],
        &column!(|command| command.out_seq),
        &column!(|command| command.account.to_string()),
        &column!(|command| command.command.clone()),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns encoded commands of a chat from a number on.
pub async fn commands(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
    from: i64,
    limit: i64,
) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select command from outbound_command
         where account = $1 and chat_id = $2 and out_seq >= $3 order by out_seq limit $4",
        account.as_str(),
        chat as ChatId,
        from,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Counts the client messages of chats that were stored after a position in each (F071); nobody answers a machine.
pub async fn client_messages_after(
    connection: &mut PgConnection,
    positions: &BTreeMap<ChatId, i64>,
) -> Result<BTreeMap<ChatId, Later>, sqlx::Error> {
    let chats: Vec<ChatId> = positions.keys().copied().collect();
    let sequences: Vec<i64> = positions.values().copied().collect();
    let rows = sqlx::query!(
        r#"select after.chat_id as "chat!: ChatId", count(message.message_id)::int as "count!", min(message.time) as first
           from unnest($1::uuid[], $2::bigint[]) as after (chat_id, sequence)
           left join message on message.chat_id = after.chat_id and message.sequence > after.sequence
               and message.kind = 'client' and not message.automatic
           group by after.chat_id"#,
        &chats as &[ChatId],
        &sequences,
    )
    .fetch_all(connection)
    .await?;
    let later = |messages, first| Later { messages, first };
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.chat, later(row.count, row.first)))
        .collect())
}
