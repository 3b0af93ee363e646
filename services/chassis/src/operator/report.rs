//! `GetReport`: what a bundle holds of this replica and of its service's database (O3.8): version, configuration, log, figures,
//! and what the database spends its time on. Nothing of it is secret: the configuration is masked as `config dump` masks it,
//! log lines and figures never hold secrets, and values are taken out of statements.

mod statements;

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use switchboard_proto::operator::v1::{
    ConfiguredValue, GetReportResponse, SlowStatement, Unavailable,
};
use time::OffsetDateTime;

use super::status::Sources;
use crate::config::reference::Set;
use crate::grpc::timestamp;
use crate::telemetry;

/// How long the database may take.
const ASKED: Duration = Duration::from_secs(8);

/// Bytes of figures at most.
const METRICS: usize = 1 << 20;

/// What a report is made of beside what a status is made of.
#[derive(Default)]
pub(crate) struct Reported {
    /// What the program is, as `version --output json` tells it.
    pub version: String,
    /// Every key as it is set, secrets masked.
    pub configured: Vec<Set>,
    /// The process's figures.
    pub metrics: Option<PrometheusHandle>,
}

/// Makes the report.
pub(super) async fn report(
    sources: &Sources,
    reported: &Reported,
    now: OffsetDateTime,
) -> GetReportResponse {
    let mut unavailable = Vec::new();
    let mut lacks = |part: &str, reason: String| {
        unavailable.push(Unavailable {
            part: part.to_owned(),
            reason,
            since_time: None,
        });
    };
    let mut metrics = reported.metrics.as_ref().map(PrometheusHandle::render);
    if metrics.as_ref().is_some_and(|text| text.len() > METRICS) {
        lacks("metrics", "they were cut: there are too many".to_owned());
    }
    if let Some(text) = &mut metrics {
        text.truncate(text.floor_char_boundary(METRICS));
    }
    let (statements, source) = match slow(sources).await {
        Ok(slow) => {
            if let Some(reason) = slow.lacking {
                lacks("statements", reason);
            }
            (slow.statements, slow.source.to_owned())
        }
        Err(reason) => {
            lacks("statements", reason);
            (Vec::<SlowStatement>::new(), String::new())
        }
    };
    let configured = reported.configured.iter().map(|set| ConfiguredValue {
        key: set.path.clone(),
        value: set.value.clone(),
        origin: set.from.clone(),
    });
    GetReportResponse {
        service: sources.service.to_owned(),
        time: Some(timestamp(now)),
        replica: sources.replicas.as_ref().map(|own| own.own(now)),
        version: reported.version.clone(),
        configuration: configured.collect(),
        log_lines: telemetry::recent(),
        metrics: metrics.unwrap_or_default(),
        statements,
        statements_source: source,
        unavailable,
    }
}

async fn slow(sources: &Sources) -> Result<statements::Slow, String> {
    let Some(pool) = &sources.pool else {
        return Err("this service has no database".to_owned());
    };
    if let Some(away) = sources.ready.failing("database") {
        return Err(away.reason.unwrap_or_default());
    }
    match tokio::time::timeout(ASKED, statements::slow(pool)).await {
        Ok(Ok(slow)) => Ok(slow),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ASKED.as_secs())),
    }
}
