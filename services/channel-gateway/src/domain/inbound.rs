//! What events of all channels have in common, whatever the provider: pure and total.

use bytes::Bytes;
use chassis::grpc::timestamp;
use sha2::{Digest, Sha256};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundUnsupported, inbound_event::Kind,
};
use switchboard_proto::common::v1::ChannelKind;
use time::OffsetDateTime;
use uuid::Uuid;

/// The line on which an item came.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Slug of the account.
    pub account: &'a str,
    /// The channel.
    pub channel: Uuid,
    /// The provider's own id of the line: of the bot, of the Instagram account; the address of a mailbox. It tells
    /// what was written by us.
    pub provider_account: &'a str,
}

/// Returns an event of a line without client and kind: what was received, when and where. The provider's time is that
/// of receipt until something better is known.
pub fn frame(
    line: Line<'_>,
    kind: ChannelKind,
    raw: &Bytes,
    received_at: OffsetDateTime,
    event_key: String,
) -> InboundEvent {
    InboundEvent {
        account: line.account.to_owned(),
        channel_id: line.channel.to_string(),
        channel_kind: kind.into(),
        event_key,
        received_at: Some(timestamp(received_at)),
        provider_time: Some(timestamp(received_at)),
        raw: raw.clone(),
        raw_ref: String::new(),
        chat_key: String::new(),
        client: None,
        kind: None,
    }
}

/// Names a kind that is not understood, by the provider's word for it: bounded, and safe to show.
pub fn unsupported(kind: &str) -> Kind {
    let kind = kind.chars().filter(|c| !c.is_control()).take(64).collect();
    Kind::Unsupported(InboundUnsupported { kind })
}

/// Returns the key of an item that has none of its own: the hash of its bytes.
pub fn hashed_key(raw: &[u8]) -> String {
    let hash = hex::encode(&Sha256::digest(raw)[..16]);
    format!("sha:{hash}")
}
