//! Connections to mail servers: TCP or TLS, every read and write with a limit of its own.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::domain::address::is_public;
use anyhow::Context as _;
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after `STARTTLS`, which is required.
    StartTls,
    /// None: only where the rules allow it.
    Plain,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name: what its certificate must be for.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
}

/// What connections are held to.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Connections without TLS are allowed.
    pub plain: bool,
    /// Servers on loopback and in private networks are allowed.
    pub private: bool,
    /// How long it may take until a connection stands.
    pub connect: Duration,
    /// How long a read or a write may make no progress.
    pub idle: Duration,
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

/// Makes connections. Clones share what certificates are checked against.
#[derive(Clone)]
pub struct Wires {
    tls: TlsConnector,
    rules: Rules,
}

impl Wires {
    /// Makes it with the certificates that the machine trusts, and further ones.
    pub fn new(
        rules: Rules,
        extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))
            .context("trusted certificates")?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            rules,
        })
    }

    /// Returns how long a read or a write may make no progress.
    pub fn idle(&self) -> Duration {
        self.rules.idle
    }

    /// Connects; with TLS at once where the endpoint asks for it.
    pub async fn dial(&self, endpoint: &Endpoint) -> Result<Wire, WireError> {
        if endpoint.security == Security::Plain && !self.rules.plain {
            return Err(WireError("connections without TLS are not allowed".into()));
        }
        let tcp = within(self.rules.connect, self.tcp(endpoint)).await??;
        let _ = tcp.set_nodelay(true);
        let mut timed = Box::pin(TimeoutStream::new(tcp));
        let idle = Some(self.rules.idle);
        timed.as_mut().set_read_timeout_pinned(idle);
        timed.as_mut().set_write_timeout_pinned(idle);
        let wire = Wire(Inner::Plain(timed));
        if endpoint.security == Security::Tls {
            self.secure(wire, &endpoint.host).await
        } else {
            Ok(wire)
        }
    }

    /// Begins TLS on a connection without it.
    pub async fn secure(&self, wire: Wire, host: &str) -> Result<Wire, WireError> {
        let Inner::Plain(timed) = wire.0 else {
            return Ok(wire);
        };
        let name = ServerName::try_from(host.to_owned()).map_err(say)?;
        let tls = within(self.rules.connect, self.tls.connect(name, timed)).await?;
        Ok(Wire(Inner::Tls(Box::new(tls.map_err(say)?))))
    }

    async fn tcp(&self, endpoint: &Endpoint) -> Result<TcpStream, WireError> {
        let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
        let allowed: Vec<SocketAddr> = found
            .map_err(say)?
            .filter(|address| self.rules.private || is_public(address.ip()))
            .take(8)
            .collect();
        if allowed.is_empty() {
            let host = &endpoint.host;
            return Err(WireError(format!(
                "{host} has no address that may be called"
            )));
        }
        TcpStream::connect(allowed.as_slice()).await.map_err(say)
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, WireError> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| WireError("no connection within its time".into()))
}

fn say(error: impl Display) -> WireError {
    WireError(error.to_string())
}

type Timed = Pin<Box<TimeoutStream<TcpStream>>>;

/// A connection.
#[derive(Debug)]
pub struct Wire(Inner);

#[derive(Debug)]
enum Inner {
    Plain(Timed),
    Tls(Box<TlsStream<Timed>>),
}

impl Wire {
    /// Sets how long a read may make no progress: a server that is waited for may be silent.
    pub fn read_limit(&mut self, limit: Duration) {
        self.timed().set_read_timeout_pinned(Some(limit));
    }

    /// Returns whom it is connected with.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Inner::Plain(timed) => timed.get_ref().peer_addr(),
            Inner::Tls(tls) => tls.get_ref().0.get_ref().peer_addr(),
        }
    }

    fn timed(&mut self) -> Pin<&mut TimeoutStream<TcpStream>> {
        match &mut self.0 {
            Inner::Plain(timed) => timed.as_mut(),
            Inner::Tls(tls) => tls.get_mut().0.as_mut(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(timed) => timed.as_mut().poll_read(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(timed) => timed.as_mut().poll_write(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(timed) => timed.as_mut().poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(timed) => timed.as_mut().poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
