//! Attempts without an answer, as echoes find them.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attempts::SettledPart;

/// An attempt whose outcome is not known.
#[derive(Debug, Clone)]
pub struct Open {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// Method of the provider.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// When the attempt began.
    pub attempted_at: OffsetDateTime,
}

/// Returns the attempts of these chats without an outcome that began after `since`, in order.
pub async fn open(
    connection: &mut PgConnection,
    channels: &[Uuid],
    chat_keys: &[String],
    since: OffsetDateTime,
) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as!(
        Open,
        r#"select l.channel_id, l.chat_key, p.chat_id, p.out_seq, p.part, p.method, p.params,
                  p.attempted_at as "attempted_at!"
           from unnest($1::uuid[], $2::text[]) as t (channel_id, chat_key)
           join lane l on l.channel_id = t.channel_id and l.chat_key = t.chat_key
           join part p on p.chat_id = l.chat_id and p.state in ('sending', 'uncertain')
           where p.attempted_at > $3
           order by p.chat_id, p.out_seq, p.part"#,
        channels,
        chat_keys,
        since,
    )
    .fetch_all(connection)
    .await
}

/// Returns which of these channels have a comment under way: its echo names no chat.
pub async fn commenting(
    connection: &mut PgConnection,
    channels: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct l.channel_id
         from part p join lane l on l.chat_id = p.chat_id
         where p.state = 'sending' and p.method like 'POST /%/replies' and l.channel_id = any($1)",
        channels,
    )
    .fetch_all(connection)
    .await
}

/// Turns attempts into sent parts, under the keys that their echoes named.
pub async fn settle(
    connection: &mut PgConnection,
    found: &[(Open, String)],
    now: OffsetDateTime,
) -> Result<Vec<SettledPart>, sqlx::Error> {
    let chats: Vec<Uuid> = found.iter().map(|(open, _)| open.chat_id).collect();
    let commands: Vec<i64> = found.iter().map(|(open, _)| open.out_seq).collect();
    let parts: Vec<i32> = found.iter().map(|(open, _)| open.part).collect();
    let keys: Vec<String> = found.iter().map(|(_, key)| key.clone()).collect();
    sqlx::query_as!(
        SettledPart,
        "update part p set state = 'sent', provider_key = t.provider_key, reason = '', updated_at = $5
         from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[]) as t (chat_id, out_seq, part, provider_key)
              join command c on c.chat_id = t.chat_id and c.out_seq = t.out_seq
              join lane l on l.chat_id = t.chat_id
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.part = t.part
           and p.state in ('sending', 'uncertain')
         returning l.account, l.channel_id, p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt,
             p.state, p.provider_key, p.reason, c.cause, c.trace",
        &chats,
        &commands,
        &parts,
        &keys,
        now,
    )
    .fetch_all(connection)
    .await
}
