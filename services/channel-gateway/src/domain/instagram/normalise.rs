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

use super::items::{Found, ITEMS_MAX, found};
use super::{comments, direct};
use crate::domain::inbound::{Line, credible, frame, hashed_key, unsupported};

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
            username: username.to_owned(),
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
    let mut rest = "foreign";
    if let Some(body) = &body {
        let alone = found(body).take(2).count() == 1;
        let mut ours = found(body).filter(|item| is_for(line, item));
        let first = ours.by_ref().take(ITEMS_MAX).map(|item| {
            let raw = if alone { raw.clone() } else { item.alone() };
            event(known, &item, &raw, received_at)
        });
        events.extend(first);
        if ours.next().is_some() {
            rest = "batch";
        }
    } else {
        rest = "malformed";
    }
    // Nothing that came is left without an event.
    if events.is_empty() || rest == "batch" {
        events.push(InboundEvent {
            kind: Some(unsupported(rest)),
            ..frame(line, KIND, raw, received_at, hashed_key(raw))
        });
    }
    events
}

/// Keeps a body raw, as unsupported of this kind, without reading more of it than its key.
pub fn kept_raw(
    line: Line<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
    kind: &str,
) -> InboundEvent {
    let read = normalise(line, raw, received_at);
    let key = match <[InboundEvent; 1]>::try_from(read) {
        Ok([event]) => event.event_key,
        Err(_) => hashed_key(raw),
    };
    InboundEvent {
        kind: Some(unsupported(kind)),
        ..frame(line, KIND, raw, received_at, key)
    }
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
        return Ok(state("test", None));
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
