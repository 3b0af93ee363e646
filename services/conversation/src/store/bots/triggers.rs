//! Bots that start by themselves, and table `bot_wanted`: chats in which they are to.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Bot;
use crate::domain::bot::Trigger;
use crate::domain::chat::Chat;
use crate::domain::{BotId, ChannelId, ChatId};

/// Returns the bots that start by themselves in chats at such a moment: of each chat the one that was created first.
pub async fn triggered(
    connection: &mut PgConnection,
    chats: &[&Chat],
    trigger: Trigger,
) -> Result<BTreeMap<ChatId, Bot>, sqlx::Error> {
    let ids: Vec<ChatId> = chats.iter().map(|chat| chat.id).collect();
    let accounts: Vec<String> = chats.iter().map(|chat| chat.account.to_string()).collect();
    let channels: Vec<ChannelId> = chats.iter().map(|chat| chat.channel).collect();
    let found = sqlx::query!(
        r#"select distinct on (c.chat_id) c.chat_id as "chat!: ChatId", b.account as "account: AccountSlug",
               b.bot_id as "bot: BotId"
           from unnest($1::uuid[], $2::text[], $3::uuid[]) c(chat_id, account, channel_id)
           join bot b on b.account = c.account and b.trigger = $4 and b.enabled
               and (b.channels = '{}' or c.channel_id = any(b.channels))
           order by c.chat_id, b.bot_id"#,
        &ids as &[ChatId],
        &accounts,
        &channels as &[ChannelId],
        trigger.word(),
    )
    .fetch_all(&mut *connection)
    .await?;
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (accounts, wanted): (Vec<String>, Vec<Uuid>) = found
        .iter()
        .map(|row| (row.account.to_string(), row.bot.uuid()))
        .unzip();
    let bots = super::several(connection, &accounts, &wanted).await?;
    let of_chat = found.into_iter().filter_map(|row| {
        let bot = bots.get(&(row.account, row.bot))?;
        Some((row.chat, bot.clone()))
    });
    Ok(of_chat.collect())
}

/// Notes that bots start by themselves in chats, where the accounts have such bots.
pub async fn want(
    connection: &mut PgConnection,
    chats: &[(ChatId, &AccountSlug)],
    trigger: Trigger,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (ids, accounts): (Vec<ChatId>, Vec<String>) = chats
        .iter()
        .map(|(chat, account)| (*chat, account.to_string()))
        .unzip();
    sqlx::query!(
        "insert into bot_wanted (chat_id, trigger, noted_at)
         select c.chat_id, $3, $4 from unnest($1::uuid[], $2::text[]) c(chat_id, account)
         where exists (select from bot b where b.account = c.account and b.trigger = $3 and b.enabled)
         order by c.chat_id
         on conflict do nothing",
        &ids as &[ChatId],
        &accounts,
        trigger.word(),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns chats in which bots are to start by themselves.
pub async fn wanted(
    connection: &mut PgConnection,
    trigger: Trigger,
    limit: i64,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select chat_id as "chat: ChatId" from bot_wanted where trigger = $1 limit $2"#,
        trigger.word(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Takes what was noted of locked chats; returns those of which it still was.
pub async fn take_wanted(
    connection: &mut PgConnection,
    chats: &[ChatId],
    trigger: Trigger,
) -> Result<Vec<ChatId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from bot_wanted where chat_id = any($1) and trigger = $2 returning chat_id as "chat: ChatId""#,
        chats as &[ChatId],
        trigger.word(),
    )
    .fetch_all(connection)
    .await
}
