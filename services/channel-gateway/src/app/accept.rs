//! Accepting what a provider sent: normalised, then into INBOUND, before it is answered.

use bytes::Bytes;
use chassis::id;
use chassis::packs::{PackError, PackItem, Packer};
use chassis::trace::TraceContext;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use time::OffsetDateTime;

use super::book::Known;
use super::learnt::Learnt;
use crate::domain::channel::ChannelKind;
use crate::domain::file::{RAW_MAX, is_own_key, object_key};
use crate::domain::inbound::{Line, frame, hashed_key, unsupported};
use crate::domain::{instagram, telegram, viber};
use crate::files::store::{Store, StoreError};

/// Where accepted items go.
#[derive(Clone)]
pub struct Intake {
    /// INBOUND.
    pub packer: Packer,
    /// Holds raw items that are too large to travel.
    pub store: Store,
    /// What is known of posts and people.
    pub learnt: Learnt,
}

/// Why an item was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// INBOUND did not take it.
    #[error(transparent)]
    Inbound(#[from] PackError),
    /// The object store did not take, or give, its raw form.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accepts an authentic item of a channel; resolves when INBOUND has it.
///
/// A channel that is not enabled keeps its items raw, as unsupported.
pub async fn accept(
    intake: &Intake,
    channel: &Known,
    raw: &Bytes,
    trace: &TraceContext,
    now: OffsetDateTime,
) -> Result<(), NotAccepted> {
    let events = if channel.is_heard() {
        normalise(channel, raw, now)
    } else {
        kept_raw(channel, raw, now, "channel-disabled")
    };
    send(intake, channel, events, trace, now).await
}

/// Accepts what a body that stays kept elsewhere is understood to be; the rest of it is left there.
pub async fn accept_understood(
    intake: &Intake,
    channel: &Known,
    raw: &Bytes,
    trace: &TraceContext,
    now: OffsetDateTime,
) -> Result<(), NotAccepted> {
    if channel.is_heard() {
        let read = normalise(channel, raw, now);
        again(intake, channel, read, trace, now).await?;
    }
    Ok(())
}

/// Reads an item that was kept raw once more, as the channel and this code are now; nothing while nobody is heard.
pub async fn anew(
    intake: &Intake,
    channel: &Known,
    item: &InboundEvent,
    received_at: OffsetDateTime,
) -> Result<Vec<InboundEvent>, StoreError> {
    if !channel.is_heard() {
        return Ok(Vec::new());
    }
    let raw = raw_of(&intake.store, channel, item).await?;
    Ok(normalise(channel, &raw, received_at))
}

/// Accepts what an item that was kept raw is understood to be by now. Returns false when it, or something of it, is
/// still not understood: then it stays kept, and what was accepted is known again by its ids.
pub async fn again(
    intake: &Intake,
    channel: &Known,
    mut read: Vec<InboundEvent>,
    trace: &TraceContext,
    received_at: OffsetDateTime,
) -> Result<bool, NotAccepted> {
    let all = read.len();
    read.retain(|event| !matches!(event.kind, None | Some(Kind::Unsupported(_))));
    let understood = all > 0 && read.len() == all;
    if !read.is_empty() {
        send(intake, channel, read, trace, received_at).await?;
    }
    Ok(understood)
}

fn line(channel: &Known) -> Line<'_> {
    Line {
        account: channel.account.as_str(),
        channel: channel.id,
        provider_account: &channel.provider_account,
    }
}

/// Reads an item as its provider means it.
fn normalise(channel: &Known, raw: &Bytes, received_at: OffsetDateTime) -> Vec<InboundEvent> {
    let line = line(channel);
    match channel.kind {
        ChannelKind::TelegramBot => telegram::normalise(line, raw, received_at),
        ChannelKind::ViberBot => viber::normalise(line, raw, received_at),
        ChannelKind::Instagram => instagram::normalise(line, raw, received_at),
        // Mails come by their own way, with what they were fetched with.
        ChannelKind::Email => kept_raw(channel, raw, received_at, "mail"),
    }
}

/// Keeps an item raw, as unsupported of this kind. Of a batch each item of the channel is kept alone: the others are of
/// other accounts.
fn kept_raw(
    channel: &Known,
    raw: &Bytes,
    received_at: OffsetDateTime,
    kind: &str,
) -> Vec<InboundEvent> {
    let line = line(channel);
    match channel.kind {
        ChannelKind::TelegramBot => vec![telegram::kept_raw(line, raw, received_at, kind)],
        ChannelKind::ViberBot => vec![viber::kept_raw(line, raw, received_at, kind)],
        ChannelKind::Instagram => instagram::kept_raw(line, raw, received_at, kind),
        ChannelKind::Email => vec![InboundEvent {
            kind: Some(unsupported(kind)),
            ..frame(
                line,
                channel.kind.contract(),
                raw,
                received_at,
                hashed_key(raw),
            )
        }],
    }
}

/// Returns an item as the provider sent it, wherever that is kept.
pub async fn raw_of(
    store: &Store,
    channel: &Known,
    item: &InboundEvent,
) -> Result<Bytes, StoreError> {
    if item.raw_ref.is_empty() {
        return Ok(item.raw.clone());
    }
    if !is_own_key(channel.account.as_str(), &item.raw_ref) {
        return Err(StoreError::Key);
    }
    store.get(&item.raw_ref).await
}

/// Puts raw items that are too large to travel into the store and refers to them (architecture §3).
///
/// The key comes of the event's key: a repeat is put where its predecessor stands. Events of one call share their raw
/// item, and what stands for it.
async fn lighten(
    store: &Store,
    channel: &Known,
    events: &mut [InboundEvent],
    received_at: OffsetDateTime,
) -> Result<(), StoreError> {
    let channel_id = channel.id.to_string();
    let mut put: Vec<(Bytes, String)> = Vec::new();
    for event in events.iter_mut().filter(|event| event.raw.len() > RAW_MAX) {
        let known = put.iter().find(|(raw, _)| *raw == event.raw);
        let key = if let Some((_, key)) = known {
            key.clone()
        } else {
            let id = id::v5("raw", &[&channel_id, &event.event_key]);
            let key = object_key(channel.account.as_str(), received_at, id);
            store.put(&key, event.raw.clone()).await?;
            put.push((event.raw.clone(), key.clone()));
            key
        };
        event.raw = Bytes::new();
        event.raw_ref = key;
    }
    Ok(())
}

/// Sends events of one call into INBOUND; resolves when it has them.
pub(super) async fn send(
    intake: &Intake,
    channel: &Known,
    mut events: Vec<InboundEvent>,
    trace: &TraceContext,
    received_at: OffsetDateTime,
) -> Result<(), NotAccepted> {
    intake.learnt.fill(channel.id, &mut events).await;
    lighten(&intake.store, channel, &mut events, received_at).await?;
    let channel_id = channel.id.to_string();
    // Each goes on the shard of its own client, whatever came with it.
    let items = events.iter().map(|event| PackItem {
        account: channel.account.clone(),
        key: key_of(&channel_id, event),
        payload: event.encode_to_vec().into(),
        trace: trace.clone(),
        id: Some(id::v5("inbound", &[&channel_id, &event.event_key])),
    });
    Ok(intake.packer.send_all(items.collect()).await?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitfall_17_what_one_customer_does_stands_in_one_line_whatever_it_is() {
        let item = |chat: &str, event: &str| InboundEvent {
            chat_key: chat.to_owned(),
            event_key: event.to_owned(),
            ..InboundEvent::default()
        };
        let key = |chat, event| key_of("c1", &item(chat, event));
        assert_eq!(key("77", "msg:m1"), key("77", "cmt:17"));
        assert_ne!(key("77", "msg:m1"), key("78", "msg:m1"));
        assert_ne!(key("77", "msg:m1"), key_of("c2", &item("77", "msg:m1")));
        // What is nobody's holds up nobody.
        assert_ne!(key("", "upd:1"), key("", "upd:2"));
    }
}
