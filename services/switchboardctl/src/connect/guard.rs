//! What every call passes on its way out: reading goes through; what changes something is shown instead where only that was
//! asked for, and is asked about first where it cannot be taken back or the context is a production one (O2.3, O2.4).
//!
//! It stands below all verbs, so that none can be forgotten.

mod preview;
mod raw;

use std::collections::HashMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service;

use crate::error::CliError;
use crate::output::{json, note, say};

/// The reason under which a dry run ends a command: it is no error.
pub(crate) const DRY_RUN: &str = "DRY_RUN";
/// The reason under which somebody said no.
const DECLINED: &str = "DECLINED";

/// Methods whose names begin so change nothing.
const READING: [&str; 11] = [
    "Get",
    "List",
    "Find",
    "Search",
    "Watch",
    "Explain",
    "Check",
    "Diagnose",
    "Export",
    "Render",
    "CreateAttachmentLink",
];

/// Methods whose names begin so cannot be taken back, or cut something off.
const WEIGHTY: [&str; 6] = [
    "Delete",
    "Disconnect",
    "Disable",
    "Remove",
    "MergeContacts",
    "MoveCards",
];

/// On what terms this run changes something.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Only show what would be changed.
    pub dry_run: bool,
    /// Do it without asking.
    pub yes: bool,
    /// Name of the context, where it is a production one.
    pub production: Option<String>,
    /// Programs read what is shown.
    pub json: bool,
    /// Somebody said yes in this run: one question a command is enough.
    agreed: AtomicBool,
}

impl Terms {
    /// Terms of a run that has asked nobody yet.
    pub fn new(dry_run: bool, yes: bool, production: Option<String>, json: bool) -> Self {
        Self {
            dry_run,
            yes,
            production,
            json,
            agreed: AtomicBool::new(false),
        }
    }

    /// Asks before something is done that cannot be taken back; in a production context before anything. A script has decided
    /// already, and says so by `--yes` where it is production.
    pub fn consent(&self, what: &str, weighty: bool) -> Result<(), CliError> {
        if self.yes || self.agreed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let question = match (&self.production, weighty, terminal) {
            (None, false, _) | (None, true, false) => return Ok(()),
            (Some(name), _, false) => {
                return Err(CliError::failed(
                    format!(
                        "the context {name} is a production one, and nobody can be asked: {what} was not done"
                    ),
                    "--yes, where that is meant",
                ));
            }
            (Some(name), _, true) => format!("{name} is PRODUCTION. {what}"),
            (None, true, true) => what.to_owned(),
        };
        if !confirmed(&question) {
            return Err(CliError::failed(
                "nothing was done",
                "--yes does it without asking",
            ));
        }
        self.agreed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Asks on the terminal.
fn confirmed(question: &str) -> bool {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question}? [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Whether a method changes something.
pub(crate) fn changes(method: &str) -> bool {
    !READING.iter().any(|reading| method.starts_with(reading))
}

fn is_weighty(method: &str) -> bool {
    WEIGHTY.iter().any(|weighty| method.starts_with(weighty))
}

/// A connection to a service that is guarded.
#[derive(Clone)]
pub(crate) struct Guard {
    inner: Channel,
    terms: Arc<Terms>,
}

impl Guard {
    /// Guards a connection.
    pub fn new(inner: Channel, terms: Arc<Terms>) -> Self {
        Self { inner, terms }
    }
}

impl Service<http::Request<Body>> for Guard {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let method = path.rsplit('/').next().unwrap_or_default();
        let quiet = !self.terms.dry_run && self.terms.production.is_none();
        if !changes(method) || (quiet && !is_weighty(method)) {
            return Box::pin(self.inner.call(request));
        }
        // What was polled ready goes on; its copy reads what there is now.
        let reader = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, reader.clone());
        Box::pin(guarded(ready, reader, Arc::clone(&self.terms), request))
    }
}

async fn guarded(
    mut ready: Channel,
    reader: Channel,
    terms: Arc<Terms>,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    let path = request.uri().path().to_owned();
    let descriptor = json::method(&path);
    let method = path.rsplit('/').next().unwrap_or_default();
    // What a stream brings is not known before it is sent; an import says itself what it would do.
    if descriptor
        .as_ref()
        .is_none_or(prost_reflect::MethodDescriptor::is_client_streaming)
    {
        return match terms.consent(method, false) {
            Ok(()) => ready.call(request).await,
            Err(error) => Ok(refused(DECLINED, &error)),
        };
    }
    let (parts, body) = request.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(status) => return Ok(status.into_http()),
    };
    let shown = match &descriptor {
        Some(descriptor) => {
            preview::of(
                reader,
                descriptor,
                bytes.get(5..).unwrap_or_default(),
                &parts.headers,
            )
            .await
        }
        None => preview::Preview::default(),
    };
    if terms.dry_run {
        if terms.json {
            say!("{:#}", shown.value(method));
        } else {
            for line in shown.lines(method) {
                say!("{line}");
            }
            note!("nothing was changed");
        }
        return Ok(refused(
            DRY_RUN,
            &CliError::failed("nothing was changed", ""),
        ));
    }
    if let Err(error) = terms.consent(&shown.lines(method).join("\n"), is_weighty(method)) {
        return Ok(refused(DECLINED, &error));
    }
    let body = Body::new(http_body_util::Full::new(bytes));
    ready.call(http::Request::from_parts(parts, body)).await
}

/// An answer that no service gave.
fn refused(reason: &str, error: &CliError) -> http::Response<Body> {
    let mut details = ErrorDetails::with_error_info(reason, "switchboardctl", HashMap::new());
    let hint = error.hint();
    if !hint.is_empty() {
        details.add_help_link(hint, "");
    }
    Status::with_error_details(tonic::Code::Aborted, error.to_string(), details).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o204_only_yes_is_yes() {
        for (answer, yes) in [
            ("y\n", true),
            ("YES\n", true),
            ("\n", false),
            ("yep", false),
            ("", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }

    #[test]
    fn o204_what_reads_is_told_from_what_changes() {
        for (method, change, weighty) in [
            ("GetStatus", false, false),
            ("ListChats", false, false),
            ("ExplainCard", false, false),
            ("CreateAttachmentLink", false, false),
            ("CreateUpload", true, false),
            ("SendMessage", true, false),
            ("ReplayDeadLetters", true, false),
            ("DeletePipeline", true, true),
            ("DisconnectChannel", true, true),
            ("AMethodOfTomorrow", true, false),
        ] {
            assert_eq!(
                (changes(method), is_weighty(method)),
                (change, weighty),
                "{method}"
            );
        }
        // Every name that begins like reading reads: nothing that changes may hide behind it.
        let reads = switchboard_proto::METHODS.iter().filter_map(|method| {
            let name = method.path.rsplit('/').next()?;
            (!changes(name)).then_some((name, method.scope))
        });
        for (name, scope) in reads {
            let writes = scope.split('|').all(|scope| scope.ends_with(":write"));
            assert!(!writes, "{name} needs {scope}");
        }
    }

    #[test]
    fn o203_production_is_not_touched_where_nobody_can_be_asked() {
        let terms = |yes, production: Option<&str>| {
            Terms::new(false, yes, production.map(str::to_owned), false)
        };
        // Tests have no terminal.
        assert!(terms(false, None).consent("x", true).is_ok());
        assert!(terms(true, Some("live")).consent("x", true).is_ok());
        let refused = terms(false, Some("live")).consent("SendMessage", false);
        let text = refused.unwrap_err().render();
        assert!(
            text.contains("live is a production one") && text.contains("--yes"),
            "{text}"
        );
    }
}
