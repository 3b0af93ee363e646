//! Rows as contracts name them.

use chassis::grpc::{timestamp, timestamp_opt};
use switchboard_proto::channel_gateway::v1::{Channel, Delivery, channel};

use crate::domain::capabilities::capabilities;
use crate::domain::channel::ChannelState;
use crate::domain::delivery::PartState;
use crate::store::channels::ChannelRow;
use crate::store::deliveries::DeliveryRow;
use crate::store::unreadable;

/// Writes a channel; its secrets stay where they are.
pub fn channel(row: &ChannelRow) -> Result<Channel, sqlx::Error> {
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
        problem: row.problem.clone(),
        create_time: Some(timestamp(row.created_at)),
        last_inbound_time: timestamp_opt(row.last_inbound_at),
        last_outbound_time: timestamp_opt(row.last_outbound_at),
        capabilities: Some(capabilities(kind)),
    })
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
