//! Protection from loops: machines must not answer machines (channels.md §5.4, B15).

use super::address::folded;
use super::automatic::{Sign, is_unread};
use super::read::Mail;

/// `Received` fields of a mail above which it is set aside: it goes in circles.
pub const RECEIVED_MAX: usize = 50;

/// Automatic answers to one sender from one mailbox within 24 hours.
pub const ANSWERS_PER_DAY: u32 = 1;

/// Mails of one sender within 10 minutes above which nothing is automatic any more.
pub const MAILS_PER_TEN_MINUTES: u32 = 10;

/// What happened between a mailbox and a sender before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Automatic answers that went to the sender in the last 24 hours.
    pub answered_in_day: u32,
    /// Mails that came from the sender in the last 10 minutes, this one included.
    pub came_in_ten_minutes: u32,
}

/// Addresses and domains that are ours, of all connected mailboxes. All case-folded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// Addresses of the mailboxes and their aliases.
    pub addresses: &'a [String],
    /// Domains that only we write from.
    pub domains: &'a [String],
}

/// Why a mail gets no automatic answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// We wrote it, or one of our mailboxes did.
    Own,
    /// A machine wrote it, or it asks for no answer.
    Automatic(Sign),
    /// It is a report.
    Report,
    /// It goes in circles.
    Loop,
    /// Nobody could be answered.
    NoAddress,
    /// The sender had an automatic answer already.
    Answered,
    /// The sender writes too much: an administrator must know.
    Flood,
}

/// Decides whether a mail may be answered by a machine, and why not.
pub fn may_answer_automatically(mail: &Mail, history: History, own: Own<'_>) -> Result<(), Hold> {
    if mail.outgoing
        || mail.own_gateway
        || is_own(&mail.customer.email, own)
        || is_own(&mail.from.email, own)
    {
        return Err(Hold::Own);
    }
    if mail.received > RECEIVED_MAX {
        return Err(Hold::Loop);
    }
    if mail.report.is_some() {
        return Err(Hold::Report);
    }
    if let Some(sign) = mail.automatic {
        return Err(Hold::Automatic(sign));
    }
    if mail.customer.email.is_empty() {
        return Err(Hold::NoAddress);
    }
    if is_unread(&mail.customer.email) {
        return Err(Hold::Automatic(Sign::NoReply));
    }
    if is_flood(history) {
        return Err(Hold::Flood);
    }
    if history.answered_in_day >= ANSWERS_PER_DAY {
        return Err(Hold::Answered);
    }
    Ok(())
}

/// Tells whether a sender writes so much that everything automatic stops and somebody must know.
pub fn is_flood(history: History) -> bool {
    history.came_in_ten_minutes > MAILS_PER_TEN_MINUTES
}

fn is_own(address: &str, own: Own<'_>) -> bool {
    let key = folded(address);
    let Some((local, domain)) = key.rsplit_once('@') else {
        return false;
    };
    let plain = format!("{}@{domain}", local.split('+').next().unwrap_or_default());
    own.addresses
        .iter()
        .any(|address| *address == key || *address == plain)
        || own.domains.iter().any(|own| own == domain)
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::super::report::{Report, ReportKind};
    use super::*;

    #[test]
    fn b15_machines_do_not_answer_machines() {
        let person = Mail {
            customer: Address {
                email: "olena@client.example".into(),
                ..Address::default()
            },
            ..Mail::default()
        };
        let with = |change: &dyn Fn(&mut Mail)| {
            let mut mail = person.clone();
            change(&mut mail);
            mail
        };
        let report = Report {
            kind: ReportKind::Bounce,
            recipients: vec![],
            original_id: None,
            word: String::new(),
        };
        let addresses = ["sales@shop.example".to_owned()];
        let domains = ["gw.shop.example".to_owned()];
        let own = Own {
            addresses: &addresses,
            domains: &domains,
        };
        let quiet = History::default();
        for (name, mail, history, expected) in [
            ("a person", person.clone(), quiet, Ok(())),
            (
                "automatic",
                with(&|m| m.automatic = Some(Sign::List)),
                quiet,
                Err(Hold::Automatic(Sign::List)),
            ),
            (
                "asks for none",
                with(&|m| m.automatic = Some(Sign::Suppress)),
                quiet,
                Err(Hold::Automatic(Sign::Suppress)),
            ),
            (
                "a report",
                with(&|m| m.report = Some(report.clone())),
                quiet,
                Err(Hold::Report),
            ),
            (
                "circles",
                with(&|m| m.received = 51),
                quiet,
                Err(Hold::Loop),
            ),
            (
                "fifty are allowed",
                with(&|m| m.received = 50),
                quiet,
                Ok(()),
            ),
            (
                "our mailbox",
                with(&|m| m.customer.email = "Sales+1@Shop.example".into()),
                quiet,
                Err(Hold::Own),
            ),
            (
                "our domain",
                with(&|m| m.customer.email = "x@gw.shop.example".into()),
                quiet,
                Err(Hold::Own),
            ),
            (
                "nobody",
                with(&|m| m.customer.email.clear()),
                quiet,
                Err(Hold::NoAddress),
            ),
            (
                "answered",
                person.clone(),
                History {
                    answered_in_day: 1,
                    ..quiet
                },
                Err(Hold::Answered),
            ),
            (
                "ten mails",
                person.clone(),
                History {
                    came_in_ten_minutes: 10,
                    ..quiet
                },
                Ok(()),
            ),
            (
                "eleven mails",
                person.clone(),
                History {
                    came_in_ten_minutes: 11,
                    ..quiet
                },
                Err(Hold::Flood),
            ),
        ] {
            assert_eq!(
                may_answer_automatically(&mail, history, own),
                expected,
                "{name}"
            );
        }
    }
}
