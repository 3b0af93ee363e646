//! A mail as a message: its parts, and the files that go into our store.

use bytes::Bytes;
use switchboard_proto::channel_gateway::v1::InboundMessage;
use switchboard_proto::common::v1::{
    Attachment, ContentPart, Origin, Text, Unsupported, attachment, content_part::Content, origin,
};
use uuid::Uuid;

use super::{Fetched, File, Thread};
use crate::domain::email::address::Address;
use crate::domain::email::automatic::Sign;
use crate::domain::email::read::{Mail, Ours};
use crate::domain::email::visible::{Visible, visible_text};
use crate::domain::email::{EVENT_TEXT_MAX, html, shortened};
use crate::domain::inbound::Line;

/// Other recipients that are remembered for an answer to all.
const OTHERS_MAX: usize = 50;

/// Message-IDs of a thread that are remembered for an answer.
const THREAD_MAX: usize = 50;

/// Makes attachments of one mail, and keeps their bytes.
struct Shelf {
    channel: Uuid,
    /// What the ids are made of: the mail's id and what it says, so that a repeat has the same files.
    mail: String,
    files: Vec<File>,
}

impl Shelf {
    fn put(&mut self, number: &str, name: &str, media_type: &str, bytes: &Bytes) -> Attachment {
        let attachment = self.named(number, name, media_type, bytes.len());
        self.files.push(File {
            attachment: attachment.clone(),
            bytes: bytes.clone(),
        });
        attachment
    }

    fn named(&self, number: &str, name: &str, media_type: &str, size: usize) -> Attachment {
        let unique = format!("{}:{number}", self.mail);
        let id = chassis::id::v5("attachment", &[&self.channel.to_string(), &unique]);
        Attachment {
            attachment_id: id.to_string(),
            kind: kind_of(media_type).into(),
            state: attachment::State::Stored.into(),
            file_name: name.to_owned(),
            media_type: media_type.to_owned(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            ..Attachment::default()
        }
    }
}

/// Returns a mail as a message, and its files.
pub fn message(
    line: Line<'_>,
    ours: &Ours<'_>,
    meta: &Fetched<'_>,
    raw: &Bytes,
    mail: &Mail,
    person: &Address,
) -> (InboundMessage, Vec<File>) {
    let mut shelf = Shelf {
        channel: line.channel,
        mail: format!("{}:{}", mail.message_id, mail.content_hash()),
        files: Vec::new(),
    };
    let visible = visible_text(mail.plain.as_deref(), mail.html.as_deref(), &mail.subject);
    let cut = mail.cut || is_cut(meta, raw);
    let parts = parts(mail, &visible, cut, &mut shelf);
    let page = mail.html.as_deref().map(|page| {
        let bytes = Bytes::from(html::sanitised(page));
        shelf.put("html", "message.html", "text/html", &bytes)
    });
    let original = original(meta, raw, &mut shelf);
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
            post_key: String::new(),
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
    (message, shelf.files)
}

/// Returns what a reader sees: the text, then the files; a mail that shows neither tells what it holds, or what it is.
fn parts(mail: &Mail, visible: &Visible, cut: bool, shelf: &mut Shelf) -> Vec<Content> {
    let mut parts = Vec::new();
    if mail.encrypted {
        parts.push(kept("encrypted"));
    }
    if !visible.text.trim().is_empty() {
        parts.push(Content::Text(Text {
            text: shortened(&visible.text, EVENT_TEXT_MAX).to_owned(),
            entities: Vec::new(),
        }));
    }
    for (number, file) in mail.attachments.iter().enumerate() {
        let number = number.to_string();
        let attachment = shelf.put(&number, &file.name, &file.media_type, &file.bytes);
        parts.push(Content::Attachment(attachment));
    }
    if parts.is_empty() {
        let held = mail.html.as_deref().map(html::everything);
        parts.push(match held.filter(|held| !held.trim().is_empty()) {
            Some(held) => Content::Text(Text {
                text: shortened(&held, EVENT_TEXT_MAX).to_owned(),
                entities: Vec::new(),
            }),
            None => kept(if cut { "cut-mail" } else { "empty-mail" }),
        });
    }
    parts
}

/// Tells whether the mail was too large to be fetched whole.
fn is_cut(meta: &Fetched<'_>, raw: &Bytes) -> bool {
    u64::try_from(raw.len()).is_ok_and(|length| length < meta.size)
}

fn kept(kind: &str) -> Content {
    Content::Unsupported(Unsupported {
        kind: kind.to_owned(),
    })
}

/// Returns the mail as it came. Where it was too large to be fetched whole, it cannot be had.
fn original(meta: &Fetched<'_>, raw: &Bytes, shelf: &mut Shelf) -> Attachment {
    let (name, media_type) = ("message.eml", "message/rfc822");
    if !is_cut(meta, raw) {
        return shelf.put("original", name, media_type, raw);
    }
    Attachment {
        state: attachment::State::Failed.into(),
        reason: "FILE_TOO_LARGE".to_owned(),
        size: i64::try_from(meta.size).unwrap_or(i64::MAX),
        ..shelf.named("original", name, media_type, 0)
    }
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
