//! From a mail to inbound events: pure and total. What is not understood is kept raw, never refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde::{Deserialize, Serialize};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundOwnAppMessage, InboundProviderState, inbound_event::Kind,
};
use switchboard_proto::common::v1::{Attachment, ChannelKind, ClientIdentity};
use time::OffsetDateTime;

use super::address::Address;
use super::loops::RECEIVED_MAX;
use super::plan::has_our_form;
use super::read::{Mail, Ours, read};
use crate::domain::inbound::{Line, credible, frame, unsupported};
use crate::domain::name::shown;

mod reading;
mod reported;
mod written;

pub use reading::{Claim, Hash, Reading, Side, Standing, UNPROVEN, further_key, id_hash};

use reported::{reported, word};
use written::message;

const KIND: ChannelKind = ChannelKind::Email;

/// What a person is called of whom a mail tells nothing: else they would be called by the mail's Message-ID.
const UNKNOWN: &str = "unknown sender";

/// The folder that a mail was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Where mail comes in.
    Inbox,
    /// Where copies of what went out are kept.
    Sent,
}

/// What the mail server tells about a mail.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// Key of the mail in the object store.
    pub raw_ref: &'a str,
    /// Its size by the server; more than was fetched, where it was too large.
    pub size: u64,
    /// When the server got it.
    pub internal_date: OffsetDateTime,
    /// Where it was found.
    pub folder: Folder,
    /// `{mailbox}:{UIDVALIDITY}:{UID}`: the key of the event.
    pub uid_key: &'a str,
}

/// A file of a mail that belongs into our store.
#[derive(Debug, Clone)]
pub struct File {
    /// Under which id, and what it is.
    pub attachment: Attachment,
    /// What it holds.
    pub bytes: Bytes,
}

/// What must be known again when a mail is answered: the extension of its message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// Message-ID of the mail.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// Message-IDs before it, oldest first.
    pub references: Vec<String>,
    /// To whom an answer goes.
    pub to: String,
    /// Whom an answer to all reaches as well.
    pub others: Vec<String>,
    /// It must get no automatic answer.
    pub quiet: bool,
}

impl Thread {
    /// Reads the extension of a message; an empty thread where it is none.
    pub fn read(extension: &[u8]) -> Self {
        serde_json::from_slice(extension).unwrap_or_default()
    }

    fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Reads a mail as the first that comes under its Message-ID, where nothing went out under it.
pub fn normalise(
    line: Line<'_>,
    ours: &Ours<'_>,
    meta: &Fetched<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
) -> (Vec<InboundEvent>, Vec<File>) {
    reading(line, ours, meta, raw, received_at).settle(&Standing::default())
}

/// Reads a mail. There is always at least one event; the files beside it must be stored before it is published.
///
/// A report becomes a receipt for each address it names, and opens nothing; what lies among the sent mails becomes a
/// message of our own; what our gateway wrote itself is told apart by its private field (channels.md §5.2, §5.4).
pub fn reading(
    line: Line<'_>,
    ours: &Ours<'_>,
    meta: &Fetched<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
) -> Reading {
    let mail = read(raw, ours);
    let mut event = frame(
        line,
        KIND,
        &Bytes::new(),
        received_at,
        meta.uid_key.to_owned(),
    );
    meta.raw_ref.clone_into(&mut event.raw_ref);
    event.provider_time = Some(timestamp(credible(Some(meta.internal_date), received_at)));
    let sent = meta.folder == Folder::Sent;
    let plain = |events| Reading {
        events,
        files: Vec::new(),
        claim: None,
    };
    let kept = |kind: &str| {
        plain(vec![InboundEvent {
            kind: Some(unsupported(kind)),
            ..event.clone()
        }])
    };
    if mail.malformed {
        return kept("malformed");
    }
    if mail.own_gateway && (mail.outgoing || sent) {
        let state = InboundProviderState {
            kind: "own-mail".to_owned(),
            extension: mail.message_id.into_bytes().into(),
        };
        event.kind = Some(Kind::ProviderState(state));
        return plain(vec![event]);
    }
    if mail.received > RECEIVED_MAX {
        return kept("mail-loop");
    }
    if let Some(report) = mail.report.as_ref().filter(|_| !sent) {
        let events = reported(&event, report);
        return if events.is_empty() {
            kept(word(report))
        } else {
            plain(events)
        };
    }
    let other = if sent && !mail.outgoing {
        got_it(&mail, ours)
    } else {
        mail.customer.clone()
    };
    let whole = u64::try_from(raw.len()).is_ok_and(|length| length >= meta.size);
    let mut claim = Claim {
        message_id: mail.message_id.clone(),
        content: reading::content(&mail, &other, whole),
        side: if sent { Side::Sent } else { Side::Client },
        our_form: has_our_form(&mail.message_id, ours.domain),
        chat_key: String::new(),
        references: mail.references.clone(),
    };
    if mail.outgoing && !sent {
        claim.side = Side::OwnAddress;
        return Reading {
            claim: Some(claim),
            ..kept(UNPROVEN)
        };
    }
    if sent && other.email.is_empty() {
        return kept("own-copy");
    }
    let (message, files) = message(line, ours, meta, raw, &mail, &other);
    event.chat_key = chat_key(&other, &mail);
    claim.chat_key.clone_from(&event.chat_key);
    event.client = Some(identity(&other, &event.chat_key));
    event.kind = Some(if sent {
        Kind::OwnAppMessage(InboundOwnAppMessage {
            automatic: message.automatic,
            message: Some(message),
        })
    } else {
        Kind::Message(message)
    });
    Reading {
        events: vec![event],
        files,
        claim: Some(claim),
    }
}

/// Returns who got a copy that lies among the sent ones, where its sender is not the mailbox's own address.
fn got_it(mail: &Mail, ours: &Ours<'_>) -> Address {
    let mut got = mail.to.iter().chain(&mail.cc);
    got.find(|address| !address.email.is_empty() && !ours.owns(&address.email))
        .cloned()
        .unwrap_or_default()
}

/// A sender without an address is known by what stands there, and one without anything by this mail alone
/// (channels.md §7.28).
fn chat_key(person: &Address, mail: &Mail) -> String {
    if !person.email.is_empty() {
        return person.key();
    }
    let name = person.name.trim().to_lowercase();
    if name.is_empty() {
        mail.message_id.clone()
    } else {
        name
    }
}

fn identity(person: &Address, chat_key: &str) -> ClientIdentity {
    let nobody = person.name.trim().is_empty() && person.email.is_empty();
    ClientIdentity {
        scope: "email".to_owned(),
        user_id: chat_key.to_owned(),
        name: if nobody {
            UNKNOWN.to_owned()
        } else {
            let told = Some(person.name.as_str()).filter(|name| !name.is_empty());
            shown(told, &person.email, chat_key)
        },
        username: String::new(),
        phone: String::new(),
        email: person.key(),
        language: String::new(),
    }
}
