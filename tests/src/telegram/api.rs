//! The Bot API methods that Switchboard calls.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::json;

use super::answer::{Answer, Refusal, respond};
use super::faults::FaultKind;
use super::params::Params;
use super::state::{Bot, State, Webhook};
use super::{business, change, files, send};

pub(super) fn router(state: Arc<State>) -> Router {
    // One segment `bot{token}` cannot be matched by axum beside others that begin otherwise: it is taken whole.
    Router::new()
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{*path}", any(files::download))
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

async fn call(
    Extract(state): Extract<Arc<State>>,
    Path((bot, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(bot) = bot.strip_prefix("bot").and_then(|token| state.bot(token)) else {
        return respond(Err(Refusal::new(404, "Not Found")));
    };
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(refusal) => return respond(Err(refusal)),
    };
    let chat = params.integer("chat_id");
    let strict_reply = params
        .structured("reply_parameters")
        .is_some_and(|reply| reply["allow_sending_without_reply"] != json!(true));
    let fault = bot.meet_fault(&method, chat, strict_reply);
    if let Some(refusal) = fault.as_ref().and_then(FaultKind::refusal) {
        return respond(Err(refusal));
    }
    if let Some(FaultKind::Delay { ms }) = fault {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let answer = perform(&state, &bot, &method, params);
    match fault {
        Some(FaultKind::AnswerLost) => broken_answer(),
        Some(FaultKind::AnswerHangs { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            broken_answer()
        }
        _ => respond(answer),
    }
}

/// An answer whose body breaks off: the caller cannot know what became of its call.
fn broken_answer() -> Response {
    let cut = futures::stream::once(async {
        Err::<bytes::Bytes, _>(std::io::Error::other("connection cut on purpose"))
    });
    ([(header::CONTENT_LENGTH, "64")], Body::from_stream(cut)).into_response()
}

fn perform(state: &State, bot: &Bot, method: &str, params: Params) -> Answer {
    // Telegram takes method names in any case.
    match method.to_ascii_lowercase().as_str() {
        "getme" => Ok(bot.user()),
        "setwebhook" => set_webhook(bot, &params),
        "deletewebhook" => {
            bot.webhook.send_replace(None);
            Ok(json!(true))
        }
        "getwebhookinfo" => Ok(bot.webhook_info()),
        "getfile" => files::get_file(bot, &params),
        "getuserprofilephotos" => files::profile_photos(bot, &params),
        "getbusinessconnection" => business::get(bot, &params),
        "sendchataction" => send::chat_of(state, bot, &params).map(|_| json!(true)),
        "editmessagetext" => change::edit(state, bot, "editMessageText", params),
        "editmessagecaption" => change::edit(state, bot, "editMessageCaption", params),
        "deletemessage" => change::delete(state, bot, params),
        "deletemessages" => change::delete_several(state, bot, params),
        "deletebusinessmessages" => change::delete_business(bot, params),
        "setmessagereaction" => change::react(state, bot, params),
        "answercallbackquery" => change::answer_press(bot, &params),
        method => send::perform(state, bot, method, params)
            .unwrap_or_else(|| Err(Refusal::new(404, "Not Found: method not found"))),
    }
}

fn set_webhook(bot: &Bot, params: &Params) -> Answer {
    let url = params.text("url").unwrap_or_default();
    if url.is_empty() {
        bot.webhook.send_replace(None);
        return Ok(json!(true));
    }
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if !url.starts_with("https://") && !local.iter().any(|prefix| url.starts_with(prefix)) {
        return Err(Refusal::bad(
            "bad webhook: An HTTPS URL must be provided for webhook",
        ));
    }
    let secret = params.text("secret_token").map(ToOwned::to_owned);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if secret
        .as_ref()
        .is_some_and(|s| s.is_empty() || s.len() > 256 || !s.chars().all(allowed))
    {
        return Err(Refusal::bad("secret token contains unallowed characters"));
    }
    let named = params
        .structured("allowed_updates")
        .and_then(|list| serde_json::from_value(list).ok());
    let before = bot
        .webhook
        .borrow()
        .as_ref()
        .map(|webhook| webhook.allowed_updates.clone());
    bot.webhook.send_replace(Some(Webhook {
        url: url.to_owned(),
        secret,
        // Left out, the former list stays.
        allowed_updates: named.or(before).unwrap_or_default(),
        max_connections: params
            .integer("max_connections")
            .unwrap_or(40)
            .clamp(1, 100),
    }));
    Ok(json!(true))
}
