//! Calling other services: channels with deadlines, and the interceptor of internal calls.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tonic::metadata::{AsciiMetadataValue, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::id::{AccountSlug, AgentId};
use crate::trace::{self, TraceContext};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take, at both ends.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// [`CALL_TIMEOUT`] as the header that tells the server.
const CALL_TIMEOUT_HEADER: &str = "5S";

/// How often the token file is looked at.
const TOKEN_AGE: Duration = Duration::from_secs(2);

/// Makes a channel to a service. It connects when first used, and again when the connection is lost.
pub fn channel(url: &str) -> anyhow::Result<Channel> {
    let endpoint =
        Endpoint::from_str(url).with_context(|| format!("{url:?} is no address of a service"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// Adds the internal token, account, acting agent, deadline and trace to calls.
///
/// `AssignmentServiceClient::with_interceptor(channel.clone(), internal.for_account(&account))`
#[derive(Clone)]
pub struct Internal {
    token: Arc<TokenFile>,
    account: Option<AsciiMetadataValue>,
    agent: Option<AsciiMetadataValue>,
}

impl Internal {
    /// Makes the interceptor over `auth.internal_token_file`, which is read again when it changes.
    pub fn new(token_file: &Path) -> Self {
        let token = TokenFile {
            path: token_file.to_owned(),
            seen: Mutex::new(None),
        };
        Self {
            token: Arc::new(token),
            account: None,
            agent: None,
        }
    }

    /// Returns an interceptor for calls about one account.
    #[must_use]
    pub fn for_account(&self, account: &AccountSlug) -> Self {
        // A slug is always a valid header value; were it not, the call would be refused for lack of one.
        let account = MetadataValue::try_from(account.as_str()).ok();
        Self {
            account,
            agent: None,
            ..self.clone()
        }
    }

    /// Returns an interceptor for calls that an agent of an account causes.
    #[must_use]
    pub fn for_agent(&self, account: &AccountSlug, agent: AgentId) -> Self {
        let agent = MetadataValue::try_from(agent.to_string()).ok();
        Self {
            agent,
            ..self.for_account(account)
        }
    }
}

impl Interceptor for Internal {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.token.current()?;
        let metadata = request.metadata_mut();
        metadata.insert("authorization", token);
        if let Some(account) = &self.account {
            metadata.insert(crate::grpc::ACCOUNT_METADATA, account.clone());
        }
        if let Some(agent) = &self.agent {
            metadata.insert(crate::grpc::AGENT_METADATA, agent.clone());
        }
        if metadata.get("grpc-timeout").is_none() {
            metadata.insert(
                "grpc-timeout",
                MetadataValue::from_static(CALL_TIMEOUT_HEADER),
            );
        }
        let parent = TraceContext::current().traceparent();
        if let Some(Ok(parent)) = parent.map(MetadataValue::try_from) {
            metadata.insert(trace::HEADER, parent);
        }
        Ok(request)
    }
}

struct TokenFile {
    path: PathBuf,
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    looked: Instant,
    changed: Option<SystemTime>,
    header: AsciiMetadataValue,
}

impl TokenFile {
    fn current(&self) -> Result<AsciiMetadataValue, Status> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(seen) = seen.as_mut() {
            if now.duration_since(seen.looked) < TOKEN_AGE {
                return Ok(seen.header.clone());
            }
            seen.looked = now;
            if self.changed() == seen.changed {
                return Ok(seen.header.clone());
            }
        }
        let changed = self.changed();
        match self.read() {
            Ok(header) => {
                *seen = Some(Seen {
                    looked: now,
                    changed,
                    header: header.clone(),
                });
                Ok(header)
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "internal token cannot be read"
                );
                // The token in hand may still be good while the file is being replaced.
                let known = seen.as_ref().map(|seen| seen.header.clone());
                known.ok_or_else(|| Status::unavailable("the internal token is not available"))
            }
        }
    }

    fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path)
            .and_then(|file| file.modified())
            .ok()
    }

    fn read(&self) -> anyhow::Result<AsciiMetadataValue> {
        let path = self.path.display();
        let text = std::fs::read_to_string(&self.path)
            .with_context(|| format!("auth.internal_token_file: {path}"))?;
        let mut header = MetadataValue::try_from(format!("Bearer {}", text.trim()))
            .with_context(|| format!("auth.internal_token_file: {path} holds no token"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_calls_carry_token_account_agent_and_deadline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc\n").unwrap();
        let internal = Internal::new(file.path());
        let account = AccountSlug::parse("acme").unwrap();
        let agent = AgentId::from(uuid::Uuid::from_u128(1));
        let request = internal
            .for_agent(&account, agent)
            .call(Request::new(()))
            .unwrap();
        let header = |name: &str| {
            request
                .metadata()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header("authorization").as_deref(), Some("Bearer abc"));
        assert_eq!(header("switchboard-account").as_deref(), Some("acme"));
        assert_eq!(header("switchboard-agent"), Some(agent.to_string()));
        assert_eq!(header("grpc-timeout").as_deref(), Some("5S"));
        assert!(!format!("{:?}", request.metadata()).contains("abc"));
    }

    #[test]
    fn without_its_token_a_call_is_not_made() {
        let refused = Internal::new(Path::new("/nowhere/token")).call(Request::new(()));
        assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);
    }
}
