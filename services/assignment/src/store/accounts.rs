//! Accounts.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// An account as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its slug.
    pub slug: AccountSlug,
    /// Name to show.
    pub name: String,
    /// `en` or `uk`.
    pub language: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

/// Inserts an account; returns whether it was new. A concurrent creation is waited for.
pub async fn insert(connection: &mut PgConnection, row: &AccountRow) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into account (slug, name, language, created_at) values ($1, $2, $3, $4)
         on conflict do nothing",
        row.slug.as_str(),
        row.name,
        row.language,
        row.created_at,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Returns an account.
pub async fn get(
    connection: &mut PgConnection,
    slug: &AccountSlug,
) -> Result<Option<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select slug as "slug: AccountSlug", name, language, created_at from account
           where slug = $1"#,
        slug.as_str(),
    )
    .fetch_optional(connection)
    .await
}

/// Returns accounts after a slug, by slug.
pub async fn list(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<AccountRow>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select slug as "slug: AccountSlug", name, language, created_at from account
           where slug > $1 order by slug limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Tells whether an account is suspended; an unknown one is not.
pub async fn suspended(
    connection: &mut PgConnection,
    slug: &AccountSlug,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select suspended from account where slug = $1",
        slug.as_str()
    )
    .fetch_optional(connection)
    .await
    .map(|suspended| suspended.unwrap_or(false))
}
