//! Logs, traces and metrics: set up once, shut down once.
//!
//! Log lines are JSON on stdout with trace and span id and the fields of the spans around them. A line never
//! carries message text, names, phones, addresses or tokens.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config;

/// What has to be shut down, last of all.
#[must_use = "spans in the buffer are lost unless it is shut down"]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Sends what is buffered, for at most five seconds. It blocks.
    pub fn shutdown(self) {
        // There is nobody left to tell but stderr, and nothing left to do.
        let _ = self.provider.shutdown_with_timeout(Duration::from_secs(5));
    }
}

/// Sets up logs and traces of this process. Call it inside the runtime, once.
pub fn init(service: &'static str, telemetry: &config::Telemetry) -> anyhow::Result<Telemetry> {
    let filter: EnvFilter = telemetry
        .log_filter
        .parse()
        .map_err(|error| anyhow!("telemetry.log_filter: {:?}: {error}", telemetry.log_filter))?;
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
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = telemetry
        .otlp_endpoint
        .as_deref()
        .filter(|endpoint| !endpoint.is_empty())
    {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| anyhow!("telemetry.otlp_endpoint: {endpoint}: {error}"))?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        provider = provider.with_batch_exporter(exporter).with_sampler(sampler);
    } else {
        // Ids are still made and handed on; nothing is recorded that nobody collects.
        provider = provider.with_sampler(Sampler::AlwaysOff);
    }
    let provider = provider.build();
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("switchboard"));
    let logs = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(JsonLine { service })
        .with_filter(filter);
    tracing_subscriber::registry()
        // Spans of libraries below `info` would only cost.
        .with(traces.with_filter(tracing_subscriber::filter::LevelFilter::INFO))
        .with(logs)
        .try_init()
        .context("telemetry was set up before")?;
    Ok(Telemetry { provider })
}

/// Returns the process's metrics, installing their recorder the first time.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .context("metric buckets")?
        .build_recorder();
    let made = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| anyhow!("metrics: {error}"))?;
    *handle = Some(made.clone());
    Ok(made)
}

/// Buckets of every duration, from half a millisecond to ten seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Formats an event as one line of JSON.
struct JsonLine {
    service: &'static str,
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        let now = crate::clock::now();
        let time = now.format(&time::format_description::well_known::Rfc3339);
        line.insert("time".into(), time.map_err(|_| fmt::Error)?.into());
        line.insert(
            "level".into(),
            metadata.level().as_str().to_ascii_lowercase().into(),
        );
        line.insert("service".into(), self.service.into());
        line.insert("target".into(), metadata.target().into());
        let open = Context::current();
        let span = open.span().span_context().clone();
        if span.is_valid() {
            line.insert("trace_id".into(), span.trace_id().to_string().into());
            line.insert("span_id".into(), span.span_id().to_string().into());
        }
        // From the outermost span inwards: the inner value of a repeated field stands.
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) =
                fields.map(|fields| serde_json::from_str(fields))
            {
                line.extend(
                    fields
                        .into_iter()
                        .filter(|(name, _)| !name.starts_with("otel.")),
                );
            }
        }
        event.record(&mut Fields(&mut line));
        crate::problems::keep(*metadata.level(), &line, now);
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
