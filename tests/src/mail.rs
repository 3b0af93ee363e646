//! A mailbox to play with: a private Dovecot and a private SMTP server behind a control API like that of the stand-ins,
//! through which customers write mails and what was handed over is read.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::TcpListener;

use crate::servers::{Dovecot, SmtpServer, SmtpTls};

/// The mailbox's user, at both servers.
pub const USER: &str = "shop";
/// The user's password: Dovecot's is the same for everybody.
pub const PASSWORD: &str = "secret";

/// Where everything listens, on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// IMAP in the clear.
    pub imap: u16,
    /// IMAP by TLS.
    pub imaps: u16,
    /// Where mails are delivered to the mailbox.
    pub lmtp: u16,
    /// Where mails are handed over.
    pub smtp: u16,
}

struct Servers {
    dovecot: Dovecot,
    smtp: SmtpServer,
}

/// A running mailbox. Its servers end, and its mails go, when dropped.
pub struct StandIn {
    address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
    _servers: Arc<Servers>,
}

impl StandIn {
    /// Starts the servers, and the control API at an address.
    pub async fn start(listen: SocketAddr, ports: Ports) -> anyhow::Result<Self> {
        let servers = tokio::task::spawn_blocking(move || {
            let dovecot = Dovecot::start_on(vec![ports.imap, ports.imaps, ports.lmtp], None)?;
            let smtp = SmtpServer::start_on(ports.smtp, SmtpTls::None)?;
            smtp.behave(&json!({ "users": { USER: PASSWORD } }))?;
            anyhow::Ok(Arc::new(Servers { dovecot, smtp }))
        })
        .await??;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("the mailbox's control API cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/control/health", get(async || Json(json!({ "ok": true }))))
            .route("/control/mails", post(write))
            .route("/control/sent", get(sent))
            .with_state(Arc::clone(&servers));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the mailbox's control API stopped: {error}");
            }
        });
        Ok(Self {
            address,
            serving,
            _servers: servers,
        })
    }

    /// Where the control API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Deserialize)]
struct Mail {
    /// Name and address of the customer.
    name: String,
    from: String,
    to: String,
    subject: String,
    text: String,
    /// Without brackets. The same again is the same mail again.
    message_id: String,
}

fn failed(error: &anyhow::Error) -> Response {
    let error = json!({ "error": format!("{error:#}") });
    (StatusCode::BAD_GATEWAY, Json(error)).into_response()
}

/// Delivers a customer's mail to the mailbox.
async fn write(Extract(servers): Extract<Arc<Servers>>, Json(mail): Json<Mail>) -> Response {
    let Ok(date) = OffsetDateTime::now_utc().format(&Rfc2822) else {
        return failed(&anyhow::anyhow!("the time cannot be written"));
    };
    let raw = format!(
        "From: {} <{}>\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{}>\r\nDate: {date}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
        mail.name, mail.from, mail.to, mail.subject, mail.message_id, mail.text
    );
    let delivered = tokio::task::spawn_blocking(move || servers.dovecot.deliver(USER, &raw)).await;
    match delivered.map_err(anyhow::Error::from).flatten() {
        Ok(()) => Json(json!({ "message_id": mail.message_id })).into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
struct Page {
    /// Only mails after this ordinal.
    #[serde(default)]
    after: usize,
}

/// What was handed over, oldest first.
async fn sent(Extract(servers): Extract<Arc<Servers>>, Query(page): Query<Page>) -> Response {
    let read = tokio::task::spawn_blocking(move || servers.smtp.received()).await;
    match read.map_err(anyhow::Error::from).flatten() {
        Ok(received) => {
            let mails = received.iter().enumerate().skip(page.after);
            let sent: Vec<_> = mails
                .map(|(before, mail)| {
                    let raw = String::from_utf8_lossy(&mail.raw);
                    json!({ "ordinal": before + 1, "from": mail.from, "to": mail.to, "raw": raw })
                })
                .collect();
            Json(json!({ "total": received.len(), "sent": sent })).into_response()
        }
        Err(error) => failed(&error),
    }
}
