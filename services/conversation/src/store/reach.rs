//! Tables `client_block` and `channel_reach`: whom a message of ours can reach, as the gateway told last.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::bot::nps::Reach;
use crate::domain::chat::Chat;
use crate::domain::{ChannelId, ChatId};

/// A client blocked a channel, or unblocked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Whose it is.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// Blocked.
    pub blocked: bool,
    /// When, by the provider's clock.
    pub told_at: OffsetDateTime,
}

/// A channel was switched off or lost, or is heard again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose it is.
    pub account: AccountSlug,
    /// The channel.
    pub channel: ChannelId,
    /// Nothing can be sent.
    pub off: bool,
    /// When it was told.
    pub told_at: OffsetDateTime,
}

/// Of several words on one thing the newest.
fn newest<K: Ord, W>(
    words: &[W],
    key: impl Fn(&W) -> K,
    told: impl Fn(&W) -> OffsetDateTime,
) -> Vec<&W> {
    let mut newest: BTreeMap<K, &W> = BTreeMap::new();
    for word in words {
        let kept = newest.entry(key(word)).or_insert(word);
        if told(kept) <= told(word) {
            *kept = word;
        }
    }
    newest.into_values().collect()
}

/// Keeps the newest words on clients.
pub async fn keep_blocks(
    connection: &mut PgConnection,
    blocks: &[Block],
) -> Result<(), sqlx::Error> {
    if blocks.is_empty() {
        return Ok(());
    }
    let newest = newest(blocks, |block| block.chat, |block| block.told_at);
    sqlx::query!(
        "insert into client_block as kept (chat_id, account, blocked, told_at)
         select * from unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[])
         on conflict (chat_id) do update set blocked = excluded.blocked, told_at = excluded.told_at
         where kept.account = excluded.account and kept.told_at <= excluded.told_at",
        &newest.iter().map(|block| block.chat).collect::<Vec<_>>() as &[ChatId],
        &newest
            .iter()
            .map(|block| block.account.to_string())
            .collect::<Vec<_>>(),
        &newest.iter().map(|block| block.blocked).collect::<Vec<_>>(),
        &newest.iter().map(|block| block.told_at).collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps the newest words on channels.
pub async fn keep_lines(connection: &mut PgConnection, lines: &[Line]) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let key = |line: &Line| (line.account.clone(), line.channel);
    let newest = newest(lines, key, |line| line.told_at);
    sqlx::query!(
        "insert into channel_reach as kept (account, channel_id, off, told_at)
         select * from unnest($1::text[], $2::uuid[], $3::boolean[], $4::timestamptz[])
         on conflict (account, channel_id) do update set off = excluded.off, told_at = excluded.told_at
         where kept.told_at <= excluded.told_at",
        &newest.iter().map(|line| line.account.to_string()).collect::<Vec<_>>(),
        &newest.iter().map(|line| line.channel).collect::<Vec<_>>() as &[ChannelId],
        &newest.iter().map(|line| line.off).collect::<Vec<_>>(),
        &newest.iter().map(|line| line.told_at).collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What is known of a chat. Where nothing was told, its client can be reached.
pub async fn of(connection: &mut PgConnection, chat: &Chat) -> Result<Reach, sqlx::Error> {
    sqlx::query_as!(
        Reach,
        r#"select (select told_at from client_block where chat_id = $2 and account = $1 and blocked) as blocked_at,
               exists(select from channel_reach where account = $1 and channel_id = $3 and off) as "channel_off!""#,
        chat.account.as_str(),
        chat.id as ChatId,
        chat.channel as ChannelId,
    )
    .fetch_one(connection)
    .await
}
