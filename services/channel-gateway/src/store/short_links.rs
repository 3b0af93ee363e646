//! Tables `short_link` and `link_click`.

use sqlx::PgConnection;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// Visitors of one link that are known again, in all and of one day: whoever comes without a cookie, again and again, fills
/// no table. Beyond them visits are only counted.
const VISITORS_MAX: i32 = 10_000;
const VISITORS_A_DAY: i32 = 100;

/// A short link.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortLink {
    /// What stands in it.
    pub code: String,
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel_id: Uuid,
    /// The chat.
    pub chat_id: Uuid,
    /// The message that holds it.
    pub message_id: Uuid,
    /// Where it leads.
    pub url: String,
}

/// Returns which of these channels shorten links.
pub async fn shortening(
    connection: &mut PgConnection,
    channels: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from channel where id = any($1) and shorten_links",
        channels
    )
    .fetch_all(connection)
    .await
}

/// Keeps short links; those that are known stay as they are.
pub async fn insert(
    connection: &mut PgConnection,
    links: &[ShortLink],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let codes: Vec<String> = links.iter().map(|link| link.code.clone()).collect();
    let accounts: Vec<String> = links.iter().map(|link| link.account.clone()).collect();
    let channels: Vec<Uuid> = links.iter().map(|link| link.channel_id).collect();
    let chats: Vec<Uuid> = links.iter().map(|link| link.chat_id).collect();
    let messages: Vec<Uuid> = links.iter().map(|link| link.message_id).collect();
    let urls: Vec<String> = links.iter().map(|link| link.url.clone()).collect();
    sqlx::query!(
        "insert into short_link (code, account, channel_id, chat_id, message_id, url, created_at)
         select t.code, t.account, t.channel_id, t.chat_id, t.message_id, t.url, $7
         from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[])
              as t (code, account, channel_id, chat_id, message_id, url)
         order by t.code
         on conflict (code) do nothing",
        &codes,
        &accounts,
        &channels,
        &chats,
        &messages,
        &urls,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns a short link.
pub async fn find(
    connection: &mut PgConnection,
    code: &str,
) -> Result<Option<ShortLink>, sqlx::Error> {
    sqlx::query_as!(
        ShortLink,
        "select code, account, channel_id, chat_id, message_id, url from short_link where code = $1",
        code
    )
    .fetch_optional(connection)
    .await
}

/// Tells whether a visitor followed a link before.
pub async fn is_known(
    connection: &mut PgConnection,
    code: &str,
    visitor: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from link_click where code = $1 and visitor_id = $2) as "known!""#,
        code,
        visitor,
    )
    .fetch_one(connection)
    .await
}

/// Counts a visitor; returns whether it is the first time. Whoever is not admitted, and all beyond the visitors that are
/// kept, are visits that count, and none of them is the first.
pub async fn count(
    connection: &mut PgConnection,
    code: &str,
    visitor: Uuid,
    admitted: bool,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with link as (
             select code, visitors, case when counted_on = $4::date then counted else 0 end as today
             from short_link where code = $1 for update
         ), kept as (
             insert into link_click (code, visitor_id, first_at)
             select code, $2, $3 from link where $7 and visitors < $5 and today < $6
             on conflict (code, visitor_id) do nothing
             returning code
         ), known as (
             select from link_click where code = $1 and visitor_id = $2
         ), counted as (
             update short_link s
             set clicks = s.clicks + 1, counted_on = $4::date,
                 visitors = s.visitors + (select count(*)::integer from kept),
                 counted = link.today + (select count(*)::integer from kept)
             from link
             where s.code = link.code and s.clicks < 2147483647 and not exists (select from known)
         )
         select exists (select from kept) as "first!""#,
        code,
        visitor,
        now,
        now.to_offset(UtcOffset::UTC).date(),
        VISITORS_MAX,
        VISITORS_A_DAY,
        admitted,
    )
    .fetch_one(connection)
    .await
}
