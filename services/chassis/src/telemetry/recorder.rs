//! The recorder of metrics: for `/metrics`, and for OTLP where that is wanted.

use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_opentelemetry::{OpenTelemetryMetrics, OpenTelemetryRecorder};
use metrics_util::layers::FanoutBuilder;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::figures;
use crate::meter::{Described, Kind};

/// Where metrics are sent by OTLP, if anywhere: set before the recorder is made.
pub(super) static METERS: OnceLock<SdkMeterProvider> = OnceLock::new();

/// Buckets of every duration, from half a millisecond to ten seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Buckets of how many travel together.
const ITEMS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// Returns the process's metrics, installing their recorder the first time, with all figures that it knows of.
pub(crate) fn metrics(
    service: &'static str,
    own: &[Described],
) -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .context("metric buckets")?
        .set_buckets_for_metric(Matcher::Suffix("_items".into()), ITEMS)
        .context("metric buckets")?
        .add_global_label("component", service)
        .build_recorder();
    let made = recorder.handle();
    let known = || figures::ALL.iter().chain(own);
    for figure in known() {
        figure.register(&recorder);
    }
    if let Some(meters) = METERS.get() {
        let sent =
            OpenTelemetryRecorder::new(OpenTelemetryMetrics::new(meters.meter("switchboard")));
        for (end, bounds) in [("_seconds", SECONDS), ("_items", ITEMS)] {
            let named = known()
                .filter(|figure| figure.kind == Kind::Histogram && figure.name.ends_with(end));
            sent.set_histogram_bounds(named.map(|figure| figure.name), bounds);
        }
        let both = FanoutBuilder::default()
            .add_recorder(recorder)
            .add_recorder(sent)
            .build();
        metrics::set_global_recorder(both).map_err(|error| anyhow!("metrics: {error}"))?;
    } else {
        metrics::set_global_recorder(recorder).map_err(|error| anyhow!("metrics: {error}"))?;
    }
    for level in ["warn", "error"] {
        figures::LOG_LINES.of([level]).increment(0);
    }
    *handle = Some(made.clone());
    Ok(made)
}
