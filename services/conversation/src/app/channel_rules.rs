//! What channels' chats go by: the rules of continuing, waiting and answering by itself (F210, F211, B15, B16).

use chassis::audit;
use chassis::auth::Caller;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::access;
use crate::audit as told;
use crate::domain::ChannelId;
use crate::domain::channel_rule::ChannelRule;
use crate::error::{DOMAIN, Error};
use crate::store::bots;
use crate::store::channel_rule as store;
use crate::store::response_wait;

/// Sets a channel's rule, whole. Of two at once, who expects a revision learns of the other.
pub async fn set(
    pool: &PgPool,
    caller: &Caller,
    mut rule: ChannelRule,
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<ChannelRule, Error> {
    access::may_change_settings(caller)?;
    may_see(caller, rule.channel)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    audit::alone(&mut tx, account, "channel-rules", &rule.channel).await?;
    let found = store::get(&mut tx, account, rule.channel).await?;
    let before = found
        .clone()
        .unwrap_or_else(|| ChannelRule::empty(rule.channel));
    if expected.is_some_and(|expected| expected != before.revision) {
        return Err(Error::RuleChanged {
            revision: before.revision,
        });
    }
    if let Some(bot) = rule.nps_bot {
        let bot = bots::get(&mut tx, account, bot).await?;
        if !bot.is_some_and(|bot| bot.nps) {
            let rule = "must be a bot of NPS of the account";
            return Err(Error::Invalid {
                field: "rule.nps_bot_id",
                rule,
            });
        }
    }
    rule.revision = before.revision + 1;
    rule.updated_at = Some(now);
    let timed = rule.limits.times_more_than(before.limits);
    store::set(&mut tx, account, &rule, timed, now).await?;
    if rule.limits != before.limits {
        response_wait::replan_channel(&mut tx, account, rule.channel, rule.limits).await?;
    }
    let entry = told::channel_rule(caller, &(found, rule.clone()))?;
    audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    tx.commit().await?;
    Ok(rule)
}

/// Returns a channel's rule; an empty one where none was set.
pub async fn get(pool: &PgPool, caller: &Caller, channel: ChannelId) -> Result<ChannelRule, Error> {
    may_see(caller, channel)?;
    let mut connection = pool.acquire().await?;
    let rule = store::get(&mut connection, caller.account(), channel).await?;
    Ok(rule.unwrap_or_else(|| ChannelRule::empty(channel)))
}

/// Returns the rules after a channel's, of channels that the caller sees.
pub async fn list(
    pool: &PgPool,
    caller: &Caller,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ChannelRule>, Error> {
    let mut connection = pool.acquire().await?;
    let granted = access::granted(caller);
    Ok(store::list(&mut connection, caller.account(), granted, after, limit).await?)
}

/// A channel beyond the caller's is as one that does not exist (§9).
fn may_see(caller: &Caller, channel: ChannelId) -> Result<(), Error> {
    let mut access = caller.access().into_iter();
    if access.all(|access| access.may_see_channel(channel.uuid())) {
        Ok(())
    } else {
        Err(Error::ChannelNotFound)
    }
}
