//! A mail as one value: who, to whom, about what, which files. Total: there is a reading for any bytes.

use bytes::Bytes;
use memchr::memchr;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::address::{Address, folded};
use super::automatic::{self, Sign};
use super::bounce;
use super::head::Head;
use super::report::Report;
use super::walk::{self, Parts};
use super::{TEXT_MAX, shortened};

mod content;

pub use content::Attached;

/// The private field by which a gateway knows its own mails again.
pub const GATEWAY_FIELD: &str = "X-Gateway-Id";

/// Message-IDs of earlier mails that are kept, newest first; the last is the first of the thread, however long it is.
const REFERENCES_MAX: usize = 50;

/// What of a mail is the mailbox's own.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
    /// The mailbox's address.
    pub address: &'a str,
    /// The domain of the Message-IDs that we write.
    pub domain: &'a str,
    /// Other addresses that arrive in this mailbox.
    pub aliases: &'a [String],
    /// What we write into `X-Gateway-Id`; empty where nothing is written.
    pub gateway_id: &'a str,
}

impl Ours<'_> {
    /// Tells whether an address is the mailbox's own, with or without a tag.
    pub fn owns(&self, address: &str) -> bool {
        self.tag_of(address).is_some()
    }

    /// Returns the tag of an own address: `c551` of `sales+c551@…`, empty where it has none; none where it is
    /// somebody else's.
    pub fn tag_of(&self, address: &str) -> Option<String> {
        let key = folded(address);
        let (local, domain) = key.rsplit_once('@')?;
        let own = std::iter::once(self.address).chain(self.aliases.iter().map(String::as_str));
        for own in own {
            let own = folded(own);
            if own == key {
                return Some(String::new());
            }
            let Some((own_local, own_domain)) = own.rsplit_once('@') else {
                continue;
            };
            let tag = local
                .strip_prefix(own_local)
                .and_then(|tag| tag.strip_prefix('+'));
            if let Some(tag) = tag.filter(|_| own_domain == domain) {
                // The tag as it was written: payloads have case.
                let written = address.trim();
                let start = own_local.len() + 1;
                let kept = written.get(start..start + tag.len()).unwrap_or(tag);
                return Some(kept.to_owned());
            }
        }
        None
    }
}

/// A mail.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a mail is, are many independent answers"
)]
pub struct Mail {
    /// `<…>`, made of the mail's content where it has none.
    pub message_id: String,
    /// The mail had no id of its own.
    pub id_made: bool,
    /// Ids of earlier mails, newest first: of `In-Reply-To`, then of `References` from its end.
    pub references: Vec<String>,
    /// The first of `From`.
    pub from: Address,
    /// The first of `Reply-To` that can be written to.
    pub reply_to: Option<Address>,
    /// All of `To`.
    pub to: Vec<Address>,
    /// All of `Cc`.
    pub cc: Vec<Address>,
    /// Who wrote, or for an outgoing copy who got it.
    pub customer: Address,
    /// The mailbox itself wrote it: a copy of what went out.
    pub outgoing: bool,
    /// One line; empty where there is none.
    pub subject: String,
    /// What the mail itself says about when it was written.
    pub date: Option<OffsetDateTime>,
    /// The plain text, as the sender's program wrote it; none where there is only HTML.
    pub plain: Option<String>,
    /// The HTML as it came, decoded; not sanitised.
    pub html: Option<String>,
    /// Files, in the order in which they stand.
    pub attachments: Vec<Attached>,
    /// A machine wrote it, or asks for no automatic answer; by which sign that shows.
    pub automatic: Option<Sign>,
    /// What it reports about other mails; none where it is a mail of its own.
    pub report: Option<Report>,
    /// Our own gateway wrote it.
    pub own_gateway: bool,
    /// `Received` fields.
    pub received: usize,
    /// The tag of the own address to which it went (D30); none where there is none.
    pub tag: Option<String>,
    /// It is encrypted: nothing of it can be read here.
    pub encrypted: bool,
    /// Parts or text were left out: the whole is in the original only.
    pub cut: bool,
    /// It has no fields: it is no mail.
    pub malformed: bool,
}

/// Reads a mail.
pub fn read(raw: &Bytes, ours: &Ours<'_>) -> Mail {
    let raw = with_line_ends(raw);
    let parts = walk::parts(&raw);
    let Some(root) = parts.list.first() else {
        return Mail::default();
    };
    let head = &root.head;
    let mut mail = Mail {
        malformed: head.is_empty(),
        cut: parts.cut,
        references: references(head),
        from: first(head.addresses("from")),
        to: head.addresses("to"),
        cc: head.addresses("cc"),
        subject: shortened(&head.text("subject"), 1_000).to_owned(),
        date: head.date("date"),
        received: head.all("received").count(),
        own_gateway: !ours.gateway_id.is_empty() && head.text(GATEWAY_FIELD) == ours.gateway_id,
        encrypted: root.typed.is("multipart", "encrypted")
            || (root.typed.subtype.ends_with("pkcs7-mime")
                && root.typed.parameter("smime-type") != Some("signed-data")),
        tag: tag(head, ours),
        ..Mail::default()
    };
    mail.reply_to = head
        .addresses("reply-to")
        .into_iter()
        .find(|address| !address.email.is_empty());
    content::fill(&mut mail, &raw, &parts);
    identify(&mut mail, &raw, &parts, ours);
    who(&mut mail, head, ours);
    mail.automatic = automatic::sign(head, &mail, ours);
    mail.report = bounce::classify(&raw, &parts, &mail, ours);
    mail
}

impl Mail {
    /// Returns the hash of what the mail says, by which two mails with one id are told apart.
    pub fn content_hash(&self) -> String {
        let mut hash = Sha256::new();
        for piece in [
            self.from.email.as_str(),
            self.subject.as_str(),
            self.plain.as_deref().unwrap_or_default(),
            self.html.as_deref().unwrap_or_default(),
        ] {
            hash.update(piece.as_bytes());
            hash.update([0]);
        }
        for file in &self.attachments {
            hash.update(Sha256::digest(&file.bytes));
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// Some old programs end lines with CR alone.
fn with_line_ends(raw: &Bytes) -> Bytes {
    if memchr(b'\n', raw).is_some() || memchr(b'\r', raw).is_none() {
        return raw.clone();
    }
    let turned = raw.iter().map(|b| if *b == b'\r' { b'\n' } else { *b });
    turned.collect::<Vec<u8>>().into()
}

fn first(addresses: Vec<Address>) -> Address {
    let mut addresses = addresses;
    let index = addresses
        .iter()
        .position(|address| !address.email.is_empty());
    if addresses.is_empty() {
        return Address::default();
    }
    addresses.swap_remove(index.unwrap_or(0))
}

fn references(head: &Head<'_>) -> Vec<String> {
    // Several ids of one field are read from its end: the last is the newest.
    let answered = head.ids("in-reply-to").into_iter().rev();
    let mut found: Vec<String> = Vec::new();
    let mut first = None;
    for id in answered.chain(head.ids("references").into_iter().rev()) {
        if found.contains(&id) {
            continue;
        }
        if found.len() < REFERENCES_MAX {
            found.push(id);
        } else {
            first = Some(id);
        }
    }
    if let (Some(first), Some(last)) = (first, found.last_mut()) {
        *last = first;
    }
    found
}

/// Gives the mail its id: its own, or one made of what it says (channels.md §5.1).
fn identify(mail: &mut Mail, raw: &Bytes, parts: &Parts<'_>, ours: &Ours<'_>) {
    let Some(root) = parts.list.first() else {
        return;
    };
    let own = root.head.ids("message-id").into_iter().next();
    if let Some(own) = own.filter(|id| id.len() <= 500 && !id.chars().any(char::is_control)) {
        mail.message_id = own;
        return;
    }
    let body = raw.get(root.body.start..).unwrap_or_default();
    let mut hash = Sha256::new();
    for field in ["date", "from", "to", "subject"] {
        hash.update(root.head.raw(field).unwrap_or_default().trim_ascii());
        hash.update(b"|");
    }
    hash.update(&body[..body.len().min(4_096)]);
    let hash = hex::encode(hash.finalize());
    mail.message_id = format!("<{hash}@missing.{}>", folded(ours.address));
    mail.id_made = true;
}

/// Decides who is the customer (channels.md §5.2).
fn who(mail: &mut Mail, head: &Head<'_>, ours: &Ours<'_>) {
    let from = &mail.from;
    mail.outgoing = !from.email.is_empty() && ours.owns(&from.email);
    if mail.outgoing {
        let mut others = mail.to.iter().chain(&mail.cc);
        let other = others.find(|address| !address.email.is_empty() && !ours.owns(&address.email));
        // A form on our own site writes from our own address, for a person whom `Reply-To` names.
        let person = mail
            .reply_to
            .as_ref()
            .filter(|address| other.is_none() && !ours.owns(&address.email));
        if let Some(person) = person {
            mail.outgoing = false;
            mail.customer = named(person, None);
        } else {
            mail.customer = other.cloned().unwrap_or_default();
        }
        return;
    }
    // A group's address hides who wrote to it.
    let behind = first(head.addresses("x-original-sender"));
    let answered = mail
        .reply_to
        .as_ref()
        .filter(|address| !ours.owns(&address.email));
    mail.customer = if !behind.email.is_empty() && !ours.owns(&behind.email) {
        behind
    } else if let Some(answered) = answered {
        let name = (answered.domain() == from.domain()).then_some(from.name.as_str());
        named(answered, name)
    } else if from.email.is_empty() {
        // Whoever sent it for somebody, else whom its server would tell of a failure.
        let mut others = ["sender", "return-path"]
            .into_iter()
            .map(|field| first(head.addresses(field)));
        let other = others.find(|other| !other.email.is_empty() && !ours.owns(&other.email));
        other.map_or_else(
            || from.clone(),
            |other| named(&other, Some(from.name.as_str())),
        )
    } else {
        from.clone()
    };
}

fn named(address: &Address, name: Option<&str>) -> Address {
    let mut address = address.clone();
    if address.name.is_empty() {
        name.unwrap_or_default().clone_into(&mut address.name);
    }
    address
}

/// Finds the tag of the address to which the mail went (D30). What the mail server wrote goes before what the sender
/// wrote.
fn tag(head: &Head<'_>, ours: &Ours<'_>) -> Option<String> {
    let fields = ["delivered-to", "x-original-to", "envelope-to", "to", "cc"];
    let addresses = fields.into_iter().flat_map(|field| head.addresses(field));
    let mut tags = addresses.filter_map(|address| ours.tag_of(&address.email));
    tags.find(|tag| !tag.is_empty() && tag.len() <= 64)
}

/// Returns how much of the text may still be read.
fn budget(used: usize) -> usize {
    TEXT_MAX.saturating_sub(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_thread_keeps_its_newest_ids_and_its_first() {
        let ids: Vec<String> = (0..80).map(|number| format!("<{number}@x>")).collect();
        let raw = format!(
            "Subject: a\r\nIn-Reply-To: <79@x>\r\nReferences: {}\r\n\r\nb",
            ids.join("\r\n ")
        );
        let ours = Ours {
            address: "sales@shop.example",
            domain: "shop.example",
            aliases: &[],
            gateway_id: "",
        };
        let kept = read(&Bytes::from(raw), &ours).references;
        let mut expected: Vec<String> = (31..80).rev().map(|it| format!("<{it}@x>")).collect();
        expected.push("<0@x>".to_owned());
        assert_eq!(kept, expected);
    }
}
