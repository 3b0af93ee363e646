//! Trace context as it crosses gRPC, HTTP, the outbox and NATS headers: one W3C `traceparent`.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header of the W3C trace context. NATS header names are case-sensitive: it stays lower-case.
pub const HEADER: &str = "traceparent";

/// The trace that a piece of work belongs to, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext(Option<SpanContext>);

impl TraceContext {
    /// Returns the context of the span that is current here.
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// Returns the context of a span.
    pub fn of(span: &Span) -> Self {
        let context = span.context();
        let span_context = context.span().span_context().clone();
        Self(span_context.is_valid().then_some(span_context))
    }

    /// Returns the context of work that belongs to no trace.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads a `traceparent`; anything malformed counts as none, as the W3C text asks.
    pub fn parse(traceparent: &str) -> Self {
        Self(parse(traceparent))
    }

    /// Reads the `traceparent` of HTTP or gRPC headers.
    pub fn from_headers(headers: &http::HeaderMap) -> Self {
        let header = headers.get(HEADER).and_then(|value| value.to_str().ok());
        header.map_or_else(Self::none, Self::parse)
    }

    /// Returns the `traceparent` to send on, if there is a trace.
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|context| {
            let (trace, span) = (context.trace_id(), context.span_id());
            format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8())
        })
    }

    /// Returns the trace id in hex, as logs carry it.
    pub fn trace_id(&self) -> Option<String> {
        self.0
            .as_ref()
            .map(|context| context.trace_id().to_string())
    }

    /// Tells whether there is no trace.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Opens a span whose parent is this context. Use it with `tracing::Instrument`.
    pub fn span(&self, name: &'static str) -> Span {
        let span = tracing::info_span!("work", otel.name = name);
        self.adopt(&span);
        span
    }

    /// Makes a span that has not started yet a child of this context.
    pub fn adopt(&self, span: &Span) {
        if let Some(context) = &self.0 {
            let parent = opentelemetry::Context::new().with_remote_span_context(context.clone());
            // It fails only for a span that has started or is disabled: the trace is then cut, no work is.
            let _ = span.set_parent(parent);
        }
    }

    /// Links a span to this context: for a batch, which has many parents.
    pub fn link(&self, span: &Span) {
        if let Some(context) = &self.0 {
            span.add_link(context.clone());
        }
    }
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let known_form = version != "00" || parts.next().is_none();
    if !hex(version, 2)
        || version == "ff"
        || !hex(trace, 32)
        || !hex(span, 16)
        || !hex(flags, 2)
        || !known_form
    {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_survive_and_malformed_ones_are_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            TraceContext::parse(good).traceparent().as_deref(),
            Some(good)
        );
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\n-01",
        ] {
            assert!(TraceContext::parse(bad).is_none(), "{bad}");
        }
    }
}
