//! Readiness as latches, and the admin server: `/livez`, `/readyz`, `/metrics`.
//!
//! Liveness proves only that the process answers: a missing database makes a service not ready, never restarted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config;
use crate::figures;
use crate::http::{self, Limits};
use crate::lifecycle::Lifecycle;
use crate::telemetry;

/// Whether a service is ready: when every latch has let go. Clones share the latches.
#[derive(Clone)]
pub struct Readiness {
    latches: Arc<Mutex<Latches>>,
    ready: Arc<watch::Sender<bool>>,
}

struct Latches {
    next: u64,
    all: BTreeMap<u64, Condition>,
    /// Since when the service is ready, or is not.
    turned: OffsetDateTime,
}

/// What a latch stands for, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub name: &'static str,
    /// Why it does not hold; none while it does.
    pub reason: Option<String>,
    /// Since when it holds, or does not. Another reason is no new beginning.
    pub since: OffsetDateTime,
}

impl Default for Readiness {
    fn default() -> Self {
        let latches = Latches {
            next: 0,
            all: BTreeMap::new(),
            turned: clock::now(),
        };
        Self {
            latches: Arc::new(Mutex::new(latches)),
            ready: Arc::new(watch::Sender::new(true)),
        }
    }
}

impl Readiness {
    /// Makes a readiness without latches: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a latch, held from the beginning.
    pub fn latch(&self, name: &'static str) -> Latch {
        let mut latches = self.latches();
        latches.next += 1;
        let id = latches.next;
        let starting = Condition {
            name,
            reason: Some("starting".into()),
            since: clock::now(),
        };
        latches.all.insert(id, starting);
        self.publish(&mut latches);
        drop(latches);
        Latch {
            readiness: self.clone(),
            id,
            name,
        }
    }

    /// Tells whether the service is ready.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Returns the names and reasons of the latches that are held.
    pub fn held(&self) -> Vec<(&'static str, String)> {
        let latches = self.latches();
        let held = latches
            .all
            .values()
            .filter_map(|condition| Some((condition.name, condition.reason.clone()?)));
        held.collect()
    }

    /// Returns all conditions as they are, in the order in which they were added.
    pub fn conditions(&self) -> Vec<Condition> {
        self.latches().all.values().cloned().collect()
    }

    /// Returns the condition of a name that does not hold, if there is one.
    pub fn failing(&self, name: &str) -> Option<Condition> {
        let latches = self.latches();
        let failing = |condition: &&Condition| condition.name == name && condition.reason.is_some();
        latches.all.values().find(failing).cloned()
    }

    /// Tells since when the service is ready, or is not.
    pub fn since(&self) -> OffsetDateTime {
        self.latches().turned
    }

    /// Returns the names of all latches, and whether each is held; several may share a name, of which one is enough.
    fn all(&self) -> BTreeMap<&'static str, bool> {
        let mut all = BTreeMap::new();
        for condition in self.latches().all.values() {
            *all.entry(condition.name).or_default() |= condition.reason.is_some();
        }
        all
    }

    /// Returns a receiver of the readiness, for whom each change matters.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Waits until the service is ready.
    pub async fn wait(&self) {
        // The sender lives in self: the wait can't fail.
        let _ = self.watch().wait_for(|ready| *ready).await;
    }

    fn set(&self, id: u64, reason: Option<String>) -> bool {
        let mut latches = self.latches();
        let Some(current) = latches.all.get_mut(&id) else {
            return false;
        };
        let turned = current.reason.is_some() != reason.is_some();
        if turned {
            current.since = clock::now();
        }
        current.reason = reason;
        self.publish(&mut latches);
        turned
    }

    fn publish(&self, latches: &mut Latches) {
        let ready = latches
            .all
            .values()
            .all(|condition| condition.reason.is_none());
        let turned = self
            .ready
            .send_if_modified(|current| std::mem::replace(current, ready) != ready);
        if turned {
            latches.turned = clock::now();
        }
    }

    fn latches(&self) -> MutexGuard<'_, Latches> {
        self.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One condition of readiness. Dropping it lets go for good.
pub struct Latch {
    readiness: Readiness,
    id: u64,
    name: &'static str,
}

impl Latch {
    /// Lets go: this condition holds.
    pub fn release(&self) {
        if self.readiness.set(self.id, None) {
            tracing::info!(latch = self.name, "ready");
        }
    }

    /// Takes readiness back, as while a dependency is away.
    pub fn hold(&self, reason: &str) {
        if self.readiness.set(self.id, Some(reason.to_owned())) {
            tracing::warn!(latch = self.name, reason, "not ready");
        }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut latches = self.readiness.latches();
        latches.all.remove(&self.id);
        self.readiness.publish(&mut latches);
    }
}

/// Binds the admin server and serves it until the service has drained; returns its address.
pub(crate) async fn serve(
    admin: &config::Admin,
    readiness: Readiness,
    lifecycle: &Lifecycle,
    metrics: PrometheusHandle,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(admin.listen)
        .await
        .with_context(|| format!("admin.listen: {} cannot be bound", admin.listen))?;
    let address = listener.local_addr()?;
    let (upkeep, observed) = (metrics.clone(), readiness.clone());
    let scraped = readiness.clone();
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/log-filter", get(log_filter).put(change_log_filter))
        .route(
            "/metrics",
            get(async move || {
                observe(&scraped);
                metrics.render()
            }),
        );
    // Not tracked: probes are answered to the very end, while everything else drains.
    let limits = Limits {
        connections: 64,
        ..Limits::default()
    };
    tokio::spawn(http::serve(
        listener,
        None,
        router,
        limits,
        CancellationToken::new(),
    ));
    let stop = lifecycle.stop_token();
    lifecycle.spawn("metrics upkeep", async move {
        while tokio::time::timeout(Duration::from_secs(5), stop.cancelled())
            .await
            .is_err()
        {
            observe(&observed);
            upkeep.run_upkeep();
        }
        Ok(())
    });
    Ok(address)
}

/// Sets the gauges of what is only known by looking.
fn observe(readiness: &Readiness) {
    figures::READY.set(f64::from(u8::from(readiness.is_ready())));
    for (name, held) in readiness.all() {
        figures::HELD.of([name]).set(f64::from(u8::from(held)));
    }
    metrics_process::Collector::default().collect();
}

async fn log_filter() -> String {
    format!("{}\n", telemetry::current_level().unwrap_or_default())
}

/// For how long a changed filter holds.
#[derive(serde::Deserialize)]
struct Hold {
    #[serde(rename = "for", default = "Hold::usual", with = "config::duration")]
    hold: Duration,
}

impl Hold {
    const fn usual() -> Duration {
        Duration::from_mins(15)
    }
}

/// Changes which log lines are written, for whoever is on this machine (`kubectl port-forward` is): more of them may tell more
/// than others are meant to read.
async fn change_log_filter(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(Hold { hold }): Query<Hold>,
    filter: String,
) -> (StatusCode, String) {
    if !peer.ip().is_loopback() {
        let text =
            "the filter is changed from this machine only: kubectl port-forward, then curl\n";
        return (StatusCode::FORBIDDEN, text.into());
    }
    match telemetry::change_level(filter.trim(), hold) {
        Ok(()) => (StatusCode::OK, format!("{} for {hold:?}\n", filter.trim())),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let held = readiness.held();
    if held.is_empty() {
        return (StatusCode::OK, "ready\n".into());
    }
    let mut text = String::from("not ready\n");
    for (name, reason) in held {
        let _ = writeln!(text, "{name}: {reason}");
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_is_ready_when_every_latch_has_let_go() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let (database, broker) = (readiness.latch("database"), readiness.latch("nats"));
        database.release();
        assert!(!readiness.is_ready());
        broker.release();
        assert!(readiness.is_ready());
        readiness.wait().await;
        database.hold("connection refused");
        assert_eq!(
            readiness.held(),
            [("database", "connection refused".to_owned())]
        );
        drop(database);
        assert!(readiness.is_ready());
    }

    #[test]
    fn o302_a_condition_tells_since_when_it_does_not_hold_whatever_the_reason() {
        let readiness = Readiness::new();
        let (broker, _other) = (readiness.latch("nats"), readiness.latch("wiring"));
        broker.release();
        assert!(readiness.failing("nats").is_none());
        broker.hold("not connected");
        let first = readiness.failing("nats").unwrap();
        broker.hold("connection refused");
        let second = readiness.failing("nats").unwrap();
        assert_eq!(first.since, second.since);
        assert_eq!(second.reason.as_deref(), Some("connection refused"));
        broker.release();
        let names: Vec<_> = readiness
            .conditions()
            .into_iter()
            .map(|condition| (condition.name, condition.reason.is_none()))
            .collect();
        assert_eq!(names, [("nats", true), ("wiring", false)]);
    }
}
