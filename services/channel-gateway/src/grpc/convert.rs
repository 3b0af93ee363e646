//! Rows as contracts name them.

use chassis::grpc::{timestamp, timestamp_opt};
use switchboard_proto::channel_gateway::v1::{
    Channel, ChannelHealth, ChannelProblem, Delivery, VerifyChannelResponse, channel,
    channel_health,
};
use time::OffsetDateTime;

use crate::app::channels::Health;
use crate::app::verify::Verified;
use crate::domain::capabilities::capabilities;
use crate::domain::channel::ChannelState;
use crate::domain::delivery::PartState;
use crate::domain::health::{SILENCE, State, Webhook, state};
use crate::store::channels::ChannelRow;
use crate::store::deliveries::DeliveryRow;
use crate::store::unreadable;

/// Writes a channel; its secrets stay where they are. No file is larger than `largest_file` bytes.
pub fn channel(
    row: &ChannelRow,
    known: &Health,
    largest_file: u64,
) -> Result<Channel, sqlx::Error> {
    let state = match row.state()? {
        ChannelState::Disabled => channel::State::Disabled,
        ChannelState::Enabled => channel::State::Enabled,
        ChannelState::Disconnected => channel::State::Disconnected,
    };
    let kind = row.kind()?;
    Ok(Channel {
        channel_id: row.id.to_string(),
        kind: kind.contract().into(),
        name: row.name.clone(),
        state: state.into(),
        provider_name: row.provider_name.clone(),
        problem: if row.problem.is_empty() {
            let worst = known.problems.iter().find(|p| p.reason != SILENCE);
            worst
                .map(|problem| problem.detail.clone())
                .unwrap_or_default()
        } else {
            row.problem.clone()
        },
        create_time: Some(timestamp(row.created_at)),
        last_inbound_time: timestamp_opt(row.last_inbound_at),
        last_outbound_time: timestamp_opt(row.last_outbound_at),
        shorten_links: row.shorten_links,
        capabilities: Some(capabilities(kind, largest_file)),
        health: Some(health(row.state()?, known)),
    })
}

fn health(channel: ChannelState, known: &Health) -> ChannelHealth {
    let looked = known.looked.as_ref();
    let reasons = known.problems.iter().map(|problem| problem.reason.as_str());
    let checked_at = looked.and_then(|looked| looked.checked_at);
    let state = match state(channel, checked_at.is_some(), reasons) {
        State::Unknown => channel_health::State::Unknown,
        State::Well => channel_health::State::Well,
        State::Degraded => channel_health::State::Degraded,
        State::Disconnected => channel_health::State::Disconnected,
    };
    let told = looked.map(|looked| Webhook::read(&looked.webhook));
    ChannelHealth {
        state: state.into(),
        problems: known
            .problems
            .iter()
            .map(|row| ChannelProblem {
                reason: row.reason.clone(),
                detail: row.detail.clone(),
                since_time: Some(timestamp(row.since)),
                hint: row.reason == SILENCE,
            })
            .collect(),
        webhook: webhook(told.unwrap_or_default()).into(),
        token_expire_time: timestamp_opt(looked.and_then(|looked| looked.token_expires_at)),
        check_time: timestamp_opt(checked_at),
    }
}

/// Writes what a look by request found.
pub fn verified(found: &Verified, now: OffsetDateTime) -> VerifyChannelResponse {
    VerifyChannelResponse {
        accepted: found.accepted,
        provider_name: found.provider_name.clone(),
        webhook: webhook(found.webhook).into(),
        problems: found
            .problems
            .iter()
            .map(|problem| ChannelProblem {
                reason: problem.reason.to_owned(),
                detail: problem.detail.clone(),
                since_time: Some(timestamp(now)),
                hint: problem.reason == SILENCE,
            })
            .collect(),
        token_expire_time: timestamp_opt(found.token_expires_at),
    }
}

fn webhook(webhook: Webhook) -> channel_health::Webhook {
    match webhook {
        Webhook::Unknown => channel_health::Webhook::Unknown,
        Webhook::NotUsed => channel_health::Webhook::NotUsed,
        Webhook::Set => channel_health::Webhook::Set,
        Webhook::Missing => channel_health::Webhook::Missing,
        Webhook::Foreign => channel_health::Webhook::Foreign,
        Webhook::Failing => channel_health::Webhook::Failing,
    }
}

/// Writes a delivery.
pub fn delivery(row: &DeliveryRow) -> Result<Delivery, sqlx::Error> {
    let state = PartState::try_from(row.state.as_str()).map_err(unreadable)?;
    Ok(Delivery {
        message_id: row.message_id.to_string(),
        out_seq: row.out_seq,
        attempt: row.attempt,
        part: row.part,
        state: state.proto().into(),
        reason: row.reason.clone(),
        provider_key: row.provider_key.clone(),
        update_time: Some(timestamp(row.updated_at)),
    })
}
