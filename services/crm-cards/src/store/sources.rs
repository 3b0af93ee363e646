//! Sources of cards.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::ids::SourceId;
use crate::domain::status::Source;

/// Inserts a source; false when the name is taken.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: &Source,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into source (account, id, name, revision, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        account.as_str(),
        source.id.uuid(),
        source.name,
        source.revision,
        now,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(inserted == 1)
}

/// Returns sources whose names come after one, by name.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: &str,
    limit: i64,
) -> Result<Vec<Source>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, name, revision from source
           where account = $1 and deleted_at is null and name collate "C" > $2
           order by name collate "C" limit $3"#,
        account.as_str(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Source {
            id: row.id.into(),
            name: row.name,
            revision: row.revision,
        })
        .collect())
}

/// Returns a source, locked until the end of the transaction.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: SourceId,
) -> Result<Option<Source>, sqlx::Error> {
    let row = sqlx::query!(
        "select name, revision from source where account = $1 and id = $2 and deleted_at is null for update",
        account.as_str(),
        source.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Source {
        id: source,
        name: row.name,
        revision: row.revision,
    }))
}

/// Writes a locked source; a taken name is a violated constraint.
pub async fn update(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: &Source,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update source set name = $3, revision = $4 where account = $1 and id = $2",
        account.as_str(),
        source.id.uuid(),
        source.name,
        source.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Marks a locked source as deleted. Cards keep it.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: SourceId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update source set deleted_at = $3 where account = $1 and id = $2",
        account.as_str(),
        source.uuid(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}
