//! Table `chat_start`: the newest deep link by which a client came into a chat without writing, and which conversation
//! took it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;

use crate::domain::amendment::Moment;
use crate::domain::{ChatId, ConversationId};

/// A deep link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose it is.
    pub account: AccountSlug,
    /// Its payload.
    pub payload: String,
    /// When the client came by it.
    pub moment: Moment,
}

/// Keeps links, one for each chat; returns the chats where it was newer than the known one.
pub async fn keep(
    connection: &mut PgConnection,
    links: &BTreeMap<ChatId, Link>,
) -> Result<BTreeSet<ChatId>, sqlx::Error> {
    macro_rules! column {
        (|$link:ident| $value:expr) => {
            links.values().map(|$link| $value).collect::<Vec<_>>()
        };
    }
    if links.is_empty() {
        return Ok(BTreeSet::new());
    }
    let chats: Vec<ChatId> = links.keys().copied().collect();
    // As `Moment` orders: time, then the longer key, then the greater.
    let kept = sqlx::query_scalar!(
        r#"insert into chat_start as known (chat_id, account, payload, time, event_key)
           select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
           on conflict (chat_id) do update
           set payload = excluded.payload, time = excluded.time, event_key = excluded.event_key,
               conversation_id = null
           where known.account = excluded.account
               and (known.time, length(known.event_key), known.event_key)
                   < (excluded.time, length(excluded.event_key), excluded.event_key)
           returning chat_id as "chat: ChatId""#,
        &chats as &[ChatId],
        &column!(|link| link.account.to_string()),
        &column!(|link| link.payload.clone()),
        &column!(|link| link.moment.time),
        &column!(|link| link.moment.key.clone()),
    )
    .fetch_all(connection)
    .await?;
    Ok(kept.into_iter().collect())
}

/// Gives links that no conversation has taken to these conversations; returns the payloads.
pub async fn take(
    connection: &mut PgConnection,
    takers: &BTreeMap<ChatId, ConversationId>,
) -> Result<BTreeMap<ChatId, String>, sqlx::Error> {
    if takers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (chats, conversations): (Vec<ChatId>, Vec<ConversationId>) =
        takers.iter().map(|(chat, taker)| (*chat, *taker)).unzip();
    let rows = sqlx::query!(
        r#"update chat_start set conversation_id = taker.conversation_id
           from unnest($1::uuid[], $2::uuid[]) as taker (chat_id, conversation_id)
           where chat_start.chat_id = taker.chat_id and chat_start.conversation_id is null
           returning chat_start.chat_id as "chat: ChatId", payload"#,
        &chats as &[ChatId],
        &conversations as &[ConversationId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat, row.payload))
        .collect())
}

/// Writes the payloads that open conversations got after they were opened.
pub async fn source(
    connection: &mut PgConnection,
    payloads: &BTreeMap<ConversationId, String>,
) -> Result<(), sqlx::Error> {
    if payloads.is_empty() {
        return Ok(());
    }
    let (conversations, payloads): (Vec<ConversationId>, Vec<String>) = payloads
        .iter()
        .map(|(id, text)| (*id, text.clone()))
        .unzip();
    sqlx::query!(
        "update conversation set start_payload = new.payload
         from unnest($1::uuid[], $2::text[]) as new (conversation_id, payload)
         where conversation.conversation_id = new.conversation_id",
        &conversations as &[ConversationId],
        &payloads,
    )
    .execute(connection)
    .await
    .map(drop)
}
