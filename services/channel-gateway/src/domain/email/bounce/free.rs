//! Reports in no standard form: known by who sends them and by what servers are used to say.

use super::super::address::{folded, is_address};
use super::super::automatic::is_unread;
use super::super::head::{Head, ids};
use super::super::read::{Mail, Ours};
use super::super::report::{Action, Recipient};
use super::super::typed::Typed;
use super::vocabulary::{COPY, PHRASES, STILL_TRIES, SUBJECTS};
use super::{Original, RECIPIENTS_MAX, address_of, reason, status};

/// What speaks for a report before its text was read.
struct Outside {
    /// Its sender is a mail server, or it has the form of a report.
    server: bool,
    /// It has no sender who could be answered.
    nobody: bool,
    /// Its subject is that of a report.
    named: bool,
}

fn outside(head: &Head<'_>, typed: &Typed, mail: &Mail) -> Outside {
    let subject = mail.subject.to_lowercase();
    let failed = head.raw("x-failed-recipients").is_some();
    let form = typed.is("multipart", "report");
    let empty_sender = head.raw("return-path").is_some_and(|path| {
        let path = path.trim_ascii();
        path == b"<>" || path.to_ascii_lowercase().starts_with(b"<mailer-daemon")
    });
    Outside {
        server: is_server(mail) || form || failed,
        nobody: empty_sender || is_unread(&mail.from.email),
        named: SUBJECTS.iter().any(|word| subject.contains(word)),
    }
}

/// Tells whether the text of a mail must be asked whether it is a report. Of most mails it need not.
pub fn may_be_report(head: &Head<'_>, typed: &Typed, mail: &Mail) -> bool {
    let outside = outside(head, typed, mail);
    outside.server || outside.nobody
}

/// Tells whether a mail without the parts of a report is one.
pub fn is_report(
    head: &Head<'_>,
    typed: &Typed,
    mail: &Mail,
    text: &str,
    gives_back: bool,
) -> bool {
    let Outside {
        server,
        nobody,
        named,
    } = outside(head, typed, mail);
    let lower = text.to_lowercase();
    let found = status::codes(text);
    let says = PHRASES.iter().any(|phrase| lower.contains(phrase));
    let coded = found.reply >= 400 || found.status.starts_with(['4', '5']);
    if server {
        // A postmaster may also be a person who writes about something else.
        let about = 2 * u8::from(named)
            + u8::from(says)
            + u8::from(coded)
            + u8::from(gives_back)
            + u8::from(nobody);
        return about >= 2;
    }
    // A shop that nobody can answer writes about deliveries too: there must be a mail that came back, or a server's code.
    nobody && ((gives_back && (named || says)) || (named && says && coded))
}

fn is_server(mail: &Mail) -> bool {
    let address = if mail.from.email.is_empty() {
        &mail.from.name
    } else {
        &mail.from.email
    };
    let name = mail.from.name.to_lowercase();
    let local = address.split('@').next().unwrap_or_default().to_lowercase();
    let daemon = |text: &str| {
        let bare: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        [
            "mailerdaemon",
            "postmaster",
            "maildeliver",
            "mailadmin",
            "ndradministrator",
            "mailsystem",
            "deliverysystem",
        ]
        .iter()
        .any(|word| bare.contains(word))
    };
    daemon(&local) || daemon(&name)
}

/// Finds of whom a report speaks, and what it says about them. There is always one.
pub fn recipients(
    head: &Head<'_>,
    mail: &Mail,
    text: &str,
    inner: Option<&Original>,
    ours: &Ours<'_>,
) -> Vec<Recipient> {
    let formed = status::recipients(text);
    if !formed.is_empty() {
        return formed;
    }
    if let Some(inner) = inner.filter(|inner| !inner.passed_on.is_empty()) {
        return inner.passed_on.clone();
    }
    let report = before_copy(text);
    let lower = report.to_lowercase();
    let delayed = STILL_TRIES.iter().any(|phrase| lower.contains(phrase));
    let own_ids = format!("@{}", folded(ours.domain));
    let stranger = |address: &str| {
        let key = folded(address);
        is_address(address)
            && !ours.owns(address)
            && !is_unread(address)
            && !key.ends_with(&own_ids)
            && key != mail.from.key()
            && !mail.to.iter().any(|to| to.key() == key)
    };
    let failed = head.all("x-failed-recipients").take(5);
    let failed = failed.flat_map(super::super::address::list);
    let mut found = distinct(
        failed
            .map(|address| address.email)
            .filter(|address| stranger(address)),
    );
    // Reports set off the addresses they speak of: lines that begin with one are asked first.
    for leading in [true, false] {
        if found.is_empty() {
            let named = report
                .lines()
                .take(400)
                .flat_map(|line| addresses_in(line, leading));
            found = distinct(named.filter(|address| stranger(address)).map(str::to_owned));
        }
    }
    if found.is_empty() {
        let to = inner
            .map(|inner| inner.to.clone())
            .filter(|to| !to.is_empty());
        found.extend(to.or_else(|| to_in_copy(text)));
    }
    if found.is_empty() {
        found.push(String::new());
    }
    let found = found.into_iter().map(|address| {
        let words = words_about(report, &address);
        let codes = status::codes(&words);
        let still = delayed && !codes.status.starts_with('5') && codes.reply / 100 != 5;
        let action = if still {
            Action::Delayed
        } else {
            Action::Failed
        };
        let mut recipient = status::recipient(address, Some(action), "", &words);
        if recipient.reason == "UNDELIVERABLE" {
            recipient.reason = reason::of(
                &recipient.status,
                codes.reply,
                &format!("{} {lower}", mail.subject),
            );
        }
        recipient
    });
    found.collect()
}

fn distinct(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in addresses {
        let key = folded(&address);
        if found.len() < RECIPIENTS_MAX && !found.iter().any(|known| folded(known) == key) {
            found.push(address);
        }
    }
    found
}

/// Returns the addresses of a line; of those only the one at its start, where that is asked for.
fn addresses_in(line: &str, leading: bool) -> impl Iterator<Item = &str> {
    let line = if leading {
        line.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_')
    } else {
        line
    };
    let words = line.split(|c: char| c.is_whitespace() || "<>\":;,()[]".contains(c));
    let words = words.map(|word| word.trim_matches(['.', '\'']));
    words
        .take(if leading { 1 } else { 100 })
        .filter(|word| is_address(word))
}

/// Takes better words for those recipients of whom the fields say too little.
pub fn sharpen(recipients: &mut [Recipient], text: &str) {
    let vague = |found: &Recipient| {
        matches!(found.action, Action::Failed | Action::Delayed)
            && (found.detail.trim().is_empty() || found.reason == "UNDELIVERABLE")
    };
    if !recipients.iter().any(vague) {
        return;
    }
    let report = before_copy(text);
    for found in recipients.iter_mut().filter(|found| vague(found)) {
        let words = words_about(report, &found.address);
        let better = status::recipient(String::new(), Some(found.action), &found.status, &words);
        if better.reason != "UNDELIVERABLE" {
            found.reason = better.reason;
        }
        if found.detail.trim().is_empty() {
            found.detail = better.detail;
        }
    }
}

/// Finds the Message-ID of the mail that a text gives back.
pub fn id_in(text: &str) -> Option<String> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches(['>', ' ', '\t', '|']);
        let named = ["message-id:", "resent-message-id:"].iter().find(|name| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        let Some(named) = named else { continue };
        let value = line.get(named.len()..).unwrap_or_default().trim();
        let value = if value.is_empty() {
            lines.next().unwrap_or_default()
        } else {
            value
        };
        if let Some(id) = ids(value.as_bytes()).into_iter().next() {
            return Some(id);
        }
    }
    None
}

fn to_in_copy(text: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(|line| line.trim_start_matches(['>', ' ', '\t']));
    let line = lines.find(|line| {
        line.get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("to:"))
    })?;
    let address = address_of(line.get(3..)?);
    (!address.is_empty()).then_some(address)
}

/// Returns what the server wrote, without the mail that it gives back.
fn before_copy(text: &str) -> &str {
    let mut at = 0;
    let mut fields = 0;
    let mut first_field = 0;
    let mut written = false;
    for line in text.split_inclusive('\n') {
        let lower = line.to_lowercase();
        let trimmed = lower.trim();
        // Fields of a mail, three of them in a row, are a mail.
        let field = [
            "received:",
            "return-path:",
            "message-id:",
            "from:",
            "to:",
            "subject:",
            "date:",
            "mime-version:",
            "content-type:",
            "x-mailer:",
            "delivered-to:",
            "reply-to:",
        ]
        .iter()
        .any(|name| lower.starts_with(name));
        if field {
            if fields == 0 {
                first_field = at;
            }
            fields += 1;
            if fields >= 3 {
                return &text[..first_field];
            }
        } else if !line.starts_with([' ', '\t']) && !trimmed.is_empty() {
            fields = 0;
        }
        let copy = written
            && COPY.iter().any(|phrase| trimmed.contains(phrase))
            && !trimmed.starts_with("the original message was received");
        if copy && at > 0 {
            return &text[..at];
        }
        written |= !trimmed.is_empty();
        at += line.len();
    }
    text
}

/// Returns what a report says about an address: from its line on, or everything.
fn words_about(report: &str, address: &str) -> String {
    let lower = report.to_lowercase();
    let at = if address.is_empty() {
        None
    } else {
        lower.find(&folded(address))
    };
    let from = at.and_then(|at| report.get(at..)).unwrap_or(report);
    let joined: Vec<&str> = from.split_whitespace().take(120).collect();
    let about = joined.join(" ");
    let codes = status::codes(&about);
    let told = codes.reply >= 400
        || !codes.status.is_empty()
        || reason::by_words(&about.to_lowercase()).is_some();
    if told || at.is_none() {
        return about;
    }
    let all: Vec<&str> = report.split_whitespace().take(400).collect();
    all.join(" ")
}
