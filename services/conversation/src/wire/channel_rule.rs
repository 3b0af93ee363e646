//! Rules of channels on the wire.

use chassis::calendar::wire;
use chassis::grpc::{Parse, timestamp_opt};
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::conversation::v1 as pb;

use crate::domain::channel_rule::ChannelRule;
use crate::error::DOMAIN;
use crate::store::working_hours::Word;

/// Writes a channel's rule.
pub fn channel_rule(rule: &ChannelRule) -> pb::ChannelRule {
    pb::ChannelRule {
        channel_id: rule.channel.to_string(),
        continue_minutes: rule.continue_minutes,
        first_response_seconds: rule.limits.first,
        next_response_seconds: rule.limits.next,
        greeting: rule.greeting.clone(),
        off_hours_reply: rule.off_hours_reply.clone(),
        nps_bot_id: rule.nps_bot.map(|bot| bot.to_string()).unwrap_or_default(),
        revision: rule.revision,
        update_time: timestamp_opt(rule.updated_at),
    }
}

/// Reads what is said of a calendar. One that this version cannot read counts as none, which is always working time: nobody is
/// left without an answer for it.
pub fn hours(calendar: &assignment::Calendar, deleted: bool) -> Word {
    let read = wire::read(Parse::new(DOMAIN), calendar);
    if let Err(status) = &read {
        tracing::warn!(error = status.message(), "a calendar cannot be read");
    }
    Word {
        revision: calendar.revision,
        calendar: read.ok().filter(|_| !deleted),
        deleted,
    }
}
