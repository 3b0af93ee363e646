//! What is sealed, wherever it stands: sealing it anew under another key, and forgetting it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::channels::ChannelRow;

/// Something sealed: of which row, and the text.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Id of the row.
    pub id: Uuid,
    /// The text.
    pub text: Vec<u8>,
}

/// Which texts of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// What signs it in.
    Token,
    /// The secret of its webhook.
    Secret,
}

/// Returns texts of channels beyond an id, `limit` at most, by id.
pub async fn of_channels(
    connection: &mut PgConnection,
    of: Of,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Sealed>, sqlx::Error> {
    sqlx::query_as!(
        Sealed,
        r#"select id, case when $2 then token_sealed else secret_sealed end as "text!"
           from channel where id > $1 order by id limit $3"#,
        after,
        of == Of::Token,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Puts texts of channels in the place of older ones, unless something else stands there by now.
pub async fn replace_of_channels(
    connection: &mut PgConnection,
    of: Of,
    older: &[Sealed],
    newer: &[Vec<u8>],
) -> Result<u64, sqlx::Error> {
    let (ids, texts) = columns(older);
    let done = sqlx::query!(
        "update channel c
         set token_sealed = case when $4 then n.newer else c.token_sealed end,
             secret_sealed = case when $4 then c.secret_sealed else n.newer end
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (id, older, newer)
         where c.id = n.id and case when $4 then c.token_sealed else c.secret_sealed end = n.older",
        &ids,
        &texts,
        newer,
        of == Of::Token,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns providers' references of files beyond an id, `limit` at most, by id.
pub async fn of_files(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Sealed>, sqlx::Error> {
    sqlx::query_as!(
        Sealed,
        r#"select id, reference as "text!" from attachment
           where id > $1 and reference is not null order by id limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Puts references of files in the place of older ones, unless something else stands there by now.
pub async fn replace_of_files(
    connection: &mut PgConnection,
    older: &[Sealed],
    newer: &[Vec<u8>],
) -> Result<u64, sqlx::Error> {
    let (ids, texts) = columns(older);
    let done = sqlx::query!(
        "update attachment a set reference = n.newer
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (id, older, newer)
         where a.id = n.id and a.reference = n.older",
        &ids,
        &texts,
        newer,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns references of photos beyond a chat, `limit` at most, by chat.
pub async fn of_photos(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Sealed>, sqlx::Error> {
    sqlx::query_as!(
        Sealed,
        r#"select chat_id as id, reference as "text!" from client_photo
           where chat_id > $1 and reference is not null order by chat_id limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Puts references of photos in the place of older ones, unless something else stands there by now.
pub async fn replace_of_photos(
    connection: &mut PgConnection,
    older: &[Sealed],
    newer: &[Vec<u8>],
) -> Result<u64, sqlx::Error> {
    let (ids, texts) = columns(older);
    let done = sqlx::query!(
        "update client_photo p set reference = n.newer
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (id, older, newer)
         where p.chat_id = n.id and p.reference = n.older",
        &ids,
        &texts,
        newer,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Disconnects a channel for good: its credentials are forgotten, its line may become another channel's.
pub async fn forget(
    connection: &mut PgConnection,
    id: Uuid,
    nothing_sealed: &[u8],
    problem: &str,
    now: OffsetDateTime,
) -> Result<ChannelRow, sqlx::Error> {
    sqlx::query_as!(
        ChannelRow,
        "update channel set state = 'disconnected', problem = $3, token_sealed = $2, token_hash = null,
             mail_host = null, mail_login = null, credentials = credentials + 1, released_at = $4, changed_at = now()
         where id = $1 returning *",
        id,
        nothing_sealed,
        problem,
        now,
    )
    .fetch_one(connection)
    .await
}

fn columns(sealed: &[Sealed]) -> (Vec<Uuid>, Vec<Vec<u8>>) {
    sealed
        .iter()
        .map(|sealed| (sealed.id, sealed.text.clone()))
        .unzip()
}
