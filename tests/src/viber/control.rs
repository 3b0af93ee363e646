//! The control API: what a test or the demo drives the stand-in by. It is no part of Viber.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::delivery::{self, DeliveryError};
use super::faults::Fault;
use super::state::{Bot, Customer, State};

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/control/health", get(async || Json(json!({ "ok": true }))))
        .route(
            "/control/bots/{token}/faults",
            post(add_fault).delete(clear_faults),
        )
        .route("/control/bots/{token}/sent", get(sent))
        .route("/control/bots/{token}/webhook", get(webhook))
        .route("/control/bots/{token}/callbacks", post(callback))
        .route("/control/bots/{token}/customers/{id}", put(name_customer))
        .route("/control/bots/{token}/customers/{id}/say", post(say))
        .route(
            "/control/bots/{token}/customers/{id}/{event}",
            post(happened),
        )
        .with_state(state)
}

type Shared = Extract<Arc<State>>;

/// A request that was not carried out, and why.
struct Failed(DeliveryError);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0 {
            DeliveryError::BadToken => StatusCode::NOT_FOUND,
            DeliveryError::NoWebhook | DeliveryError::NotAsked(_) => StatusCode::CONFLICT,
            DeliveryError::Lost(_) => StatusCode::GONE,
        };
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}

type Answer = Result<Response, Failed>;

fn bot_of(state: &State, token: &str) -> Result<Arc<Bot>, Failed> {
    state.bot(token).ok_or(Failed(DeliveryError::BadToken))
}

async fn add_fault(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(fault): Json<Fault>,
) -> Answer {
    bot_of(&state, &token)?.add_fault(fault.clone());
    Ok(Json(fault).into_response())
}

async fn clear_faults(Extract(state): Shared, Path(token): Path<String>) -> Answer {
    bot_of(&state, &token)?.clear_faults();
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn sent(Extract(state): Shared, Path(token): Path<String>) -> Answer {
    Ok(Json(bot_of(&state, &token)?.sent()).into_response())
}

async fn webhook(Extract(state): Shared, Path(token): Path<String>) -> Answer {
    Ok(Json(bot_of(&state, &token)?.webhook()).into_response())
}

/// Makes a callback and answers how it got through.
async fn hand_over(state: &Arc<State>, bot: &Arc<Bot>, callback: Value, repeats: u32) -> Answer {
    let delivered = delivery::deliver(state, bot, callback, repeats).await;
    Ok(Json(delivered.map_err(Failed)?).into_response())
}

#[derive(Deserialize)]
struct Callback {
    /// One callback, as Viber words it; token and time are filled in when missing.
    callback: Value,
    /// How many times it is made again after it was accepted.
    #[serde(default)]
    repeats: u32,
}

async fn callback(
    Extract(state): Shared,
    Path(token): Path<String>,
    Json(asked): Json<Callback>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    hand_over(&state, &bot, asked.callback, asked.repeats).await
}

#[derive(Deserialize)]
struct Say {
    /// The text is the data of a silent button.
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    repeats: u32,
    /// `text`, or any other message with its `type`.
    #[serde(flatten)]
    message: Map<String, Value>,
}

async fn say(
    Extract(state): Shared,
    Path((token, id)): Path<(String, String)>,
    Json(mut said): Json<Say>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    said.message.entry("type").or_insert_with(|| "text".into());
    let callback = bot.written(&id, &Value::Object(said.message), said.silent);
    hand_over(&state, &bot, callback, said.repeats).await
}

/// What else can happen with a customer: `conversation_started`, `subscribed`, `unsubscribed`, and the receipts
/// `delivered`, `seen` and `failed`; what the body tells is added.
async fn happened(
    Extract(state): Shared,
    Path((token, id, event)): Path<(String, String, String)>,
    Json(told): Json<Map<String, Value>>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    let mut callback = match event.as_str() {
        "conversation_started" => {
            let known = bot.known_customer(&id);
            let subscribed = known.is_some_and(|customer| !customer.unsubscribed);
            json!({ "type": "open", "user": bot.profile(&id), "subscribed": subscribed })
        }
        "subscribed" => {
            bot.change_customer(&id, |customer| customer.unsubscribed = false);
            json!({ "user": bot.profile(&id) })
        }
        _ => json!({ "user_id": id }),
    };
    if event == "unsubscribed" {
        bot.change_customer(&id, |customer| customer.unsubscribed = true);
    }
    if let Some(fields) = callback.as_object_mut() {
        fields.insert("event".into(), event.into());
        fields.extend(told);
    }
    hand_over(&state, &bot, callback, 0).await
}

async fn name_customer(
    Extract(state): Shared,
    Path((token, id)): Path<(String, String)>,
    Json(told): Json<Customer>,
) -> Answer {
    let bot = bot_of(&state, &token)?;
    bot.change_customer(&id, |customer| *customer = told);
    Ok(StatusCode::NO_CONTENT.into_response())
}
