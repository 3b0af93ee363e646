//! Table `post`: the pages of posts.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// What was said of a post.
#[derive(Debug, Clone)]
pub struct Post {
    /// Whose channel it belongs to.
    pub account: AccountSlug,
    /// The provider's id of it.
    pub key: String,
    /// Its page.
    pub link: String,
    /// When it was said.
    pub said_at: OffsetDateTime,
}

/// Keeps what was said last.
pub async fn keep(connection: &mut PgConnection, posts: &[Post]) -> Result<(), sqlx::Error> {
    let mut newest = BTreeMap::<(&str, &str), &Post>::new();
    for post in posts {
        let kept = newest
            .entry((post.account.as_str(), &post.key))
            .or_insert(post);
        if kept.said_at <= post.said_at {
            *kept = post;
        }
    }
    if newest.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = newest.keys().map(|key| key.0.to_owned()).collect();
    let keys: Vec<String> = newest.keys().map(|key| key.1.to_owned()).collect();
    let links: Vec<String> = newest.values().map(|post| post.link.clone()).collect();
    let times: Vec<OffsetDateTime> = newest.values().map(|post| post.said_at).collect();
    sqlx::query!(
        "insert into post as kept (account, post_key, link, said_at)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
         on conflict (account, post_key) do update set link = excluded.link, said_at = excluded.said_at
         where kept.said_at <= excluded.said_at",
        &accounts,
        &keys,
        &links,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the pages of posts that are known.
pub async fn links(
    connection: &mut PgConnection,
    account: &AccountSlug,
    keys: &[String],
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        "select post_key, link from post where account = $1 and post_key = any($2)",
        account.as_str(),
        keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.post_key, row.link))
        .collect())
}
