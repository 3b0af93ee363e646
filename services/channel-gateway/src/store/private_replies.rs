//! What answers through Instagram depend on: comments, whether they were answered in Direct, and accounts that take no several
//! pictures.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A comment.
#[derive(Debug, Clone)]
pub struct Commented {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// What is noted of it.
    pub note: Vec<u8>,
    /// When it was written.
    pub written_at: OffsetDateTime,
    /// A part answered it in Direct, or is about to.
    pub answered: bool,
}

/// Returns comments of these chats, newer than `since`; the newest 20 of each chat are looked at.
pub async fn comments(
    connection: &mut PgConnection,
    channels: &[Uuid],
    chat_keys: &[String],
    chats: &[Uuid],
    since: OffsetDateTime,
) -> Result<Vec<Commented>, sqlx::Error> {
    sqlx::query_as!(
        Commented,
        r#"select t.channel_id as "channel_id!", t.chat_key as "chat_key!", n.note,
                  coalesce(n.written_at, n.noted_at) as "written_at!",
                  exists (
                      select from part p
                      where p.chat_id = t.chat_id and p.params #>> '{recipient,comment_id}' is not null
                        and p.params #>> '{recipient,comment_id}' = substr(n.provider_key, 5)
                        and p.state not in ('failed', 'cancelled')) as "answered!"
           from (select distinct * from unnest($1::uuid[], $2::text[], $3::uuid[]) as u (channel_id, chat_key, chat_id)) as t
           cross join lateral (
               select * from message_note m where m.channel_id = t.channel_id and m.chat_key = t.chat_key
               order by m.noted_at desc limit 20) n
           where n.provider_key like 'cmt:%' and coalesce(n.written_at, n.noted_at) > $4"#,
        channels,
        chat_keys,
        chats,
        since,
    )
    .fetch_all(connection)
    .await
}

/// Notes that an account was refused several pictures in one message.
pub async fn note_single(
    connection: &mut PgConnection,
    channel: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into single_images (channel_id, told_at) values ($1, $2)
         on conflict (channel_id) do update set told_at = excluded.told_at",
        channel,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns which of these channels were refused several pictures in one message after `since`: Meta may allow it later.
pub async fn single(
    connection: &mut PgConnection,
    channels: &[Uuid],
    since: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select channel_id from single_images where channel_id = any($1) and told_at > $2",
        channels,
        since,
    )
    .fetch_all(connection)
    .await
}
