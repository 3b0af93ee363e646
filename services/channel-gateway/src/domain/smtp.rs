//! What a mail server's reply to a submission means (channels.md §5.3).

use std::borrow::Cow;
use std::time::Duration;

use super::refusal::{Class, Refusal, passing, refusal};

/// A reply of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpReply {
    /// The code, as 550.
    pub code: u16,
    /// The enhanced status code, where the text begins with one.
    pub enhanced: Option<Enhanced>,
    /// The text without codes: bounded, without control characters. It is the server's, not fit for agents.
    pub text: String,
}

/// An enhanced status code (RFC 3463), as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced(pub u16, pub u16, pub u16);

/// What the server replied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The greeting, `EHLO` or `STARTTLS`.
    Greeting,
    /// `AUTH`.
    Auth,
    /// `MAIL`: who sends.
    Sender,
    /// `RCPT`: one of those who receive.
    Recipient,
    /// `DATA`, and what came after it.
    Content,
}

/// The longest text that is kept of a reply.
const TEXT_MAX: usize = 500;

/// How long a line waits whose quota is used up.
const QUOTA_WAIT: Duration = Duration::from_hours(1);

impl SmtpReply {
    /// Reads a reply from its code and its text, of which all lines may begin with the enhanced code.
    pub fn read(code: u16, text: &str) -> Self {
        let enhanced = text.split_whitespace().next().and_then(Enhanced::read);
        let clean = |line: &str| {
            let line = line.trim();
            let rest = match line.split_once(' ') {
                Some((first, rest)) if Enhanced::read(first).is_some() => rest,
                _ if Enhanced::read(line).is_some() => "",
                _ => line,
            };
            rest.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect::<String>()
        };
        let lines: Vec<String> = text.lines().map(clean).collect();
        Self {
            code,
            enhanced,
            text: lines.join(" ").trim().chars().take(TEXT_MAX).collect(),
        }
    }

    fn is(&self, subject: u16, detail: u16) -> bool {
        matches!(self.enhanced, Some(Enhanced(_, s, d)) if s == subject && d == detail)
    }

    fn subject(&self) -> Option<u16> {
        self.enhanced.map(|Enhanced(_, subject, _)| subject)
    }
}

impl Enhanced {
    fn read(word: &str) -> Option<Self> {
        let mut numbers = word.split('.');
        let mut number = |most: usize| {
            let digits = numbers.next()?;
            let fits =
                (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let code = Self(number(1)?, number(3)?, number(3)?);
        (numbers.next().is_none() && matches!(code.0, 2 | 4 | 5)).then_some(code)
    }
}

/// Decides what a refusing reply means.
///
/// Whatever is only put off is `Outage`: the same bytes go again, with the same Message-ID, after [`wait`].
pub fn classify(reply: &SmtpReply, stage: Stage) -> Class {
    match reply.code {
        // The mechanism asks for a new password, or the login is refused: nothing goes through this line.
        432 | 530 | 534 | 535 | 538 => credentials(),
        _ if stage == Stage::Auth && reply.code >= 500 => credentials(),
        ..=499 => Class::Outage,
        // A quota of the line, not of the message.
        _ if reply.is(4, 5) => Class::Flood(QUOTA_WAIT),
        // Full now, and emptied some day: for a day it is tried again.
        _ if reply.is(2, 2) => Class::Outage,
        _ if reply.is(3, 4) || reply.is(2, 3) => too_large(),
        552 if reply.enhanced.is_none() => full_or_large(&reply.text, stage),
        _ if reply.subject() == Some(7) => policy(),
        _ if stage == Stage::Sender => refusal(
            "SENDER_REFUSED",
            "The mail server does not let this mailbox send under its address.",
        ),
        _ if reply.subject() == Some(1) => unknown(),
        550 | 551 | 553 if stage == Stage::Recipient && reply.enhanced.is_none() => {
            if speaks_of_policy(&reply.text) {
                policy()
            } else {
                unknown()
            }
        }
        554 if reply.enhanced.is_none() && speaks_of_size(&reply.text) => {
            full_or_large(&reply.text, stage)
        }
        550 | 554 if stage == Stage::Content => policy(),
        _ => passing(
            "MESSAGE_REFUSED",
            "The mail server did not take the message.",
        ),
    }
}

/// Returns how long to wait after the `tries`th try that was put off: 1, 5, 15, then 60 minutes.
pub const fn wait(tries: u32) -> Duration {
    Duration::from_mins(match tries {
        0 | 1 => 1,
        2 => 5,
        3 => 15,
        _ => 60,
    })
}

/// Tells whether a provider keeps a copy of what is sent through it in the Sent folder by itself: a second one would
/// stand beside it.
pub fn stores_copies(host: &str) -> bool {
    const THEIRS: [&str; 7] = [
        "gmail.com",
        "googlemail.com",
        "google.com",
        "office365.com",
        "outlook.com",
        "hotmail.com",
        "live.com",
    ];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    THEIRS.iter().any(|theirs| {
        host.strip_suffix(theirs)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// Finds the id under which a server queued a mail in its reply to it, as `Ok: queued as 4F1A2`.
pub fn queue_id(text: &str) -> Option<String> {
    const BEFORE: [&str; 4] = ["queued as ", "id=", "queued ", "ok id "];
    let lower = text.to_ascii_lowercase();
    let from = BEFORE
        .iter()
        .find_map(|words| Some(lower.find(words)? + words.len()))?;
    let id: String = text
        .get(from..)?
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.@".contains(*c))
        .take(100)
        .collect();
    let id = id.trim_end_matches('.');
    id.bytes()
        .any(|byte| byte.is_ascii_digit())
        .then(|| id.to_owned())
}

/// Returns a mail with CRLF at the end of every line; the same bytes where it is so already.
pub fn with_crlf(raw: &[u8]) -> Cow<'_, [u8]> {
    let lone = |at: usize| match raw.get(at) {
        Some(b'\n') => at == 0 || raw.get(at - 1) != Some(&b'\r'),
        Some(b'\r') => raw.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    let Some(first) = (0..raw.len()).find(|at| lone(*at)) else {
        return Cow::Borrowed(raw);
    };
    let (good, rest) = raw.split_at(first);
    let mut mended = Vec::with_capacity(raw.len() + raw.len() / 32);
    mended.extend_from_slice(good);
    for (at, byte) in (first..).zip(rest) {
        if lone(at) {
            mended.extend_from_slice(b"\r\n");
        } else {
            mended.push(*byte);
        }
    }
    Cow::Owned(mended)
}

/// Returns the refusal of a mail that is larger than the server announced to take.
pub const fn too_large() -> Class {
    refusal(
        "MESSAGE_TOO_LARGE",
        "The message is larger than the mail server takes. Send the files as links.",
    )
}

/// Returns the refusal of an address that nobody can have.
pub const fn unknown() -> Class {
    refusal(
        "ADDRESS_UNKNOWN",
        "The mail server does not know the address.",
    )
}

const fn policy() -> Class {
    refusal(
        "REJECTED_BY_POLICY",
        "The recipient's side rejects the message by its rules, as spam for example.",
    )
}

const fn credentials() -> Class {
    Class::Disconnected(Refusal {
        reason: "CREDENTIALS_REFUSED",
        detail: "The outgoing mail server (SMTP) refuses the mailbox's login: an administrator must connect the mailbox anew.",
        retryable: true,
    })
}

/// 552 means both: storage exceeded, and too much at once.
fn full_or_large(text: &str, stage: Stage) -> Class {
    if speaks_of_size(text) || stage == Stage::Sender {
        too_large()
    } else {
        Class::Outage
    }
}

fn speaks_of_size(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["size", "too large", "too big", "too long"]
        .iter()
        .any(|word| text.contains(word))
}

fn speaks_of_policy(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "spam",
        "policy",
        "block",
        "black",
        "reputation",
        "dmarc",
        "spf",
        "dkim",
        "relay",
    ]
    .iter()
    .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
