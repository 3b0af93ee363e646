//! Table `mail_id`: which mails came under which Message-ID.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Half a SHA-256: of a Message-ID, or of what a mail says.
pub type Hash = [u8; 16];

/// A mail that came.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// The channel.
    pub channel_id: Uuid,
    /// Its Message-ID.
    pub message_id: &'a str,
    /// Hash of its Message-ID.
    pub id_hash: &'a Hash,
    /// Hash of what it says.
    pub content: &'a Hash,
    /// Its chat.
    pub chat_id: Uuid,
    /// It lies among what was sent from the mailbox.
    pub own: bool,
    /// Its Message-ID is of the form that ours have.
    pub our_form: bool,
}

/// Notes a mail; returns whether it has its Message-ID for itself. What was decided stays, however often it comes again
/// and whoever reads it: the first mail with an id has it, unless an answer of ours went out under it.
pub async fn claim(
    connection: &mut PgConnection,
    came: &Came<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    // Whoever loses the race for being the first is noted as a further one.
    sqlx::query!(
        "insert into mail_id (channel_id, id_hash, content, chat_id, own, first, noted_at)
         select $1::uuid, $2::bytea, $3::bytea, $4::uuid, $5::boolean, true, $7::timestamptz
         where $5 or not ($8 or exists (select from sent_key where channel_id = $1 and provider_key = $6::text))
         on conflict do nothing",
        came.channel_id,
        came.id_hash,
        came.content,
        came.chat_id,
        came.own,
        came.message_id,
        now,
        came.our_form,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into mail_id (channel_id, id_hash, content, chat_id, own, first, noted_at)
         values ($1, $2, $3, $4, $5, false, $6)
         on conflict do nothing",
        came.channel_id,
        came.id_hash,
        came.content,
        came.chat_id,
        came.own,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar!(
        "select first from mail_id where channel_id = $1 and id_hash = $2 and content = $3",
        came.channel_id,
        came.id_hash,
        came.content,
    )
    .fetch_one(connection)
    .await
}

/// Tells whether a mail with such a Message-ID went out from a mailbox: from here, or from a program of the shop's that
/// keeps it among what was sent.
pub async fn went_out(
    connection: &mut PgConnection,
    channel: Uuid,
    message_id: &str,
    id_hash: &Hash,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from sent_key where channel_id = $1 and provider_key = $2)
               or exists (select from mail_id where channel_id = $1 and id_hash = $3 and own) as "known!""#,
        channel,
        message_id,
        id_hash,
    )
    .fetch_one(connection)
    .await
}

/// Returns the newest mail of a chat under each of these ids, where it is not the one that has the id for itself: hashes
/// of id and content.
pub async fn further(
    connection: &mut PgConnection,
    channel: Uuid,
    chat: Uuid,
    id_hashes: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, sqlx::Error> {
    if id_hashes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "with newest as (
             select distinct on (id_hash) id_hash, content, first from mail_id
             where channel_id = $1 and id_hash = any($2) and chat_id = $3
             order by id_hash, noted_at desc, first)
         select id_hash, content from newest where not first",
        channel,
        id_hashes,
        chat,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id_hash, row.content))
        .collect())
}
