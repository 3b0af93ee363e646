//! Table `message_key`: keys of messages that are not found by the messages' own, namely those of an album's items and
//! of what somebody of ours wrote in the provider's own app.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;

use super::message::{Key, Known};
use crate::domain::{ChannelId, ChatId, MessageId};

/// Finds messages by such keys.
pub async fn find(
    connection: &mut PgConnection,
    keys: &BTreeSet<Key>,
) -> Result<BTreeMap<Key, Known>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (channels, keys): (Vec<ChannelId>, Vec<String>) = keys.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"select wanted.channel_id as "channel!: ChannelId", wanted.provider_key as "key!",
               known.message_id as "message!: MessageId", known.chat_id as "chat!: ChatId"
           from unnest($1::uuid[], $2::text[]) as wanted (channel_id, provider_key)
           cross join lateral (
               select message_id, chat_id from message_key
               where message_key.channel_id = wanted.channel_id
                   and message_key.provider_key = wanted.provider_key
               limit 1) as known"#,
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

/// Keeps keys; one that is known stays with its message.
pub async fn keep(
    connection: &mut PgConnection,
    keys: &BTreeMap<Key, (AccountSlug, Known)>,
) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let (channels, texts): (Vec<ChannelId>, Vec<String>) = keys.keys().cloned().unzip();
    let accounts: Vec<String> = keys.values().map(|(of, _)| of.to_string()).collect();
    let messages: Vec<MessageId> = keys.values().map(|(_, known)| known.message).collect();
    let chats: Vec<ChatId> = keys.values().map(|(_, known)| known.chat).collect();
    sqlx::query!(
        "insert into message_key (channel_id, provider_key, account, message_id, chat_id)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[])
         on conflict do nothing",
        &channels as &[ChannelId],
        &texts,
        &accounts,
        &messages as &[MessageId],
        &chats as &[ChatId],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes what joining items changed in locked albums.
pub async fn join(
    connection: &mut PgConnection,
    albums: &[super::message::Stored],
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$album:ident| $value:expr) => {
            albums.iter().map(|$album| $value).collect::<Vec<_>>()
        };
    }
    if albums.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update message set body = new.body, provider_key = new.provider_key,
             provider_number = new.provider_number, time = new.time, deleted_at = new.deleted_at
         from unnest($1::uuid[], $2::bytea[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
             as new (message_id, body, provider_key, provider_number, time, deleted_at)
         where message.message_id = new.message_id",
        &column!(|album| album.id) as &[MessageId],
        &column!(|album| album.body.clone()),
        &column!(|album| album.provider_key.clone()),
        &column!(|album| album.provider_number),
        &column!(|album| album.time),
        &column!(|album| album.deleted_at) as &[Option<time::OffsetDateTime>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks messages that a machine wrote.
pub async fn mark_automatic(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update message set automatic = true where message_id = any($1)",
        ids as &[MessageId],
    )
    .execute(connection)
    .await
    .map(drop)
}
