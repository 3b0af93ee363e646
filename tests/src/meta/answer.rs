//! The shapes of Graph API answers: an object, or `{"error":{"message":…,"code":…}}` with status 400 for most.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal as the Graph API words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `code`.
    pub code: i64,
    /// `error_subcode`.
    pub subcode: Option<i64>,
    /// `message`.
    pub message: String,
    /// The `Retry-After` header.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(code: i64, subcode: Option<i64>, message: &str) -> Self {
        Self {
            status: 400,
            code,
            subcode,
            message: message.to_owned(),
            retry_after: None,
        }
    }

    /// A parameter is wrong.
    pub fn bad(message: &str) -> Self {
        Self::new(100, None, &format!("(#100) {message}"))
    }

    /// There is no such object, or it is not this account's.
    pub fn unknown(id: &str) -> Self {
        Self::new(
            100,
            Some(33),
            &format!("Unsupported request. Object with ID '{id}' does not exist"),
        )
    }

    /// The token is nobody's: that comes as 400, too.
    pub fn token() -> Self {
        Self::new(190, Some(467), "Invalid OAuth access token.")
    }
}

/// What a call returns.
pub type Answer = Result<Value, Refusal>;

/// Turns an answer into the HTTP response that Meta would give.
pub fn respond(answer: Answer) -> Response {
    let refusal = match answer {
        Ok(result) => return Json(result).into_response(),
        Err(refusal) => refusal,
    };
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut error = json!({
        "message": refusal.message, "type": "OAuthException", "code": refusal.code, "fbtrace_id": "AStandIn",
    });
    if let Some(subcode) = refusal.subcode {
        error["error_subcode"] = json!(subcode);
    }
    let body = Json(json!({ "error": error }));
    match refusal.retry_after {
        Some(seconds) => (status, [("retry-after", seconds.to_string())], body).into_response(),
        None => (status, body).into_response(),
    }
}
