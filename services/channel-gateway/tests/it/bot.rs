//! A tiny Bot API: answers as it is told, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// How a call is answered.
#[derive(Clone)]
pub enum Answer {
    /// With an error.
    No(u16, &'static str, Value),
    /// As a proxy answers that stands before the Bot API.
    Between(u16),
    /// Not before it is released; then well.
    Held(Arc<Notify>),
}

/// A call that came.
#[derive(Clone, Debug)]
pub struct Called {
    pub at: Instant,
    pub token: String,
    pub method: String,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    answers: VecDeque<Answer>,
    calls: Vec<Called>,
    refused_tokens: Vec<String>,
    no_webhooks: bool,
    /// What `getWebhookInfo` answers instead of the truth, field by field.
    pretended: Value,
}

/// The stand-in. Clones share it.
#[derive(Clone, Default)]
pub struct Bot(Arc<Mutex<Inner>>);

impl Bot {
    pub async fn start() -> (Self, String) {
        let bot = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/{token}/{method}", post(answer))
            .with_state(bot.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (bot, url)
    }

    /// Answers the next messages so.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.lock().unwrap().answers.extend(answers);
    }

    pub fn refuse_token(&self, token: &str) {
        self.0
            .lock()
            .unwrap()
            .refused_tokens
            .push(format!("bot{token}"));
    }

    /// Takes no webhooks from now on.
    pub fn refuse_webhooks(&self) {
        self.0.lock().unwrap().no_webhooks = true;
    }

    /// Answers `getWebhookInfo` with these fields, whatever is true; nothing ends it.
    pub fn pretend_webhook(&self, fields: Value) {
        self.0.lock().unwrap().pretended = fields;
    }

    /// What `getWebhookInfo` answers: what was set last, and what is pretended.
    fn webhook(&self) -> Value {
        let inner = self.0.lock().unwrap();
        let set = inner
            .calls
            .iter()
            .rfind(|call| ["setWebhook", "deleteWebhook"].contains(&call.method.as_str()))
            .map_or(&Value::Null, |call| &call.body);
        let url = set["url"].as_str().unwrap_or_default();
        let mut info = json!({
            "url": url, "pending_update_count": 0, "allowed_updates": set["allowed_updates"],
        });
        for (key, value) in inner.pretended.as_object().into_iter().flatten() {
            info[key] = value.clone();
        }
        info
    }

    pub fn calls(&self, method: &str) -> Vec<Called> {
        let inner = self.0.lock().unwrap();
        inner
            .calls
            .iter()
            .filter(|call| call.method == method)
            .cloned()
            .collect()
    }

    pub fn texts(&self) -> Vec<String> {
        let texts = self.calls("sendMessage");
        texts
            .iter()
            .map(|call| call.body["text"].as_str().unwrap().to_owned())
            .collect()
    }

    pub async fn until(&self, calls: usize) {
        super::world::eventually("calls of the provider", async || {
            self.calls("sendMessage").len() >= calls
        })
        .await;
    }
}

async fn answer(
    State(bot): State<Bot>,
    Path((token, method)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let (answer, number) = {
        let mut inner = bot.0.lock().unwrap();
        inner.calls.push(Called {
            at: Instant::now(),
            token: token.clone(),
            method: method.clone(),
            body: body.clone(),
        });
        if inner.refused_tokens.contains(&token) {
            (Some(Answer::No(401, "Unauthorized", json!(null))), 0)
        } else if inner.no_webhooks && method == "setWebhook" {
            (Some(Answer::Between(502)), 0)
        } else if method == "sendMessage" {
            (inner.answers.pop_front(), inner.calls.len() + 3_000)
        } else {
            (None, 0)
        }
    };
    match answer {
        Some(Answer::No(code, description, parameters)) => {
            let body = json!({ "ok": false, "error_code": code, "description": description, "parameters": parameters });
            return (StatusCode::from_u16(code).unwrap(), Json(body)).into_response();
        }
        Some(Answer::Between(code)) => {
            return (StatusCode::from_u16(code).unwrap(), "<html>").into_response();
        }
        Some(Answer::Held(release)) => {
            let _ = tokio::time::timeout(Duration::from_secs(20), release.notified()).await;
        }
        None => {}
    }
    let result = match method.as_str() {
        "getWebhookInfo" => bot.webhook(),
        "getMe" => json!({ "id": 7001, "is_bot": true, "username": "shop_bot" }),
        "sendMessage" => {
            json!({ "message_id": number, "chat": { "id": body["chat_id"] }, "date": 1, "text": body["text"] })
        }
        _ => json!(true),
    };
    Json(json!({ "ok": true, "result": result })).into_response()
}
