//! Viber's REST Bot API over HTTP. The token stands in a header: it never leaves this module.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Answer, CallError, answer, client};
use crate::config;
use crate::domain::value;
use crate::domain::viber::errors::{ApiError, INVALID_TOKEN};
use crate::domain::viber::rehearsal;

/// The header that carries the bot's token.
const TOKEN: &str = "X-Viber-Auth-Token";

/// The events that a webhook is registered for, beside those that always come: `message`, `subscribed`, `unsubscribed`.
/// Always sent whole.
pub const EVENT_TYPES: [&str; 6] = [
    "delivered",
    "seen",
    "failed",
    "subscribed",
    "unsubscribed",
    "conversation_started",
];

/// What Viber tells about a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountInfo {
    /// The bot's id, as `pa:75346594275468546724`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address within Viber, as `viber://pa?chatURI=…` takes it.
    pub uri: String,
    /// The webhook that is set; empty where there is none.
    pub webhook: String,
    /// The events that the webhook is registered for.
    pub event_types: Vec<String>,
}

/// The REST Bot API. Clones share connections.
#[derive(Clone)]
pub struct ViberApi {
    http: reqwest::Client,
    base: String,
    call_timeout: Duration,
}

impl ViberApi {
    /// Makes a client for the configured server.
    pub fn new(config: &config::Viber) -> anyhow::Result<Self> {
        let base = config.api_url.trim_end_matches('/').to_owned();
        anyhow::ensure!(
            base.starts_with("https://") || base.starts_with("http://"),
            "viber.api_url: must be an http(s) address"
        );
        let http = client(config.connect_timeout, config.call_timeout)?;
        Ok(Self {
            http,
            base,
            call_timeout: config.call_timeout,
        })
    }

    /// Returns how long a call takes at most.
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Registers the webhook. Before this returns, Viber calls it: the token must be stored and the route open.
    pub async fn set_webhook(
        &self,
        token: &SecretString,
        url: &str,
    ) -> Result<(), CallError<ApiError>> {
        let body = json!({
            "url": url,
            "event_types": EVENT_TYPES,
            "send_name": true,
            "send_photo": true,
        });
        self.call(token, "set_webhook", &body).await.map(drop)
    }

    /// Takes the webhook back. That also closes the bot's chats for its clients.
    pub async fn remove_webhook(&self, token: &SecretString) -> Result<(), CallError<ApiError>> {
        let body = json!({ "url": "" });
        self.call(token, "set_webhook", &body).await.map(drop)
    }

    /// Returns what Viber tells about the bot: also whether the token is believed and the webhook is still ours.
    pub async fn account_info(
        &self,
        token: &SecretString,
    ) -> Result<AccountInfo, CallError<ApiError>> {
        let info = self.call(token, "get_account_info", &json!({})).await?;
        let text = |key: &str| value::text(&info, key).unwrap_or_default();
        let events = value::list(&info, "event_types").iter();
        Ok(AccountInfo {
            id: value::id(&info, "id").unwrap_or_default(),
            name: text("name"),
            uri: text("uri"),
            webhook: text("webhook"),
            event_types: events
                .filter_map(|event| event.as_str().map(ToOwned::to_owned))
                .collect(),
        })
    }

    /// Calls a method and returns its answer. HTTP says 200 for refusals too: the `status` within decides.
    pub async fn call(
        &self,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, CallError<ApiError>> {
        // Such a token is never sent to anybody.
        if let Some(answer) = rehearsal::answer(token.expose_secret(), method) {
            return answer.map_err(CallError::Refused);
        }
        // What no header can carry is no token.
        let Ok(mut header) = HeaderValue::from_str(token.expose_secret()) else {
            return Err(CallError::Refused(ApiError {
                status: Some(INVALID_TOKEN),
                message: "the token has not Viber's form".to_owned(),
                ..ApiError::default()
            }));
        };
        header.set_sensitive(true);
        let request = self.http.post(format!("{}/{method}", self.base));
        let Answer {
            status,
            retry_after,
            body,
        } = answer("Viber", request.header(TOKEN, header).json(body)).await?;
        match body {
            Some(body) if value::int(&body, "status") == Some(0) => Ok(body),
            Some(body) if value::int(&body, "status").is_some() => {
                Err(CallError::Refused(ApiError::read(&body, retry_after)))
            }
            _ if (200..300).contains(&status) => Err(CallError::Unknown(
                "Viber's answer could not be read.".into(),
            )),
            _ => Err(CallError::Refused(ApiError::between(status, retry_after))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;

    const SECRET: &str = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3";

    type Seen = Arc<Mutex<Vec<(String, Value)>>>;

    /// A client of a server that answers every call so, and what that server was asked.
    async fn answering(status: u16, body: &'static str) -> (ViberApi, Seen) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let answer = async move |headers: HeaderMap, raw: String| {
            let token = headers[TOKEN].to_str().unwrap().to_owned();
            let asked = serde_json::from_str(&raw).unwrap();
            kept.lock().unwrap().push((token, asked));
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let router = Router::new().route("/pa/{method}", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}/pa/", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        let config = config::Viber {
            api_url,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
        };
        (ViberApi::new(&config).unwrap(), seen)
    }

    // pitfall 10: HTTP 200 is no success
    #[tokio::test]
    async fn an_answer_is_what_its_status_says_whatever_http_says() {
        let refused = |status| format!("Refused(ApiError {{ status: {status}");
        for (http, body, expected) in [
            (
                200,
                r#"{"status":0,"message_token":18446744073709551615}"#,
                "18446744073709551615".to_owned(),
            ),
            (
                200,
                r#"{"status":12,"status_message":"tooManyRequests"}"#,
                refused("Some(12)"),
            ),
            (
                500,
                r#"{"status":3,"status_message":"badData"}"#,
                refused("Some(3)"),
            ),
            (502, "<html>", refused("None")),
            (401, "{}", refused("None")),
            (429, "", refused("Some(12)")),
            (200, "<html>", "Unknown(".to_owned()),
            (200, r#"{"ok":true}"#, "Unknown(".to_owned()),
        ] {
            let (api, seen) = answering(http, body).await;
            let token = SecretString::from(SECRET);
            let answer = api
                .call(&token, "send_message", &json!({"type": "text"}))
                .await;
            let read = match answer {
                Ok(answer) => answer["message_token"].to_string(),
                Err(error) => format!("{error:?}"),
            };
            assert!(read.starts_with(&expected), "{http} {body}: {read}");
            assert!(!read.contains(SECRET), "the token stays within");
            let asked = seen.lock().unwrap().pop().unwrap();
            assert_eq!(asked, (SECRET.to_owned(), json!({"type": "text"})));
        }
    }

    #[tokio::test]
    async fn a_webhook_is_asked_for_with_all_that_it_needs() {
        let (api, seen) = answering(200, r#"{"status":0,"event_types":[]}"#).await;
        let token = SecretString::from(SECRET);
        api.set_webhook(&token, "https://gw.example.ua/in/viber/6b1f90")
            .await
            .unwrap();
        api.remove_webhook(&token).await.unwrap();
        let asked: Vec<Value> = seen
            .lock()
            .unwrap()
            .iter()
            .map(|(_, body)| body.clone())
            .collect();
        let set = json!({
            "url": "https://gw.example.ua/in/viber/6b1f90", "event_types": EVENT_TYPES, "send_name": true, "send_photo": true,
        });
        assert_eq!(asked, [set, json!({"url": ""})]);
    }

    #[tokio::test]
    async fn an_account_tells_who_it_is_and_where_it_calls() {
        let (api, _) = answering(
            200,
            r#"{"status":0,"id":"pa:1","name":"Крамниця","uri":"shop","webhook":"https://a.example","event_types":["seen"]}"#,
        )
        .await;
        let info = api.account_info(&SecretString::from(SECRET)).await.unwrap();
        let expected = AccountInfo {
            id: "pa:1".to_owned(),
            name: "Крамниця".to_owned(),
            uri: "shop".to_owned(),
            webhook: "https://a.example".to_owned(),
            event_types: vec!["seen".to_owned()],
        };
        assert_eq!(info, expected);
    }

    #[tokio::test]
    async fn o105_a_rehearsals_token_is_told_to_nobody() {
        let (api, seen) = answering(200, r#"{"status":0,"id":"pa:1","name":"x"}"#).await;
        let line = uuid::Uuid::nil();
        let token = SecretString::from(format!("rehearsal-{line}-{}", "0f".repeat(32)));
        let info = api.account_info(&token).await.unwrap();
        assert_eq!(info.id, format!("rehearsal-{line}"));
        api.set_webhook(&token, "https://gw.example").await.unwrap();
        api.remove_webhook(&token).await.unwrap();
        let sent = api.call(&token, "send_message", &json!({})).await;
        assert!(matches!(sent, Err(CallError::Refused(_))));
        assert!(seen.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_no_header_can_carry_is_no_token() {
        let (api, seen) = answering(200, r#"{"status":0}"#).await;
        let token = SecretString::from(format!("{SECRET}\n"));
        let error = api
            .call(&token, "send_message", &json!({}))
            .await
            .unwrap_err();
        assert!(matches!(&error, CallError::Refused(error) if error.status == Some(INVALID_TOKEN)));
        assert!(!format!("{error:?} {error}").contains(SECRET) && seen.lock().unwrap().is_empty());
    }
}
