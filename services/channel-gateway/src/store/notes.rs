//! What answers need to know of clients and of what they wrote.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// When a client last wrote.
#[derive(Debug, Clone)]
pub struct ClientNote {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// When, by the provider's clock.
    pub last_client_at: OffsetDateTime,
}

/// What is noted of a message.
#[derive(Debug, Clone)]
pub struct MessageNote {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the message.
    pub provider_key: String,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// The note.
    pub note: Vec<u8>,
    /// When it was written, by the provider's clock.
    pub written_at: Option<OffsetDateTime>,
    /// A machine wrote it, as an autoresponder.
    pub automatic: bool,
}

/// Keeps the newest times; at most one per channel and chat.
pub async fn keep_clients(
    connection: &mut PgConnection,
    notes: &[ClientNote],
) -> Result<(), sqlx::Error> {
    if notes.is_empty() {
        return Ok(());
    }
    let channels: Vec<Uuid> = notes.iter().map(|note| note.channel_id).collect();
    let chats: Vec<String> = notes.iter().map(|note| note.chat_key.clone()).collect();
    let times: Vec<OffsetDateTime> = notes.iter().map(|note| note.last_client_at).collect();
    sqlx::query!(
        "insert into client_note as kept (channel_id, chat_key, last_client_at)
         select * from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as t (channel_id, chat_key, last_client_at)
         order by channel_id, chat_key
         on conflict (channel_id, chat_key) do update set last_client_at = excluded.last_client_at
         where kept.last_client_at < excluded.last_client_at",
        &channels,
        &chats,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps notes of messages; what was noted stays.
pub async fn keep_messages(
    connection: &mut PgConnection,
    notes: &[MessageNote],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if notes.is_empty() {
        return Ok(());
    }
    let channels: Vec<Uuid> = notes.iter().map(|note| note.channel_id).collect();
    let keys: Vec<String> = notes.iter().map(|note| note.provider_key.clone()).collect();
    let chats: Vec<String> = notes.iter().map(|note| note.chat_key.clone()).collect();
    let bodies: Vec<Vec<u8>> = notes.iter().map(|note| note.note.clone()).collect();
    let times: Vec<Option<OffsetDateTime>> = notes.iter().map(|note| note.written_at).collect();
    let automatic: Vec<bool> = notes.iter().map(|note| note.automatic).collect();
    sqlx::query!(
        "insert into message_note (channel_id, provider_key, chat_key, note, written_at, automatic, noted_at)
         select *, $7::timestamptz
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::boolean[])
                  as t (channel_id, provider_key, chat_key, note, written_at, automatic)
         order by channel_id, provider_key
         on conflict do nothing",
        &channels,
        &keys,
        &chats,
        &bodies,
        &times as &[Option<OffsetDateTime>],
        &automatic,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns when the clients of these chats last wrote.
pub async fn clients(
    connection: &mut PgConnection,
    channels: &[Uuid],
    chats: &[String],
) -> Result<Vec<ClientNote>, sqlx::Error> {
    sqlx::query_as!(
        ClientNote,
        "select n.channel_id, n.chat_key, n.last_client_at
         from unnest($1::uuid[], $2::text[]) as t (channel_id, chat_key)
         join client_note n on n.channel_id = t.channel_id and n.chat_key = t.chat_key",
        channels,
        chats,
    )
    .fetch_all(connection)
    .await
}

/// Returns what is noted of these messages.
pub async fn messages(
    connection: &mut PgConnection,
    channels: &[Uuid],
    keys: &[String],
) -> Result<Vec<MessageNote>, sqlx::Error> {
    sqlx::query_as!(
        MessageNote,
        "select n.channel_id, n.provider_key, n.chat_key, n.note, n.written_at, n.automatic
         from unnest($1::uuid[], $2::text[]) as t (channel_id, provider_key)
         join message_note n on n.channel_id = t.channel_id and n.provider_key = t.provider_key",
        channels,
        keys,
    )
    .fetch_all(connection)
    .await
}

/// Returns the newest note of each of these chats: of what a person wrote, where one did.
pub async fn newest(
    connection: &mut PgConnection,
    channels: &[Uuid],
    chats: &[String],
) -> Result<Vec<MessageNote>, sqlx::Error> {
    sqlx::query_as!(
        MessageNote,
        r#"select n.channel_id as "channel_id!", n.provider_key as "provider_key!", n.chat_key as "chat_key!",
                  n.note as "note!", n.written_at, n.automatic as "automatic!"
           from unnest($1::uuid[], $2::text[]) as t (channel_id, chat_key)
           cross join lateral (
               select * from (
                   (select * from message_note m
                    where m.channel_id = t.channel_id and m.chat_key = t.chat_key and not m.automatic
                    order by m.noted_at desc limit 1)
                   union all
                   (select * from message_note m where m.channel_id = t.channel_id and m.chat_key = t.chat_key
                    order by m.noted_at desc limit 1)) as either
               order by either.automatic limit 1) n"#,
        channels,
        chats,
    )
    .fetch_all(connection)
    .await
}
