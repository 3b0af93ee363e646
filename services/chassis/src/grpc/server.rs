//! Building and running the server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::gate::{Gate, GateLayer};
use crate::access::AccessSource;
use crate::auth::{Jwks, Method, Verifier};
use crate::config;
use crate::health::Readiness;
use crate::lifecycle::Lifecycle;
use crate::tls::{Acceptor, Files};

/// No request takes longer, whatever deadline it carries.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Metadata of one request at most, in bytes.
const MAX_METADATA: u32 = 32 * 1024;

/// Requests of one connection at once.
const MAX_STREAMS: u32 = 256;

/// How often a quiet connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How often keys are asked for again while there are none.
const KEYS_RETRY: Duration = Duration::from_secs(2);

/// Builds a service's gRPC server: health, reflection and the gate come by themselves.
///
/// A request is at most 4 MiB (tonic's own bound of a decoded message).
pub struct GrpcServer {
    pub(crate) name: &'static str,
    pub(crate) section: config::Grpc,
    pub(crate) auth: config::Auth,
    pub(crate) limits: config::Limits,
    pub(crate) methods: &'static [Method],
    pub(crate) lifecycle: Lifecycle,
    pub(crate) ready: Readiness,
    pub(crate) bound: Box<dyn FnOnce(SocketAddr) + Send + Sync>,
    pub(crate) routes: RoutesBuilder,
    pub(crate) names: Vec<&'static str>,
}

impl GrpcServer {
    /// Adds a service, such as `ConversationServiceServer::new(handler)`.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a builder's step; nothing is summed"
    )]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Binds and serves until the service stops; then it drains. Returns the bound address.
    pub async fn serve(mut self, access: Arc<dyn AccessSource>) -> anyhow::Result<SocketAddr> {
        let verifier = self.verifier().await?;
        let gate = Arc::new(Gate::new(
            self.name,
            self.methods,
            verifier,
            access,
            &self.limits,
        ));

        let reporter = HealthReporter::new();
        // The overall entry begins as SERVING: nobody may see that before the service is ready.
        set_status(&reporter, &self.names, false).await;
        self.routes
            .add_service(tonic_health::pb::health_server::HealthServer::new(
                tonic_health::server::HealthService::from_health_reporter(reporter.clone()),
            ));
        // Both versions: Python's `grpcio-reflection` and older tools ask in the alpha only.
        self.routes
            .add_service(reflection(&self.names).build_v1().context("reflection")?);
        self.routes.add_service(
            reflection(&self.names)
                .build_v1alpha()
                .context("reflection")?,
        );

        let tls = Acceptor::for_grpc(Files {
            name: "grpc.certificate_file",
            certificate: self.section.certificate_file.as_deref(),
            key: self.section.key_file.as_deref(),
        })?;
        let listen = self.section.listen;
        let incoming = TcpIncoming::bind(listen)
            .with_context(|| format!("grpc.listen: {listen} cannot be bound"))?
            .with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let stop = self.lifecycle.stop_token();
        let server = Server::builder()
            .timeout(REQUEST_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_METADATA)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .layer(GateLayer::new(Arc::clone(&gate)))
            .add_routes(self.routes.routes());
        self.lifecycle.spawn("grpc", async move {
            let stop = stop.cancelled_owned();
            let drained = match tls {
                None => server.serve_with_incoming_shutdown(incoming, stop).await,
                Some(tls) => {
                    let incoming = Box::pin(tls.accept_all(incoming));
                    server.serve_with_incoming_shutdown(incoming, stop).await
                }
            };
            drained.context("gRPC server")
        });

        let (mut ready, names) = (self.ready.watch(), self.names);
        let stop = self.lifecycle.stop_token();
        self.lifecycle.spawn("grpc health", async move {
            loop {
                let serving = *ready.borrow_and_update() && !stop.is_cancelled();
                set_status(&reporter, &names, serving).await;
                if stop.is_cancelled() {
                    return Ok(());
                }
                gate.forget_quiet();
                tokio::select! {
                    () = stop.cancelled() => {}
                    changed = ready.changed() => changed?,
                    () = tokio::time::sleep(Duration::from_mins(1)) => {}
                }
            }
        });
        (self.bound)(address);
        tracing::info!(%address, "gRPC server bound");
        Ok(address)
    }

    /// Reads the keys. A missing file is a mistake; an address that does not answer keeps us not ready.
    async fn verifier(&self) -> anyhow::Result<Verifier> {
        let jwks =
            Arc::new(Jwks::new(&self.auth.jwks, self.auth.demo_secrets).context("auth.jwks")?);
        if jwks.is_file() {
            jwks.refresh().await.context("auth.jwks")?;
        }
        let latch = self.ready.latch("token keys");
        if jwks.is_file() {
            latch.release();
        }
        let (keys, stop) = (Arc::clone(&jwks), self.lifecycle.stop_token());
        self.lifecycle.spawn("token keys", async move {
            let work = async {
                if !keys.is_file() {
                    while let Err(error) = keys.refresh().await {
                        latch.hold(&format!("{error:#}"));
                        tokio::time::sleep(KEYS_RETRY).await;
                    }
                    latch.release();
                }
                keys.keep_fresh().await;
            };
            stop.run_until_cancelled(work).await;
            Ok(())
        });
        Ok(Verifier::new(jwks, &self.auth))
    }
}

/// What reflection tells of: the services of these names, and health.
fn reflection(names: &[&'static str]) -> tonic_reflection::server::Builder<'static> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(switchboard_proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    names.iter().fold(reflection, |reflection, name| {
        reflection.with_service_name(*name)
    })
}

async fn set_status(reporter: &HealthReporter, names: &[&'static str], serving: bool) {
    let status = if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for name in std::iter::once("").chain(names.iter().copied()) {
        reporter.set_service_status(name, status).await;
    }
}
