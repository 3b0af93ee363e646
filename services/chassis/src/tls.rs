//! TLS between services, where it is switched on. Certificates are read again when their files change (O2.15).

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::{Stream, StreamExt as _};
use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::fresh::Fresh;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Handshakes at once; who comes beyond waits at the system.
const HANDSHAKES: usize = 256;

/// What gRPC speaks.
const HTTP2: &[u8] = b"h2";

/// What webhooks speak.
const HTTP1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Answers as who the certificate says, the one that stands in the file at that moment.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor(***)")
    }
}

struct Certificate(Fresh<Arc<CertifiedKey>>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Once read there is always one.
        self.0.current().ok().map(|key| Arc::clone(key.as_ref()))
    }
}

impl Acceptor {
    /// Makes one of the two keys of a section, for `grpc`; none where both are absent.
    ///
    /// # Errors
    /// Where one of them is absent, or the files are no certificate and its key.
    pub(crate) fn for_grpc(files: Files<'_>) -> anyhow::Result<Option<Self>> {
        Self::of(files, HTTP2)
    }

    /// Makes one of the two keys of a section, for HTTP/1; none where both are absent.
    ///
    /// # Errors
    /// Where one of them is absent, or the files are no certificate and its key.
    pub fn for_http(files: Files<'_>) -> anyhow::Result<Option<Self>> {
        Self::of(files, HTTP1)
    }

    fn of(files: Files<'_>, protocol: &[u8]) -> anyhow::Result<Option<Self>> {
        let (certificate, key) = match (files.certificate, files.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key.to_owned()),
            (Some(_), None) => bail!("{}: its key is missing beside it (key_file)", files.name),
            (None, Some(_)) => bail!("{}: it is missing beside key_file", files.name),
        };
        // The key changes with its certificate; of two that do not fit together yet, the former pair stays.
        let pair = Fresh::new(files.name, certificate, move |text| pair(text, &key));
        pair.current()?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificate(pair)));
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Some(Self(TlsAcceptor::from(Arc::new(config)))))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Where the other end does not speak TLS, does not trust us, or takes too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let shaken = tokio::time::timeout(HANDSHAKE, self.0.accept(stream)).await;
        shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Shakes hands with all who come, many at once; who fails is left out.
    pub(crate) fn accept_all(
        self,
        incoming: impl Stream<Item = io::Result<TcpStream>>,
    ) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
        let shaken = incoming.map(move |stream| {
            let acceptor = self.clone();
            async move {
                match acceptor.accept(stream?).await {
                    Ok(stream) => Ok(Some(stream)),
                    Err(error) => {
                        tracing::debug!(%error, "a connection was given up before it spoke TLS");
                        Ok(None)
                    }
                }
            }
        });
        let shaken = shaken.buffer_unordered(HANDSHAKES);
        shaken.filter_map(|stream: io::Result<_>| std::future::ready(stream.transpose()))
    }
}

/// The files of a section that holds a certificate and its key.
#[derive(Debug, Clone, Copy)]
pub struct Files<'f> {
    /// The key of the configuration that names the certificate, for messages.
    pub name: &'static str,
    /// The certificate with those between it and the one that others trust (PEM).
    pub certificate: Option<&'f Path>,
    /// Its key (PEM).
    pub key: Option<&'f Path>,
}

fn pair(certificates: &str, key: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let chain = certificates_of(certificates)?;
    let of = || format!("key_file: {}", key.display());
    // What is wrong with a key is not told in its own words.
    let key = std::fs::read(key).with_context(of)?;
    let key = PrivateKeyDer::from_pem_slice(&key).ok();
    let key = key.context("it holds no key in PEM").with_context(of)?;
    let pair = CertifiedKey::from_der(chain, key, &provider());
    Ok(Arc::new(pair.context("certificate and key")?))
}

fn certificates_of(text: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.context("it holds no certificate in PEM")
}

/// Trusts those whom a file names.
fn trusting(text: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(text)? {
        roots.add(certificate).context("a certificate")?;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Makes a channel that connects to where `endpoint` leads, whose certificate must be signed by whom `ca_file` names at that moment.
/// It connects when first used.
///
/// # Errors
/// Where the file does not hold certificates, or the address has no host.
pub(crate) fn channel(endpoint: &Endpoint, ca_file: &Path) -> anyhow::Result<Channel> {
    let uri = endpoint.uri().clone();
    let host = uri.host().context("an address without a host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).context("its host")?;
    let trusted = Arc::new(Fresh::new("grpc.ca_file", ca_file, trusting));
    trusted.current()?;
    // What is connected here speaks TLS already: an address with "https" would have the endpoint do so once more.
    let mut plain = uri.clone().into_parts();
    plain.scheme = Some(Scheme::HTTP);
    if uri.port().is_none() {
        let authority = format!("{}:443", uri.host().unwrap_or_default());
        plain.authority = Some(authority.parse()?);
    }
    let connect = service_fn(move |to: Uri| {
        let (trusted, name) = (Arc::clone(&trusted), name.clone());
        async move {
            let (host, port) = (to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, port)).await?;
            let _ = stream.set_nodelay(true);
            let connector = trusted.current().map_err(io::Error::other)?;
            let shaken = tokio::time::timeout(HANDSHAKE, connector.connect(name, stream)).await;
            let shaken = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok::<_, io::Error>(TokioIo::new(shaken))
        }
    });
    let to = Uri::from_parts(plain)?;
    ensure!(to.host().is_some(), "an address without a host");
    let endpoint = crate::client::endpoint(Endpoint::from(to)).origin(uri);
    Ok(endpoint.connect_with_connector_lazy(connect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use tonic::Code;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    /// Whoever signs itself: (certificate, key).
    fn own() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            let next = path.with_extension("next");
            std::fs::write(&next, text).unwrap();
            std::fs::rename(next, &path).unwrap();
            path
        }
    }

    fn files<'f>(certificate: &'f Path, key: &'f Path) -> Files<'f> {
        Files {
            name: "x.certificate_file",
            certificate: Some(certificate),
            key: Some(key),
        }
    }

    /// Serves health by TLS.
    fn serve(acceptor: Acceptor) -> SocketAddr {
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        let (_, health) = tonic_health::server::health_reporter();
        let incoming = Box::pin(acceptor.accept_all(incoming));
        let server = Server::builder().add_service(health);
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }

    async fn ask(url: &str, ca_file: Option<&Path>) -> Result<(), Code> {
        let channel = crate::client::channel(url, ca_file).unwrap();
        let request = HealthCheckRequest::default();
        let asked = HealthClient::new(channel).check(request).await;
        asked.map(drop).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn o2_15_services_speak_tls_with_the_certificate_that_is_there_at_that_moment() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let (first, next, stranger) = (own(), own(), own());
        let certificate = folder.put("own.pem", &first.0);
        let key = folder.put("own.key", &first.1);
        let acceptor = Acceptor::for_grpc(files(&certificate, &key))
            .unwrap()
            .unwrap();
        let address = serve(acceptor);
        // Who says nothing holds up nobody.
        let silent = TcpStream::connect(address).await.unwrap();

        let url = format!("https://localhost:{}", address.port());
        let trusted = folder.put("first.pem", &first.0);
        assert_eq!(ask(&url, Some(&trusted)).await, Ok(()));
        let strangers = folder.put("stranger.pem", &stranger.0);
        assert_eq!(ask(&url, Some(&strangers)).await, Err(Code::Unavailable));
        let elsewhere = format!("https://127.0.0.1:{}", address.port());
        assert_eq!(
            ask(&elsewhere, Some(&trusted)).await,
            Err(Code::Unavailable),
            "it does not say so"
        );
        let plain = format!("http://localhost:{}", address.port());
        assert!(ask(&plain, None).await.is_err());

        let trusted = folder.put("next.pem", &next.0);
        assert_eq!(ask(&url, Some(&trusted)).await, Err(Code::Unavailable));
        folder.put("own.key", &next.1);
        folder.put("own.pem", &next.0);
        let changed = async {
            while ask(&url, Some(&trusted)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), changed)
            .await
            .unwrap();
        drop(silent);
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_told_by_key_and_file() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let (own, other) = (own(), own());
        let certificate = folder.put("own.pem", &own.0);
        let key = folder.put("own.key", &own.1);
        let others = folder.put("other.key", &other.1);
        let nothing = folder.put("nothing", "hunter2");
        let told = |files| format!("{:#}", Acceptor::for_grpc(files).unwrap_err());
        let both = |certificate, key| Files {
            name: "x.certificate_file",
            certificate,
            key,
        };
        assert!(Acceptor::for_grpc(both(None, None)).unwrap().is_none());
        assert!(
            Acceptor::for_http(files(&certificate, &key))
                .unwrap()
                .is_some()
        );
        for (files, expected) in [
            (both(Some(&certificate), None), "its key is missing"),
            (both(None, Some(&key)), "missing beside key_file"),
            (files(&nothing, &key), "holds no certificate"),
            (files(&certificate, &nothing), "holds no key"),
            (files(&certificate, Path::new("/nowhere")), "/nowhere"),
            (files(&certificate, &others), "certificate and key"),
        ] {
            let told = told(files);
            assert!(told.starts_with("x.certificate_file"), "{told}");
            assert!(
                told.contains(expected) && !told.contains("hunter2"),
                "{told}"
            );
        }
        let channel = |ca: Option<&Path>| crate::client::channel("https://a:1", ca).err();
        let told = format!("{:#}", channel(None).unwrap());
        assert!(told.contains("grpc.ca_file"), "{told}");
        let told = format!("{:#}", channel(Some(&nothing)).unwrap());
        assert!(
            told.contains("grpc.ca_file") && !told.contains("hunter2"),
            "{told}"
        );
    }
}
