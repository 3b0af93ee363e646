//! Errors as a person reads them: one sentence with its reason, then what to do. Never a stack trace.

use std::fmt::Write as _;
use std::path::Path;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line or the context cannot be right. Exit code 2.
    #[error("{text}")]
    Usage {
        /// What is wrong.
        text: String,
        /// What to do.
        hint: String,
    },
    /// A service cannot be reached.
    #[error("cannot reach {service} at {url}: {cause}")]
    Unreachable {
        /// Name of the service, as in its option.
        service: &'static str,
        /// The address that was tried.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// A service refused.
    #[error("{}", sentence(.0))]
    Refused(Box<Status>),
    /// A list was empty and `--fail-empty` was given. Exit code 3.
    #[error("nothing found")]
    Empty,
    /// What was looked for was found, and told: only the exit code is left to say.
    #[error("something is not well")]
    Found(u8),
    /// Anything else.
    #[error("{text}")]
    Failed {
        /// What happened.
        text: String,
        /// What to do; empty where nobody knows.
        hint: String,
    },
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl CliError {
    /// A command line or context that cannot be right.
    pub fn usage(text: &str, hint: &str) -> Self {
        Self::Usage {
            text: text.into(),
            hint: hint.into(),
        }
    }

    /// Anything that failed, with what to do about it.
    pub fn failed(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed {
            text: text.into(),
            hint: hint.into(),
        }
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::failed(
            format!("cannot {what} {}: {}", path.display(), plain(error)),
            "",
        )
    }

    /// The stable reason that a service gave.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Refused(status) => status.get_details_error_info().map(|info| info.reason),
            _ => None,
        }
    }

    /// The code that a service answered with.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(status) => Some(status.code()),
            _ => None,
        }
    }

    /// 1 for errors, 2 for usage, 3 for an empty list.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Empty => 3,
            Self::Found(code) => *code,
            _ => 1,
        }
    }

    /// What to do about it; empty where nobody knows.
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::Unreachable { service, .. } => format!(
                "is it running? Its address comes from --{service}, SWITCHBOARD_CTL_{} or the context file",
                service.to_uppercase().replace('-', "_")
            ),
            Self::Refused(status) => advice(status),
            Self::Empty | Self::Found(_) => String::new(),
        }
    }

    /// The text for a terminal.
    pub fn render(&self) -> String {
        let (details, hint) = match self {
            Self::Empty | Self::Found(_) => return String::new(),
            Self::Refused(status) => (details(status), self.hint()),
            _ => (String::new(), self.hint()),
        };
        let mut text = format!("error: {self}{details}");
        if !hint.is_empty() {
            let _ = write!(text, "\n  try: {hint}");
        }
        text
    }
}

/// An error of the system without its number.
pub(crate) fn plain(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

/// What a refusal says. The deadline of a call is ours, and its library words it for programmers.
fn sentence(status: &Status) -> &str {
    match status.code() {
        Code::Cancelled | Code::DeadlineExceeded => "no answer in time",
        _ => status.message(),
    }
}

/// The reason, the facts and the fields of a refusal.
fn details(status: &Status) -> String {
    let mut text = String::new();
    let violations = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations)
        .unwrap_or_default();
    match status.get_details_error_info() {
        Some(info) => {
            let _ = write!(text, " ({}, {})", info.reason, info.domain);
            let mut facts: Vec<_> = info.metadata.into_iter().collect();
            facts.sort();
            for (key, value) in facts {
                let _ = write!(text, "\n  {}: {value}", key.replace('_', " "));
            }
        }
        None => {
            let _ = write!(text, " ({:?})", status.code());
        }
    }
    for violation in violations {
        // A service may have put the same words into its sentence.
        if !status.message().contains(&violation.description) {
            let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
        }
    }
    let trace = status
        .metadata()
        .get("switchboard-trace-id")
        .and_then(|id| id.to_str().ok());
    if let (Some(trace), Code::Internal | Code::Unknown) = (trace, status.code()) {
        let _ = write!(text, "\n  trace: {trace}");
    }
    text
}

/// What a person can do about a refusal.
fn advice(status: &Status) -> String {
    if let Some(link) = status
        .get_details_help()
        .and_then(|help| help.links.into_iter().next())
    {
        return format!("{} {}", link.description, link.url)
            .trim()
            .to_owned();
    }
    if let Some(delay) = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
    {
        return format!("again in {} s", delay.as_secs_f64().ceil().max(1.0));
    }
    let reason = status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default();
    let by_reason = match reason.as_str() {
        "TOKEN_MISSING" => "give --token, --token-file, --key or --context-file",
        "TOKEN_EXPIRED" => "a new token from `switchboardctl token`",
        "TOKEN_INVALID" => {
            "a token made with a key that the services publish: see jwks, issuer and audience in their configuration"
        }
        "SCOPE_MISSING" => {
            "a token with that scope: `switchboardctl token --scope …`, or --ops for operators' verbs"
        }
        "ACCOUNT_MISMATCH" => "the account that the token is for: --account",
        "AGENT_INACTIVE" => "`switchboardctl agent update AGENT --active true`",
        "AGENT_REQUIRED" => "name who acts: --as AGENT",
        "CHAT_HAS_RESPONSIBLE" => {
            "ask them, or hand it over: `switchboardctl chat assign CHAT AGENT`"
        }
        "JOIN_REQUIRED" => "`switchboardctl chat join CHAT`",
        "CLAIM_REQUIRED" | "CHAT_HAS_NO_RESPONSIBLE" => "`switchboardctl chat claim CHAT`",
        "SOLE_RESPONSIBLE" => {
            "hand it over: `switchboardctl chat redirect CHAT AGENT`, or `chat unassign CHAT`"
        }
        "CHAT_ACCESS_MISSING"
        | "CRM_ACCESS_MISSING"
        | "SETTINGS_ACCESS_MISSING"
        | "CHANNEL_NOT_GRANTED" => "`switchboardctl agent update AGENT` with wider grants",
        "CONTACT_NOT_A_BUYER" => "`switchboardctl contact save-buyer CONTACT`",
        "REQUEST_ID_REUSED" => "another --request-id: this one was used with other content",
        _ => "",
    };
    if !by_reason.is_empty() {
        return by_reason.into();
    }
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => "again, or with a longer --timeout",
        Code::Unavailable => "again in a moment; if it lasts, look at the service's /readyz",
        Code::NotFound => "list what there is, and check --account",
        Code::Unauthenticated => "another token: `switchboardctl token`",
        Code::Unimplemented => "a service of the same version as this command",
        _ => "",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(code: Code, message: &str, details: ErrorDetails) -> CliError {
        Status::with_error_details(code, message, details).into()
    }

    #[test]
    fn a_refusal_is_a_sentence_with_its_reason_facts_and_what_to_do() {
        let facts = HashMap::from([("responsible_agent".to_owned(), "Olena".to_owned())]);
        let error = refused(
            Code::FailedPrecondition,
            "another agent answers this chat",
            ErrorDetails::with_error_info("CHAT_TAKEN", "assignment", facts),
        );
        assert_eq!(
            error.render(),
            "error: another agent answers this chat (CHAT_TAKEN, assignment)\n  responsible agent: Olena"
        );
        assert_eq!(error.reason().as_deref(), Some("CHAT_TAKEN"));
        let error = refused(
            Code::PermissionDenied,
            "the scope ops is needed",
            ErrorDetails::with_error_info("SCOPE_MISSING", "assignment", HashMap::new()),
        );
        assert!(
            error.render().ends_with("or --ops for operators' verbs"),
            "{}",
            error.render()
        );
    }

    #[test]
    fn wrong_fields_are_named_once() {
        let mut details =
            ErrorDetails::with_error_info("INVALID_ARGUMENT", "crm-cards", HashMap::new());
        details.add_bad_request_violation("connection.pipeline_id", "the account has no pipeline");
        let error = refused(
            Code::InvalidArgument,
            "the request is not valid",
            details.clone(),
        );
        let text = error.render();
        assert!(
            text.contains("\n  connection.pipeline_id: the account has no pipeline"),
            "{text}"
        );
        let text = refused(
            Code::InvalidArgument,
            "pipeline_id: the account has no pipeline",
            details,
        )
        .render();
        assert_eq!(
            text.matches("the account has no pipeline").count(),
            1,
            "{text}"
        );
    }

    #[test]
    fn waiting_is_advised_where_the_service_says_how_long() {
        let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "x", HashMap::new());
        details.set_retry_info(Some(Duration::from_millis(1_200)));
        let text = refused(Code::ResourceExhausted, "too many requests", details).render();
        assert!(text.ends_with("try: again in 2 s"), "{text}");
    }

    #[test]
    fn exit_codes_tell_usage_and_empty_lists_from_errors() {
        assert_eq!(CliError::usage("", "").exit_code(), 2);
        assert_eq!(CliError::Empty.exit_code(), 3);
        assert_eq!(CliError::from(Status::not_found("x")).exit_code(), 1);
        let away = CliError::Unreachable {
            service: "crm-cards",
            url: "http://127.0.0.1:1".into(),
            cause: "connection refused".into(),
        };
        assert!(
            away.render()
                .contains("--crm-cards, SWITCHBOARD_CTL_CRM_CARDS"),
            "{}",
            away.render()
        );
    }
}
