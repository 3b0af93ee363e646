//! From a message of a stream to deliveries.

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message as _;
use switchboard_proto::common::v1 as proto;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Delivery, Origin};
use crate::envelope::{self, Envelope};
use crate::id::{self, AccountSlug};
use crate::trace::TraceContext;

/// A part of a message: what a handler gets, or what no handler can.
pub(crate) enum Unit {
    /// An event or the item of a pack.
    Delivery(Box<Delivery>),
    /// Something that cannot be read.
    Poison {
        /// Index inside the pack.
        index: u32,
        /// Why.
        error: String,
        /// The bytes: of the item, or of the whole message.
        payload: Bytes,
    },
}

/// Takes a message apart: one unit for an event, one an item for a pack.
pub(crate) fn unpack(
    stream: &str,
    sequence: u64,
    published: OffsetDateTime,
    subject: &str,
    headers: &HeaderMap,
    payload: &Bytes,
) -> Vec<Unit> {
    let poison = |error: String| {
        vec![Unit::Poison {
            index: 0,
            error,
            payload: payload.clone(),
        }]
    };
    let origin = |index: u32| Origin {
        stream: stream.to_owned(),
        sequence,
        index,
    };
    // An item that was put into a dead letter carries its own envelope; a pack as a whole has none.
    let is_pack = subject.split('.').nth(1) == Some("inbound") && headers.get("ce-id").is_none();
    if !is_pack {
        return match Envelope::parse(subject, headers) {
            Ok(envelope) => vec![Unit::Delivery(Box::new(Delivery {
                envelope,
                payload: payload.clone(),
                origin: origin(0),
            }))],
            Err(error) => poison(error.to_string()),
        };
    }
    let pack = match proto::Pack::decode(payload.clone()) {
        Ok(pack) => pack,
        Err(error) => return poison(format!("no pack: {error}")),
    };
    let units = (0..).zip(pack.items).map(|(index, item)| {
        let Ok(account) = AccountSlug::parse(&item.account) else {
            return Unit::Poison {
                index,
                error: "an item without account".into(),
                payload: item.payload,
            };
        };
        let envelope = Envelope {
            id: item_id(stream, sequence, index, &item),
            kind: envelope::INBOUND_TYPE.to_owned(),
            service: envelope::INBOUND_SERVICE.to_owned(),
            entity: "inbound".to_owned(),
            event: "item".to_owned(),
            account,
            subject_id: item.key,
            actor: None,
            cause: None,
            sequence: 0,
            time: published,
            trace: TraceContext::parse(&item.traceparent),
        };
        Unit::Delivery(Box::new(Delivery {
            envelope,
            payload: item.payload,
            origin: origin(index),
        }))
    });
    units.collect()
}

/// The item's own id, which a provider's repeat shares; else one made of its place, which a redelivery shares.
/// The key alone would not do: all items of one client have the same.
fn item_id(stream: &str, sequence: u64, index: u32, item: &proto::PackItem) -> Uuid {
    Uuid::parse_str(&item.id).unwrap_or_else(|_| {
        id::v5(
            "inbound-item",
            &[stream, &sequence.to_string(), &index.to_string(), &item.key],
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const PUBLISHED: OffsetDateTime = datetime!(2026-03-01 12:00:00 UTC);

    fn item(account: &str, key: &str, id: &str) -> proto::PackItem {
        proto::PackItem {
            account: account.into(),
            key: key.into(),
            payload: Bytes::from_static(b"x"),
            id: id.into(),
            ..proto::PackItem::default()
        }
    }

    fn unpacked(payload: Vec<u8>) -> Vec<Unit> {
        unpack(
            "INBOUND_0",
            9,
            PUBLISHED,
            "switchboard.inbound.0",
            &HeaderMap::new(),
            &payload.into(),
        )
    }

    #[test]
    fn a_pack_gives_one_delivery_an_item_with_ids_of_their_own() {
        let own = Uuid::from_u128(5);
        let pack = proto::Pack {
            items: vec![
                item("acme", "k", ""),
                item("acme", "k", &own.to_string()),
                item("acme", "k", ""),
            ],
        };
        let units = unpacked(pack.encode_to_vec());
        let again = unpacked(pack.encode_to_vec());
        let envelopes = |units: Vec<Unit>| -> Vec<(Uuid, u32, String)> {
            let deliveries = units.into_iter().map(|unit| match unit {
                Unit::Delivery(d) => (d.envelope.id, d.origin.index, d.envelope.subject_id),
                Unit::Poison { error, .. } => panic!("{error}"),
            });
            deliveries.collect()
        };
        let envelopes = (envelopes(units), envelopes(again));
        assert_eq!(envelopes.0, envelopes.1);
        assert_eq!(envelopes.0[1], (own, 1, "k".into()));
        assert_ne!(envelopes.0[0].0, envelopes.0[2].0);
    }

    #[test]
    fn one_bad_item_does_not_spoil_its_pack() {
        let pack = proto::Pack {
            items: vec![item("acme", "k", ""), item("No Account", "k", "")],
        };
        let units = unpacked(pack.encode_to_vec());
        assert!(matches!(
            units.as_slice(),
            [Unit::Delivery(_), Unit::Poison { index: 1, .. }]
        ));
    }

    #[test]
    fn what_is_no_pack_and_no_event_is_poison() {
        assert!(matches!(
            unpacked(vec![0xff; 8]).as_slice(),
            [Unit::Poison { index: 0, .. }]
        ));
        let units = unpack(
            "EVENTS",
            1,
            PUBLISHED,
            "switchboard.v1.a.b.c.d",
            &HeaderMap::new(),
            &Bytes::new(),
        );
        assert!(matches!(units.as_slice(), [Unit::Poison { index: 0, .. }]));
    }
}
