//! Table `channel_rule`: what a channel's chats go by.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::channel_rule::{ChannelRule, Limits};
use crate::domain::{BotId, ChannelId};

/// A channel as an account knows it.
pub type Key = (AccountSlug, ChannelId);

struct Row {
    account: AccountSlug,
    channel: ChannelId,
    continue_minutes: i32,
    first_seconds: i32,
    next_seconds: i32,
    greeting: String,
    off_hours_reply: String,
    nps_bot: Option<BotId>,
    revision: i64,
    updated_at: OffsetDateTime,
}

impl From<Row> for (AccountSlug, ChannelRule) {
    fn from(row: Row) -> Self {
        let rule = ChannelRule {
            channel: row.channel,
            continue_minutes: row.continue_minutes,
            limits: Limits {
                first: row.first_seconds,
                next: row.next_seconds,
            },
            greeting: row.greeting,
            off_hours_reply: row.off_hours_reply,
            nps_bot: row.nps_bot,
            revision: row.revision,
            updated_at: Some(row.updated_at),
        };
        (row.account, rule)
    }
}

/// Selects whole rules with a literal tail of the statement.
macro_rules! select_rules {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select r.account as "account: AccountSlug", r.channel_id as "channel: ChannelId", continue_minutes,
                   first_seconds, next_seconds, greeting, off_hours_reply, nps_bot as "nps_bot: BotId", revision, updated_at
               from channel_rule r "# + $tail,
            $($argument),*
        )
    };
}

/// Returns a channel's rule.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: ChannelId,
) -> Result<Option<ChannelRule>, sqlx::Error> {
    let row = select_rules!(
        "where r.account = $1 and r.channel_id = $2",
        account.as_str(),
        channel as ChannelId,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| <(AccountSlug, ChannelRule)>::from(row).1))
}

/// Returns the rules of channels that have one.
pub async fn several(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<BTreeMap<Key, ChannelRule>, sqlx::Error> {
    let (accounts, channels): (Vec<String>, Vec<ChannelId>) = keys
        .iter()
        .map(|(account, channel)| (account.to_string(), *channel))
        .unzip();
    let rows = select_rules!(
        "join unnest($1::text[], $2::uuid[]) k(account, channel_id)
             on r.account = k.account and r.channel_id = k.channel_id",
        &accounts,
        &channels as &[ChannelId],
    )
    .fetch_all(connection)
    .await?;
    let rules = rows.into_iter().map(<(AccountSlug, ChannelRule)>::from);
    Ok(rules
        .map(|(account, rule)| ((account, rule.channel), rule))
        .collect())
}

/// Returns the rules of an account's channels after one, in their order; of those that are granted.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    granted: Option<Vec<Uuid>>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ChannelRule>, sqlx::Error> {
    let rows = select_rules!(
        "where r.account = $1 and r.channel_id > $2 and ($3::uuid[] is null or r.channel_id = any($3))
         order by r.channel_id limit $4",
        account.as_str(),
        after,
        granted.as_deref(),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let rules = rows.into_iter().map(<(AccountSlug, ChannelRule)>::from);
    Ok(rules.map(|(_, rule)| rule).collect())
}

/// Sets a rule whose account's rules are locked; `timed` tells that waits are timed from now on that were not before.
pub async fn set(
    connection: &mut PgConnection,
    account: &AccountSlug,
    rule: &ChannelRule,
    timed: bool,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into channel_rule as kept (account, channel_id, continue_minutes, first_seconds, next_seconds,
             greeting, off_hours_reply, revision, updated_at, timed_since, nps_bot)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $11)
         on conflict (account, channel_id) do update
         set continue_minutes = excluded.continue_minutes, first_seconds = excluded.first_seconds,
             next_seconds = excluded.next_seconds, greeting = excluded.greeting,
             off_hours_reply = excluded.off_hours_reply, revision = excluded.revision,
             updated_at = excluded.updated_at, nps_bot = excluded.nps_bot,
             timed_since = case when $10 then excluded.timed_since else kept.timed_since end",
        account.as_str(),
        rule.channel as ChannelId,
        rule.continue_minutes,
        rule.limits.first,
        rule.limits.next,
        rule.greeting,
        rule.off_hours_reply,
        rule.revision,
        now,
        timed,
        rule.nps_bot as Option<BotId>,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the channels whose rules name a bot, in their order.
pub async fn naming(
    connection: &mut PgConnection,
    account: &AccountSlug,
    bot: BotId,
) -> Result<Vec<ChannelId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select channel_id as "channel: ChannelId" from channel_rule
           where account = $1 and nps_bot = $2 order by channel_id"#,
        account.as_str(),
        bot as BotId,
    )
    .fetch_all(connection)
    .await
}

/// Has rules name a bot no more; returns them as they are then.
pub async fn forget_bot(
    connection: &mut PgConnection,
    account: &AccountSlug,
    bot: BotId,
    now: OffsetDateTime,
) -> Result<Vec<ChannelRule>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"update channel_rule r set nps_bot = null, revision = r.revision + 1, updated_at = $3
           where r.account = $1 and r.nps_bot = $2
           returning r.account as "account: AccountSlug", r.channel_id as "channel: ChannelId", continue_minutes,
               first_seconds, next_seconds, greeting, off_hours_reply, nps_bot as "nps_bot: BotId", revision, updated_at"#,
        account.as_str(),
        bot as BotId,
        now,
    )
    .fetch_all(connection)
    .await?;
    let rules = rows.into_iter().map(<(AccountSlug, ChannelRule)>::from);
    Ok(rules.map(|(_, rule)| rule).collect())
}

/// Returns within which time of its end a conversation is continued, of channels where one is (F210).
pub async fn continue_within(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<BTreeMap<Key, Duration>, sqlx::Error> {
    let rules = several(connection, keys).await?.into_iter();
    Ok(rules
        .filter(|(_, rule)| rule.continue_minutes > 0)
        .map(|(key, rule)| {
            let minutes = u64::from(rule.continue_minutes.unsigned_abs());
            (key, Duration::from_secs(minutes * 60))
        })
        .collect())
}
