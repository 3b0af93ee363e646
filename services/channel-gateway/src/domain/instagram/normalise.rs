//! From a webhook body to the inbound events of one line: pure and total. What is not understood is kept raw, never
//! refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundProviderState, inbound_event::Kind,
};
use switchboard_proto::common::v1::{ChannelKind, ClientIdentity};
use time::OffsetDateTime;
use uuid::Uuid;

use super::items::{Found, ITEMS_MAX, found, in_a_list};
use super::{comments, direct};
use crate::domain::inbound::{Line, credible, frame, hashed_key, unsupported};
use crate::domain::name::clean;

const KIND: ChannelKind = ChannelKind::Instagram;

/// What was read of an item that was understood.
pub struct Reading {
    /// None where the item has no key of its own.
    pub event_key: Option<String>,
    /// None where it is nobody's.
    pub client: Option<ClientIdentity>,
    /// None where the provider does not tell.
    pub time: Option<OffsetDateTime>,
    /// What happened.
    pub kind: Kind,
}

/// The provider's word for something that is not understood.
pub type Unknown = String;

/// What is known of the line's own account.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    line: Line<'a>,
    username: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// Returns the id of the channel.
    pub fn channel(self) -> Uuid {
        self.line.channel
    }

    /// Returns the account's own id.
    pub fn own_id(self) -> &'a str {
        self.line.provider_account
    }

    /// Tells whether a nick is the account's own.
    pub fn is_named(self, username: &str) -> bool {
        let own = self.username.filter(|own| !own.is_empty());
        own.is_some_and(|own| own.eq_ignore_ascii_case(username))
    }

    /// Returns a person, whom Instagram knows under an id of this account alone (B07).
    pub fn client(self, user_id: &str, username: &str) -> ClientIdentity {
        ClientIdentity {
            scope: format!("instagram:{}", self.own_id()),
            user_id: user_id.to_owned(),
            // The name is asked for; see `lookup`.
            username: clean(username),
            ..ClientIdentity::default()
        }
    }
}

/// Reads what a body holds for a line. There is always at least one event, and every one carries its item as a body
/// that can be read again alone. Items for other accounts are left out.
pub fn normalise(line: Line<'_>, raw: &Bytes, received_at: OffsetDateTime) -> Vec<InboundEvent> {
    normalise_as(line, None, raw, received_at)
}

/// Reads as [`normalise`] does, with the account's own nick, by which its own comments are known as well.
pub fn normalise_as(
    line: Line<'_>,
    username: Option<&str>,
    raw: &Bytes,
    received_at: OffsetDateTime,
) -> Vec<InboundEvent> {
    let known = Known { line, username };
    let body = serde_json::from_slice::<Value>(raw).ok();
    let mut events = Vec::new();
    let unread = |kind: &str, raw: &Bytes| InboundEvent {
        kind: Some(unsupported(kind)),
        ..frame(line, KIND, raw, received_at, hashed_key(raw))
    };
    if let Some(body) = &body {
        let alone = found(body).take(2).count() == 1;
        let mut ours = found(body).filter(|item| is_for(line, item));
        let first = ours.by_ref().take(ITEMS_MAX).map(|item| {
            let raw = if alone { raw.clone() } else { item.alone() };
            event(known, &item, &raw, received_at)
        });
        events.extend(first);
        // More than Meta puts into one body: kept in pieces, each a body that can be read again alone.
        loop {
            let more: Vec<Bytes> = ours.by_ref().take(ITEMS_MAX).map(|it| it.alone()).collect();
            if more.is_empty() {
                break;
            }
            events.push(unread("batch", &in_a_list(&more)));
        }
    }
    // Nothing that came is left without an event.
    if events.is_empty() {
        let kind = if body.is_some() {
            "foreign"
        } else {
            "malformed"
        };
        events.push(unread(kind, raw));
    }
    events
}

/// Keeps what a body holds for a line raw, as unsupported of this kind: each item as a body of its own, under the key
/// that it has when it is read. Tests are nobody's message, and left out.
pub fn kept_raw(
    line: Line<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
    kind: &str,
) -> Vec<InboundEvent> {
    let read = normalise(line, raw, received_at).into_iter();
    let kept = read.filter(|event| !is_test(event)).map(|event| {
        let key = event.event_key;
        InboundEvent {
            kind: Some(unsupported(kind)),
            ..frame(line, KIND, &event.raw, received_at, key)
        }
    });
    kept.collect()
}

/// What the app's dashboard sends is read as a state of this kind.
const TEST: &str = "test";

fn is_test(event: &InboundEvent) -> bool {
    matches!(&event.kind, Some(Kind::ProviderState(state)) if state.kind == TEST)
}

/// Tells whether an item is for this line. A test is for nobody: whoever is asked says what it is.
fn is_for(line: Line<'_>, item: &Found<'_>) -> bool {
    item.is_test()
        || item
            .accounts()
            .iter()
            .any(|account| account == line.provider_account)
}

fn event(
    known: Known<'_>,
    item: &Found<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
) -> InboundEvent {
    let read = read(known, item);
    let key = read
        .as_ref()
        .ok()
        .and_then(|reading| reading.event_key.clone());
    let key = key.unwrap_or_else(|| item.hashed_key());
    let mut event = frame(known.line, KIND, raw, received_at, key);
    match read {
        Ok(reading) => {
            event.provider_time = Some(timestamp(credible(reading.time, received_at)));
            event.chat_key = reading
                .client
                .as_ref()
                .map_or_else(String::new, |client| client.user_id.clone());
            event.client = reading.client;
            event.kind = Some(reading.kind);
        }
        Err(kind) => event.kind = Some(unsupported(&kind)),
    }
    event
}

fn read(known: Known<'_>, item: &Found<'_>) -> Result<Reading, Unknown> {
    if item.is_test() {
        return Ok(state(TEST, None));
    }
    if let Some(value) = item.direct() {
        return direct::read(known, value, item);
    }
    match item.change() {
        Some((field, value)) if comments::is_comment(field) => {
            comments::read(known, field, value, item.entry)
        }
        _ => Err(item.kind().to_owned()),
    }
}

/// Something that is nobody's message: acknowledged, and of no consequence.
pub fn state(kind: &str, event_key: Option<String>) -> Reading {
    Reading {
        event_key,
        client: None,
        time: None,
        kind: Kind::ProviderState(InboundProviderState {
            kind: kind.to_owned(),
            extension: Bytes::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LINE: Line<'_> = Line {
        account: "acme",
        channel: Uuid::nil(),
        provider_account: "1",
    };
    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn said(account: &str, mid: &str) -> Value {
        json!({ "id": account, "time": 5, "messaging": [{ "sender": { "id": "77" },
            "recipient": { "id": account }, "timestamp": 1, "message": { "mid": mid, "text": "a" } }] })
    }

    fn body(entries: &[Value]) -> Bytes {
        json!({ "object": "instagram", "entry": entries })
            .to_string()
            .into()
    }

    fn keys(events: &[InboundEvent]) -> Vec<&str> {
        events
            .iter()
            .map(|event| event.event_key.as_str())
            .collect()
    }

    #[test]
    fn of_a_batch_a_line_keeps_its_own_items_alone_under_the_keys_that_they_are_read_by() {
        let test = json!({ "id": "0", "messaging": [{ "sender": { "id": "5" }, "message": {} }] });
        let odd = json!({ "id": "1", "hologram": {} });
        let batch = body(&[
            said("1", "m1"),
            said("2", "secret"),
            test,
            odd,
            said("1", "m2"),
        ]);
        let kept = kept_raw(LINE, &batch, NOW, "channel-disabled");
        let read = normalise(LINE, &batch, NOW);
        let read: Vec<InboundEvent> = read.into_iter().filter(|it| !is_test(it)).collect();
        assert_eq!(keys(&kept), keys(&read));
        assert_eq!((keys(&kept)[0], kept.len()), ("msg:m1", 3));
        for (kept, read) in kept.iter().zip(&read) {
            assert_eq!(kept.kind, Some(unsupported("channel-disabled")));
            assert!(!String::from_utf8_lossy(&kept.raw).contains("secret"));
            let again = normalise(LINE, &kept.raw, NOW);
            assert_eq!(again, std::slice::from_ref(read));
        }
    }

    #[test]
    fn what_goes_beyond_a_batch_is_kept_in_pieces_that_are_read_again_alone() {
        let mids: Vec<String> = (0..ITEMS_MAX * 2 + 5).map(|it| format!("m{it}")).collect();
        let entries: Vec<Value> = mids.iter().map(|mid| said("1", mid)).collect();
        let events = normalise(LINE, &body(&entries), NOW);
        assert_eq!(events.len(), ITEMS_MAX + 2);
        let (first, pieces) = events.split_at(ITEMS_MAX);
        let mut read = first.to_vec();
        for piece in pieces {
            assert_eq!(piece.kind, Some(unsupported("batch")));
            read.extend(normalise(LINE, &piece.raw, NOW));
        }
        let expected: Vec<String> = mids.iter().map(|mid| format!("msg:{mid}")).collect();
        assert_eq!(keys(&read), expected);
    }
}
