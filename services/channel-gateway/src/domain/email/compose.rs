//! From a message to the bytes of a mail (channels.md §5.3): pure, so that a repeated attempt sends the same bytes.

use std::time::SystemTime;

use bytes::Bytes;
use lettre::Message;
use lettre::address::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, MultiPartKind, SinglePart};
use sha2::{Digest, Sha256};
use switchboard_proto::common::v1::Text;
use time::OffsetDateTime;

use super::address::is_address;
use super::read::GATEWAY_FIELD;
use super::{shortened, words};

pub mod page;

/// Earlier Message-IDs that are written besides the first.
const REFERENCES_LAST: usize = 20;

/// Bytes of a subject at most.
const SUBJECT_MAX: usize = 900;

/// Words by which programs of all languages mark an answer, in lower case.
const ANSWERS: [&str; 12] = [
    "re", "aw", "sv", "antw", "odp", "ref", "rif", "ynt", "vá", "на", "回复", "答复",
];

/// A mail that is to go out.
#[derive(Debug, Clone, Default)]
pub struct Outgoing<'a> {
    /// The mailbox's address.
    pub from: &'a str,
    /// The name to show; empty for none.
    pub from_name: &'a str,
    /// To whom: addresses, at least one.
    pub to: &'a [String],
    /// Who gets a copy.
    pub cc: &'a [String],
    /// Subject of the last mail that came in, or of a new mail.
    pub subject: &'a str,
    /// Message-ID of the mail that is answered; empty where none is.
    pub in_reply_to: &'a str,
    /// Message-IDs before that one, oldest first.
    pub references: &'a [String],
    /// Our own Message-ID, stored before anything is sent; with or without brackets.
    pub message_id: &'a str,
    /// The text.
    pub text: Text,
    /// Files, in their order.
    pub files: &'a [OutgoingFile],
    /// When it is written; none is the first second of 1970.
    pub date: Option<OffsetDateTime>,
    /// By which the gateway knows its mails again; empty for none.
    pub gateway_id: &'a str,
    /// A machine wrote it.
    pub automatic: bool,
}

/// A file that goes out.
#[derive(Debug, Clone, Default)]
pub struct OutgoingFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// Why a mail cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody would get it.
    #[error("a mail needs a recipient")]
    NoRecipient,
    /// An address is none.
    #[error("not a mail address: {0:?}")]
    Address(String),
    /// A Message-ID would break the fields of the mail.
    #[error("not a Message-ID: {0:?}")]
    MessageId(String),
    /// Another field would.
    #[error("not fit for a field: {0}")]
    Field(&'static str),
    /// It could not be put together.
    #[error("the mail could not be put together")]
    Build,
}

/// Writes a mail.
pub fn compose(mail: &Outgoing<'_>) -> Result<Vec<u8>, Unfit> {
    if mail.to.is_empty() {
        return Err(Unfit::NoRecipient);
    }
    let id = id(mail.message_id)?;
    let date = mail.date.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut builder = Message::builder()
        .from(mailbox(mail.from, mail.from_name)?)
        .date(SystemTime::from(date))
        .message_id(Some(id.clone()));
    for to in mail.to {
        builder = builder.to(mailbox(to, "")?);
    }
    for cc in mail.cc {
        builder = builder.cc(mailbox(cc, "")?);
    }
    let answers = !mail.in_reply_to.is_empty();
    builder = builder.subject(subject(mail.subject, answers));
    // A customer's id that would break the fields, or that we made ourselves, is left out: the answer goes without it.
    if let Ok(answered) = self::id(mail.in_reply_to)
        && !answered.contains("@missing.")
    {
        builder = builder
            .references(references(mail.references, &answered).join(" "))
            .in_reply_to(answered);
    }
    let mut fields: Vec<(&'static str, &str)> = Vec::new();
    if !mail.gateway_id.is_empty() {
        fields.push((GATEWAY_FIELD, mail.gateway_id));
    }
    if mail.automatic {
        let word = if answers {
            "auto-replied"
        } else {
            "auto-generated"
        };
        fields.extend([
            ("Auto-Submitted", word),
            ("X-Auto-Response-Suppress", "All"),
            ("Precedence", "bulk"),
        ]);
    }
    for (name, value) in fields {
        if value.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(Unfit::Field(name));
        }
        let field = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| Unfit::Field(name))?;
        builder = builder.raw_header(HeaderValue::new(field, value.to_owned()));
    }
    let built = builder
        .multipart(body(mail, &id)?)
        .map_err(|_| Unfit::Build)?;
    Ok(built.formatted())
}

/// Returns the subject of an answer, with `Re: ` once, or of a new mail. One line, whatever came in.
pub fn subject(last: &str, answers: bool) -> String {
    let line = one_line(last);
    let mut rest = shortened(&line, SUBJECT_MAX).trim();
    if !answers {
        return rest.to_owned();
    }
    while let Some((word, behind)) = rest.split_once([':', '：']) {
        let word = word.trim().to_lowercase();
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit() || "[]()^*".contains(c));
        if !ANSWERS.contains(&word) {
            break;
        }
        rest = behind.trim();
    }
    format!("Re: {rest}").trim_end().to_owned()
}

/// Returns the Message-IDs of the thread: the first, the last ones, and that of the mail that is answered.
fn references(before: &[String], answered: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for reference in before {
        // An id of somebody's that would break the field is left out: the answer is not.
        if let Ok(id) = id(reference)
            && id != answered
            && !all.contains(&id)
        {
            all.push(id);
        }
    }
    if all.len() > REFERENCES_LAST + 1 {
        all.drain(1..all.len() - REFERENCES_LAST);
    }
    all.push(answered.to_owned());
    all
}

fn body(mail: &Outgoing<'_>, id: &str) -> Result<MultiPart, Unfit> {
    // Of the Message-ID, so that every attempt writes the same bytes.
    let boundary = |level: &str| {
        let hash = Sha256::digest(format!("{level} {id}"));
        format!("part_{level}_{}", hex::encode(&hash[..15]))
    };
    let texts = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(boundary("a"))
        .singlepart(SinglePart::plain(page::plain(&mail.text)))
        .singlepart(SinglePart::html(page::html(&mail.text)));
    if mail.files.is_empty() {
        return Ok(texts);
    }
    let mut mixed = MultiPart::builder()
        .kind(MultiPartKind::Mixed)
        .boundary(boundary("m"))
        .multipart(texts);
    for file in mail.files {
        let kind = file_kind(&file.media_type)?;
        let name = one_line(&file.name).replace(['/', '\\'], "_");
        let name = if name.is_empty() {
            "file".to_owned()
        } else {
            name
        };
        // Left to itself the writer takes text for text, and ends its lines otherwise than the file does.
        let encoding = ContentTransferEncoding::Base64;
        let body =
            Body::new_with_encoding(file.bytes.to_vec(), encoding).map_err(|_| Unfit::Build)?;
        mixed = mixed.singlepart(Attachment::new(name).body(body, kind));
    }
    Ok(mixed)
}

/// Returns the media type under which a file goes. Mails and multiparts must not be encoded (RFC 2046 §5.2.1), and what is
/// not encoded does not stay as it is: they go as files of no kind.
fn file_kind(media_type: &str) -> Result<ContentType, Unfit> {
    let named = one_line(media_type);
    let holds = ["message/", "multipart/"].iter().any(|kind| {
        let start = named.get(..kind.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(kind)
    });
    let named = if holds { "" } else { named.as_str() };
    ContentType::parse(named)
        .or_else(|_| ContentType::parse("application/octet-stream"))
        .map_err(|_| Unfit::Build)
}

/// Returns a mailbox. A name that would break the field loses what would; an address must be one.
fn mailbox(address: &str, name: &str) -> Result<Mailbox, Unfit> {
    let address = address.trim();
    let unfit = || Unfit::Address(shortened(&one_line(address), 100).to_owned());
    if !is_address(address) {
        return Err(unfit());
    }
    let parsed: Address = address.parse().map_err(|_| unfit())?;
    let name = one_line(name);
    Ok(Mailbox::new((!name.is_empty()).then_some(name), parsed))
}

/// Returns a Message-ID with its brackets.
fn id(text: &str) -> Result<String, Unfit> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    let fits = !bare.is_empty()
        && bare.len() <= 900
        && bare
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    if fits {
        return Ok(format!("<{bare}>"));
    }
    Err(Unfit::MessageId(shortened(&one_line(text), 100).to_owned()))
}

/// Makes one line of a text: what would begin a new field becomes a space.
fn one_line(text: &str) -> String {
    let turned = text.chars().map(|c| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            ' '
        } else {
            c
        }
    });
    let line: String = turned.collect();
    words::again(&line.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
