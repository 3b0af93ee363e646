//! The envelope of an event: `CloudEvents` 1.0 in binary mode, in NATS headers.
//!
//! Follows the header mode of the NATS binding (working draft 1.0.3): one header an attribute, prefixed `ce-`,
//! values percent-encoded where they leave printable ASCII. Beside them stand `traceparent`, lower-case because
//! NATS header names are case-sensitive, and `Nats-Msg-Id`, by which the broker drops repeats.

use std::fmt::Write as _;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::AccountSlug;
use crate::trace::{self, TraceContext};

/// `ce-type` of an item of an INBOUND pack.
pub const INBOUND_TYPE: &str = "switchboard.channel_gateway.v1.InboundEvent";

/// The service that fills INBOUND.
pub const INBOUND_SERVICE: &str = "channel-gateway";

/// What is known of an event beside its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `ce-id`: the same whenever the event is repeated.
    pub id: Uuid,
    /// `ce-type`: the full name of the protobuf message.
    pub kind: String,
    /// The publishing service, from the subject.
    pub service: String,
    /// What the event is about, from the subject; `inbound` for an item of a pack.
    pub entity: String,
    /// What happened, from the subject; `item` for an item of a pack.
    pub event: String,
    /// The tenant.
    pub account: AccountSlug,
    /// `ce-subject`: the id of the chat or entity; the ordering key for an item of a pack.
    pub subject_id: String,
    /// Who did it, where somebody did.
    pub actor: Option<Actor>,
    /// The event that led to this one.
    pub cause: Option<Uuid>,
    /// `ce-sbsequence`: per source and subject, from 1, without gaps; 0 for an item of a pack.
    pub sequence: u64,
    /// When it happened.
    pub time: OffsetDateTime,
    /// The trace it belongs to.
    pub trace: TraceContext,
}

/// Headers or a subject that are no envelope of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A header is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header cannot be understood.
    #[error("header {0} cannot be read")]
    Malformed(&'static str),
    /// The subject has not the six tokens of an event.
    #[error("the subject {0:?} is not that of an event")]
    Subject(String),
}

impl Envelope {
    /// Returns `ce-source`: one per account and service, so that a sequence belongs to one account.
    pub fn source(&self) -> String {
        format!("/switchboard/{}/{}", self.account, self.service)
    }

    /// Writes the headers.
    pub fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let id = self.id.to_string();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", id.as_str());
        headers.insert("ce-type", self.kind.as_str());
        headers.insert("ce-source", self.source());
        headers.insert("ce-time", self.time.format(&Rfc3339).unwrap_or_default());
        headers.insert("ce-subject", encoded(&self.subject_id));
        headers.insert("ce-datacontenttype", "application/protobuf");
        headers.insert("ce-sbaccount", self.account.as_str());
        headers.insert("ce-sbsequence", self.sequence.to_string());
        if let Some(cause) = self.cause {
            headers.insert("ce-sbcause", cause.to_string());
        }
        if let Some(actor) = &self.actor {
            headers.insert("ce-sbactor", encoded(&actor.to_string()));
        }
        if let Some(traceparent) = self.trace.traceparent() {
            headers.insert(trace::HEADER, traceparent);
        }
        headers.insert(NATS_MESSAGE_ID, id);
        headers
    }

    /// Reads the envelope of a message.
    ///
    /// # Errors
    /// Returns an error when the message was not published by one of our services: it cannot be handled.
    pub fn parse(subject: &str, headers: &HeaderMap) -> Result<Self, EnvelopeError> {
        let (service, entity, event) =
            tokens(subject).ok_or_else(|| EnvelopeError::Subject(subject.into()))?;
        let account: AccountSlug = parsed(headers, "ce-sbaccount")?;
        let time = OffsetDateTime::parse(required(headers, "ce-time")?, &Rfc3339)
            .map_err(|_| EnvelopeError::Malformed("ce-time"))?;
        let cause = optional(headers, "ce-sbcause")
            .map(|text| {
                text.parse()
                    .map_err(|_| EnvelopeError::Malformed("ce-sbcause"))
            })
            .transpose()?;
        // An actor of a kind from the future is none: the event itself must survive.
        let actor = optional(headers, "ce-sbactor").and_then(|text| decoded(text)?.parse().ok());
        Ok(Self {
            id: parsed(headers, "ce-id")?,
            kind: required(headers, "ce-type")?.to_owned(),
            service: service.to_owned(),
            entity: entity.to_owned(),
            event: event.to_owned(),
            account,
            subject_id: decoded(required(headers, "ce-subject")?)
                .ok_or(EnvelopeError::Malformed("ce-subject"))?,
            actor,
            cause,
            sequence: parsed(headers, "ce-sbsequence")?,
            time,
            trace: optional(headers, trace::HEADER)
                .map_or_else(TraceContext::none, TraceContext::parse),
        })
    }
}

/// Returns service, entity and event of a subject `<root>.v1.<account>.<service>.<entity>.<event>`, or those of a
/// pack's item for `<root>.inbound.<n>`.
fn tokens(subject: &str) -> Option<(&str, &str, &str)> {
    let tokens: Vec<&str> = subject.split('.').collect();
    match tokens.as_slice() {
        [_, "v1", _, service, entity, event] => Some((service, entity, event)),
        [_, "inbound", _] => Some((INBOUND_SERVICE, "inbound", "item")),
        _ => None,
    }
}

fn optional<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, EnvelopeError> {
    optional(headers, name).ok_or(EnvelopeError::Missing(name))
}

fn parsed<T: std::str::FromStr>(
    headers: &HeaderMap,
    name: &'static str,
) -> Result<T, EnvelopeError> {
    required(headers, name)?
        .parse()
        .map_err(|_| EnvelopeError::Malformed(name))
}

/// Percent-encodes what the binding asks for: everything but printable ASCII, and space, `"` and `%`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn envelope() -> Envelope {
        Envelope {
            id: Uuid::from_u128(7),
            kind: "switchboard.conversation.v1.ConversationOpened".into(),
            service: "conversation".into(),
            entity: "conversation".into(),
            event: "opened".into(),
            account: AccountSlug::parse("acme").unwrap(),
            subject_id: "0197e7a4-0000-7000-8000-000000000000".into(),
            actor: Some(Actor::Rule("round-robin".into())),
            cause: Some(Uuid::from_u128(6)),
            sequence: 3,
            time: datetime!(2026-03-01 12:00:00.123456 UTC),
            trace: TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        }
    }

    const SUBJECT: &str = "switchboard.v1.acme.conversation.conversation.opened";

    #[test]
    fn an_envelope_survives_the_wire() {
        let full = envelope();
        assert_eq!(
            Envelope::parse(SUBJECT, &full.to_headers()),
            Ok(full.clone())
        );
        let bare = Envelope {
            actor: None,
            cause: None,
            trace: TraceContext::none(),
            subject_id: "näme with 100% \"spaces\"\r\n".into(),
            ..full
        };
        assert_eq!(Envelope::parse(SUBJECT, &bare.to_headers()), Ok(bare));
    }

    #[test]
    fn headers_are_exactly_those_of_the_contract() {
        let headers = envelope().to_headers();
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, values)| format!("{name}: {}", values[0].as_str()))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "Nats-Msg-Id: 00000000-0000-0000-0000-000000000007",
                "ce-datacontenttype: application/protobuf",
                "ce-id: 00000000-0000-0000-0000-000000000007",
                "ce-sbaccount: acme",
                "ce-sbactor: rule:round-robin",
                "ce-sbcause: 00000000-0000-0000-0000-000000000006",
                "ce-sbsequence: 3",
                "ce-source: /switchboard/acme/conversation",
                "ce-specversion: 1.0",
                "ce-subject: 0197e7a4-0000-7000-8000-000000000000",
                "ce-time: 2026-03-01T12:00:00.123456Z",
                "ce-type: switchboard.conversation.v1.ConversationOpened",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ]
        );
    }

    #[test]
    fn what_is_no_envelope_is_named() {
        let headers = envelope().to_headers();
        assert!(matches!(
            Envelope::parse("some.subject", &headers),
            Err(EnvelopeError::Subject(_))
        ));
        assert_eq!(
            Envelope::parse(SUBJECT, &HeaderMap::new()),
            Err(EnvelopeError::Missing("ce-sbaccount"))
        );
        for (name, value) in [
            ("ce-id", "x"),
            ("ce-sbaccount", "Not An Account"),
            ("ce-sbsequence", "-1"),
            ("ce-time", "yesterday"),
            ("ce-subject", "%zz"),
            ("ce-sbcause", "x"),
        ] {
            let mut headers = headers.clone();
            headers.insert(name, value);
            assert_eq!(
                Envelope::parse(SUBJECT, &headers),
                Err(EnvelopeError::Malformed(name)),
                "{name}"
            );
        }
        let mut future = headers;
        future.insert("ce-sbactor", "robot:1");
        assert_eq!(Envelope::parse(SUBJECT, &future).unwrap().actor, None);
    }
}
