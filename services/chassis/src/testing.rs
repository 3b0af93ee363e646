//! What tests of services need: databases of their own, the broker, callers and tokens.
//!
//! Servers are those of `SWITCHBOARD_TEST_POSTGRES_URL` and `SWITCHBOARD_TEST_NATS_URL`.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot begin must fail"
)]

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prost::Message as _;
use prost_types::value::Kind;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};
use switchboard_proto::operator::v1::audit_service_server::AuditService as _;
use switchboard_proto::operator::v1::{AuditEntry, FieldChange, ListAuditEntriesRequest};

use crate::access::{
    AccessError, AccessFetch, AccessRecord, AccessSource, ChannelGrant, ChatAccess, KindAccess,
    View,
};
use crate::audit;
use crate::auth::{Caller, CallerParts, Subject};
use crate::clock;
use crate::config::reference;
use crate::consumer::{Delivery, Origin};
use crate::id::{self, AccountSlug, AgentId};
use crate::meter;
use crate::outbox::StoredEvents;
use crate::run::{Service, ServiceConfig};

/// What counts for one test; set it with `metrics::set_default_local_recorder`.
pub fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

/// A database for one test, with the migrations of chassis and service; dropped with this value.
pub struct TestDatabase {
    /// Its connections.
    pub pool: PgPool,
    /// Its address, for a service under test.
    pub url: String,
    server: PgConnectOptions,
    name: String,
}

/// Makes a fresh database.
pub async fn database(migrator: &'static Migrator) -> TestDatabase {
    let server = std::env::var("SWITCHBOARD_TEST_POSTGRES_URL")
        .expect("SWITCHBOARD_TEST_POSTGRES_URL names the server for tests");
    let server = PgConnectOptions::from_str(&server)
        .expect("a Postgres address")
        .database("postgres");
    let name = format!("test_{}", id::v7(clock::now()).simple());
    let mut admin = PgConnection::connect_with(&server)
        .await
        .expect("the server for tests answers");
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut admin)
        .await
        .expect("a database can be created");
    admin.close().await.expect("a connection closes");
    let options = server.clone().database(&name);
    let url = options.to_url_lossy().to_string();
    let made = TestDatabase {
        pool: PgPoolOptions::new()
            .max_connections(8)
            .connect_lazy_with(options),
        url,
        server,
        name,
    };
    crate::MIGRATOR
        .run(&made.pool)
        .await
        .expect("chassis migrations apply");
    migrator.run(&made.pool).await.expect("migrations apply");
    made
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // The test's runtime may be ending: this one is its own, on its own thread.
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&server).await.ok()?;
                let drop = format!("drop database if exists {name} with (force)");
                sqlx::query(AssertSqlSafe(drop))
                    .execute(&mut admin)
                    .await
                    .ok()
            })
        });
        let _ = dropped.join();
    }
}

/// A connection to the broker for tests, which all tests share: use an account of your own.
pub struct TestNats {
    /// The connection.
    pub client: async_nats::Client,
    /// Its `JetStream`.
    pub jetstream: async_nats::jetstream::Context,
    /// Both, as services hold them.
    pub nats: crate::nats::Nats,
    /// Its address, for a service under test.
    pub url: String,
}

/// Connects to the broker.
pub async fn nats() -> TestNats {
    let url = std::env::var("SWITCHBOARD_TEST_NATS_URL")
        .expect("SWITCHBOARD_TEST_NATS_URL names the broker for tests");
    let client = async_nats::connect(&url)
        .await
        .expect("the broker for tests answers");
    let nats = crate::nats::Nats::new(client.clone());
    let jetstream = nats.jetstream.clone();
    TestNats {
        client,
        jetstream,
        nats,
        url,
    }
}

/// Takes out all that stands in a service's outbox, in its order, as consumers are handed it.
pub async fn take_outbox(pool: &PgPool) -> Vec<Delivery> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "with gone as (delete from chassis.outbox returning id, events) select events from gone order by id",
    )
    .fetch_all(pool)
    .await
    .expect("the outbox can be read");
    let rows = rows.iter().map(|row| StoredEvents::decode(&**row));
    let events = rows.flat_map(|row| row.expect("a row of the outbox").events);
    let deliveries = events.map(|event| {
        let (envelope, payload) = event.into_parts().expect("an event of the outbox");
        Delivery {
            envelope,
            payload,
            origin: Origin {
                stream: "EVENTS".into(),
                sequence: 1,
                index: 0,
            },
        }
    });
    deliveries.collect()
}

/// Makes a service as `main` does, for running `serve` within a test.
pub fn service(name: &'static str, config: &impl ServiceConfig) -> Service {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Service::new(name, config)
}

/// Makes an account slug.
pub fn account(text: &str) -> AccountSlug {
    AccountSlug::parse(text).expect("an account slug")
}

/// Makes an account that no other test uses.
pub fn fresh_account() -> AccountSlug {
    account(&format!("t-{}", id::v7(clock::now()).simple()))
}

/// Makes the record of an active agent who may do everything.
pub fn full_access(agent: AgentId) -> AccessRecord {
    let all = KindAccess {
        create: true,
        view: View::All,
    };
    AccessRecord {
        agent,
        version: 1,
        active: true,
        channels: ChannelGrant::All,
        chats: ChatAccess::Full,
        leads: all,
        contacts: all,
        settings: true,
    }
}

/// Makes the caller that a token of this agent would be; `access` is its record.
pub fn caller(
    account: &AccountSlug,
    agent: AgentId,
    scopes: &[&str],
    access: AccessRecord,
) -> Caller {
    Caller::new(CallerParts {
        account: Some(account.clone()),
        subject: Subject::Agent(agent),
        acting: Some(agent),
        internal: false,
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        access: Some(access),
    })
}

/// Makes the caller that a service with an account's token, or (`internal`) one of ours, would be.
pub fn service_caller(
    account: Option<&AccountSlug>,
    name: &str,
    scopes: &[&str],
    acting: Option<AccessRecord>,
) -> Caller {
    Caller::new(CallerParts {
        account: account.cloned(),
        subject: Subject::Service(name.to_owned()),
        acting: acting.as_ref().map(|record| record.agent),
        internal: scopes.contains(&"internal"),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        access: acting,
    })
}

/// Returns a request with a caller, as the auth layer makes them.
pub fn request<T>(caller: &Caller, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

/// Asks for the changes of a service's settings.
pub async fn audited(
    api: &audit::Api,
    caller: &Caller,
    wanted: ListAuditEntriesRequest,
) -> Result<Vec<AuditEntry>, tonic::Status> {
    let answer = api.list_audit_entries(request(caller, wanted)).await?;
    Ok(answer.into_inner().entries)
}

/// Returns what an entry tells of fields, as `field: before -> after`; a dot is nothing.
pub fn told(entry: &AuditEntry) -> Vec<String> {
    let side = |value: Option<&prost_types::Value>| value.map_or_else(|| ".".into(), json);
    let tell = |change: &FieldChange| {
        let (before, after) = (side(change.before.as_ref()), side(change.after.as_ref()));
        format!("{}: {before} -> {after}", change.field)
    };
    entry.changes.iter().map(tell).collect()
}

fn json(value: &prost_types::Value) -> String {
    match &value.kind {
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::NumberValue(value)) => value.to_string(),
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::ListValue(list)) => {
            format!(
                "[{}]",
                list.values.iter().map(json).collect::<Vec<_>>().join(",")
            )
        }
        Some(Kind::StructValue(_)) => "{}".into(),
        Some(Kind::NullValue(_)) | None => "null".into(),
    }
}

/// Access records held in memory.
#[derive(Default, Clone)]
pub struct Records(pub Arc<std::sync::Mutex<Vec<(AccountSlug, AccessRecord)>>>);

impl Records {
    /// Adds or replaces a record.
    pub fn put(&self, account: &AccountSlug, record: AccessRecord) {
        let mut records = self.0.lock().expect("no test panicked meanwhile");
        records.retain(|(known, old)| known != account || old.agent != record.agent);
        records.push((account.clone(), record));
    }

    fn find(&self, account: &AccountSlug, agent: AgentId) -> Option<AccessRecord> {
        let records = self.0.lock().expect("no test panicked meanwhile");
        let found = records
            .iter()
            .find(|(known, record)| known == account && record.agent == agent);
        found.map(|(_, record)| record.clone())
    }
}

#[tonic::async_trait]
impl AccessSource for Records {
    async fn access(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        Ok(self.find(account, agent))
    }
}

#[tonic::async_trait]
impl AccessFetch for Records {
    async fn fetch(
        &self,
        account: &AccountSlug,
        agent: AgentId,
    ) -> Result<Option<AccessRecord>, AccessError> {
        Ok(self.find(account, agent))
    }
}

/// Holds what is written out of a configuration's declaration against it: the service's `config.toml`, and its schema and table in
/// `deploy/config`. And the table of what it measures in `deploy/metrics`.
///
/// # Panics
///
/// If one differs.
pub fn configuration<C: ServiceConfig>(service: &str, embedded: &str, folder: &Path) {
    let schema = reference::schema::<C>(service, embedded).expect("a template that is TOML");
    let strangers = reference::strangers(&schema, embedded).expect("a template that is TOML");
    assert!(strangers.is_empty(), "no such keys: {strangers:?}");
    for key in reference::keys(&schema) {
        assert!(!key.about.is_empty(), "{} says nothing", key.path);
    }
    let deployed = folder.join("../../deploy/config");
    for (file, expected) in [
        (
            folder.join("config.toml"),
            reference::commented(service, &schema),
        ),
        (
            deployed.join(format!("{service}.schema.json")),
            format!("{schema:#}\n"),
        ),
        (
            folder.join(format!("../../deploy/metrics/{service}.md")),
            meter::table(service, C::figures()),
        ),
        (
            deployed.join(format!("{service}.md")),
            reference::table(service, &schema),
        ),
    ] {
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        let file = file.display();
        assert!(
            found == expected,
            "{file} is not what Rust declares: scripts/generate writes it"
        );
    }
}
