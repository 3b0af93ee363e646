//! Accepting a webhook call: normalised, then into INBOUND, before it is answered.

use bytes::Bytes;
use chassis::id;
use chassis::packs::{PackError, PackItem, Packer};
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use time::OffsetDateTime;

use super::book::Known;
use crate::domain::channel::ChannelState;
use crate::domain::inbound::Line;
use crate::domain::telegram::{kept_raw, normalise};

/// Accepts an authentic call of Telegram; resolves when INBOUND has it.
///
/// A channel that is not enabled keeps its calls raw, as unsupported.
pub async fn telegram(
    packer: &Packer,
    channel: &Known,
    raw: &Bytes,
    trace: &TraceContext,
    now: OffsetDateTime,
) -> Result<(), PackError> {
    let line = Line {
        account: channel.account.as_str(),
        channel: channel.id,
        provider_account: &channel.provider_account,
    };
    let events = match channel.state {
        // Credentials may be refused for sending while customers still write: that is kept (channels.md §7.15).
        ChannelState::Enabled | ChannelState::Disconnected => normalise(line, raw, now),
        ChannelState::Disabled => vec![kept_raw(line, raw, now, "channel-disabled")],
    };
    send(packer, channel, &events, trace).await
}

/// Reads an item that was kept raw once more, as the channel and this code are now, and accepts what it is understood
/// to be. Returns false when it is still not understood.
pub async fn again(
    packer: &Packer,
    channel: &Known,
    item: &InboundEvent,
    trace: &TraceContext,
    received_at: OffsetDateTime,
) -> Result<bool, PackError> {
    let line = Line {
        account: channel.account.as_str(),
        channel: channel.id,
        provider_account: &channel.provider_account,
    };
    if channel.state == ChannelState::Disabled {
        return Ok(false);
    }
    let events = normalise(line, &item.raw, received_at);
    if events
        .iter()
        .any(|event| matches!(event.kind, None | Some(Kind::Unsupported(_))))
    {
        return Ok(false);
    }
    send(packer, channel, &events, trace).await?;
    Ok(true)
}

async fn send(
    packer: &Packer,
    channel: &Known,
    events: &[InboundEvent],
    trace: &TraceContext,
) -> Result<(), PackError> {
    let channel_id = channel.id.to_string();
    // Events of one update go together, on the shard of the first one's client.
    let key = events
        .first()
        .map_or_else(String::new, |event| key_of(&channel_id, event));
    let items = events.iter().map(|event| PackItem {
        account: channel.account.clone(),
        key: key_of(&channel_id, event),
        payload: event.encode_to_vec().into(),
        trace: trace.clone(),
        id: Some(id::v5("inbound", &[&channel_id, &event.event_key])),
    });
    packer.send(&key, items.collect()).await
}

/// The ordering key: channel and client.
fn key_of(channel: &str, event: &InboundEvent) -> String {
    let client = if event.chat_key.is_empty() {
        &event.event_key
    } else {
        &event.chat_key
    };
    format!("{channel}:{client}")
}
