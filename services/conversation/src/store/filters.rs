//! Table `chat_filter`: what lists of chats are narrowed to (B13).

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Id.
    pub id: Uuid,
    /// The agent whose it is; nil where all share it.
    pub owner: Uuid,
    /// Name.
    pub name: String,
    /// What a list is narrowed to, encoded.
    pub body: Vec<u8>,
}

/// Returns a filter of an account, locked.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: Uuid,
) -> Result<Option<Filter>, sqlx::Error> {
    sqlx::query_as!(
        Filter,
        "select filter_id as id, owner, name, body from chat_filter where account = $1 and filter_id = $2 for update",
        account.as_str(),
        id,
    )
    .fetch_optional(connection)
    .await
}

/// How many filters somebody has.
pub async fn count(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Uuid,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from chat_filter where account = $1 and owner = $2"#,
        account.as_str(),
        owner,
    )
    .fetch_one(connection)
    .await
}

/// Lists somebody's filters and the shared ones, by name.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    own: Uuid,
    limit: i64,
) -> Result<Vec<Filter>, sqlx::Error> {
    sqlx::query_as!(
        Filter,
        "select filter_id as id, owner, name, body from chat_filter
         where account = $1 and owner in ($2, '00000000-0000-0000-0000-000000000000')
         order by name, filter_id limit $3",
        account.as_str(),
        own,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Tells whether another filter of its owner has a filter's name, however it is written.
pub async fn is_named(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from chat_filter
               where account = $1 and owner = $2 and filter_id <> $3 and lower(name) = lower($4)) as "named!""#,
        account.as_str(),
        filter.owner,
        filter.id,
        filter.name,
    )
    .fetch_one(connection)
    .await
}

/// Writes a filter whole; its owner stays. Tells whether it could: somebody else may have taken its id in this moment.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "insert into chat_filter (account, filter_id, owner, name, body) values ($1, $2, $3, $4, $5)
         on conflict (account, filter_id) do update set name = excluded.name, body = excluded.body
         where chat_filter.owner = excluded.owner",
        account.as_str(),
        filter.id,
        filter.owner,
        filter.name,
        filter.body,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Deletes a filter.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from chat_filter where account = $1 and filter_id = $2",
        account.as_str(),
        id,
    )
    .execute(connection)
    .await
    .map(drop)
}
