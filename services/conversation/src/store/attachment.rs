//! Table `attachment`: the newest word of the gateway on each file.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What was said of a file.
#[derive(Debug, Clone)]
pub struct Word {
    /// The file.
    pub id: Uuid,
    /// Whose it is.
    pub account: AccountSlug,
    /// Encoded `switchboard.common.v1.Attachment`.
    pub word: Vec<u8>,
    /// When it was said.
    pub said_at: OffsetDateTime,
}

/// Keeps the newest words. A file stays with the account that it was first known in.
pub async fn keep(connection: &mut PgConnection, words: &[Word]) -> Result<(), sqlx::Error> {
    let mut newest: BTreeMap<Uuid, &Word> = BTreeMap::new();
    for word in words {
        let kept = newest.entry(word.id).or_insert(word);
        if kept.said_at <= word.said_at {
            *kept = word;
        }
    }
    if newest.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = newest.keys().copied().collect();
    let accounts: Vec<String> = newest
        .values()
        .map(|word| word.account.to_string())
        .collect();
    let bodies: Vec<Vec<u8>> = newest.values().map(|word| word.word.clone()).collect();
    let times: Vec<OffsetDateTime> = newest.values().map(|word| word.said_at).collect();
    sqlx::query!(
        "insert into attachment as kept (attachment_id, account, word, said_at)
         select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[])
                      as t (attachment_id, account, word, said_at)
         order by attachment_id
         on conflict (attachment_id) do update set word = excluded.word, said_at = excluded.said_at
         where kept.account = excluded.account and kept.said_at <= excluded.said_at",
        &ids,
        &accounts,
        &bodies,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the words on files, each with the account that the file is of.
pub async fn words(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, (AccountSlug, Vec<u8>)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"select attachment_id, account as "account: AccountSlug", word from attachment where attachment_id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.attachment_id, (row.account, row.word)))
        .collect())
}
