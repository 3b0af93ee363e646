//! What `serve` is given: lifecycle, readiness, and the connections and servers of its configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use rand::Rng as _;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

use super::database::{self, Login};
use super::{ServiceConfig, statistics, version};
use crate::auth::Scope;
use crate::config::reference::Set;
use crate::consumer::HandlerRegistry;
use crate::grpc::GrpcServer;
use crate::health::{self, Latch, Readiness};
use crate::lifecycle::Lifecycle;
use crate::meter::Described;
use crate::nats::{self, Nats, Streams};
use crate::operator::{Operator, Reported, Sources, Subject, Tried};
use crate::pauses::Pauses;
use crate::replicas::Replicas;
use crate::telemetry;
use crate::{audit, client, config, figures, inbox, request};
use switchboard_proto::operator::v1::audit_service_server::AuditServiceServer;
use switchboard_proto::operator::v1::operator_service_server::OperatorServiceServer;

/// How long work in flight may take after the service was asked to stop; Kubernetes grants 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// How long each of the last steps may take.
const LAST_STEP: Duration = Duration::from_secs(2);

/// The first and the longest wait before a dependency is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often the database is asked whether it is there.
const DATABASE_PROBE: Duration = Duration::from_secs(2);

/// How often the broker's connection is looked at.
const NATS_PROBE: Duration = Duration::from_millis(500);

/// How often it is looked whether there are streams that this service was not told of.
const STREAMS_PROBE: Duration = Duration::from_secs(15);

/// The service was asked to stop before it had begun.
#[derive(Debug, thiserror::Error)]
#[error("stopped while waiting for {0}")]
pub struct Stopped(&'static str);

/// A service in the making, then at work.
pub struct Service {
    /// Tasks, and the tokens that end them.
    pub lifecycle: Lifecycle,
    /// Whether the service is ready.
    pub ready: Readiness,
    /// Where the bound addresses are written when ready: `SWITCHBOARD_ADDRESS_FILE`.
    pub address_file: Option<PathBuf>,
    /// Names of streams and subjects; a test sets a prefix of its own before anything is connected.
    pub streams: Streams,
    /// Handlers by their durables, for replay.
    pub(crate) registry: Arc<HandlerRegistry>,
    pub(crate) name: &'static str,
    pub(crate) sections: Sections,
    /// What it measures beside what all services do.
    figures: &'static [Described],
    /// Held until [`Service::finish`] says that the wiring is done.
    wiring: Latch,
    shared: Arc<Mutex<Shared>>,
}

/// The sections of the configuration that the chassis reads.
#[derive(Clone)]
pub(crate) struct Sections {
    pub database: config::Database,
    pub nats: config::Nats,
    pub grpc: config::Grpc,
    pub admin: config::Admin,
    pub auth: config::Auth,
    pub relay: config::Relay,
    pub limits: config::Limits,
    pub audit: config::Audit,
}

#[derive(Default)]
struct Shared {
    addresses: BTreeMap<&'static str, SocketAddr>,
    pool: Option<PgPool>,
    nats: Option<Nats>,
    migrator: Option<&'static Migrator>,
    replicas: Option<Replicas>,
    subjects: Vec<Arc<dyn Subject>>,
    pauses: Pauses,
    configured: Vec<Set>,
    metrics: Option<PrometheusHandle>,
}

impl Service {
    /// Makes a service of its configuration; nothing runs yet.
    pub(crate) fn new<C: ServiceConfig>(name: &'static str, config: &C) -> Self {
        let ready = Readiness::new();
        Self {
            lifecycle: Lifecycle::new(),
            wiring: ready.latch("wiring"),
            ready,
            address_file: address_file(),
            streams: Streams::new(config.nats().inbound_shards),
            registry: Arc::default(),
            name,
            figures: C::figures(),
            sections: Sections {
                database: config.database().clone(),
                nats: config.nats().clone(),
                grpc: config.grpc().clone(),
                admin: config.admin().clone(),
                auth: config.auth().clone(),
                relay: config.relay().clone(),
                limits: config.limits().clone(),
                audit: config.audit().clone(),
            },
            shared: Arc::default(),
        }
    }

    /// Keeps what is configured, for whoever asks; secrets are masked.
    pub(super) fn configured(&self, set: Vec<Set>) {
        self.shared().configured = set;
    }

    /// Returns the service's name, as in subjects.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Connects to the database, waiting for it while it is away, and migrates it where configured.
    ///
    /// From then on a probe keeps the latch "database", and old request ids and changes of settings are forgotten.
    pub async fn database(&self, migrator: &'static Migrator) -> anyhow::Result<PgPool> {
        let section = &self.sections.database;
        let login = Arc::new(Login::of(section)?);
        // A file that is not there is a mistake and no outage.
        login.options()?;
        let latch = self.ready.latch("database");
        self.reach("database", &latch, || database::check(login.options()))
            .await?;
        if section.migrate_on_start {
            self.reach("database", &latch, || {
                database::apply(login.options(), migrator)
            })
            .await?;
        }
        // A plan kept from when a table was empty reads the whole of it for ever after: sets are planned as they come.
        let planned = [("plan_cache_mode", "force_custom_plan")];
        let options = login.options()?.options(planned);
        let pool = database::pool(section.max_connections, options);
        login.follow(&self.lifecycle, pool.clone());
        self.reach("database", &latch, || database::reached(pool.clone()))
            .await?;
        latch.release();

        let (watched, stop) = (pool.clone(), self.lifecycle.stop_token());
        self.lifecycle.spawn("database probe", async move {
            while tokio::time::timeout(DATABASE_PROBE, stop.cancelled())
                .await
                .is_err()
            {
                database::connections(&watched);
                match database::probe(&watched).await {
                    Ok(()) => latch.release(),
                    Err(error) => latch.hold(&error.to_string()),
                }
            }
            Ok(())
        });
        let (grown, stop) = (pool.clone(), self.lifecycle.stop_token());
        self.lifecycle.spawn("first statistics", async move {
            while tokio::time::timeout(statistics::LOOK, stop.cancelled())
                .await
                .is_err()
            {
                match statistics::refresh(&grown).await {
                    Ok(0) => {}
                    Ok(tables) => tracing::info!(tables, "tables that have grown were analysed"),
                    Err(error) => tracing::warn!(%error, "tables could not be analysed"),
                }
            }
            Ok(())
        });
        let (purged, stop) = (pool.clone(), self.lifecycle.stop_token());
        self.lifecycle.spawn("request id purge", async move {
            while tokio::time::timeout(Duration::from_hours(1), stop.cancelled())
                .await
                .is_err()
            {
                if let Err(error) = request::purge(&purged, crate::clock::now()).await {
                    tracing::warn!(%error, "old request ids could not be purged");
                }
            }
            Ok(())
        });
        inbox::spawn_purge(&self.lifecycle, pool.clone());
        audit::spawn_purge(&self.lifecycle, pool.clone(), self.sections.audit.kept);
        let replicas = Replicas::new(self.ready.clone());
        replicas.spawn(&self.lifecycle, pool.clone());
        let pauses = self.pause(&pool, &replicas).await?;
        let mut shared = self.shared();
        shared.pauses = pauses;
        shared.pool = Some(pool.clone());
        shared.migrator = Some(migrator);
        shared.replicas = Some(replicas);
        drop(shared);
        Ok(pool)
    }

    /// Reads what is paused before anything is taken up, and follows it from then on (O3.6).
    async fn pause(&self, pool: &PgPool, replicas: &Replicas) -> anyhow::Result<Pauses> {
        let latch = self.ready.latch("drained");
        let pauses = Pauses::of(replicas.id());
        self.reach("database", &latch, || {
            let (pauses, pool) = (pauses.clone(), pool.clone());
            async move { Ok(pauses.refresh(&pool, crate::clock::now()).await?) }
        })
        .await?;
        latch.release();
        pauses.spawn(&self.lifecycle, pool.clone(), latch);
        Ok(pauses)
    }

    /// What is paused. Call it after [`Service::database`]: a service without one knows of nothing.
    pub fn pauses(&self) -> Pauses {
        self.shared().pauses.clone()
    }

    /// Has the status tell of the service's own subject; call it before [`Service::grpc`].
    pub fn tell(&self, subject: Arc<dyn Subject>) {
        self.shared().subjects.push(subject);
    }

    /// Returns a second pool, for handlers of events and packs: their statements are planned once a connection, which
    /// otherwise is a third of their time.
    ///
    /// All they do is look up and write sets by keys, so that the plans are held to that: lookups by index for each row,
    /// right for an empty table and for a full one. What filters by choice or reads many rows goes by the other pool.
    pub fn batch_pool(&self) -> anyhow::Result<PgPool> {
        let section = &self.sections.database;
        let by_key = [
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
        ];
        let login = Arc::new(Login::of(section)?);
        let options = login.options()?.options(by_key);
        let pool = database::pool(section.max_connections, options);
        login.follow(&self.lifecycle, pool.clone());
        Ok(pool)
    }

    /// Connects to the broker, waiting for it while it is away. From then on a probe keeps the latch "nats".
    pub async fn nats(&self) -> anyhow::Result<Nats> {
        let latch = self.ready.latch("nats");
        latch.hold("connecting");
        let connect = nats::connect(&self.sections.nats, self.name);
        let stop = self.lifecycle.stop_token();
        let Some(connected) = stop.run_until_cancelled(connect).await else {
            bail!(Stopped("nats"));
        };
        let nats = connected?;
        latch.release();
        let watched = nats.clone();
        self.lifecycle.spawn("nats probe", async move {
            while tokio::time::timeout(NATS_PROBE, stop.cancelled())
                .await
                .is_err()
            {
                if watched.is_connected() {
                    latch.release();
                } else {
                    latch.hold("not connected");
                }
            }
            Ok(())
        });
        self.watch_streams(nats.clone());
        self.shared().nats = Some(nats.clone());
        Ok(nats)
    }

    /// Tells, as long as it is so, that another service has made more `INBOUND_<n>` than this one reads or writes.
    ///
    /// It goes on with those it knows: to stop would take away what still works, and what waits in the others is read when
    /// this one is started with their number.
    fn watch_streams(&self, nats: Nats) {
        let (streams, stop) = (self.streams.clone(), self.lifecycle.stop_token());
        self.lifecycle.spawn("streams probe", async move {
            while tokio::time::timeout(STREAMS_PROBE, stop.cancelled())
                .await
                .is_err()
            {
                let unread = nats::unread(&nats, &streams).await;
                figures::STREAMS_UNREAD.set(f64::from(u8::from(unread.is_some())));
                if let Some(stream) = unread {
                    tracing::error!(
                        stream,
                        "the broker has more INBOUND streams than nats.inbound_shards tells this service: \
                         set it to the same number everywhere and start this service again"
                    );
                }
            }
            Ok(())
        });
    }

    /// Makes a channel to another service, of its address in `peers`.
    pub fn peer(&self, url: &str) -> anyhow::Result<tonic::transport::Channel> {
        client::channel(url, self.sections.grpc.ca_file.as_deref())
    }

    /// Returns the gRPC server to which the service adds its handlers; call it after [`Service::nats`], so that
    /// operators can see its dead letters.
    pub fn grpc(&self) -> GrpcServer {
        let shared = Arc::clone(&self.shared);
        let server = GrpcServer {
            name: self.name,
            section: self.sections.grpc.clone(),
            auth: self.sections.auth.clone(),
            limits: self.sections.limits.clone(),
            methods: switchboard_proto::METHODS,
            lifecycle: self.lifecycle.clone(),
            ready: self.ready.clone(),
            bound: Box::new(move |address| {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.addresses.insert("grpc", address);
            }),
            routes: tonic::service::Routes::builder(),
            names: Vec::new(),
        };
        // A service without the broker has no dead letters.
        let Some(nats) = self.broker() else {
            return server;
        };
        server.add(OperatorServiceServer::new(self.operator(nats)))
    }

    /// Makes what operators ask.
    pub(super) fn operator(&self, nats: Nats) -> Operator {
        let shared = self.shared();
        let sources = Sources {
            service: self.name,
            ready: self.ready.clone(),
            nats,
            streams: self.streams.clone(),
            registry: Arc::clone(&self.registry),
            pool: shared.pool.clone(),
            replicas: shared.replicas.clone(),
            subjects: shared.subjects.clone(),
            pauses: shared.pauses.clone(),
        };
        let tried = Tried {
            nats: self.sections.nats.clone(),
            auth: self.sections.auth.clone(),
            migrations: std::iter::once(&crate::MIGRATOR)
                .chain(shared.migrator)
                .collect(),
        };
        let reported = Reported {
            version: shared.migrator.map_or_else(String::new, |migrator| {
                version::told(self.name, migrator, version::Output::Json)
            }),
            configured: shared.configured.clone(),
            metrics: shared.metrics.clone(),
        };
        Operator::whole(sources, tried, reported)
    }

    /// Returns what lists the changes of this service's settings; a token needs one of `scopes`, those that change them.
    pub fn audit(&self, pool: &PgPool, scopes: &'static [Scope]) -> AuditServiceServer<audit::Api> {
        AuditServiceServer::new(audit::Api::new(self.name, pool.clone(), scopes))
    }

    /// The broker's connection, once there is one.
    pub(super) fn broker(&self) -> Option<Nats> {
        self.shared().nats.clone()
    }

    /// Starts the admin server, once; `main` does so before anything else.
    pub async fn admin(&self) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.address("admin") {
            return Ok(address);
        }
        let metrics = telemetry::metrics(self.name, self.figures)?;
        self.shared().metrics = Some(metrics.clone());
        let address = health::serve(
            &self.sections.admin,
            self.ready.clone(),
            &self.lifecycle,
            metrics,
        )
        .await?;
        self.bound("admin", address);
        Ok(address)
    }

    /// Returns the interceptor of calls to other services.
    pub fn internal(&self) -> client::Internal {
        client::Internal::new(&self.sections.auth.internal_token_file)
    }

    /// Notes a bound address ("http") for the address file.
    pub fn bound(&self, server: &'static str, address: SocketAddr) {
        self.shared().addresses.insert(server, address);
    }

    /// Returns the address of a server once it is bound ("grpc", "admin", "http").
    pub fn address(&self, server: &str) -> Option<SocketAddr> {
        self.shared().addresses.get(server).copied()
    }

    /// Says that the wiring is done, waits until the service is asked to stop, and drains it in order.
    ///
    /// The error, if any, is that of the background task that died.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.announce();
        self.wiring.release();
        self.lifecycle.stop_token().cancelled().await;
        self.wiring.hold("stopping");
        let drained = self.lifecycle.drained(GRACE).await;
        let (nats, pool, replicas) = {
            let mut shared = self.shared();
            (
                shared.nats.take(),
                shared.pool.take(),
                shared.replicas.take(),
            )
        };
        if let Some(nats) = nats {
            // Acknowledgements are plain publishes that may still stand in the buffer.
            let flushed = tokio::time::timeout(LAST_STEP, nats.client.flush()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                tracing::warn!("the broker's connection could not be flushed");
            }
        }
        if let (Some(replicas), Some(pool)) = (&replicas, &pool) {
            // Should this fail, it is seen as silent, and forgotten after a while.
            let _ = tokio::time::timeout(LAST_STEP, replicas.leave(pool)).await;
        }
        if let Some(pool) = pool {
            let _ = tokio::time::timeout(LAST_STEP, pool.close()).await;
        }
        if let Some(file) = &self.address_file {
            let _ = std::fs::remove_file(file);
        }
        Ok(drained?)
    }

    /// Writes the address file as soon as the service is ready.
    fn announce(&self) {
        let (ready, shared, stop) = (
            self.ready.clone(),
            Arc::clone(&self.shared),
            self.lifecycle.stop_token(),
        );
        let file = self.address_file.clone();
        self.lifecycle.spawn("announcement", async move {
            if stop.run_until_cancelled(ready.wait()).await.is_none() {
                return Ok(());
            }
            let addresses = shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .addresses
                .clone();
            tracing::info!(addresses = ?addresses, "service ready");
            let Some(file) = file else {
                return Ok(());
            };
            let text = serde_json::to_vec(&addresses)?;
            // Whoever waits for the file must never read half of it.
            let beside = file.with_extension("tmp");
            tokio::fs::write(&beside, text)
                .await
                .with_context(|| format!("SWITCHBOARD_ADDRESS_FILE: {}", beside.display()))?;
            tokio::fs::rename(&beside, &file).await?;
            Ok(())
        });
    }

    /// Tries until it works or the service is asked to stop, with the latch held meanwhile.
    async fn reach<T, F>(
        &self,
        what: &'static str,
        latch: &Latch,
        mut attempt: impl FnMut() -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let stop = self.lifecycle.stop_token();
        let (mut wait, longest) = RETRY;
        loop {
            let Some(outcome) = stop.run_until_cancelled(attempt()).await else {
                bail!(Stopped(what));
            };
            match outcome {
                Ok(reached) => return Ok(reached),
                Err(error) if error.is::<Unusable>() => return Err(error),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(dependency = what, error, "dependency away: trying again");
                    latch.hold(&error);
                }
            }
            let jittered = wait.mul_f64(rand::rng().random_range(0.5..1.0));
            if stop
                .run_until_cancelled(tokio::time::sleep(jittered))
                .await
                .is_none()
            {
                bail!(Stopped(what));
            }
            wait = (wait * 2).min(longest);
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dependency that is there but cannot be used: trying again would not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusable(pub(super) String);

pub(super) fn address_file() -> Option<PathBuf> {
    std::env::var_os("SWITCHBOARD_ADDRESS_FILE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
