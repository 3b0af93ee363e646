//! The REST Bot API methods that Switchboard calls. HTTP says 200 to refusals too.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::check::{self, Refusal};
use super::delivery;
use super::faults::FaultKind;
use super::state::{Bot, State, Webhook, now_ms};

/// Largest request to send a message.
const REQUEST_MAX: usize = 30_000;
/// Events that a webhook can ask for.
const EVENTS: [&str; 7] = [
    "delivered",
    "seen",
    "failed",
    "subscribed",
    "unsubscribed",
    "conversation_started",
    "message",
];

type Fields = Map<String, Value>;
type Answer = Result<Value, Refusal>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/pa/{method}", post(call))
        .route("/download_photo/{number}", get(photo))
        .layer(DefaultBodyLimit::max(1024 * 1024))
        .with_state(state)
}

/// A customer's photo, for whoever knows its address.
async fn photo(Extract(state): Extract<Arc<State>>, Path(number): Path<usize>) -> Response {
    match state.photo(number) {
        Some(content) => content.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn call(
    Extract(state): Extract<Arc<State>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&raw) else {
        return respond(Err(check::BAD_DATA));
    };
    // Older clients name the token in the body.
    let named = fields.remove("auth_token");
    let token = headers
        .get("x-viber-auth-token")
        .and_then(|value| value.to_str().ok())
        .or_else(|| named.as_ref().and_then(Value::as_str));
    let Some(bot) = token.and_then(|token| state.bot(token)) else {
        return respond(Err(check::INVALID_TOKEN));
    };
    let receiver = fields.get("receiver").and_then(Value::as_str);
    let fault = bot.meet_fault(&method, receiver);
    match fault {
        Some(FaultKind::Status { status }) => {
            return respond(Err(Refusal(status, "refused on purpose")));
        }
        Some(FaultKind::ServerError) => {
            return (StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>").into_response();
        }
        Some(FaultKind::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        _ => {}
    }
    let answer = match method.as_str() {
        "set_webhook" => set_webhook(&state, &bot, &fields).await,
        "get_account_info" => Ok(account_info(&bot)),
        "get_user_details" => user_details(&bot, &fields),
        "send_message" if raw.len() > REQUEST_MAX => Err(check::BAD_DATA),
        "send_message" => send_message(&state, &bot, fields),
        _ => Err(check::BAD_DATA),
    };
    match fault {
        Some(FaultKind::AnswerLost) => broken_answer(),
        Some(FaultKind::AnswerHangs { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            broken_answer()
        }
        _ => respond(answer),
    }
}

fn respond(answer: Answer) -> Response {
    let mut body = match answer {
        Ok(body) => body,
        Err(Refusal(status, words)) => json!({ "status": status, "status_message": words }),
    };
    if body.get("status").is_none() {
        body["status"] = json!(0);
        body["status_message"] = json!("ok");
    }
    Json(body).into_response()
}

/// An answer whose body breaks off: the caller cannot know what became of its call.
fn broken_answer() -> Response {
    let cut = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("connection cut on purpose"))
    });
    ([(header::CONTENT_LENGTH, "64")], Body::from_stream(cut)).into_response()
}

/// Sets a webhook, but only one that answers while this call is under way.
async fn set_webhook(state: &State, bot: &Bot, fields: &Fields) -> Answer {
    let url = fields
        .get("url")
        .and_then(Value::as_str)
        .ok_or(check::MISSING_DATA)?;
    if url.is_empty() {
        bot.set_webhook(None);
        return Ok(json!({ "event_types": [] }));
    }
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if !url.starts_with("https://") && !local.iter().any(|prefix| url.starts_with(prefix)) {
        return Err(check::INVALID_URL);
    }
    let event_types: Vec<String> = match fields.get("event_types") {
        None => EVENTS.map(str::to_owned).to_vec(),
        Some(list) => serde_json::from_value(list.clone()).map_err(|_| check::BAD_DATA)?,
    };
    if !event_types
        .iter()
        .all(|event| EVENTS.contains(&event.as_str()))
    {
        return Err(check::BAD_DATA);
    }
    let question = json!({
        "event": "webhook", "timestamp": now_ms(), "chat_hostname": "SN-CHAT-07_", "message_token": bot.next_token(),
    });
    let (status, _) = delivery::attempt(state, bot, url, &question).await;
    if status != 200 {
        return Err(check::INVALID_URL);
    }
    bot.set_webhook(Some(Webhook {
        url: url.to_owned(),
        event_types: event_types.clone(),
    }));
    Ok(json!({ "event_types": event_types, "chat_hostname": "SN-CHAT-07_" }))
}

fn account_info(bot: &Bot) -> Value {
    let webhook = bot.webhook();
    let mut info = json!({
        "id": bot.id(), "name": "Stand-in shop", "uri": format!("shop{}", bot.id().replace(':', "")),
        "icon": "", "category": "Local Businesses", "subcategory": "Shop", "country": "UA", "subscribers_count": 1,
        "event_types": webhook.as_ref().map(|webhook| &webhook.event_types), "members": [],
    });
    if let Some(webhook) = webhook {
        info["webhook"] = json!(webhook.url);
    }
    info
}

fn user_details(bot: &Bot, fields: &Fields) -> Answer {
    let id = fields
        .get("id")
        .and_then(Value::as_str)
        .ok_or(check::MISSING_DATA)?;
    bot.known_customer(id).ok_or(check::NOT_REGISTERED)?;
    Ok(json!({ "message_token": bot.next_token(), "user": bot.profile(id) }))
}

fn send_message(state: &State, bot: &Bot, fields: Fields) -> Answer {
    let receiver = fields.get("receiver").and_then(Value::as_str);
    let receiver = receiver
        .filter(|id| !id.is_empty())
        .ok_or(check::MISSING_DATA)?
        .to_owned();
    bot.webhook().ok_or(check::WEBHOOK_NOT_SET)?;
    let options = &state.options;
    match bot.known_customer(&receiver) {
        Some(customer) if customer.unsubscribed => return Err(check::NOT_SUBSCRIBED),
        Some(customer) if customer.unanswered >= options.unanswered_max => {
            return Err(check::TOO_MANY);
        }
        None if options.strict_receivers => return Err(check::NOT_REGISTERED),
        _ => {}
    }
    check::message(&fields)?;
    bot.change_customer(&receiver, |customer| customer.unanswered += 1);
    let token = bot.next_token();
    bot.keep_sent(&receiver, token, fields);
    Ok(json!({ "message_token": token, "chat_hostname": "SN-CHAT-05_", "billing_status": 1 }))
}
