//! What a mail reports about other mails: bounces, delays, receipts, complaints.

use super::address::folded;

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A mail will not arrive.
    Bounce,
    /// A mail is late; its server still tries.
    Delay,
    /// A mail arrived.
    Delivered,
    /// A mail went on to the members of a list.
    Expanded,
    /// A mail was opened.
    Read,
    /// Its reader complained about a mail, or a server did (ARF).
    Complaint,
    /// A report in a known form that says none of this.
    Other,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub kind: ReportKind,
    /// What became of the mail, for each address.
    pub recipients: Vec<Recipient>,
    /// Message-ID of the mail that it is about, with brackets; none where it cannot be told.
    pub original_id: Option<String>,
    /// The report's own word for its kind, as `abuse`; empty where it has none.
    pub word: String,
}

/// What became of a mail for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address as the report names it; empty where it does not.
    pub address: String,
    /// All by which a delivery status names them; none where the address was read out of a server's words.
    pub named: Vec<String>,
    /// What became of it.
    pub action: Action,
    /// As `5.1.1`; empty where none is told.
    pub status: String,
    /// `UPPER_SNAKE_CASE`, for failures and delays; empty otherwise.
    pub reason: &'static str,
    /// A later attempt would meet the same.
    pub permanent: bool,
    /// The server's own words, bounded.
    pub detail: String,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It will not arrive.
    Failed,
    /// It is late.
    Delayed,
    /// It arrived.
    Delivered,
    /// It was handed to the members of a list: nobody knows whether it arrived.
    Expanded,
    /// It was opened.
    Displayed,
}

/// Tells whether a delivery status that names its recipient so speaks of the mailbox that a mail was written to, and not of
/// one to which its reader has mail forwarded: the reader has the mail. Where nothing is named, it does.
pub fn speaks_of(named: &[String], written_to: &str) -> bool {
    named.is_empty() || named.iter().any(|named| is_same(named, written_to))
}

/// Tags do not count, nor the host that a mailbox lies on within its domain.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (folded(one), folded(other));
    let apart = |address: &str| {
        let (local, domain) = address.rsplit_once('@')?;
        let local = local.split_once('+').map_or(local, |(local, _)| local);
        Some((local.to_owned(), domain.to_owned()))
    };
    let (Some((local, domain)), Some((other_local, other_domain))) = (apart(&one), apart(&other))
    else {
        return one == other;
    };
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_suffix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    local == other_local && (within(&domain, &other_domain) || within(&other_domain, &domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_speaks_of_whom_it_names() {
        for (named, expected) in [
            (&[][..], true),
            (&["olena@client.example"], true),
            (&["Olena@CLIENT.example"], true),
            (&["olena+shop@client.example"], true),
            (&["olena@mx1.client.example"], true),
            (&["olena@other.example"], false),
            (&["petro@client.example"], false),
            (&["olena@xclient.example"], false),
            (&["box17@host.example", "olena@client.example"], true),
            (&["box17@host.example"], false),
            (&["box17"], false),
        ] {
            let named: Vec<String> = named.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(
                speaks_of(&named, "olena@client.example"),
                expected,
                "{named:?}"
            );
        }
    }
}
