//! What a mail reports about other mails: bounces, delays, receipts, complaints.

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
