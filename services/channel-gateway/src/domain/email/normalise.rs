//! From a mail to inbound events: pure and total. What is not understood is kept raw, never refused.

use bytes::Bytes;
use chassis::grpc::timestamp;
use serde::{Deserialize, Serialize};
use switchboard_proto::channel_gateway::v1::{
    InboundEvent, InboundMessage, InboundOwnAppMessage, InboundProviderState, inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    Attachment, ChannelKind, ClientIdentity, ContentPart, Origin, Text, Unsupported, attachment,
    content_part::Content, origin,
};
use time::{Duration, OffsetDateTime};

use super::address::Address;
use super::automatic::Sign;
use super::loops::RECEIVED_MAX;
use super::read::{Mail, Ours, read};
use super::visible::visible_text;
use super::{EVENT_TEXT_MAX, html, shortened};
use crate::domain::inbound::{Line, frame, unsupported};

mod reported;

use reported::{reported, word};

const KIND: ChannelKind = ChannelKind::Email;

/// Other recipients that are remembered for an answer to all.
const OTHERS_MAX: usize = 50;

/// Message-IDs of a thread that are remembered for an answer.
const THREAD_MAX: usize = 50;

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

/// Reads a mail. There is always at least one event; the files beside it must be stored before it is published.
///
/// A report becomes a receipt for each address it names, and opens nothing; a copy of what went out becomes a message
/// of our own; what our gateway wrote itself is told apart by its private field (channels.md §5.2, §5.4).
pub fn normalise(
    line: Line<'_>,
    ours: &Ours<'_>,
    meta: &Fetched<'_>,
    raw: &Bytes,
    received_at: OffsetDateTime,
) -> (Vec<InboundEvent>, Vec<File>) {
    let mail = read(raw, ours);
    let mut event = frame(
        line,
        KIND,
        &Bytes::new(),
        received_at,
        meta.uid_key.to_owned(),
    );
    meta.raw_ref.clone_into(&mut event.raw_ref);
    event.provider_time = Some(timestamp(sane(meta.internal_date, received_at)));
    let sent = meta.folder == Folder::Sent;
    let kept = |kind: &str| {
        let kind = Some(unsupported(kind));
        (
            vec![InboundEvent {
                kind,
                ..event.clone()
            }],
            Vec::new(),
        )
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
        return (vec![event], Vec::new());
    }
    if mail.received > RECEIVED_MAX {
        return kept("mail-loop");
    }
    if let Some(report) = mail.report.as_ref().filter(|_| !sent) {
        let events = reported(&event, report);
        return if events.is_empty() {
            kept(word(report))
        } else {
            (events, Vec::new())
        };
    }
    let outgoing = mail.outgoing || sent;
    let other = if sent && !mail.outgoing {
        got_it(&mail, ours)
    } else {
        mail.customer.clone()
    };
    if outgoing && other.email.is_empty() {
        return kept("own-copy");
    }
    let (message, files) = message(line, &mail, ours, meta, raw, &other);
    event.chat_key = chat_key(&other, &mail);
    event.client = Some(identity(&other, &event.chat_key));
    event.kind = Some(if outgoing {
        Kind::OwnAppMessage(InboundOwnAppMessage {
            automatic: message.automatic,
            message: Some(message),
        })
    } else {
        Kind::Message(message)
    });
    (vec![event], files)
}

/// A server's clock that is far off is not believed.
fn sane(time: OffsetDateTime, received_at: OffsetDateTime) -> OffsetDateTime {
    if time.year() < 1990 || time > received_at + Duration::days(1) {
        return received_at;
    }
    time
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
    ClientIdentity {
        scope: "email".to_owned(),
        user_id: chat_key.to_owned(),
        name: person.name.clone(),
        username: String::new(),
        phone: String::new(),
        email: person.key(),
        language: String::new(),
    }
}

fn message(
    line: Line<'_>,
    mail: &Mail,
    ours: &Ours<'_>,
    meta: &Fetched<'_>,
    raw: &Bytes,
    person: &Address,
) -> (InboundMessage, Vec<File>) {
    let hash = mail.content_hash();
    let file = |number: &str, name: &str, media_type: &str, size: usize| {
        let unique = format!("{}:{hash}:{number}", mail.message_id);
        Attachment {
            attachment_id: chassis::id::v5("attachment", &[&line.channel.to_string(), &unique])
                .to_string(),
            kind: kind_of(media_type).into(),
            state: attachment::State::Stored.into(),
            file_name: name.to_owned(),
            media_type: media_type.to_owned(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            ..Attachment::default()
        }
    };
    let mut files = Vec::new();
    let visible = visible_text(mail.plain.as_deref(), mail.html.as_deref(), &mail.subject);
    let mut parts = Vec::new();
    if !visible.text.trim().is_empty() {
        parts.push(Content::Text(Text {
            text: shortened(&visible.text, EVENT_TEXT_MAX).to_owned(),
            entities: Vec::new(),
        }));
    }
    for (number, attached) in mail.attachments.iter().enumerate() {
        let attachment = file(
            &number.to_string(),
            &attached.name,
            &attached.media_type,
            attached.bytes.len(),
        );
        parts.push(Content::Attachment(attachment.clone()));
        files.push(File {
            attachment,
            bytes: attached.bytes.clone(),
        });
    }
    if mail.encrypted || parts.is_empty() {
        let kind = if mail.encrypted {
            "encrypted"
        } else {
            "empty-mail"
        };
        parts.insert(
            0,
            Content::Unsupported(Unsupported {
                kind: kind.to_owned(),
            }),
        );
    }
    let page = mail.html.as_deref().map(|page| {
        let bytes = Bytes::from(html::sanitised(page));
        let attachment = file("html", "message.html", "text/html", bytes.len());
        files.push(File {
            attachment: attachment.clone(),
            bytes,
        });
        attachment
    });
    let whole = u64::try_from(raw.len()).is_ok_and(|length| length >= meta.size);
    let mut original = file("original", "message.eml", "message/rfc822", raw.len());
    if whole {
        files.push(File {
            attachment: original.clone(),
            bytes: raw.clone(),
        });
    } else {
        original.state = attachment::State::Failed.into();
        original.reason = "FILE_TOO_LARGE".to_owned();
        original.size = i64::try_from(meta.size).unwrap_or(i64::MAX);
    }
    let message = InboundMessage {
        provider_key: mail.message_id.clone(),
        provider_number: 0,
        parts: parts
            .into_iter()
            .map(|content| ContentPart {
                content: Some(content),
            })
            .collect(),
        reply: None,
        origin: Some(Origin {
            kind: origin::Kind::Direct.into(),
            link: String::new(),
            parent_key: String::new(),
        }),
        start_payload: mail.tag.clone().unwrap_or_default(),
        album_key: String::new(),
        subject: mail.subject.clone(),
        full_text: shortened(&visible.full, EVENT_TEXT_MAX).to_owned(),
        automatic: mail.automatic.is_some_and(Sign::is_machine),
        html: page,
        original: Some(original),
        references: mail.references.clone(),
        extension: thread(mail, ours, person).write().into(),
    };
    (message, files)
}

fn thread(mail: &Mail, ours: &Ours<'_>, person: &Address) -> Thread {
    let to = person.key();
    let mut others: Vec<String> = Vec::new();
    for address in mail.to.iter().chain(&mail.cc) {
        let key = address.key();
        let known = key.is_empty() || key == to || ours.owns(&key) || others.contains(&key);
        if !known && others.len() < OTHERS_MAX {
            others.push(key);
        }
    }
    Thread {
        message_id: mail.message_id.clone(),
        subject: mail.subject.clone(),
        references: mail
            .references
            .iter()
            .take(THREAD_MAX)
            .rev()
            .cloned()
            .collect(),
        to,
        others,
        quiet: mail.automatic.is_some(),
    }
}

fn kind_of(media_type: &str) -> attachment::Kind {
    match media_type.split('/').next().unwrap_or_default() {
        "image" if !media_type.starts_with("image/svg") => attachment::Kind::Photo,
        "audio" => attachment::Kind::Audio,
        "video" => attachment::Kind::Video,
        _ => attachment::Kind::Document,
    }
}
