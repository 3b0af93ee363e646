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

    const QUIET: History = History {
        answered_in_day: 0,
        came_in_ten_minutes: 0,
    };

    fn decided(change: impl Fn(&mut Mail), history: History) -> Result<(), Hold> {
        let mut mail = Mail {
            customer: Address {
                email: "olena@client.example".into(),
                ..Address::default()
            },
            ..Mail::default()
        };
        change(&mut mail);
        let addresses = ["sales@shop.example".to_owned()];
        let domains = ["gw.shop.example".to_owned()];
        let own = Own {
            addresses: &addresses,
            domains: &domains,
        };
        may_answer_automatically(&mail, history, own)
    }

    // pitfall 35: no loops
    #[test]
    fn b15_machines_do_not_answer_machines() {
        let report = Report {
            kind: ReportKind::Bounce,
            recipients: vec![],
            original_id: None,
            word: String::new(),
        };
        assert_eq!(decided(|_| {}, QUIET), Ok(()));
        for sign in [Sign::List, Sign::Suppress] {
            let hold = decided(|mail| mail.automatic = Some(sign), QUIET);
            assert_eq!(hold, Err(Hold::Automatic(sign)));
        }
        let hold = decided(|mail| mail.report = Some(report.clone()), QUIET);
        assert_eq!(hold, Err(Hold::Report));
        assert_eq!(decided(|mail| mail.received = 51, QUIET), Err(Hold::Loop));
        assert_eq!(decided(|mail| mail.received = 50, QUIET), Ok(()));
        for (address, expected) in [
            ("Sales+1@Shop.example", Hold::Own),
            ("x@gw.shop.example", Hold::Own),
            ("no-reply@x.example", Hold::Automatic(Sign::NoReply)),
            ("", Hold::NoAddress),
        ] {
            let hold = decided(|mail| mail.customer.email = address.into(), QUIET);
            assert_eq!(hold, Err(expected), "{address}");
        }
    }

    // pitfall 35: no floods
    #[test]
    fn b15_one_answer_a_day_and_none_to_a_flood() {
        for (answered_in_day, came_in_ten_minutes, expected) in [
            (0, 10, Ok(())),
            (1, 1, Err(Hold::Answered)),
            (0, 11, Err(Hold::Flood)),
        ] {
            let history = History {
                answered_in_day,
                came_in_ten_minutes,
            };
            assert_eq!(decided(|_| {}, history), expected, "{history:?}");
        }
    }
}
