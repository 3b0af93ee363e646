//! What rows of imported files refer to: many at once.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

/// How many records of one name, phone or address are looked at: one more than is wanted tells that it is not one alone.
const ALIKE: i64 = 2;

/// Lets imports of a kind into an account be written one after the other: two of the same file never both make a record.
pub async fn alone(
    connection: &mut PgConnection,
    account: &AccountSlug,
    kind: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))::text",
        format!("import {account} {kind}"),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Returns the contacts that ids lead to: themselves, or those that they were merged into; none where that is deleted. Ids
/// that the account never had are left out.
pub async fn contacts(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Option<Uuid>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with recursive way as (
               select id as asked, id, merged_into, deleted_at from contact where account = $1 and id = any($2)
               union all
               select w.asked, c.id, c.merged_into, c.deleted_at from way w
               join contact c on c.account = $1 and c.id = w.merged_into)
           select asked as "asked!", id as "id!", deleted_at is null as "there!" from way where merged_into is null"#,
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.asked, row.there.then_some(row.id)))
        .collect())
}

/// Returns which companies of these ids are there; none for those that are deleted.
pub async fn companies(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Option<Uuid>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, deleted_at is null as "there!" from company where account = $1 and id = any($2)"#,
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.id, row.there.then_some(row.id)))
        .collect())
}

/// Returns which cards of these ids are there; none for those that are deleted.
pub async fn cards(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Option<Uuid>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, deleted_at is null as "there!" from card where account = $1 and id = any($2)"#,
        account.as_str(),
        ids,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.id, row.there.then_some(row.id)))
        .collect())
}

/// Returns companies by their names, two of each at most: only those of one agent where `own` names one.
pub async fn companies_named(
    connection: &mut PgConnection,
    account: &AccountSlug,
    names: &[String],
    own: Option<Uuid>,
) -> Result<HashMap<String, Vec<Uuid>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select k.name as "name!", c.id from unnest($2::text[]) k(name) cross join lateral (
               select id from company
               where account = $1 and name = k.name and deleted_at is null and ($3::uuid is null or responsible = $3)
               limit $4) c"#,
        account.as_str(),
        names,
        own,
        ALIKE,
    )
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<String, Vec<Uuid>> = HashMap::new();
    for row in rows {
        found.entry(row.name).or_default().push(row.id);
    }
    Ok(found)
}

/// Returns contacts by words, as `domain::search` writes them, two for each at most: only those of one agent where `own`
/// names one.
pub async fn contacts_with(
    connection: &mut PgConnection,
    account: &AccountSlug,
    words: &[String],
    own: Option<Uuid>,
) -> Result<HashMap<String, Vec<Uuid>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select k.words as "words!", c.id from unnest($2::text[]) k(words) cross join lateral (
               select id from contact
               where account = $1 and words @@ k.words::tsquery and deleted_at is null
                 and ($3::uuid is null or responsible = $3)
               limit $4) c"#,
        account.as_str(),
        words,
        own,
        ALIKE,
    )
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<String, Vec<Uuid>> = HashMap::new();
    for row in rows {
        found.entry(row.words).or_default().push(row.id);
    }
    Ok(found)
}

/// Returns pipelines of these ids or names: ids, names.
pub async fn pipelines(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
    names: &[String],
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, name from pipeline where account = $1 and (id = any($2) or name = any($3)) order by created_at, id",
        account.as_str(),
        ids,
        names,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Returns sources of these ids or names: ids, names.
pub async fn sources(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: &[Uuid],
    names: &[String],
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, name from source where account = $1 and deleted_at is null and (id = any($2) or name = any($3))",
        account.as_str(),
        ids,
        names,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}
