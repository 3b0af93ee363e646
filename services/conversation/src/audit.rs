//! What is told of changes of this service's settings (B11).

use chassis::audit::{Entry, Subject, snapshot};
use chassis::auth::{Caller, Scope};
use serde_json::Value;
use switchboard_proto::conversation::v1 as pb;

use crate::domain::channel_rule::ChannelRule;
use crate::wire;

/// The scopes that change settings here.
pub const SCOPES: &[Scope] = &[Scope::CHANNELS_ADMIN];

/// What of a quick reply is no setting.
const LEFT_OUT: &[&str] = &["quick_reply_id", "revision", "create_time", "update_time"];

/// What of a channel's rule is no setting.
const OF_RULE: &[&str] = &["channel_id", "revision", "update_time"];

/// A channel's rule was set; none where there was none before.
pub fn channel_rule(
    caller: &Caller,
    (before, after): &(Option<ChannelRule>, ChannelRule),
) -> Result<Entry, sqlx::Error> {
    let side = |rule: &ChannelRule| snapshot(&wire::channel_rule(rule), OF_RULE);
    let before = before.as_ref().map_or(Ok(Value::Null), side)?;
    let id = after.channel.to_string();
    Ok(Entry::new(
        caller.account(),
        caller.actor(),
        "channel-rule.set",
        Subject::new("channel", &id, ""),
        (&before, &side(after)?),
    ))
}

/// A filter that all share was saved or deleted; none where it is not there.
pub fn chat_filter(
    caller: &Caller,
    (before, after): (Option<&pb::ChatFilter>, Option<&pb::ChatFilter>),
) -> Result<Entry, sqlx::Error> {
    let action = match (before, after) {
        (None, _) => "chat-filter.create",
        (_, None) => "chat-filter.delete",
        _ => "chat-filter.update",
    };
    let (id, name) = after
        .or(before)
        .map_or(("", ""), |filter| (&filter.filter_id, &filter.name));
    let side = |side: Option<&pb::ChatFilter>| {
        side.map_or(Ok(Value::Null), |filter| snapshot(filter, &["filter_id"]))
    };
    Ok(Entry::new(
        caller.account(),
        caller.actor(),
        action,
        Subject::new("chat-filter", id, name),
        (&side(before)?, &side(after)?),
    ))
}

/// A bot was created, changed or deleted; none where it is not there.
pub fn bot(
    caller: &Caller,
    (before, after): (Option<&pb::Bot>, Option<&pb::Bot>),
) -> Result<Entry, sqlx::Error> {
    const LEFT_OUT: &[&str] = &["bot_id", "revision", "create_time", "update_time"];
    let action = match (before, after) {
        (None, _) => "bot.create",
        (_, None) => "bot.delete",
        _ => "bot.update",
    };
    let (id, name) = after
        .or(before)
        .map_or(("", ""), |bot| (&bot.bot_id, &bot.name));
    let side = |side: Option<&pb::Bot>| side.map_or(Ok(Value::Null), |bot| snapshot(bot, LEFT_OUT));
    Ok(Entry::new(
        caller.account(),
        caller.actor(),
        action,
        Subject::new("bot", id, name),
        (&side(before)?, &side(after)?),
    ))
}

/// A quick reply was created, changed or deleted; none where it is not there.
pub fn quick_reply(
    caller: &Caller,
    (before, after): &(Option<pb::QuickReply>, Option<pb::QuickReply>),
) -> Result<Entry, sqlx::Error> {
    let action = match (before, after) {
        (None, _) => "quick-reply.create",
        (_, None) => "quick-reply.delete",
        _ => "quick-reply.update",
    };
    let named = after.as_ref().or(before.as_ref());
    let (id, title) = named.map_or(("", ""), |one| (&one.quick_reply_id, &one.title));
    let side = |side: &Option<pb::QuickReply>| {
        side.as_ref()
            .map_or(Ok(Value::Null), |message| snapshot(message, LEFT_OUT))
    };
    Ok(Entry::new(
        caller.account(),
        caller.actor(),
        action,
        Subject::new("quick-reply", id, title),
        (&side(before)?, &side(after)?),
    ))
}
