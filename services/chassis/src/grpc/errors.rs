//! Errors as gRPC statuses, always with `ErrorInfo`, so that nobody parses text, and with the trace id as `RequestInfo`, by which
//! the call is found in logs.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::trace::TraceContext;

/// A field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field, as `connection.pipeline_id`.
    pub field: String,
    /// What must hold.
    pub description: String,
}

impl FieldViolation {
    /// Names a field and what must hold.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// Makes a refusal: code, text, and `ErrorInfo` of reason (`UPPER_SNAKE`), domain (the service) and facts.
pub fn refusal(
    domain: &'static str,
    code: Code,
    reason: &str,
    message: &str,
    facts: &[(&str, &str)],
) -> Status {
    Status::with_error_details(code, message, info(domain, reason, facts))
}

/// Makes an `INVALID_ARGUMENT` that names the fields.
pub fn invalid(domain: &'static str, violations: &[FieldViolation]) -> Status {
    let mut details = info(domain, "INVALID_ARGUMENT", &[]);
    let mut message = String::from("the request is not valid");
    for violation in violations {
        let _ = write!(message, "; {}: {}", violation.field, violation.description);
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Makes an `INTERNAL` without detail; the error and its causes are logged here, once.
pub fn internal(domain: &'static str, error: &dyn Error) -> Status {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(chain, ": {error}");
        cause = error.source();
    }
    tracing::error!(error = chain, "request failed");
    Status::with_error_details(
        Code::Internal,
        "an internal error",
        info(domain, "INTERNAL", &[]),
    )
}

/// Makes an `UNAVAILABLE` for a dependency that is away (`what` as "database"); the caller may try again.
pub fn unavailable(domain: &'static str, what: &str) -> Status {
    let mut details = info(domain, "DEPENDENCY_AWAY", &[("dependency", what)]);
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(
        Code::Unavailable,
        format!("{what} is not available"),
        details,
    )
}

/// Makes a `RESOURCE_EXHAUSTED` that tells when to try again.
pub(crate) fn exhausted(domain: &'static str, account: &str, retry: Duration) -> Status {
    let mut details = info(domain, "RATE_LIMITED", &[("account", account)]);
    details.set_retry_info(Some(retry));
    Status::with_error_details(
        Code::ResourceExhausted,
        "too many requests of this account",
        details,
    )
}

fn info(domain: &'static str, reason: &str, facts: &[(&str, &str)]) -> ErrorDetails {
    let facts: HashMap<String, String> = facts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason, domain, facts);
    if let Some(trace) = TraceContext::current().trace_id() {
        details.set_request_info(trace, "");
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_carry_their_reason_and_no_inner_detail() {
        let status = refusal(
            "x",
            Code::FailedPrecondition,
            "CLOSED",
            "closed",
            &[("number", "17")],
        );
        let details = status.get_details_error_info().unwrap();
        assert_eq!(
            (details.reason.as_str(), details.domain.as_str()),
            ("CLOSED", "x")
        );
        assert_eq!(details.metadata["number"], "17");

        let status = invalid("x", &[FieldViolation::new("name", "must not be empty")]);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.get_details_bad_request().unwrap().field_violations[0].field,
            "name"
        );
        assert!(status.get_details_error_info().is_some());

        let status = internal("x", &std::io::Error::other("password is hunter2"));
        assert!(!format!("{status:?}").contains("hunter2"));

        let status = unavailable("x", "database");
        assert!(status.get_details_retry_info().is_some());
    }
}
