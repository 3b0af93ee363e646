//! A log line: one JSON object, with the same keys in every service.

use std::fmt;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::sampled::Sampled;
use crate::figures;

/// Formats an event as one line of JSON.
pub(super) struct JsonLine {
    pub service: &'static str,
    pub sampled: Arc<Sampled>,
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
        let level = word(*metadata.level());
        line.insert("level".into(), level.into());
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
        let left_out = self.sampled.left_out(&metadata.callsite());
        if left_out > 0 {
            line.insert("left_out".into(), left_out.into());
        }
        if *metadata.level() <= Level::WARN {
            figures::LOG_LINES.of([level]).increment(1);
            crate::problems::keep(*metadata.level(), &line, now);
        }
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
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
