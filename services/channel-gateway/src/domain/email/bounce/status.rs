//! The fields of a delivery status (RFC 3464), and the codes in a server's words.

use std::sync::LazyLock;

use regex::Regex;

use super::super::head::Head;
use super::super::report::{Action, Recipient};
use super::super::shortened;
use super::{DETAIL_MAX, RECIPIENTS_MAX, address_of, reason};

/// A reply code with or without an enhanced one, or an enhanced one alone.
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^0-9.])([245]\d\d)[ \-](?:#?([245]\.\d{1,3}\.\d{1,3})\b)?|(?:^|[^0-9.])([245]\.\d{1,2}\.\d{1,3})(?:[^0-9.]|\.?\s|\.?$)").ok()
});

/// Codes in a server's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    /// As `550`; 0 where there is none.
    pub reply: u16,
    /// As `5.1.1`; empty where there is none.
    pub status: String,
}

/// Finds the first codes of failure in a text; those of success only where there are no others.
pub fn codes(text: &str) -> Codes {
    let mut found = Codes::default();
    let Some(pattern) = CODE.as_ref() else {
        return found;
    };
    for captures in pattern.captures_iter(shortened(text, 16 * 1024)).take(200) {
        let reply = captures
            .get(1)
            .and_then(|code| code.as_str().parse().ok())
            .unwrap_or(0);
        let status = captures
            .get(2)
            .or_else(|| captures.get(3))
            .map(|code| code.as_str());
        let success = reply / 100 == 2 || status.is_some_and(|status| status.starts_with('2'));
        if success {
            continue;
        }
        if found.reply == 0 {
            found.reply = reply;
        }
        if found.status.is_empty() {
            status.unwrap_or_default().clone_into(&mut found.status);
        }
        if found.reply != 0 && !found.status.is_empty() {
            break;
        }
    }
    found
}

/// Reads the groups of a delivery status. Reports that forget the empty lines between them are read as well.
pub fn recipients(text: &str) -> Vec<Recipient> {
    let mut found = Vec::new();
    for block in blocks(text) {
        if found.len() >= RECIPIENTS_MAX {
            break;
        }
        let (head, _) = Head::find(block.as_bytes());
        let named = [
            "final-recipient",
            "original-recipient",
            "x-actual-recipient",
        ];
        let named = named.map(|field| address_of(&head.text(field)));
        let named: Vec<String> = named.into_iter().filter(|it| !it.is_empty()).collect();
        let address = named.first().cloned();
        let action = head.word("action");
        if address.is_none() && (action.is_empty() || head.raw("final-recipient").is_none()) {
            continue;
        }
        let diagnostic = head.text("diagnostic-code");
        let detail = match diagnostic.split_once(';') {
            Some((kind, words)) if kind.len() < 20 => words.trim(),
            _ => diagnostic.as_str(),
        };
        let status = head.text("status");
        // Some write the words behind the code.
        let comment = status
            .split_once('(')
            .map(|(_, words)| words.trim_end_matches(')'));
        let recipient = recipient(
            address.unwrap_or_default(),
            action_of(&action),
            &status_of(&status),
            if detail.trim().is_empty() {
                comment.unwrap_or_default()
            } else {
                detail
            },
        );
        found.push(Recipient { named, ..recipient });
    }
    found
}

/// Puts together what is known of one recipient.
pub fn recipient(address: String, action: Option<Action>, status: &str, detail: &str) -> Recipient {
    let codes = codes(detail);
    // A status that says nothing gives way to what the server said.
    let vague = status.is_empty() || status.ends_with(".0.0");
    let status = if vague && !codes.status.is_empty() {
        codes.status.as_str()
    } else {
        status
    };
    let action = action.unwrap_or(match status.chars().next() {
        Some('2') => Action::Delivered,
        Some('4') => Action::Delayed,
        _ => Action::Failed,
    });
    let bad = matches!(action, Action::Failed | Action::Delayed);
    let status = if status.is_empty() && bad && codes.reply > 0 {
        format!("{}.0.0", codes.reply / 100)
    } else {
        status.to_owned()
    };
    Recipient {
        reason: if bad {
            reason::of(&status, codes.reply, detail)
        } else {
            ""
        },
        permanent: action == Action::Failed
            && !status.starts_with('4')
            && (status.starts_with('5') || codes.reply / 100 != 4),
        address,
        named: Vec::new(),
        action,
        status,
        detail: shortened(detail, DETAIL_MAX).to_owned(),
    }
}

/// Splits at empty lines, and where a group begins without one.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut named = false;
    for line in text.lines() {
        let starts = line
            .get(..16)
            .is_some_and(|start| start.eq_ignore_ascii_case("final-recipient:"));
        if line.trim().is_empty() || (starts && named) {
            blocks.push(String::new());
            named = false;
        }
        named |= starts;
        if let Some(block) = blocks.last_mut().filter(|_| !line.trim().is_empty()) {
            block.push_str(line);
            block.push('\n');
        }
        if blocks.len() > 4 * RECIPIENTS_MAX {
            break;
        }
    }
    blocks
}

fn action_of(word: &str) -> Option<Action> {
    match word
        .split([' ', ';', '('])
        .next()
        .unwrap_or_default()
        .trim()
    {
        "failed" | "failure" | "fail" => Some(Action::Failed),
        "delayed" => Some(Action::Delayed),
        // Who relays tells no more: what comes back later all the same counts after it.
        "delivered" | "deliverable" | "relayed" => Some(Action::Delivered),
        "expanded" => Some(Action::Expanded),
        _ => None,
    }
}

fn status_of(text: &str) -> String {
    let start = text.trim().trim_start_matches('#');
    let code: String = start
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let parts: Vec<&str> = code.split('.').collect();
    let fits = parts.len() == 3 && parts.iter().all(|part| (1..=3).contains(&part.len()));
    if fits && matches!(parts.first(), Some(&"2" | &"4" | &"5")) {
        return code;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_a_servers_words() {
        for (text, reply, status) in [
            ("550 5.1.1 <a@b>... User Unknown", 550, "5.1.1"),
            ("host x[192.0.2.5] said: 550-5.7.1 no", 550, "5.7.1"),
            (
                "550 sorry, no mailbox here by that name (#5.1.1 - chkusr)",
                550,
                "5.1.1",
            ),
            ("5.2.2 <a@b>... Mailbox Full", 0, "5.2.2"),
            ("250 ok then 452 4.2.2 full", 452, "4.2.2"),
            ("from 192.0.2.5 at 10.5.1.1", 0, ""),
            ("5550 things", 0, ""),
        ] {
            let codes = codes(text);
            assert_eq!(
                (codes.reply, codes.status.as_str()),
                (reply, status),
                "{text}"
            );
        }
    }

    #[test]
    fn groups_are_read_each_for_itself() {
        let text = "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\n\
            Diagnostic-Code: smtp; 550 5.1.1 No such user\n\nFinal-Recipient: RFC822;b@x.example\nAction: delayed\nStatus: 4.4.1\n\
            \nOriginal-Recipient: rfc822;c@x.example\nAction: relayed\nStatus: 2.1.5\n";
        let found = recipients(text);
        let found: Vec<_> = found
            .iter()
            .map(|r| {
                (
                    r.address.as_str(),
                    r.action,
                    r.status.as_str(),
                    r.reason,
                    r.permanent,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (
                    "a@x.example",
                    Action::Failed,
                    "5.1.1",
                    "MAILBOX_UNKNOWN",
                    true
                ),
                ("b@x.example", Action::Delayed, "4.4.1", "NETWORK", false),
                ("c@x.example", Action::Delivered, "2.1.5", "", false),
            ]
        );
    }
}
