//! Reports about mails that went out, in the forms of the standards (RFC 3464, 8098, 5965) and in none
//! (channels.md §5.2, "Bounce").

use bytes::Bytes;

use super::address::is_address;
use super::head::Head;
use super::read::{Mail, Ours};
use super::report::{Action, Recipient, Report, ReportKind};
use super::walk::{Part, Parts};
use super::{body, html, shortened};

pub mod free;
pub mod reason;
mod said;
pub mod status;
mod vocabulary;

/// Bytes of a report's part that are read.
pub const REPORT_MAX: usize = 128 * 1024;

/// Recipients of one report.
pub const RECIPIENTS_MAX: usize = 100;

/// Bytes of a server's words that are kept.
pub const DETAIL_MAX: usize = 500;

/// Reads what a mail reports; none where it is a mail of its own.
pub fn classify(raw: &Bytes, parts: &Parts<'_>, mail: &Mail, ours: &Ours<'_>) -> Option<Report> {
    let leaves = || parts.list.iter().filter(|part| !part.holds);
    let is = |part: &&Part<'_>, subtype: &str| {
        part.typed.kind == "message" && part.typed.subtype == subtype
    };
    let inner = original(raw, parts);
    if let Some(part) = leaves().find(|part| is(part, "feedback-report")) {
        return Some(complaint(
            &body::text(raw, part, REPORT_MAX),
            inner.as_ref(),
        ));
    }
    if let Some(part) = leaves().find(|part| is(part, "disposition-notification")) {
        return Some(receipt(&body::text(raw, part, REPORT_MAX), mail));
    }
    let status =
        leaves().filter(|part| is(part, "delivery-status") || is(part, "global-delivery-status"));
    let mut recipients: Vec<Recipient> = status
        .flat_map(|part| status::recipients(&body::text(raw, part, REPORT_MAX)))
        .take(RECIPIENTS_MAX)
        .collect();
    let root = parts.list.first()?;
    if recipients.is_empty() && !free::may_be_report(&root.head, &root.typed, mail) {
        return None;
    }
    let text = words(mail);
    if recipients.is_empty() {
        if !free::is_report(&root.head, &root.typed, mail, &text, inner.is_some()) {
            return None;
        }
        recipients = free::recipients(&root.head, mail, &text, inner.as_ref(), ours);
    }
    free::sharpen(&mut recipients, &text);
    let kind = if recipients
        .iter()
        .any(|found| found.action == Action::Failed)
    {
        ReportKind::Bounce
    } else if recipients
        .iter()
        .any(|found| found.action == Action::Delayed)
    {
        ReportKind::Delay
    } else if recipients
        .iter()
        .all(|found| found.action == Action::Expanded)
    {
        ReportKind::Expanded
    } else {
        ReportKind::Delivered
    };
    Some(Report {
        kind,
        original_id: inner
            .and_then(|inner| inner.id)
            .or_else(|| free::id_in(&text))
            .or_else(|| own_id(mail, &text, ours)),
        recipients,
        word: String::new(),
    })
}

/// What is known of the mail that a report is about.
#[derive(Debug, Clone, Default)]
pub struct Original {
    /// Its Message-ID.
    pub id: Option<String>,
    /// The first to whom it went.
    pub to: String,
    /// What it says itself, where it is a report that somebody passed on.
    pub passed_on: Vec<Recipient>,
}

/// Finds the mail, or the fields of it, that a report gives back.
fn original(raw: &Bytes, parts: &Parts<'_>) -> Option<Original> {
    let mut found = parts.list.iter().skip(1).filter(|part| {
        !part.holds
            && matches!(
                (part.typed.kind.as_str(), part.typed.subtype.as_str()),
                (
                    "message",
                    "rfc822" | "global" | "rfc822-headers" | "global-headers"
                ) | ("text", "rfc822-headers" | "rfc822")
            )
    });
    let part = found.next()?;
    let bytes = body::content(raw, part, REPORT_MAX);
    let (head, start) = Head::find(&bytes[..bytes.len().min(REPORT_MAX)]);
    let to = head
        .addresses("to")
        .into_iter()
        .map(|address| address.email);
    let mut id = head.ids("message-id").into_iter().next();
    let report = head.typed("content-type");
    let report = report.is_some_and(|typed| typed.is("multipart", "report"));
    let mut passed_on = Vec::new();
    if report {
        let body = bytes.get(start..).unwrap_or_default();
        let body = String::from_utf8_lossy(&body[..body.len().min(REPORT_MAX)]);
        passed_on = status::recipients(&body);
        id = free::id_in(&body).or(id);
    }
    Some(Original {
        id,
        passed_on,
        to: to
            .into_iter()
            .find(|email| !email.is_empty())
            .unwrap_or_default(),
    })
}

/// The report as a person reads it.
fn words(mail: &Mail) -> String {
    let text = match (&mail.plain, &mail.html) {
        (Some(plain), _) if !plain.trim().is_empty() => shortened(plain, REPORT_MAX).to_owned(),
        (_, Some(page)) => html::to_text(shortened(page, REPORT_MAX)),
        _ => String::new(),
    };
    // Some reports hold the server's words in a file of text beside an empty body.
    if text.trim().is_empty() {
        let file = mail.attachments.iter().find(|file| {
            file.media_type.starts_with("text/") || file.media_type == "message/delivery-status"
        });
        return file
            .map(|file| {
                String::from_utf8_lossy(&file.bytes[..file.bytes.len().min(REPORT_MAX)])
                    .into_owned()
            })
            .unwrap_or_default();
    }
    text
}

/// The last ways to find of which mail a report speaks: one of our Message-IDs, in the fields or anywhere in the text.
fn own_id(mail: &Mail, text: &str, ours: &Ours<'_>) -> Option<String> {
    let ending = format!("@{}>", ours.domain.to_lowercase());
    let own = |id: &&String| !ours.domain.is_empty() && id.to_lowercase().ends_with(&ending);
    if let Some(id) = mail.references.iter().find(own) {
        return Some(id.clone());
    }
    let pieces = text.split('<').skip(1).take(2_000);
    let mut ids = pieces.filter_map(|piece| {
        let (id, _) = piece.split_once('>')?;
        Some(format!("<{id}>"))
    });
    ids.find(|id| own(&id) && id.len() < 500 && !id.contains(char::is_whitespace))
        .or_else(|| mail.references.first().cloned())
}

fn complaint(text: &str, inner: Option<&Original>) -> Report {
    let (head, _) = Head::find(text.as_bytes());
    let address = ["original-rcpt-to", "removal-recipient", "final-recipient"]
        .into_iter()
        .map(|field| address_of(&head.text(field)))
        .find(|address| !address.is_empty());
    let address = address.or_else(|| inner.map(|inner| inner.to.clone()));
    Report {
        kind: ReportKind::Complaint,
        recipients: address
            .filter(|address| !address.is_empty())
            .map(|address| Recipient {
                address,
                named: Vec::new(),
                action: Action::Delivered,
                status: String::new(),
                reason: "COMPLAINT",
                permanent: true,
                detail: String::new(),
            })
            .into_iter()
            .collect(),
        original_id: inner.and_then(|inner| inner.id.clone()),
        word: shortened(&head.word("feedback-type"), 40).to_owned(),
    }
}

fn receipt(text: &str, mail: &Mail) -> Report {
    let (head, _) = Head::find(text.as_bytes());
    let disposition = head.word("disposition");
    let word = disposition.rsplit(';').next().unwrap_or_default();
    let word = word.split('/').next().unwrap_or_default().trim();
    let (kind, action) = match word {
        "displayed" | "read" => (ReportKind::Read, Action::Displayed),
        "deleted" | "dispatched" | "processed" => (ReportKind::Delivered, Action::Delivered),
        _ => (ReportKind::Other, Action::Delivered),
    };
    let address = ["final-recipient", "original-recipient"]
        .into_iter()
        .map(|field| address_of(&head.text(field)))
        .find(|address| !address.is_empty());
    Report {
        kind,
        recipients: vec![Recipient {
            address: address.unwrap_or_else(|| mail.from.email.clone()),
            named: Vec::new(),
            action,
            status: String::new(),
            reason: "",
            permanent: false,
            detail: String::new(),
        }],
        original_id: head
            .ids("original-message-id")
            .into_iter()
            .next()
            .or_else(|| mail.references.first().cloned()),
        word: shortened(word, 40).to_owned(),
    }
}

/// Returns the address of `rfc822; a@b`, `<a@b>` or `a@b`; empty where there is none.
pub fn address_of(text: &str) -> String {
    let text = text.rsplit_once(';').map_or(text, |(_, address)| address);
    let inside = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    let text = inside.map_or(text, |(address, _)| address);
    let address = text.trim().trim_matches(|c| "<>\"'".contains(c)).trim();
    if is_address(address) {
        return address.to_owned();
    }
    String::new()
}
