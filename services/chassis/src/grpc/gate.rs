//! The gate in front of every method: span, token, scope, account, rights, rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use super::errors::{exhausted, refusal, unavailable};
use crate::access::{AccessRecord, AccessSource};
use crate::auth::{
    Caller, CallerParts, Claims, Method, Scope, Subject, SubjectKind, TokenError, Verifier,
    account_mismatch, satisfies,
};
use crate::config;
use crate::figures;
use crate::id::{AccountSlug, AgentId};
use crate::trace::TraceContext;

/// Metadata that names the account of an internal or operator's call.
pub const ACCOUNT_METADATA: &str = "switchboard-account";

/// Metadata that names the agent for whom an internal call is made.
pub const AGENT_METADATA: &str = "switchboard-agent";

/// Metadata of every answer that names its trace.
pub const TRACE_METADATA: &str = "switchboard-trace-id";

/// Methods under these prefixes need no token.
const OPEN: &[&str] = &["/grpc.health.", "/grpc.reflection."];

/// Decides who may call what.
pub struct Gate {
    domain: &'static str,
    methods: HashMap<&'static str, &'static str>,
    verifier: Verifier,
    access: Arc<dyn AccessSource>,
    limiter: DefaultKeyedRateLimiter<AccountSlug>,
    clock: DefaultClock,
}

impl Gate {
    /// Makes the gate of a service (`domain`) that knows these methods.
    pub fn new(
        domain: &'static str,
        methods: &'static [Method],
        verifier: Verifier,
        access: Arc<dyn AccessSource>,
        limits: &config::Limits,
    ) -> Self {
        let burst: NonZeroU32 = limits.burst;
        let quota = Quota::per_second(limits.requests_per_second_per_account).allow_burst(burst);
        Self {
            domain,
            methods: methods
                .iter()
                .map(|method| (method.path, method.scope))
                .collect(),
            verifier,
            access,
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
        }
    }

    /// Forgets accounts that have been quiet, so that memory stays bounded.
    pub fn forget_quiet(&self) {
        self.limiter.retain_recent();
    }

    /// Admits a call and tells who makes it, or refuses it. Health and reflection have no caller.
    pub async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, Status> {
        if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
            return Ok(None);
        }
        let claims = self.claims(headers).await?;
        let Some(&needed) = self.methods.get(path) else {
            let text = "there is no such method";
            return Err(refusal(
                self.domain,
                Code::Unimplemented,
                "METHOD_UNKNOWN",
                text,
                &[],
            ));
        };
        let caller = self.caller(claims, needed, headers).await?;
        if let Some(account) = caller.account_opt() {
            Span::current().record("account", account.as_str());
            // What our services ask of each other was admitted where it began.
            if !caller.is_internal() {
                self.limit(account)?;
            }
        }
        Ok(Some(caller))
    }

    async fn claims(&self, headers: &HeaderMap) -> Result<Claims, Status> {
        let mut tokens = headers.get_all(http::header::AUTHORIZATION).iter();
        let token = tokens.next().map(HeaderValue::to_str).transpose();
        let verified = match (token, tokens.next()) {
            (Ok(token), None) => self.verifier.verify_header(token).await,
            _ => Err(TokenError::Invalid),
        };
        verified.map_err(|error| {
            let reason = match error {
                TokenError::Missing => "TOKEN_MISSING",
                TokenError::Invalid => "TOKEN_INVALID",
                TokenError::Expired => "TOKEN_EXPIRED",
                TokenError::KeysAway => return unavailable(self.domain, "token keys"),
            };
            refusal(
                self.domain,
                Code::Unauthenticated,
                reason,
                &error.to_string(),
                &[],
            )
        })
    }

    async fn caller(
        &self,
        claims: Claims,
        needed: &'static str,
        headers: &HeaderMap,
    ) -> Result<Caller, Status> {
        let scopes: Vec<String> = claims
            .scope
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        let Some(used) = satisfies(&scopes, needed) else {
            let text = "the token lacks the scope of this method";
            let facts = [("scope", needed)];
            return Err(refusal(
                self.domain,
                Code::PermissionDenied,
                "SCOPE_MISSING",
                text,
                &facts,
            ));
        };
        let subject = match claims.kind {
            SubjectKind::Agent => {
                Subject::Agent(claims.sub.parse().map_err(|_| self.invalid_token())?)
            }
            SubjectKind::Service => Subject::Service(claims.sub),
        };
        let named = self.named_account(headers)?;
        // Beyond accounts stand only tokens of programs that carry none.
        let above = matches!(subject, Subject::Service(_)) && claims.account.is_none();
        let internal = above && used == Scope::INTERNAL.as_str();
        let ops = above && used == Scope::OPS.as_str();
        let beyond_accounts = needed
            .split('|')
            .all(|scope| scope == "internal" || scope == "ops");
        let account = match (claims.account, named) {
            (Some(own), None) => Some(own),
            (Some(own), Some(named)) if own == named => Some(own),
            (None, Some(named)) if internal || ops => Some(named),
            (None, None) if (internal || ops) && beyond_accounts => None,
            _ => return Err(account_mismatch(self.domain)),
        };
        // `internal` and `ops` are not for tokens of an account, whoever signed them so.
        if !above && (used == Scope::INTERNAL.as_str() || used == Scope::OPS.as_str()) {
            let text = "the token of an account cannot have this scope";
            return Err(refusal(
                self.domain,
                Code::PermissionDenied,
                "SCOPE_MISSING",
                text,
                &[],
            ));
        }
        let acting = match &subject {
            Subject::Agent(agent) => Some(*agent),
            Subject::Service(_) if internal => self.named_agent(headers)?,
            Subject::Service(_) => None,
        };
        let access = match (&account, acting) {
            (Some(account), Some(agent)) => Some(self.rights(account, agent).await?),
            (Some(account), None) if !above => {
                self.not_suspended(account).await?;
                None
            }
            _ => None,
        };
        Ok(Caller::new(CallerParts {
            account,
            subject,
            acting,
            internal,
            scopes,
            access,
        }))
    }

    async fn rights(&self, account: &AccountSlug, agent: AgentId) -> Result<AccessRecord, Status> {
        let record = self.access.access(account, agent).await.map_err(|error| {
            tracing::warn!(error = %error, "access record not available");
            unavailable(self.domain, "access records")
        })?;
        record.filter(|record| record.active).ok_or_else(|| {
            let text = "the agent is not active in this account";
            refusal(
                self.domain,
                Code::PermissionDenied,
                "AGENT_INACTIVE",
                text,
                &[],
            )
        })
    }

    async fn not_suspended(&self, account: &AccountSlug) -> Result<(), Status> {
        match self.access.suspended(account).await {
            Ok(false) => Ok(()),
            Ok(true) => {
                let text = "the account is suspended";
                Err(refusal(
                    self.domain,
                    Code::PermissionDenied,
                    "ACCOUNT_SUSPENDED",
                    text,
                    &[],
                ))
            }
            Err(error) => {
                tracing::warn!(error = %error, "account state not available");
                Err(unavailable(self.domain, "account states"))
            }
        }
    }

    fn limit(&self, account: &AccountSlug) -> Result<(), Status> {
        self.limiter.check_key(account).map_err(|refused| {
            figures::GRPC_LIMITED.increment(1);
            let wait = refused
                .wait_time_from(self.clock.now())
                .max(Duration::from_millis(1));
            exhausted(self.domain, account.as_str(), wait)
        })
    }

    fn named_account(&self, headers: &HeaderMap) -> Result<Option<AccountSlug>, Status> {
        let text = self.named(headers, ACCOUNT_METADATA)?;
        text.map(AccountSlug::parse)
            .transpose()
            .map_err(|_| account_mismatch(self.domain))
    }

    fn named_agent(&self, headers: &HeaderMap) -> Result<Option<AgentId>, Status> {
        let text = self.named(headers, AGENT_METADATA)?;
        text.map(str::parse).transpose().map_err(|_| {
            let text = "metadata switchboard-agent is no UUID";
            refusal(
                self.domain,
                Code::PermissionDenied,
                "AGENT_INACTIVE",
                text,
                &[],
            )
        })
    }

    fn named<'h>(&self, headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Status> {
        let mut values = headers.get_all(name).iter();
        match (
            values.next().map(HeaderValue::to_str).transpose(),
            values.next(),
        ) {
            (Ok(value), None) => Ok(value.filter(|value| !value.is_empty())),
            _ => Err(account_mismatch(self.domain)),
        }
    }

    fn invalid_token(&self) -> Status {
        let text = TokenError::Invalid.to_string();
        refusal(
            self.domain,
            Code::Unauthenticated,
            "TOKEN_INVALID",
            &text,
            &[],
        )
    }

    /// The path as a label: known ones only, so that callers can't make metrics grow.
    fn label(&self, path: &str) -> &'static str {
        self.methods
            .get_key_value(path)
            .map_or("other", |(path, _)| path)
    }
}

/// Puts a [`Gate`] in front of a server's services.
#[derive(Clone)]
pub struct GateLayer(Arc<Gate>);

impl GateLayer {
    /// Makes the layer of a gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: Arc::clone(&self.0),
            inner,
        }
    }
}

/// A service behind a gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The ready one is used, a fresh clone stays.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        let method = gate.label(request.uri().path());
        let span = tracing::info_span!(
            "request",
            otel.name = method,
            otel.kind = "server",
            rpc.method = method,
            account = tracing::field::Empty,
        );
        TraceContext::from_headers(request.headers()).adopt(&span);
        let trace = TraceContext::of(&span).trace_id();
        let work = async move {
            let began = Instant::now();
            let admitted = gate.admit(request.uri().path(), request.headers()).await;
            let mut response = match admitted {
                Ok(caller) => {
                    if let Some(caller) = caller {
                        request.extensions_mut().insert(caller);
                    }
                    inner.call(request).await?
                }
                Err(status) => status.into_http(),
            };
            if let Some(trace) = trace.and_then(|trace| HeaderValue::from_str(&trace).ok()) {
                response.headers_mut().insert(TRACE_METADATA, trace);
            }
            // An error of a unary method stands in the headers; without one it went well or still streams.
            let code = Status::from_header_map(response.headers())
                .map_or(Code::Ok, |status| status.code());
            figures::GRPC_SECONDS
                .of([method, code_name(code)])
                .record(began.elapsed().as_secs_f64());
            Ok(response)
        };
        Box::pin(work.instrument(span))
    }
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
