//! Webhooks: the handler checks, accepts, answers; all else happens in consumers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use chassis::id::AccountSlug;
use chassis::packs::PackError;
use chassis::trace::TraceContext;
use futures::StreamExt as _;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::accept::{self, Intake, NotAccepted};
use crate::app::book::{Book, Found, Known};
use crate::config;
use crate::domain::channel::ChannelState;

/// The header that carries the secret a webhook was registered with.
const SECRET: &str = "x-telegram-bot-api-secret-token";

/// When a provider that was refused for our own state may come again, in seconds.
const COME_AGAIN: u64 = 1;

/// How many times the limit of a body is read before the connection of a body over it is closed.
const DRAINED: usize = 8;

/// What webhooks work with.
pub struct Webhooks {
    book: Arc<Book>,
    intake: Intake,
    limiter: DefaultKeyedRateLimiter<AccountSlug>,
    body_limit: usize,
    deadline: Duration,
}

/// Why a call is not accepted, as the provider sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The database says that there is no such channel.
    Unknown,
    /// The secret is missing or wrong.
    Secret,
    /// The body is too large.
    TooLarge,
    /// The body did not come.
    Body,
    /// Too many calls of this account.
    TooMany(Duration),
    /// We cannot accept now: the provider's repeat is the safety net.
    Away,
}

impl Webhooks {
    /// Makes the handlers' state.
    pub fn new(book: Arc<Book>, intake: Intake, config: &config::Http) -> Self {
        let quota =
            |rate: NonZeroU32, burst: NonZeroU32| Quota::per_second(rate).allow_burst(burst);
        Self {
            book,
            intake,
            limiter: RateLimiter::keyed(quota(
                config.requests_per_second_per_account,
                config.burst,
            )),
            body_limit: usize::try_from(config.body_limit).unwrap_or(usize::MAX),
            deadline: config.deadline,
        }
    }

    /// Forgets accounts that were quiet, so that the limiter does not grow.
    pub fn forget_quiet(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Returns the routes.
pub fn router(webhooks: Arc<Webhooks>) -> Router {
    Router::new()
        .route("/in/telegram/{channel_id}", post(telegram))
        .with_state(webhooks)
}

async fn telegram(
    State(webhooks): State<Arc<Webhooks>>,
    Path(channel): Path<String>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let span = tracing::info_span!(
        "webhook",
        otel.name = "POST /in/telegram",
        otel.kind = "server"
    );
    TraceContext::from_headers(request.headers()).adopt(&span);
    let work = webhooks.accept(&channel, request).instrument(span);
    let outcome = tokio::time::timeout(webhooks.deadline, work)
        .await
        .unwrap_or(Err(Refused::Away));
    let response = outcome.map_or_else(Refused::into_response, |()| StatusCode::OK.into_response());
    let status = response.status().as_str().to_owned();
    metrics::counter!("webhook_requests_total", "provider" => "telegram", "status" => status)
        .increment(1);
    if response.status() == StatusCode::OK {
        metrics::histogram!("webhook_accept_seconds", "provider" => "telegram")
            .record(began.elapsed().as_secs_f64());
    }
    response
}

impl Webhooks {
    async fn accept(&self, channel: &str, request: Request) -> Result<(), Refused> {
        let id = Uuid::parse_str(channel).map_err(|_| Refused::Unknown)?;
        let known = match self.book.find(id).await {
            Found::Known(known) => known,
            Found::Unknown => return Err(Refused::Unknown),
            Found::Away => return Err(Refused::Away),
        };
        let (parts, body) = request.into_parts();
        authentic(&known, &parts.headers)?;
        self.limiter.check_key(&known.account).map_err(|until| {
            Refused::TooMany(until.wait_time_from(DefaultClock::default().now()))
        })?;
        let raw = self.read(&parts.headers, body).await?;
        // Another replica may just have enabled it: that is worth a question before a message is put aside.
        let known = if known.state == ChannelState::Disabled {
            match self.book.find_fresh(id).await {
                Found::Known(fresh) => fresh,
                _ => known,
            }
        } else {
            known
        };
        // Where no spans are made the caller's own context goes on.
        let trace = Some(TraceContext::current()).filter(|trace| !trace.is_none());
        let trace = trace.unwrap_or_else(|| TraceContext::from_headers(&parts.headers));
        let accepted =
            accept::telegram(&self.intake, &known, &raw, &trace, chassis::clock::now()).await;
        accepted.map_err(|error| match error {
            NotAccepted::Inbound(PackError::TooLarge { .. }) => Refused::TooLarge,
            error => {
                tracing::warn!(%error, account = %known.account, "webhook not accepted");
                Refused::Away
            }
        })
    }

    /// Reads the body. One over the limit is read on, without keeping it, up to [`DRAINED`] times the limit: a provider
    /// that is still sending when the connection closes would see a broken call instead of the answer.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut too_large = announced.is_some_and(|length| length > self.body_limit as u64);
        let (mut raw, mut seen) = (BytesMut::new(), 0);
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Refused::Body)?;
            seen += chunk.len();
            too_large |= seen > self.body_limit;
            if seen > self.body_limit.saturating_mul(DRAINED) {
                break;
            }
            if !too_large {
                raw.extend_from_slice(&chunk);
            }
        }
        if too_large {
            return Err(Refused::TooLarge);
        }
        Ok(raw.freeze())
    }
}

/// Compares the secret in constant time, before anything of the body is read.
fn authentic(channel: &Known, headers: &HeaderMap) -> Result<(), Refused> {
    let given = headers.get(SECRET).map_or(&b""[..], HeaderValue::as_bytes);
    let expected = channel.secret.expose_secret().as_bytes();
    if !expected.is_empty() && bool::from(given.ct_eq(expected)) {
        Ok(())
    } else {
        Err(Refused::Secret)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, again) = match self {
            Self::Unknown => (StatusCode::NOT_FOUND, None),
            Self::Secret => (StatusCode::UNAUTHORIZED, None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body => (StatusCode::BAD_REQUEST, None),
            Self::TooMany(wait) => (StatusCode::TOO_MANY_REQUESTS, Some(wait.as_secs() + 1)),
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, Some(COME_AGAIN)),
        };
        let mut response = status.into_response();
        if let Some(seconds) = again {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
