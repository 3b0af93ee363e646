//! The shapes of Bot API answers: `{"ok":true,"result":…}` or `{"ok":false,"error_code":…,"description":…}` with
//! the HTTP status equal to the error code.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal as the Bot API words it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP status and `error_code`.
    pub code: u16,
    /// Full description, with its `Bad Request: ` or `Forbidden: ` prefix.
    pub description: String,
    /// `parameters`, for example `{"retry_after": 3}`.
    pub parameters: Option<Value>,
}

impl Refusal {
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self {
            code,
            description: description.into(),
            parameters: None,
        }
    }

    pub fn bad(description: &str) -> Self {
        Self::new(400, format!("Bad Request: {description}"))
    }

    pub fn flood(retry_after: u64) -> Self {
        Self {
            parameters: Some(json!({ "retry_after": retry_after })),
            ..Self::new(429, format!("Too Many Requests: retry after {retry_after}"))
        }
    }
}

/// What a method returns.
pub type Answer = Result<Value, Refusal>;

/// Turns an answer into the HTTP response that Telegram would give.
pub fn respond(answer: Answer) -> Response {
    match answer {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::BAD_REQUEST);
            let retry_after = refusal
                .parameters
                .as_ref()
                .and_then(|p| p.get("retry_after"))
                .map(ToString::to_string);
            let mut body = json!({ "ok": false, "error_code": refusal.code, "description": refusal.description });
            if let (Some(parameters), Some(body)) = (refusal.parameters, body.as_object_mut()) {
                body.insert("parameters".to_owned(), parameters);
            }
            match retry_after {
                Some(seconds) => (status, [("retry-after", seconds)], Json(body)).into_response(),
                None => (status, Json(body)).into_response(),
            }
        }
    }
}
