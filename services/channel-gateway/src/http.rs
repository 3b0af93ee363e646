//! Webhooks: the handler checks, accepts, answers; all else happens in consumers.

pub mod files;
pub mod links;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use chassis::id::AccountSlug;
use chassis::packs::PackError;
use chassis::trace::TraceContext;
use futures::StreamExt as _;
use governor::clock::{Clock as _, DefaultClock, QuantaInstant};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::accept::{self, Intake, NotAccepted};
use crate::app::book::{Book, Found, Known};
use crate::app::unclaimed::{self, Unclaimed};
use crate::config;
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::{self, Credentials};
use crate::domain::{instagram, viber};
use crate::figures;

/// The header that carries the secret a webhook was registered with.
const SECRET: &str = "x-telegram-bot-api-secret-token";

/// The header with Viber's signature of the body.
const VIBER_SIGNATURE: &str = "x-viber-content-signature";

/// The header with Meta's signature of the body.
const META_SIGNATURE: &str = "x-hub-signature-256";

/// The budget of what is nobody's is counted in so many bytes.
const UNIT: u64 = 1024;

/// When a provider that was refused for our own state may come again, in seconds.
const COME_AGAIN: u64 = 1;

/// How many times the limit of a body is read before the connection of a body over it is closed.
const DRAINED: usize = 8;

/// What webhooks work with.
pub struct Webhooks {
    book: Arc<Book>,
    intake: Intake,
    limiter: DefaultKeyedRateLimiter<AccountSlug>,
    unclaimed: Unclaimed,
    unclaimed_budget: DefaultDirectRateLimiter,
    unclaimed_burst: NonZeroU32,
    meta: config::Instagram,
    body_limit: usize,
    meta_limit: usize,
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
    pub fn new(
        book: Arc<Book>,
        intake: Intake,
        unclaimed: Unclaimed,
        config: &config::Http,
        meta: &config::Instagram,
    ) -> Self {
        let quota =
            |rate: NonZeroU32, burst: NonZeroU32| Quota::per_second(rate).allow_burst(burst);
        let unclaimed_burst = units(meta.unclaimed_burst.max(meta.body_limit));
        Self {
            book,
            intake,
            unclaimed_burst,
            limiter: RateLimiter::keyed(quota(
                config.requests_per_second_per_account,
                config.burst,
            )),
            unclaimed,
            unclaimed_budget: RateLimiter::direct(quota(
                units(meta.unclaimed_per_second),
                unclaimed_burst,
            )),
            body_limit: usize::try_from(config.body_limit).unwrap_or(usize::MAX),
            meta_limit: usize::try_from(meta.body_limit).unwrap_or(usize::MAX),
            meta: meta.clone(),
            deadline: config.deadline,
        }
    }

    /// Forgets accounts that were quiet, so that the limiter does not grow.
    pub fn forget_quiet(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// A code of ours is no longer.
const CODE_MAX: usize = 64;

/// Tells whether a part of a path can be a code that was made here: what cannot is not asked for, least of all what no
/// database can be asked for.
fn is_code(code: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    code.len() <= CODE_MAX && code.bytes().all(known)
}

/// Returns the routes.
pub fn router(webhooks: Arc<Webhooks>) -> Router {
    Router::new()
        .route("/in/telegram/{channel_id}", post(telegram))
        .route("/in/viber/{channel_id}", post(viber))
        .route("/in/instagram", post(meta).get(meta_challenge))
        .with_state(webhooks)
}

async fn telegram(
    State(webhooks): State<Arc<Webhooks>>,
    Path(channel): Path<String>,
    request: Request,
) -> Response {
    webhooks
        .answer(ChannelKind::TelegramBot, &channel, request)
        .await
}

async fn viber(
    State(webhooks): State<Arc<Webhooks>>,
    Path(channel): Path<String>,
    request: Request,
) -> Response {
    webhooks
        .answer(ChannelKind::ViberBot, &channel, request)
        .await
}

async fn meta(State(webhooks): State<Arc<Webhooks>>, request: Request) -> Response {
    webhooks.answer(ChannelKind::Instagram, "", request).await
}

/// What Meta asks with when the webhook's address is entered in the app's dashboard.
#[derive(serde::Deserialize)]
struct Challenge {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    echo: String,
}

async fn meta_challenge(
    State(webhooks): State<Arc<Webhooks>>,
    Query(asked): Query<Challenge>,
) -> Response {
    let expected = webhooks.meta.verify_token.expose_secret().as_bytes();
    instagram::signature::challenge(&asked.mode, &asked.token, &asked.echo, expected).map_or_else(
        || Refused::Secret.into_response(),
        IntoResponse::into_response,
    )
}

impl Webhooks {
    /// Accepts a call in bounded time, and counts what became of it.
    async fn answer(&self, kind: ChannelKind, channel: &str, request: Request) -> Response {
        let began = Instant::now();
        let span = tracing::info_span!(
            "webhook",
            otel.name = format!("POST /in/{}", kind.as_str()),
            otel.kind = "server"
        );
        TraceContext::from_headers(request.headers()).adopt(&span);
        let too_large = AtomicBool::new(false);
        let work = async {
            match kind {
                ChannelKind::Instagram => self.accept_batch(request, &too_large).await,
                _ => self.accept(kind, channel, request, &too_large).await,
            }
        };
        let outcome = tokio::time::timeout(self.deadline, work.instrument(span)).await;
        let outcome = outcome.unwrap_or_else(|_| {
            // However slowly it comes: repeating it would be in vain.
            let known = too_large.load(Ordering::Relaxed);
            Err(if known {
                Refused::TooLarge
            } else {
                Refused::Away
            })
        });
        let response =
            outcome.map_or_else(Refused::into_response, |()| StatusCode::OK.into_response());
        let status = response.status().as_str().to_owned();
        figures::WEBHOOKS
            .of([kind.as_str().to_owned(), status])
            .increment(1);
        if response.status() == StatusCode::OK {
            figures::WEBHOOK_SECONDS
                .of([kind.as_str()])
                .record(began.elapsed().as_secs_f64());
        }
        response
    }

    /// Accepts a call to the address of one channel.
    async fn accept(
        &self,
        kind: ChannelKind,
        channel: &str,
        request: Request,
        too_large: &AtomicBool,
    ) -> Result<(), Refused> {
        let id = Uuid::parse_str(channel).map_err(|_| Refused::Unknown)?;
        let known = match self.book.find(id).await {
            Found::Known(known) if known.kind == kind => known,
            Found::Known(_) | Found::Unknown => return Err(Refused::Unknown),
            Found::Away => return Err(Refused::Away),
        };
        let (parts, body) = request.into_parts();
        if kind == ChannelKind::TelegramBot {
            authentic(&known, &parts.headers)?;
        }
        let raw = read(&parts.headers, body, self.body_limit, too_large).await?;
        if let Credentials::Viber(bot) = &known.access {
            signed(bot, &parts.headers, &raw)?;
        }
        // Only what is authentic uses up the account's rate: else anybody could.
        self.admit(&known)?;
        self.take_in(known, &raw, &parts.headers).await
    }

    /// Accepts a batch of Meta's, which may be for several accounts. A repeat of one that was accepted in part is
    /// known again.
    async fn accept_batch(&self, request: Request, too_large: &AtomicBool) -> Result<(), Refused> {
        let (parts, body) = request.into_parts();
        let raw = read(&parts.headers, body, self.meta_limit, too_large).await?;
        let secrets = [&self.meta.app_secret, &self.meta.product_secret]
            .map(|secret| secret.expose_secret().as_bytes());
        let given = parts
            .headers
            .get(META_SIGNATURE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !instagram::signature::verify(&secrets, &raw, given) {
            return Err(Refused::Secret);
        }
        let sorted = unclaimed::sort(&self.book, &raw).await;
        let sorted = sorted.ok_or(Refused::Away)?;
        figures::UNKNOWN_ACCOUNTS
            .of(["instagram"])
            .increment(sorted.unknown);
        self.admit_some(&sorted.channels)?;
        for known in sorted.channels {
            self.take_in(known, &raw, &parts.headers).await?;
        }
        // After the tenants' own: what is nobody's must not hold it up.
        self.keep(&sorted.rest).await
    }

    /// Keeps what is authentic and nobody's, within a budget of bytes: it comes rarely, and nobody answers for it. Beyond
    /// the budget Meta repeats it later.
    async fn keep(&self, rest: &[instagram::rest::Rest]) -> Result<(), Refused> {
        if rest.is_empty() {
            return Ok(());
        }
        let bytes = rest.iter().map(|rest| rest.raw.len() as u64).sum();
        // Taken apart it is a little larger than the body that it came in.
        match self
            .unclaimed_budget
            .check_n(units(bytes).min(self.unclaimed_burst))
        {
            Ok(admitted) => admitted.map_err(|until| too_many(&until))?,
            Err(_) => return Err(Refused::TooLarge),
        }
        for piece in rest {
            let kept = self.unclaimed.keep(piece, chassis::clock::now()).await;
            kept.map_err(|error| {
                tracing::warn!(%error, "a webhook of nobody here could not be kept");
                Refused::Away
            })?;
        }
        Ok(())
    }

    /// Admits a batch where one of its accounts is within its rate, and all of it then. One tenant's rate must not put the
    /// others off, and what is put off for one of them would be lost: Meta sends a batch again as a whole, or not at all.
    /// Refusing the rest with 429 would have Meta repeat what was accepted, and count it as a failure of the app that all
    /// tenants share. Who is beyond the rate rides along: the size of a batch bounds how much that is.
    fn admit_some(&self, channels: &[Arc<Known>]) -> Result<(), Refused> {
        let (mut within, mut refused) = (false, None);
        for known in channels {
            match self.admit(known) {
                Ok(()) => within = true,
                Err(beyond) => {
                    figures::BEYOND_RATE.of(["instagram"]).increment(1);
                    refused.get_or_insert(beyond);
                }
            }
        }
        refused.filter(|_| !within).map_or(Ok(()), Err)
    }

    /// Admits a call of an account within its rate.
    fn admit(&self, known: &Known) -> Result<(), Refused> {
        self.limiter
            .check_key(&known.account)
            .map_err(|until| too_many(&until))
    }

    /// Takes an authentic body in for a channel.
    async fn take_in(
        &self,
        known: Arc<Known>,
        raw: &Bytes,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        // Another replica may just have enabled it: that is worth a question before a message is put aside.
        let known = if known.state == ChannelState::Disabled {
            match self.book.find_fresh(known.id).await {
                Found::Known(fresh) => fresh,
                _ => known,
            }
        } else {
            known
        };
        // Where no spans are made the caller's own context goes on.
        let trace = Some(TraceContext::current()).filter(|trace| !trace.is_none());
        let trace = trace.unwrap_or_else(|| TraceContext::from_headers(headers));
        let accepted =
            accept::accept(&self.intake, &known, raw, &trace, chassis::clock::now()).await;
        accepted.map_err(|error| match error {
            NotAccepted::Inbound(PackError::TooLarge { .. }) => Refused::TooLarge,
            error => {
                tracing::warn!(%error, account = %known.account, "webhook not accepted");
                Refused::Away
            }
        })
    }
}

/// Reads the body, and says as soon as it is known that it is too large. One over the limit is read on, without keeping
/// it, up to [`DRAINED`] times the limit: a provider that is still sending when the connection closes would see a broken
/// call instead of the answer.
async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    too_large: &AtomicBool,
) -> Result<Bytes, Refused> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut over = announced.is_some_and(|length| length > limit as u64);
    too_large.store(over, Ordering::Relaxed);
    let (mut raw, mut seen) = (BytesMut::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            if over {
                Refused::TooLarge
            } else {
                Refused::Body
            }
        })?;
        seen += chunk.len();
        if seen > limit {
            over = true;
            too_large.store(true, Ordering::Relaxed);
        }
        if seen > limit.saturating_mul(DRAINED) {
            break;
        }
        if !over {
            raw.extend_from_slice(&chunk);
        }
    }
    if over {
        return Err(Refused::TooLarge);
    }
    Ok(raw.freeze())
}

fn too_many(until: &NotUntil<QuantaInstant>) -> Refused {
    Refused::TooMany(until.wait_time_from(DefaultClock::default().now()))
}

/// Returns how many units of the budget so many bytes are: at least one.
fn units(bytes: u64) -> NonZeroU32 {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN)
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

/// Checks Viber's signature over the body as it came.
fn signed(bot: &credentials::Viber, headers: &HeaderMap, raw: &[u8]) -> Result<(), Refused> {
    let given = headers
        .get(VIBER_SIGNATURE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if viber::signature::verify(bot.token.expose_secret().as_bytes(), raw, given) {
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
