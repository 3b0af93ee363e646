//! What events of all channels have in common, whatever the provider: pure and total.

use bytes::Bytes;
use chassis::grpc::timestamp;
use sha2::{Digest, Sha256};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundUnsupported, inbound_event::Kind,
};
use switchboard_proto::common::v1::ChannelKind;
use time::{Duration, OffsetDateTime};
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
        client_photo: Bytes::new(),
    }
}

/// No provider here is older, nor is a chat that anybody answers.
const OLDEST_YEAR: i32 = 2010;

/// How far a provider's clock may be before ours.
const AHEAD: Duration = Duration::minutes(10);

/// Returns the time that counts for an item: the provider's, by which history is sorted, where it can be true. Late items
/// keep theirs, be they days old: that is their place among those that came before them. One that is nonsense would put
/// its chat at the very bottom, or keep it at the top for ever: there the time of acceptance counts, which is the nearest
/// thing to the truth that is known.
pub fn credible(told: Option<OffsetDateTime>, received_at: OffsetDateTime) -> OffsetDateTime {
    told.filter(|told| told.year() >= OLDEST_YEAR && *told <= received_at + AHEAD)
        .unwrap_or(received_at)
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_that_cannot_be_true_is_the_time_of_acceptance() {
        let received = datetime!(2026-03-01 12:00 UTC);
        for (name, told, believed) in [
            ("the same second", datetime!(2026-03-01 12:00 UTC), true),
            ("held up for days", datetime!(2026-02-20 08:00 UTC), true),
            ("an old mail", datetime!(2010-01-01 00:00 UTC), true),
            ("older than that", datetime!(2009-12-31 23:59 UTC), false),
            ("the epoch", datetime!(1970-01-01 00:00:01 UTC), false),
            ("before it", datetime!(1812-06-24 00:00 UTC), false),
            ("a clock ahead", datetime!(2026-03-01 12:10 UTC), true),
            ("the future", datetime!(2026-03-01 12:10:01 UTC), false),
            ("the far future", datetime!(9999-12-31 23:59 UTC), false),
        ] {
            let expected = if believed { told } else { received };
            assert_eq!(credible(Some(told), received), expected, "{name}");
        }
        assert_eq!(credible(None, received), received, "not told");
    }
}
