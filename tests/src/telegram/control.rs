//! The control API: what a test or the demo drives the stand-in by. It is no part of Telegram.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::delivery::{self, DeliveryError};
use super::faults::Fault;
use super::files;
use super::state::{Bot, State};

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/control/health", get(async || Json(json!({ "ok": true }))))
        .route(
            "/control/bots/{token}/faults",
            post(add_fault).delete(clear_faults),
        )
        .route("/control/bots/{token}/sent", get(sent))
        .route("/control/bots/{token}/webhook", get(webhook).put(pretend))
        .route("/control/bots/{token}/updates", post(updates))
        .route("/control/bots/{token}/files/{file_id}", put(put_file))
        .route("/control/bots/{token}/customers/{id}", put(name_customer))
        .route("/control/bots/{token}/customers/{id}/photo", put(put_photo))
        .route("/control/bots/{token}/customers/{id}/say", post(say))
        .route("/control/bots/{token}/customers/{id}/block", post(block))
        .route(
            "/control/bots/{token}/customers/{id}/unblock",
            post(unblock),
        )
        .with_state(state)
}

pub(super) type Shared = Extract<Arc<State>>;

pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The token in the path cannot be a bot's.
pub(super) struct BadToken;

impl IntoResponse for BadToken {
    fn into_response(self) -> Response {
        refuse(StatusCode::NOT_FOUND, &DeliveryError::BadToken.to_string())
    }
}

pub(super) type Answer = Result<Response, BadToken>;

pub(super) fn bot_of(state: &State, token: &str) -> Result<Arc<Bot>, BadToken> {
    state.bot(token).ok_or(BadToken)
}

async fn add_fault(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(fault): Json<Fault>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    bot.add_fault(fault.clone());
    Ok(Json(fault).into_response())
}

async fn clear_faults(Extract(state): Shared, Path(token): Path<String>) -> Answer {
    let bot = bot_of(&state, &token)?;
    bot.clear_faults();
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Page {
    /// Only calls after this ordinal.
    #[serde(default)]
    after: u64,
    #[serde(default = "page_limit")]
    limit: usize,
}

fn page_limit() -> usize {
    10_000
}

async fn sent(
    Extract(state): Shared,
    Path(token): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    Ok(
        Json(json!({ "total": bot.sent_count(), "sent": bot.sent(page.after, page.limit) }))
            .into_response(),
    )
}

async fn webhook(Extract(state): Shared, Path(token): Path<String>) -> Answer {
    let bot = bot_of(&state, &token)?;
    Ok(Json(bot.webhook_info()).into_response())
}

async fn pretend(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(fields): Json<serde_json::Map<String, Value>>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    bot.pretend(fields);
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Updates {
    /// One update, as Telegram words it; `update_id` is filled in when missing.
    update: Value,
    /// How many times it is delivered again after it was accepted.
    #[serde(default)]
    repeats: u32,
    /// Answer before it was delivered.
    #[serde(default)]
    no_wait: bool,
}

async fn updates(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(asked): Json<Updates>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    Ok(hand_over(&state, &bot, asked.update, asked.repeats, asked.no_wait).await)
}

pub(super) async fn hand_over(
    state: &Arc<State>,
    bot: &Arc<Bot>,
    update: Value,
    repeats: u32,
    no_wait: bool,
) -> Response {
    let accepted = match delivery::enqueue(state, bot, update, repeats) {
        Ok(accepted) => accepted,
        Err(DeliveryError::Full) => {
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                &DeliveryError::Full.to_string(),
            );
        }
        Err(error) => return refuse(StatusCode::CONFLICT, &error.to_string()),
    };
    if no_wait {
        return (StatusCode::ACCEPTED, Json(json!({ "queued": true }))).into_response();
    }
    match tokio::time::timeout(Duration::from_mins(2), accepted).await {
        Ok(Ok(delivered)) => Json(delivered).into_response(),
        Ok(Err(_)) => refuse(StatusCode::GONE, &DeliveryError::Expired.to_string()),
        Err(_) => refuse(
            StatusCode::GATEWAY_TIMEOUT,
            "the webhook has not accepted the update within 120 s; it stays queued",
        ),
    }
}

#[derive(Deserialize)]
struct Say {
    #[serde(default)]
    repeats: u32,
    #[serde(default)]
    no_wait: bool,
    /// `text`, or any other content of a message.
    #[serde(flatten)]
    content: serde_json::Map<String, Value>,
}

async fn say(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(said): Json<Say>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = bot.private_message(id, Value::Object(said.content));
    Ok(hand_over(&state, &bot, update, said.repeats, said.no_wait).await)
}

#[derive(Deserialize)]
struct Names {
    first_name: Option<String>,
    last_name: Option<String>,
    username: Option<String>,
    language_code: Option<String>,
}

async fn name_customer(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    Json(names): Json<Names>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    bot.change_customer(id, |customer| {
        customer.first_name = names.first_name;
        customer.last_name = names.last_name;
        customer.username = names.username;
        customer.language_code = names.language_code;
    });
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn put_photo(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    content: Bytes,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    files::put_photo(&bot, id, content);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn block(state: Shared, path: Path<(String, i64)>) -> Answer {
    change_membership(state, path, true).await
}

async fn unblock(state: Shared, path: Path<(String, i64)>) -> Answer {
    change_membership(state, path, false).await
}

async fn change_membership(
    Extract(state): Shared,
    Path((token, id)): Path<(String, i64)>,
    blocked: bool,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let update = bot.membership_change(id, blocked);
    Ok(hand_over(&state, &bot, update, 0, false).await)
}

#[derive(Deserialize)]
struct FilePath {
    path: Option<String>,
    /// Bytes as Telegram shall tell them, for a file that is larger than what is put there.
    size: Option<usize>,
}

async fn put_file(
    Extract(state): Shared,
    Path((token, file_id)): Path<(String, String)>,
    Query(wanted): Query<FilePath>,
    content: Bytes,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let path = wanted
        .path
        .unwrap_or_else(|| format!("documents/{file_id}"));
    bot.put_file(&file_id, &path, content, wanted.size);
    Ok(StatusCode::NO_CONTENT.into_response())
}
