//! Logs, traces and metrics: set up once, shut down once.
//!
//! Log lines are JSON on stdout with trace and span id and the fields of the spans around them. A line never
//! carries message text, names, phones, addresses or tokens.

mod level;
mod line;
mod recorder;
mod sampled;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::FilterExt as _;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, reload};

pub use level::{LONGEST, LevelError, change as change_level, current as current_level};
pub(crate) use recorder::metrics;
pub(crate) use tail::recent;
pub use tail::{Cause, panicked, terminated};

use crate::config;
use line::JsonLine;
use sampled::{ByPlace, Sampled};

/// How long a collector may take.
const COLLECTOR: Duration = Duration::from_secs(5);

/// How often metrics are sent by OTLP.
const METRICS_EVERY: Duration = Duration::from_secs(15);

/// What has to be shut down, last of all.
#[must_use = "spans in the buffer are lost unless it is shut down"]
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Sends what is buffered, for at most five seconds each. It blocks.
    pub fn shutdown(self) {
        // There is nobody left to tell but stderr, and nothing left to do.
        let _ = self.traces.shutdown_with_timeout(COLLECTOR);
        if let Some(metrics) = self.metrics {
            let _ = metrics.shutdown_with_timeout(COLLECTOR);
        }
        if let Some(logs) = self.logs {
            let _ = logs.shutdown_with_timeout(COLLECTOR);
        }
    }
}

/// Sets up logs, traces and what is sent by OTLP of this process. Call it inside the runtime, once.
pub fn init(service: &'static str, telemetry: &config::Telemetry) -> anyhow::Result<Telemetry> {
    let filter = filter(telemetry)?;
    let ratio = telemetry.sample_ratio;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(anyhow!(
            "telemetry.sample_ratio: {ratio} is not between 0 and 1"
        ));
    }
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "switchboard"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let endpoint = telemetry
        .otlp_endpoint
        .as_deref()
        .filter(|endpoint| !endpoint.is_empty());
    let provider = traces(endpoint, ratio, &resource)?;
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("switchboard"));
    let metrics = endpoint
        .filter(|_| telemetry.otlp_metrics)
        .map(|endpoint| meters(endpoint, &resource))
        .transpose()?;
    if let Some(meters) = &metrics {
        // Set up once: a second time is refused below.
        let _ = recorder::METERS.set(meters.clone());
    }
    let logs = endpoint
        .filter(|_| telemetry.otlp_logs)
        .map(|endpoint| loggers(endpoint, &resource))
        .transpose()?;
    let sent = logs
        .as_ref()
        .map(|logs| OpenTelemetryTracingBridge::new(logs).with_filter(sendable(filter.clone())));

    let sampled = Arc::new(Sampled::default());
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(JsonLine {
            service,
            sampled: Arc::clone(&sampled),
        })
        .with_writer(tail::Kept)
        .with_filter(filter.and(ByPlace(sampled)));
    tracing_subscriber::registry()
        // Spans of libraries below `info` would only cost.
        .with(traces.with_filter(tracing_subscriber::filter::LevelFilter::INFO))
        .with(sent)
        .with(lines)
        .try_init()
        .context("telemetry was set up before")?;
    level::set_up(
        &telemetry.log_filter,
        Box::new(move |filter| handle.reload(filter).is_ok()),
    );
    tail::log_panics();
    Ok(Telemetry {
        traces: provider,
        metrics,
        logs,
    })
}

fn filter(telemetry: &config::Telemetry) -> anyhow::Result<EnvFilter> {
    let parsed = telemetry.log_filter.parse();
    parsed.map_err(|error| anyhow!("telemetry.log_filter: {:?}: {error}", telemetry.log_filter))
}

/// Leaves out what sending itself logs: it would be sent, too.
fn sendable(filter: EnvFilter) -> EnvFilter {
    let quiet = ["hyper", "h2", "tonic", "tower", "opentelemetry", "reqwest"];
    quiet.iter().fold(filter, |filter, target| {
        match format!("{target}=off").parse() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        }
    })
}

fn unusable(endpoint: &str, error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("telemetry.otlp_endpoint: {endpoint}: {error}")
}

fn traces(
    endpoint: Option<&str>,
    ratio: f64,
    resource: &Resource,
) -> anyhow::Result<SdkTracerProvider> {
    let provider = SdkTracerProvider::builder().with_resource(resource.clone());
    let Some(endpoint) = endpoint else {
        // Ids are still made and handed on; nothing is recorded that nobody collects.
        return Ok(provider.with_sampler(Sampler::AlwaysOff).build());
    };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(COLLECTOR)
        .build()
        .map_err(|error| unusable(endpoint, error))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    Ok(provider
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .build())
}

fn meters(endpoint: &str, resource: &Resource) -> anyhow::Result<SdkMeterProvider> {
    let exporter = opentelemetry_otlp::MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(COLLECTOR)
        .build()
        .map_err(|error| unusable(endpoint, error))?;
    let reader = PeriodicReader::builder(exporter)
        .with_interval(METRICS_EVERY)
        .build();
    Ok(SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_reader(reader)
        .build())
}

fn loggers(endpoint: &str, resource: &Resource) -> anyhow::Result<SdkLoggerProvider> {
    let exporter = opentelemetry_otlp::LogExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(COLLECTOR)
        .build()
        .map_err(|error| unusable(endpoint, error))?;
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(exporter)
        .build())
}
