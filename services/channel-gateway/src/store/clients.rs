//! Table `channel_client`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Whether a client blocked a channel, as the provider told at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Slug of the account.
    pub account: String,
    /// True: blocked.
    pub blocked: bool,
    /// When, by the provider's clock.
    pub time: OffsetDateTime,
}

/// Keeps the newest of what is told; returns those that changed something. At most one per channel and chat.
pub async fn keep_newest(
    connection: &mut PgConnection,
    blocks: &[Block],
) -> Result<Vec<Block>, sqlx::Error> {
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let channels: Vec<Uuid> = blocks.iter().map(|block| block.channel_id).collect();
    let keys: Vec<String> = blocks.iter().map(|block| block.chat_key.clone()).collect();
    let accounts: Vec<String> = blocks.iter().map(|block| block.account.clone()).collect();
    let blocked: Vec<bool> = blocks.iter().map(|block| block.blocked).collect();
    let times: Vec<OffsetDateTime> = blocks.iter().map(|block| block.time).collect();
    // The first time that a client is reachable is no news.
    sqlx::query_as!(
        Block,
        "with told as (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[])
                 as t (channel_id, chat_key, account, blocked, blocked_time)
         ), before as (
             select channel_id, chat_key, c.blocked from channel_client c join told using (channel_id, chat_key)
         ), kept as (
             insert into channel_client as c (channel_id, chat_key, account, blocked, blocked_time)
             select channel_id, chat_key, account, blocked, blocked_time from told order by channel_id, chat_key
             on conflict (channel_id, chat_key) do update
             set blocked = excluded.blocked, blocked_time = excluded.blocked_time
             where c.blocked_time < excluded.blocked_time
             returning c.channel_id, c.chat_key, c.account, c.blocked, c.blocked_time
         )
         select kept.channel_id, kept.chat_key, kept.account, kept.blocked, kept.blocked_time as time
         from kept left join before using (channel_id, chat_key)
         where kept.blocked is distinct from coalesce(before.blocked, false)",
        &channels,
        &keys,
        &accounts,
        &blocked,
        &times,
    )
    .fetch_all(connection)
    .await
}
