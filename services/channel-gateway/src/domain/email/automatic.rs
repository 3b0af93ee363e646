//! Signs that a machine wrote a mail (channels.md §5.2, "Automatic mail").

use super::head::Head;
use super::read::{Mail, Ours};

/// By which sign a mail shows that it must not be answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Our own gateway wrote it.
    OwnGateway,
    /// `Auto-Submitted` says so (RFC 3834).
    AutoSubmitted,
    /// It is a report about other mails.
    Report,
    /// It has no envelope sender: nobody wants an answer.
    EmptySender,
    /// A field of an answering machine, as `X-Autoreply`.
    AutoField,
    /// `Precedence` says bulk, list, junk or automatic.
    Precedence,
    /// It came over a mailing list.
    List,
    /// Its sender cannot be answered, as `no-reply@`.
    NoReply,
    /// It asks for no automatic answers, as some mails of people do: that alone does not make it automatic.
    Suppress,
}

impl Sign {
    /// Tells whether a machine wrote the mail. Otherwise it only asks not to be answered by one.
    pub fn is_machine(self) -> bool {
        self != Self::Suppress
    }
}

/// Local parts of senders that nobody reads.
const UNREAD: [&str; 14] = [
    "mailer-daemon",
    "mailerdaemon",
    "mail-daemon",
    "postmaster",
    "no-reply",
    "noreply",
    "no.reply",
    "no_reply",
    "do-not-reply",
    "donotreply",
    "do_not_reply",
    "do.not.reply",
    "autoreply",
    "bounce",
];

/// Finds the strongest sign; none where a person wrote.
pub fn sign(head: &Head<'_>, mail: &Mail, ours: &Ours<'_>) -> Option<Sign> {
    if mail.own_gateway {
        return Some(Sign::OwnGateway);
    }
    let submitted = head.word("auto-submitted");
    let submitted = submitted.split(';').next().unwrap_or_default().trim();
    if !submitted.is_empty() && submitted != "no" {
        return Some(Sign::AutoSubmitted);
    }
    let reports = head
        .typed("content-type")
        .is_some_and(|typed| typed.is("multipart", "report"));
    if reports {
        return Some(Sign::Report);
    }
    let returned = head.raw("return-path").map(<[u8]>::trim_ascii);
    if returned == Some(b"<>") {
        return Some(Sign::EmptySender);
    }
    let auto = [
        "x-autoreply",
        "x-autorespond",
        "x-autoresponder",
        "x-loop",
        "x-auto-reply-from",
    ];
    let auto = auto.into_iter().any(|field| {
        let value = head.word(field);
        !value.is_empty() && value != "no" && value != "false"
    });
    if auto {
        return Some(Sign::AutoField);
    }
    if matches!(
        head.word("precedence").trim(),
        "bulk" | "list" | "junk" | "auto_reply" | "auto-reply"
    ) {
        return Some(Sign::Precedence);
    }
    if head.raw("list-id").is_some() || head.raw("list-unsubscribe").is_some() {
        return Some(Sign::List);
    }
    // A form of a website sends from such an address for a person, whom it names as the one to answer.
    let for_somebody = mail
        .reply_to
        .as_ref()
        .is_some_and(|person| !is_unread(&person.email));
    if is_unread(&mail.from.email) && !ours.owns(&mail.from.email) && !for_somebody {
        return Some(Sign::NoReply);
    }
    let suppressed = head.word("x-auto-response-suppress");
    let suppressed = suppressed
        .split([',', ' '])
        .any(|word| matches!(word.trim(), "all" | "oof" | "autoreply"));
    suppressed.then_some(Sign::Suppress)
}

/// Tells whether an address belongs to a machine, by its local part.
pub fn is_unread(address: &str) -> bool {
    let key = address.trim().to_lowercase();
    let local = key.split('@').next().unwrap_or_default();
    UNREAD.iter().any(|word| {
        local
            .strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '+', '.', '_', '=']))
    }) || ["noreply", "no-reply", "donotreply"].iter().any(|word| {
        local
            .strip_suffix(word)
            .is_some_and(|rest| rest.ends_with(['-', '.', '_']))
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;
    use bytes::Bytes;

    #[test]
    fn machines_show_themselves() {
        let ours = Ours {
            address: "sales@shop.example",
            domain: "gw.shop.example",
            aliases: &[],
            gateway_id: "gw-1",
        };
        for (fields, expected) in [
            ("Auto-Submitted: auto-replied", Some(Sign::AutoSubmitted)),
            ("Auto-Submitted: no", None),
            ("Precedence: Bulk", Some(Sign::Precedence)),
            ("Precedence: first-class", None),
            (
                "X-Auto-Response-Suppress: OOF, AutoReply",
                Some(Sign::Suppress),
            ),
            ("X-Auto-Response-Suppress: DR", None),
            ("X-Autoreply: yes", Some(Sign::AutoField)),
            ("X-Loop: list@x", Some(Sign::AutoField)),
            ("List-Id: <a.b>", Some(Sign::List)),
            ("List-Unsubscribe: <mailto:a@b>", Some(Sign::List)),
            ("Return-Path: <>", Some(Sign::EmptySender)),
            ("Return-Path: <a@b.example>", None),
            ("From: MAILER-DAEMON@x.example", Some(Sign::NoReply)),
            ("From: no-reply+12@x.example", Some(Sign::NoReply)),
            ("From: shop-noreply@x.example", Some(Sign::NoReply)),
            ("From: noreplyanna@x.example", None),
            ("From: no-reply@x.example\r\nReply-To: anna@y.example", None),
            (
                "From: no-reply@x.example\r\nReply-To: noreply@y.example",
                Some(Sign::NoReply),
            ),
            (
                "Content-Type: multipart/report; boundary=x",
                Some(Sign::Report),
            ),
            ("X-Gateway-Id: gw-1", Some(Sign::OwnGateway)),
            ("X-Gateway-Id: somebody else's", None),
        ] {
            let raw = format!("{fields}\r\nSubject: a\r\n\r\nbody");
            let mail = read(&Bytes::from(raw), &ours);
            assert_eq!(mail.automatic, expected, "{fields}");
        }
        assert!(!Sign::Suppress.is_machine() && Sign::List.is_machine());
    }
}
