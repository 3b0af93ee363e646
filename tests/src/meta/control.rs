//! The control API: what a test or the demo drives the stand-in by. It is no part of Meta's.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::delivery::{self, DeliveryError};
use super::faults::Fault;
use super::state::{Account, Echo, State};
use super::wording::{self, Action};

type Shared = Extract<Arc<State>>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/control/health", get(async || Json(json!({ "ok": true }))))
        .route("/control/webhook", put(set_webhook))
        .route(
            "/control/accounts/{token}",
            put(put_account).delete(forget_token),
        )
        .route("/control/faults", post(add_fault).delete(clear_faults))
        .route("/control/echo", put(set_echo))
        .route("/control/sent", get(sent))
        .route("/control/acts", post(acts))
        .with_state(state)
}

/// Somebody's action at an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// A token of the account.
    pub token: String,
    /// Id of the customer.
    pub customer: String,
    /// What they do.
    #[serde(flatten)]
    pub action: Action,
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

#[derive(Deserialize)]
struct Address {
    /// None takes the webhook away.
    url: Option<String>,
}

async fn set_webhook(Extract(state): Shared, Json(address): Json<Address>) -> Response {
    if let Some(url) = &address.url
        && let Err(error) = delivery::verify(&state, url).await
    {
        return refuse(StatusCode::CONFLICT, &error.to_string());
    }
    state.set_webhook(address.url);
    StatusCode::NO_CONTENT.into_response()
}

async fn put_account(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(account): Json<Account>,
) -> StatusCode {
    state.put_account(&token, account);
    StatusCode::NO_CONTENT
}

async fn forget_token(Extract(state): Shared, Path(token): Path<String>) -> StatusCode {
    state.forget_token(&token);
    StatusCode::NO_CONTENT
}

async fn add_fault(Extract(state): Shared, Json(fault): Json<Fault>) -> StatusCode {
    state.add_fault(fault);
    StatusCode::NO_CONTENT
}

async fn clear_faults(Extract(state): Shared) -> StatusCode {
    state.clear_faults();
    StatusCode::NO_CONTENT
}

async fn set_echo(Extract(state): Shared, Json(echo): Json<Echo>) -> StatusCode {
    state.set_echo(echo);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Page {
    /// Only calls after this ordinal.
    #[serde(default)]
    after: u64,
}

async fn sent(Extract(state): Shared, Query(page): Query<Page>) -> Response {
    Json(json!({ "sent": state.sent(page.after) })).into_response()
}

#[derive(Deserialize)]
struct Acts {
    /// What happens, in one batch.
    acts: Vec<Act>,
    /// Answer before it was delivered.
    #[serde(default)]
    no_wait: bool,
}

async fn acts(Extract(state): Shared, Json(asked): Json<Acts>) -> Response {
    let accepted = match enqueue(&state, asked.acts) {
        Ok(accepted) => accepted,
        Err(error) => return refuse(StatusCode::CONFLICT, &error.to_string()),
    };
    if asked.no_wait {
        return (StatusCode::ACCEPTED, Json(json!({ "queued": true }))).into_response();
    }
    match tokio::time::timeout(Duration::from_mins(2), accepted).await {
        Ok(Ok(delivered)) => Json(delivered).into_response(),
        Ok(Err(_)) => refuse(StatusCode::GONE, &DeliveryError::Dropped.to_string()),
        Err(_) => refuse(
            StatusCode::GATEWAY_TIMEOUT,
            "the webhook has not accepted it yet",
        ),
    }
}

/// Has customers act, and queues all of it as one batch.
pub(super) fn enqueue(
    state: &Arc<State>,
    acts: Vec<Act>,
) -> Result<tokio::sync::oneshot::Receiver<delivery::Delivered>, DeliveryError> {
    let items = acts.into_iter().map(|act| {
        let account = state.account(&act.token).ok_or(DeliveryError::BadToken)?;
        Ok(wording::word(state, &account, &act.customer, act.action))
    });
    let items = items.collect::<Result<_, DeliveryError>>()?;
    delivery::enqueue(state, items)
}
