//! Calling other services: channels with deadlines, and the interceptor of internal calls.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tonic::metadata::{AsciiMetadataValue, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::fresh::Fresh;
use crate::id::{AccountSlug, AgentId};
use crate::tls;
use crate::trace::{self, TraceContext};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take, at both ends.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// [`CALL_TIMEOUT`] as the header that tells the server.
const CALL_TIMEOUT_HEADER: &str = "5S";

/// Makes a channel to a service. It connects when first used, and again when the connection is lost.
///
/// # Errors
/// Where `url` is no address, or begins with `https://` and `ca_file` (`grpc.ca_file`) does not tell who is to be trusted.
pub fn channel(url: &str, ca_file: Option<&Path>) -> anyhow::Result<Channel> {
    let told = || format!("{url:?} is no address of a service");
    let endpoint = Endpoint::from_str(url).with_context(told)?;
    if endpoint.uri().scheme_str() == Some("https") {
        let ca_file = ca_file.context("grpc.ca_file: is needed for an address with https")?;
        return tls::channel(&endpoint, ca_file).with_context(told);
    }
    Ok(self::endpoint(endpoint).connect_lazy())
}

/// Bounds what calls to an endpoint may take.
pub(crate) fn endpoint(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
}

/// Adds the internal token, account, acting agent, deadline and trace to calls.
///
/// `AssignmentServiceClient::with_interceptor(channel.clone(), internal.for_account(&account))`
#[derive(Clone)]
pub struct Internal {
    token: Arc<Fresh<AsciiMetadataValue>>,
    account: Option<AsciiMetadataValue>,
    agent: Option<AsciiMetadataValue>,
}

impl Internal {
    /// Makes the interceptor over `auth.internal_token_file`, which is read again when it changes.
    pub fn new(token_file: &Path) -> Self {
        let token = Fresh::new("auth.internal_token_file", token_file, header);
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
        let token = self.token.current().map_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "internal token cannot be read"
            );
            Status::unavailable("the internal token is not available")
        })?;
        let metadata = request.metadata_mut();
        metadata.insert("authorization", token.as_ref().clone());
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

/// Makes the header of the token that a file holds.
fn header(text: &str) -> anyhow::Result<AsciiMetadataValue> {
    // What it holds is not repeated.
    let header = MetadataValue::try_from(format!("Bearer {}", text.trim())).ok();
    let mut header = header.context("it holds no token")?;
    header.set_sensitive(true);
    Ok(header)
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
