//! The Bot API methods that Switchboard calls.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::answer::{Answer, Refusal, respond};
use super::faults::FaultKind;
use super::params::Params;
use super::state::{Bot, Sent, State, Webhook};

/// Largest file that `getFile` gives: 20 MiB.
const DOWNLOAD_LIMIT: usize = 20 * 1024 * 1024;

pub(super) fn router(state: Arc<State>) -> Router {
    // One segment `bot{token}` cannot be matched by axum beside others that begin otherwise: it is taken whole.
    Router::new()
        .route("/{bot}/{method}", any(call))
        .route("/file/{bot}/{*path}", any(download))
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
        "getfile" => get_file(bot, &params),
        "sendchataction" => chat_of(state, bot, &params).map(|_| json!(true)),
        "sendmessage" => send(state, bot, "sendMessage", params, text_content),
        "sendphoto" => send(state, bot, "sendPhoto", params, photo_content),
        "senddocument" => send(state, bot, "sendDocument", params, document_content),
        "sendmediagroup" => send_album(state, bot, params),
        "editmessagetext" => edit(state, bot, params),
        "deletemessage" => delete(state, bot, params),
        "answercallbackquery" | "setmessagereaction" => Ok(json!(true)),
        _ => Err(Refusal::new(404, "Not Found: method not found")),
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

fn get_file(bot: &Bot, params: &Params) -> Answer {
    let file_id = params.text("file_id").unwrap_or_default();
    let (path, content) = bot
        .file(file_id)
        .ok_or_else(|| Refusal::bad("invalid file_id"))?;
    if content.len() > DOWNLOAD_LIMIT {
        return Err(Refusal::bad("file is too big"));
    }
    Ok(
        json!({ "file_id": file_id, "file_unique_id": unique_of(file_id), "file_size": content.len(), "file_path": path }),
    )
}

async fn download(
    Extract(state): Extract<Arc<State>>,
    Path((bot, path)): Path<(String, String)>,
) -> Response {
    let content = bot
        .strip_prefix("bot")
        .and_then(|token| state.known_bot(token))
        .and_then(|bot| bot.file_at(&path));
    match content {
        Some(content) => (
            [(header::CONTENT_TYPE, "application/octet-stream")],
            content,
        )
            .into_response(),
        None => (
            StatusCode::NOT_FOUND,
            respond(Err(Refusal::new(404, "Not Found"))),
        )
            .into_response(),
    }
}

fn unique_of(file_id: &str) -> String {
    file_id.chars().rev().take(12).collect()
}

/// The chat a call is for; refused as Telegram refuses unknown and blocked ones.
fn chat_of(state: &State, bot: &Bot, params: &Params) -> Result<i64, Refusal> {
    let chat = params
        .integer("chat_id")
        .ok_or_else(|| Refusal::bad("chat_id is empty"))?;
    match bot.known_customer(chat) {
        Some(customer) if customer.blocked => {
            Err(Refusal::new(403, "Forbidden: bot was blocked by the user"))
        }
        None if state.options.strict_chats => Err(Refusal::bad("chat not found")),
        _ => Ok(chat),
    }
}

fn check_reply(bot: &Bot, params: &Params) -> Result<(), Refusal> {
    let Some(reply) = params.structured("reply_parameters") else {
        return Ok(());
    };
    let known = reply["message_id"]
        .as_i64()
        .is_some_and(|id| bot.knows_message(id));
    if known || reply["allow_sending_without_reply"] == json!(true) {
        Ok(())
    } else {
        Err(Refusal::bad("message to be replied not found"))
    }
}

type Content = fn(&Bot, &Params) -> Answer;

fn send(state: &State, bot: &Bot, method: &str, params: Params, content: Content) -> Answer {
    let chat = chat_of(state, bot, &params)?;
    check_reply(bot, &params)?;
    let content = content(bot, &params)?;
    let message = outgoing(bot, chat, bot.next_message_id(), content);
    record(
        bot,
        method,
        chat,
        vec![message["message_id"].as_i64().unwrap_or_default()],
        params,
    );
    Ok(message)
}

fn outgoing(bot: &Bot, chat: i64, message_id: i64, content: Value) -> Value {
    let customer = bot.known_customer(chat).unwrap_or_default();
    let first_name = customer
        .first_name
        .unwrap_or_else(|| format!("Customer {chat}"));
    let mut message = json!({
        "message_id": message_id, "from": bot.user(), "date": OffsetDateTime::now_utc().unix_timestamp(),
        "chat": { "id": chat, "type": "private", "first_name": first_name },
    });
    if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
        message.extend(content);
    }
    message
}

fn record(bot: &Bot, method: &str, chat_id: i64, message_ids: Vec<i64>, params: Params) {
    let at_ms = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)
        .unwrap_or_default();
    let Params { values, files } = params;
    bot.keep_sent(Sent {
        ordinal: 0,
        at_ms,
        method: method.to_owned(),
        chat_id,
        message_ids,
        params: values,
        files,
    });
}

fn checked_text(params: &Params) -> Result<&str, Refusal> {
    let text = params.text("text").unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Refusal::bad("message text is empty"));
    }
    if text.encode_utf16().count() > 4096 {
        return Err(Refusal::bad("message is too long"));
    }
    Ok(text)
}

fn text_content(_: &Bot, params: &Params) -> Answer {
    Ok(json!({ "text": checked_text(params)? }))
}

fn with_caption(mut content: Value, params: &Params) -> Answer {
    if let Some(caption) = params.text("caption").filter(|caption| !caption.is_empty()) {
        if caption.encode_utf16().count() > 1024 {
            return Err(Refusal::bad("message caption is too long"));
        }
        content["caption"] = json!(caption);
    }
    Ok(content)
}

fn new_file_id(bot: &Bot, prefix: &str) -> String {
    format!("{prefix}{}-{}", bot.id, uuid::Uuid::new_v4().simple())
}

fn photo_content(bot: &Bot, params: &Params) -> Answer {
    let file_id = new_file_id(bot, "AgAC");
    let size = params.file("photo").map_or(0, |file| file.size);
    if params.text("photo").is_none_or(str::is_empty) && size == 0 {
        return Err(Refusal::bad("there is no photo in the request"));
    }
    if size > 10 * 1024 * 1024 {
        return Err(Refusal::bad("file is too big"));
    }
    with_caption(
        json!({ "photo": [{ "file_id": file_id, "file_unique_id": unique_of(&file_id), "width": 90, "height": 67, "file_size": size }] }),
        params,
    )
}

fn document_content(bot: &Bot, params: &Params) -> Answer {
    let file = params.file("document");
    if params.text("document").is_none_or(str::is_empty) && file.is_none() {
        return Err(Refusal::bad("there is no document in the request"));
    }
    if file.is_some_and(|file| file.size > 50 * 1024 * 1024) {
        return Err(Refusal::bad("file is too big"));
    }
    let file_id = new_file_id(bot, "BQAC");
    let mut document = json!({ "file_id": file_id, "file_unique_id": unique_of(&file_id) });
    if let Some(file) = file {
        document["file_name"] = json!(file.name);
        document["mime_type"] = json!(file.mime);
        document["file_size"] = json!(file.size);
    }
    with_caption(json!({ "document": document }), params)
}

fn send_album(state: &State, bot: &Bot, params: Params) -> Answer {
    let chat = chat_of(state, bot, &params)?;
    check_reply(bot, &params)?;
    let Some(Value::Array(media)) = params.structured("media") else {
        return Err(Refusal::bad("media must be an array"));
    };
    if !(2..=10).contains(&media.len()) {
        return Err(Refusal::bad("wrong number of items in the media group"));
    }
    let mut kinds: Vec<&str> = media
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    kinds.dedup();
    if kinds.len() > 1
        && kinds
            .iter()
            .any(|kind| *kind == "document" || *kind == "audio")
    {
        return Err(Refusal::bad(
            "documents and audio can't be mixed with other media types",
        ));
    }
    let group = uuid::Uuid::new_v4().as_u64_pair().0.to_string();
    let messages: Vec<Value> = media
        .iter()
        .map(|item| {
            let file_id = new_file_id(bot, "AgAC");
            let file = json!({ "file_id": file_id, "file_unique_id": unique_of(&file_id) });
            let mut content = match item["type"].as_str() {
                Some("photo") => json!({ "photo": [file] }),
                Some(kind) => json!({ kind: file }),
                None => json!({}),
            };
            content["media_group_id"] = json!(group);
            if let Some(caption) = item.get("caption") {
                content["caption"] = caption.clone();
            }
            outgoing(bot, chat, bot.next_message_id(), content)
        })
        .collect();
    let ids = messages
        .iter()
        .filter_map(|message| message["message_id"].as_i64())
        .collect();
    record(bot, "sendMediaGroup", chat, ids, params);
    Ok(Value::Array(messages))
}

fn edit(state: &State, bot: &Bot, params: Params) -> Answer {
    let chat = chat_of(state, bot, &params)?;
    let text = checked_text(&params)?.to_owned();
    let id =
        own_message(bot, chat, &params).ok_or_else(|| Refusal::bad("message to edit not found"))?;
    let history = bot.history(chat, id);
    let same = history
        .iter()
        .rev()
        .find_map(|sent| sent.params.get("text"))
        .is_some_and(|last| *last == json!(text));
    if same {
        return Err(Refusal::bad(
            "message is not modified: specified new message content and reply markup are exactly the same as a \
             current content and reply markup of the message",
        ));
    }
    record(bot, "editMessageText", chat, vec![id], params);
    let edited = OffsetDateTime::now_utc().unix_timestamp();
    Ok(outgoing(
        bot,
        chat,
        id,
        json!({ "text": text, "edit_date": edited }),
    ))
}

fn delete(state: &State, bot: &Bot, params: Params) -> Answer {
    let chat = chat_of(state, bot, &params)?;
    let id = own_message(bot, chat, &params)
        .ok_or_else(|| Refusal::bad("message to delete not found"))?;
    record(bot, "deleteMessage", chat, vec![id], params);
    Ok(json!(true))
}

/// The message a call names, if this bot sent it to that chat and has not deleted it.
fn own_message(bot: &Bot, chat: i64, params: &Params) -> Option<i64> {
    let id = params.integer("message_id")?;
    bot.history(chat, id)
        .last()
        .filter(|sent| sent.method != "deleteMessage")
        .map(|_| id)
}
