//! Items of Direct (channels.md §4.2).

use bytes::Bytes;
use serde_json::{Map, Value, json};
use switchboard_proto::channel_gateway::v1::{
    InboundDeletion, InboundEdit, InboundMessage, InboundOwnAppMessage, InboundReaction,
    InboundReceipt, InboundStart, inbound_event::Kind, inbound_receipt,
};
use switchboard_proto::common::v1::{
    ButtonPress, Origin, ReplyReference, content_part::Content, origin,
};
use time::OffsetDateTime;

use super::content::{body, part, plain};
use super::items::Found;
use super::normalise::{Known, Reading, Unknown, state};
use super::wire::{key, when};
use crate::domain::value::{filled, flag, id, object, text};

/// A longer payload of a link is none.
const PAYLOAD_MAX: usize = 1_024;

/// Who wrote to whom.
struct Parties {
    /// Id of the customer.
    client: String,
    /// The account's own people or programs wrote.
    own: bool,
}

/// Reads an item of Direct, also where another app has the thread: that one is stored as all others are.
pub fn read(known: Known<'_>, item: &Value, found: &Found<'_>) -> Result<Reading, Unknown> {
    let unknown = || found.kind().to_owned();
    let message = object(item, "message");
    let echo = message.is_some_and(|message| flag(message, "is_echo"));
    let parties = parties(known, item, echo).ok_or_else(unknown)?;
    // Only what the account writes to itself is its own on both sides.
    if parties.client == known.own_id() || message.is_some_and(|it| echo && flag(it, "is_self")) {
        let mid = message.and_then(|message| key(message, "mid"));
        return Ok(state("self-test", mid.map(|mid| format!("self:{mid}"))));
    }
    let (event_key, kind) = if let Some(message) = message {
        read_message(known, message, found, &parties)?
    } else if let Some(change) = object(item, "reaction") {
        read_reaction(item, change, &parties).ok_or_else(unknown)?
    } else if let Some(press) = object(item, "postback") {
        read_press(press, found)
    } else if let Some(edit) = object(item, "message_edit") {
        read_edit(edit, &parties).ok_or_else(unknown)?
    } else if let Some(seen) = object(item, "read") {
        read_seen(seen, &parties).ok_or_else(unknown)?
    } else if let Some(referral) = object(item, "referral") {
        let payload = payload(Some(referral));
        (None, Kind::Start(InboundStart { payload }))
    } else {
        return Err(unknown());
    };
    // An old receipt names no message but a time, up to which all was read.
    let named = object(item, "read").and_then(|seen| when(seen, "watermark"));
    let told = named.or_else(|| when(item, "timestamp"));
    Ok(Reading {
        event_key,
        client: Some(known.client(&parties.client, "")),
        time: told.or_else(|| when(found.entry, "time")),
        kind,
    })
}

fn parties(known: Known<'_>, item: &Value, echo: bool) -> Option<Parties> {
    let party = |name| object(item, name).and_then(|party| id(party, "id"));
    let (sender, recipient) = (party("sender"), party("recipient"));
    let account = Some(known.own_id());
    let sent = sender.as_deref() == account;
    let received = recipient.as_deref() == account;
    let client = if sent || echo && !received {
        recipient
    } else {
        sender
    };
    Some(Parties {
        client: client?,
        own: sent || echo,
    })
}

fn read_message(
    known: Known<'_>,
    message: &Value,
    found: &Found<'_>,
    parties: &Parties,
) -> Result<(Option<String>, Kind), Unknown> {
    let mid = key(message, "mid");
    if flag(message, "is_deleted") {
        let mid = mid.ok_or("message/deleted")?;
        let deletion = InboundDeletion {
            provider_keys: vec![mid.clone()],
        };
        return Ok((Some(format!("del:{mid}")), Kind::Deletion(deletion)));
    }
    let event_key = mid.as_ref().map(|mid| format!("msg:{mid}"));
    // Without an id the item is the only thing that is unique.
    let provider_key = mid.unwrap_or_else(|| found.hashed_key());
    let body = body(known.channel(), &provider_key, message);
    if body.parts.is_empty() {
        return Err("message".to_owned());
    }
    let referral = object(message, "referral");
    let answered = object(message, "reply_to").and_then(|reply| key(reply, "mid"));
    let written = InboundMessage {
        provider_key,
        parts: body.parts,
        reply: answered.map(|provider_key| ReplyReference {
            provider_key,
            ..ReplyReference::default()
        }),
        origin: Some(body.origin),
        start_payload: payload(referral),
        extension: extension(message, referral),
        ..InboundMessage::default()
    };
    let kind = if parties.own {
        Kind::OwnAppMessage(InboundOwnAppMessage {
            message: Some(written),
            automatic: false,
        })
    } else {
        Kind::Message(written)
    };
    Ok((event_key, kind))
}

/// What the gateway may want to know again: the story, advertisement or product a message came from, and the app that
/// sent an echo.
fn extension(message: &Value, referral: Option<&Value>) -> Bytes {
    let story = object(message, "reply_to").and_then(|reply| object(reply, "story"));
    let product = referral.and_then(|referral| object(referral, "product"));
    let known = [
        ("story", story.and_then(|story| id(story, "id"))),
        ("ad", referral.and_then(|referral| id(referral, "ad_id"))),
        ("product", product.and_then(|product| id(product, "id"))),
        ("app", id(message, "app_id")),
    ];
    let fields: Map<String, Value> = known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
        .collect();
    if fields.is_empty() {
        return Bytes::new();
    }
    Value::Object(fields).to_string().into()
}

/// The payload of the link by which a customer came (D30).
fn payload(referral: Option<&Value>) -> String {
    let payload = referral.and_then(|referral| filled(referral, "ref"));
    payload
        .filter(|it| it.len() <= PAYLOAD_MAX)
        .unwrap_or_default()
}

/// A press of a button of ours is a message of its own.
fn read_press(press: &Value, found: &Found<'_>) -> (Option<String>, Kind) {
    let mid = key(press, "mid");
    let button = ButtonPress {
        title: text(press, "title").unwrap_or_default(),
        data: text(press, "payload").unwrap_or_default(),
    };
    let event_key = mid.as_ref().map(|mid| format!("pb:{mid}"));
    let pressed = InboundMessage {
        provider_key: mid.unwrap_or_else(|| found.hashed_key()),
        parts: vec![part(Content::Button(button))],
        origin: Some(direct()),
        start_payload: payload(object(press, "referral")),
        ..InboundMessage::default()
    };
    (event_key, Kind::Message(pressed))
}

/// A customer has one reaction on a message: the last one stands.
fn read_reaction(
    item: &Value,
    change: &Value,
    parties: &Parties,
) -> Option<(Option<String>, Kind)> {
    let mid = key(change, "mid").filter(|_| !parties.own)?;
    let action = text(change, "action")?;
    let emojis = match action.as_str() {
        "react" => vec![filled(change, "emoji").or_else(|| emoji(change))?],
        "unreact" => vec![],
        _ => return None,
    };
    let at = id(item, "timestamp").unwrap_or_default();
    let event_key = format!("react:{mid}:{}:{at}:{action}", parties.client);
    let reaction = InboundReaction {
        provider_key: mid,
        emojis,
    };
    Some((Some(event_key), Kind::Reaction(reaction)))
}

/// The emoji behind the word, where only that came; a word that is not known stands for itself.
fn emoji(change: &Value) -> Option<String> {
    let word = filled(change, "reaction")?;
    let emoji = match word.as_str() {
        "love" => "\u{2764}\u{fe0f}",
        "like" => "👍",
        "dislike" => "👎",
        "smile" | "haha" | "laugh" => "😆",
        "wow" => "😮",
        "sad" => "😢",
        "angry" => "😠",
        _ => return Some(word.chars().take(32).collect()),
    };
    Some(emoji.to_owned())
}

fn read_edit(edit: &Value, parties: &Parties) -> Option<(Option<String>, Kind)> {
    let mid = key(edit, "mid")?;
    let words = filled(edit, "text")?;
    let number = id(edit, "num_edit").unwrap_or_default();
    let event_key = format!("edit:{mid}:{number}");
    let message = InboundMessage {
        provider_key: mid.clone(),
        parts: vec![part(plain(words))],
        origin: Some(direct()),
        ..InboundMessage::default()
    };
    let edited = InboundEdit {
        provider_key: mid,
        message: Some(message),
        sent_at: None,
        own_app: parties.own,
    };
    Some((Some(event_key), Kind::Edit(edited)))
}

/// The customer read all of ours up to a message or, in an older form, up to a time.
fn read_seen(seen: &Value, parties: &Parties) -> Option<(Option<String>, Kind)> {
    if parties.own {
        return None;
    }
    let mid = key(seen, "mid");
    let mark = mid.clone().or_else(|| {
        let at: OffsetDateTime = when(seen, "watermark")?;
        Some(at.unix_timestamp_nanos().to_string())
    })?;
    let event_key = format!("read:{mark}:{}", parties.client);
    let receipt = InboundReceipt {
        kind: inbound_receipt::Kind::Read.into(),
        provider_keys: mid.into_iter().collect(),
        up_to: true,
        ..InboundReceipt::default()
    };
    Some((Some(event_key), Kind::Receipt(receipt)))
}

fn direct() -> Origin {
    Origin {
        kind: origin::Kind::Direct.into(),
        ..Origin::default()
    }
}
