//! What is sent by OTLP: traces, and where wanted metrics and log lines. The collector here keeps what comes as it comes: names
//! and texts stand in protobuf as they are.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use switchboard_tests::world::{Plan, World, WorldOptions, within};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{LOOKED, talk};

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What came, by the method that it came by.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<BTreeMap<String, Vec<Bytes>>>>);

impl Came {
    /// Tells whether a text came by a service.
    fn has(&self, service: &str, text: &str) -> bool {
        let came = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter()
            .filter(|(path, _)| path.contains(service))
            .flat_map(|(_, messages)| messages)
            .any(|message| {
                message
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            })
    }
}

/// Takes one method's messages.
struct Take {
    path: String,
    came: Came,
}

impl UnaryService<Bytes> for Take {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;
    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let mut came = self.came.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = came.entry(self.path.clone()).or_default();
        kept.push(request.into_inner());
        futures::future::ready(Ok(Response::new(Bytes::new()))).boxed()
    }
}

/// The three services of a collector.
macro_rules! collector {
    ($name:ident, $service:literal) => {
        #[derive(Clone)]
        struct $name(Came);

        impl NamedService for $name {
            const NAME: &'static str = $service;
        }

        impl Service<http::Request<Body>> for $name {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;
            fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }
            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                let take = Take {
                    path: request.uri().path().to_owned(),
                    came: self.0.clone(),
                };
                async move { Ok(Grpc::new(Raw).unary(take, request).await) }.boxed()
            }
        }
    };
}

collector!(
    Traces,
    "opentelemetry.proto.collector.trace.v1.TraceService"
);
collector!(
    Metrics,
    "opentelemetry.proto.collector.metrics.v1.MetricsService"
);
collector!(Logs, "opentelemetry.proto.collector.logs.v1.LogsService");

/// Starts a collector; returns what comes, and its address.
fn collecting() -> anyhow::Result<(Came, String, DropGuard)> {
    let came = Came::default();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = format!("http://{}", incoming.local_addr()?);
    let server = Server::builder()
        .add_service(Traces(came.clone()))
        .add_service(Metrics(came.clone()))
        .add_service(Logs(came.clone()));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(server.serve_with_incoming_shutdown(incoming, stopped));
    Ok((came, address, stop.drop_guard()))
}

/// O2.9: spans of all services come by OTLP, and with their switches metrics and log lines; what customers wrote comes by none.
#[tokio::test(flavor = "multi_thread")]
async fn o29_traces_metrics_and_log_lines_are_sent_by_otlp() -> anyhow::Result<()> {
    let (came, address, _stopped) = collecting()?;
    let set = |key: &str, value: &str| {
        (
            None,
            format!("SWITCHBOARD_TELEMETRY__{key}"),
            value.to_owned(),
        )
    };
    let world = World::start_with(WorldOptions {
        environment: vec![
            set("OTLP_ENDPOINT", &address),
            set("OTLP_METRICS", "true"),
            set("OTLP_LOGS", "true"),
        ],
        ..WorldOptions::default()
    })
    .await?;
    let account = world.account(Plan::default()).await?;
    talk(&world, &account, 7_501).await?;
    let expected = [
        ("TraceService", "channel-gateway"),
        ("TraceService", "conversation"),
        ("TraceService", "crm-cards"),
        ("TraceService", "assignment"),
        ("TraceService", "POST /in/telegram-bot"),
        ("MetricsService", "packs_items_total"),
        ("MetricsService", "grpc_server_seconds"),
        ("MetricsService", "assignment_choices_total"),
        ("LogsService", "service ready"),
    ];
    within(LOOKED, "traces, metrics and log lines", async || {
        let missing: Vec<_> = expected
            .iter()
            .filter(|(service, text)| !came.has(service, text))
            .collect();
        anyhow::ensure!(missing.is_empty(), "not sent: {missing:?}");
        Ok(Some(()))
    })
    .await?;
    for private in ["Do you have it in blue?", "In blue and in red."] {
        assert!(!came.has("", private), "{private}");
    }
    Ok(())
}
