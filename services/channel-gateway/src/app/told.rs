//! What providers tell of messages that went out: receipts move parts forward, echoes of our own sends are dropped, and
//! what somebody wrote in the provider's own app is announced (architecture §3, channels.md §7.9, §7.13, §7.14).

mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing};
use chassis::trace::TraceContext;
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundReceipt, inbound_event::Kind, inbound_receipt,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::accept::Intake;
use super::announce::{self, Note};
use crate::domain::channel::ChannelKind;
use crate::domain::delivery::{PartState, fails_after_arrival};
use crate::domain::echo::{self, Verdict};
use crate::domain::email::report::speaks_of;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::echoes;
use crate::store::told::{self, Held, Receipt};

/// How long an item waits for the outcome of an attempt at most.
const HELD_FOR: Duration = Duration::from_secs(10);

/// Held items that are judged in one transaction.
const JUDGED_AT_ONCE: i64 = 500;

/// How long keys of what was sent are kept: providers tell of it for weeks (channels.md §3.2), mail servers for days.
const KEPT_FOR: time::Duration = time::Duration::days(60);

/// Rows that are forgotten in one statement.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// A receipt or an echo, with what surrounds it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The account.
    pub account: AccountSlug,
    /// The channel.
    pub channel: Uuid,
    /// The item; without its raw form, unless it is homeless.
    pub item: InboundEvent,
    /// Id of the item.
    pub id: Uuid,
    /// Its trace.
    pub trace: TraceContext,
    /// When it was first looked at.
    pub since: OffsetDateTime,
    /// When it happened, by the provider's clock.
    pub time: OffsetDateTime,
}

impl Told {
    /// The keys of messages that it names.
    fn keys(&self) -> Vec<&str> {
        match &self.item.kind {
            Some(Kind::Receipt(receipt)) => {
                receipt.provider_keys.iter().map(String::as_str).collect()
            }
            Some(Kind::OwnAppMessage(own)) => own
                .message
                .iter()
                .map(|message| message.provider_key.as_str())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// It left by the provider's own app, and nobody can tell yet to whom.
    pub fn is_homeless(&self) -> bool {
        matches!(self.item.kind, Some(Kind::OwnAppMessage(_)))
            && (self.item.chat_key.is_empty() || self.item.client.is_none())
    }

    fn held(&self) -> Held {
        Held {
            channel_id: self.channel,
            event_key: self.item.event_key.clone(),
            chat_key: self.item.chat_key.clone(),
            account: self.account.to_string(),
            item: self.item.encode_to_vec(),
            item_id: self.id,
            trace: self.trace.traceparent().unwrap_or_default(),
            held_at: self.since,
        }
    }
}

/// Judges what was told, within the caller's transaction; returns the events, which the caller writes last.
pub async fn judge(
    app: &App,
    intake: &Intake,
    connection: &mut PgConnection,
    told: &[Told],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let mut homed;
    let mut told = told;
    if told.iter().any(Told::is_homeless) {
        homed = told.to_vec();
        own::home(connection, &app.book, &mut homed).await?;
        told = &homed;
    }
    let homeless = told.iter().filter(|it| it.is_homeless());
    let lines: BTreeSet<Uuid> = homeless.map(|it| it.channel).collect();
    let lines: Vec<Uuid> = lines.into_iter().collect();
    let commenting = if lines.is_empty() {
        Vec::new()
    } else {
        echoes::commenting(connection, &lines).await?
    };
    let named: BTreeSet<(Uuid, &str)> = told
        .iter()
        .flat_map(|it| it.keys().into_iter().map(|key| (it.channel, key)))
        .filter(|(_, key)| !key.is_empty())
        .collect();
    let (channels, keys): (Vec<Uuid>, Vec<String>) = named
        .iter()
        .map(|(channel, key)| (*channel, (*key).to_owned()))
        .unzip();
    let ours: BTreeSet<(Uuid, String)> = told::own_keys(connection, &channels, &keys)
        .await?
        .into_iter()
        .collect();
    let strangers: BTreeSet<(Uuid, &str)> = told
        .iter()
        .filter(|it| !all_ours(it, &ours))
        .map(|it| (it.channel, it.item.chat_key.as_str()))
        .collect();
    let sending: BTreeSet<(Uuid, String)> = if strangers.is_empty() {
        BTreeSet::new()
    } else {
        let (channels, chats): (Vec<Uuid>, Vec<String>) = strangers
            .iter()
            .map(|(channel, chat)| (*channel, (*chat).to_owned()))
            .unzip();
        told::sending(connection, &channels, &chats)
            .await?
            .into_iter()
            .collect()
    };
    let (mut held, mut receipts, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for it in told {
        let waits = if it.is_homeless() {
            commenting.contains(&it.channel)
        } else {
            sending.contains(&(it.channel, it.item.chat_key.clone()))
        };
        let verdict = echo::judge(all_ours(it, &ours), waits, now - it.since, HELD_FOR);
        match (&it.item.kind, verdict) {
            (_, Verdict::Wait) => held.push(it.held()),
            (Some(Kind::Receipt(receipt)), _) => receipts.extend(receipts_of(it, receipt)),
            (Some(Kind::OwnAppMessage(_)), Verdict::Foreign) => foreign.push(it),
            _ => {}
        }
    }
    told::hold(connection, &held).await?;
    let receipts = about_ours(connection, receipts).await?;
    let mut events = receive(connection, &receipts, now).await?;
    events.extend(own::settle_echoes(connection, &mut foreign, now).await?);
    let new = own::new(connection, &foreign, now).await?;
    let (homeless, homed): (Vec<&Told>, Vec<&Told>) =
        new.into_iter().partition(|it| it.is_homeless());
    own::keep(&app.book, intake, &homeless, now).await?;
    events.extend(homed.into_iter().filter_map(own::event));
    Ok(events)
}

/// Tells whether an item that is kept raw is a comment of ours that belonged to no chat.
pub fn is_without_chat(item: &InboundEvent) -> bool {
    matches!(&item.kind, Some(Kind::Unsupported(kept)) if kept.kind == own::WITHOUT_CHAT)
}

/// Gives comments of ours that were kept the chat that is known for them by now. While there is none for one of them,
/// nothing is done, and they stay kept.
pub async fn place(
    app: &App,
    intake: &Intake,
    mut kept: Vec<Told>,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut tx = app.pool.begin().await?;
    own::home(&mut tx, &app.book, &mut kept).await?;
    if kept.iter().any(Told::is_homeless) {
        return Ok(false);
    }
    let events = judge(app, intake, &mut tx, &kept, now).await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    Ok(true)
}

fn all_ours(told: &Told, ours: &BTreeSet<(Uuid, String)>) -> bool {
    let keys = told.keys();
    !keys.is_empty()
        && keys
            .iter()
            .all(|key| ours.contains(&(told.channel, (*key).to_owned())))
}

/// A receipt for each key that it names, with what its event needs.
struct Applied<'a> {
    receipt: Receipt,
    told: &'a Told,
    detail: &'a str,
    retryable: bool,
    named: &'a [String],
}

fn receipts_of<'a>(told: &'a Told, receipt: &'a InboundReceipt) -> Vec<Applied<'a>> {
    let state = match receipt.kind() {
        inbound_receipt::Kind::Delivered => PartState::Delivered,
        inbound_receipt::Kind::Read => PartState::Read,
        inbound_receipt::Kind::Failed => PartState::Failed,
        // It is late, and nothing is known of its end.
        inbound_receipt::Kind::Delayed | inbound_receipt::Kind::Unspecified => return Vec::new(),
    };
    let kind = ChannelKind::of(told.item.channel_kind());
    let outweighs = state == PartState::Failed && kind.is_some_and(fails_after_arrival);
    let mut keys: Vec<&str> = receipt.provider_keys.iter().map(String::as_str).collect();
    if keys.is_empty() && receipt.up_to {
        keys.push("");
    }
    keys.into_iter()
        .map(|key| Applied {
            receipt: Receipt {
                channel_id: told.channel,
                chat_key: told.item.chat_key.clone(),
                provider_key: key.to_owned(),
                up_to: receipt.up_to,
                state: state.as_str(),
                outweighs,
                reason: receipt.reason.clone(),
                time: told.time,
            },
            told,
            detail: &receipt.detail,
            retryable: receipt.retryable,
            named: &receipt.named_recipients,
        })
        .collect()
}

/// Leaves out failures that speak of somebody whom the mail was not written to.
async fn about_ours<'a>(
    connection: &mut PgConnection,
    mut applied: Vec<Applied<'a>>,
) -> Result<Vec<Applied<'a>>, Error> {
    let asked =
        |it: &Applied<'_>| it.receipt.state == PartState::Failed.as_str() && !it.named.is_empty();
    let (channels, keys): (Vec<Uuid>, Vec<String>) = applied
        .iter()
        .filter(|it| asked(it))
        .map(|it| (it.receipt.channel_id, it.receipt.provider_key.clone()))
        .unzip();
    if channels.is_empty() {
        return Ok(applied);
    }
    let known = told::written_to(connection, &channels, &keys).await?;
    let known: BTreeMap<(Uuid, String), String> = known
        .into_iter()
        .map(|(channel, key, address)| ((channel, key), address))
        .collect();
    applied.retain(|it| {
        let mail = (it.receipt.channel_id, it.receipt.provider_key.clone());
        let address = known.get(&mail).filter(|_| asked(it));
        let ours = address.is_none_or(|address| speaks_of(it.named, address));
        if !ours {
            figures::FOREIGN_BOUNCES.increment(1);
        }
        ours
    });
    Ok(applied)
}

async fn receive(
    connection: &mut PgConnection,
    applied: &[Applied<'_>],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let receipts: Vec<Receipt> = applied.iter().map(|it| it.receipt.clone()).collect();
    let mut events = Vec::new();
    for (part, position) in told::apply(connection, &receipts).await? {
        let by = usize::try_from(position - 1)
            .ok()
            .and_then(|index| applied.get(index));
        let note = Note {
            detail: by.map_or("", |by| by.detail),
            retryable: by.is_some_and(|by| by.retryable),
            ..Note::default()
        };
        let time = by.map_or(now, |by| by.told.time);
        events.extend(announce::settled(&part, &note, time)?);
    }
    Ok(events)
}

/// Judges held items anew; returns whether more are waiting.
pub async fn judge_held(app: &App, intake: &Intake, now: OffsetDateTime) -> Result<bool, Error> {
    let mut tx = app.pool.begin().await?;
    let rows = told::take_held(&mut tx, JUDGED_AT_ONCE).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= JUDGED_AT_ONCE;
    let mut told = Vec::new();
    for row in rows {
        let item = InboundEvent::decode(row.item.as_slice()).map_err(crate::store::unreadable)?;
        let time = item.provider_time.as_ref().and_then(time_of);
        told.push(Told {
            account: AccountSlug::parse(&row.account).map_err(crate::store::unreadable)?,
            channel: row.channel_id,
            item,
            id: row.item_id,
            trace: TraceContext::parse(&row.trace),
            since: row.held_at,
            time: time.unwrap_or(row.held_at),
        });
    }
    let events = judge(app, intake, &mut tx, &told, now).await?;
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    Ok(more)
}

/// Forgets keys that no provider speaks of any more; returns whether there may be more of them.
pub async fn forget(app: &App, now: OffsetDateTime) -> Result<bool, Error> {
    let mut connection = app.pool.acquire().await?;
    let forgotten = told::forget(&mut connection, now - KEPT_FOR, FORGOTTEN_AT_ONCE).await?;
    Ok(forgotten >= FORGOTTEN_AT_ONCE.cast_unsigned())
}

fn time_of(time: &prost_types::Timestamp) -> Option<OffsetDateTime> {
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::channel_gateway::v1::{InboundMessage, InboundOwnAppMessage};
    use switchboard_proto::common::v1::{
        Attachment, ClientIdentity, ContentPart, content_part::Content,
    };

    #[test]
    fn no_event_tells_where_a_file_is_at_the_provider() {
        let secret = b"https://cdn.example/file?signature=secret";
        let file = Attachment {
            attachment_id: "a".into(),
            extension: bytes::Bytes::from_static(secret),
            ..Attachment::default()
        };
        let message = InboundMessage {
            provider_key: "m1".into(),
            parts: vec![ContentPart {
                content: Some(Content::Attachment(file.clone())),
            }],
            subject: "order 551".into(),
            html: Some(file.clone()),
            original: Some(file),
            ..InboundMessage::default()
        };
        let own = InboundOwnAppMessage {
            message: Some(message),
            automatic: false,
        };
        let now = OffsetDateTime::UNIX_EPOCH;
        let told = Told {
            account: chassis::testing::account("acme"),
            channel: Uuid::nil(),
            item: InboundEvent {
                chat_key: "7".into(),
                client: Some(ClientIdentity::default()),
                kind: Some(Kind::OwnAppMessage(own)),
                ..InboundEvent::default()
            },
            id: Uuid::nil(),
            trace: TraceContext::none(),
            since: now,
            time: now,
        };
        let event = format!("{:?}", own::event(&told).unwrap());
        assert!(event.contains("order 551") && !event.contains("signature"));
    }
}
