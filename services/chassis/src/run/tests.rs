//! A service from its start to its end, against a real database and broker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use switchboard_proto::operator::v1::operator_service_server::OperatorService as _;
use switchboard_proto::operator::v1::{
    DiagnoseRequest, GetStatusRequest, GetStatusResponse, Level, OutboxStatus,
};

use super::{Service, ServiceConfig, Stopped};
use crate::config;
use crate::nats::Declared;
use crate::testing::{self, Records};

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    database: config::Database,
    nats: config::Nats,
    grpc: config::Grpc,
    admin: config::Admin,
    auth: config::Auth,
    telemetry: config::Telemetry,
    relay: config::Relay,
    limits: config::Limits,
    audit: config::Audit,
}

impl ServiceConfig for Config {
    fn database(&self) -> &config::Database {
        &self.database
    }
    fn nats(&self) -> &config::Nats {
        &self.nats
    }
    fn grpc(&self) -> &config::Grpc {
        &self.grpc
    }
    fn admin(&self) -> &config::Admin {
        &self.admin
    }
    fn auth(&self) -> &config::Auth {
        &self.auth
    }
    fn telemetry(&self) -> &config::Telemetry {
        &self.telemetry
    }
    fn relay(&self) -> &config::Relay {
        &self.relay
    }
    fn limits(&self) -> &config::Limits {
        &self.limits
    }
    fn audit(&self) -> &config::Audit {
        &self.audit
    }
}

const EMBEDDED: &str = include_str!("../../config.toml");

/// A key set with one key, whose private half stands in an RFC.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn configured(database: &str, nats: &str, folder: &Path) -> Config {
    let jwks = folder.join("jwks.json");
    std::fs::write(&jwks, JWKS).unwrap();
    let environment = [
        ("SWITCHBOARD_DATABASE__URL", database),
        ("SWITCHBOARD_DATABASE__MIGRATE_ON_START", "true"),
        ("SWITCHBOARD_NATS__URL", nats),
        ("SWITCHBOARD_AUTH__JWKS", jwks.to_str().unwrap()),
        ("SWITCHBOARD_AUTH__DEMO_SECRETS", "true"),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
    config::load_from(EMBEDDED, None, environment.into()).unwrap()
}

async fn probe(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}{path}"))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn serve(service: Service) -> anyhow::Result<()> {
    service.database(&crate::MIGRATOR).await?;
    service.nats().await?;
    service.grpc().serve(Arc::new(Records::default())).await?;
    service.finish().await
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "{what}");
}

#[tokio::test]
async fn a_service_connects_binds_becomes_ready_announces_itself_and_stops() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    let mut service = testing::service("test", &config);
    let file = folder.path().join("addresses.json");
    service.address_file = Some(file.clone());
    let admin = service.admin().await.unwrap();
    assert_eq!(probe(admin, "/livez").await.0, 200);
    let (code, reasons) = probe(admin, "/readyz").await;
    assert!(code == 503 && reasons.contains("wiring"), "{reasons}");

    let lifecycle = service.lifecycle.clone();
    let running = tokio::spawn(serve(service));
    eventually("the address file is written", async || file.exists()).await;
    assert_eq!(probe(admin, "/readyz").await, (200, "ready\n".into()));
    assert_eq!(probe(admin, "/metrics").await.0, 200);
    let addresses: BTreeMap<String, SocketAddr> =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(addresses["admin"], admin);
    assert_ne!(addresses["grpc"].port(), 0);

    lifecycle.stop();
    running.await.unwrap().unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn while_the_database_is_away_a_service_lives_is_not_ready_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    // Port 9 is discard: nobody answers.
    let config = configured(
        "postgres://x@127.0.0.1:9/x",
        "nats://127.0.0.1:9",
        folder.path(),
    );
    let service = testing::service("test", &config);
    let admin = service.admin().await.unwrap();
    let lifecycle = service.lifecycle.clone();
    let running = tokio::spawn(serve(service));
    eventually("the reason is told", async || {
        let (code, reasons) = probe(admin, "/readyz").await;
        code == 503 && reasons.contains("database: ") && !reasons.contains("database: starting")
    })
    .await;
    assert_eq!(probe(admin, "/livez").await.0, 200);
    lifecycle.stop();
    let ended = running.await.unwrap().unwrap_err();
    assert!(ended.is::<Stopped>(), "{ended:#}");
}

#[tokio::test]
async fn a_dead_background_task_ends_the_service_with_its_name() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    let service = testing::service("test", &config);
    service.lifecycle.spawn("doomed", async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        anyhow::bail!("no luck")
    });
    let ended = serve(service).await.unwrap_err().to_string();
    assert!(
        ended.contains("doomed") && ended.contains("no luck"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_missing_key_file_ends_the_service_with_the_keys_name() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    std::fs::remove_file(folder.path().join("jwks.json")).unwrap();
    let ended = serve(testing::service("test", &config)).await.unwrap_err();
    assert!(format!("{ended:#}").contains("auth.jwks"), "{ended:#}");
}

#[tokio::test]
async fn o112_a_signing_key_that_anybody_has_ends_the_service_with_the_keys_name() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let mut config = configured(&database.url, &nats.url, folder.path());
    config.auth.demo_secrets = false;
    // One that starts all the same would serve for ever.
    let serving = serve(testing::service("test", &config));
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await;
    let ended = format!("{:#}", ended.unwrap().unwrap_err());
    assert!(
        ended.contains("auth.jwks") && ended.contains("auth.demo_secrets"),
        "{ended}"
    );
}

/// What a service tells of itself.
async fn told(service: &Service) -> GetStatusResponse {
    let operator = service.operator(service.broker().unwrap());
    let asked = tonic::Request::new(GetStatusRequest {});
    operator.get_status(asked).await.unwrap().into_inner()
}

#[tokio::test]
async fn o201_whichever_replica_is_asked_tells_of_all() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let service = testing::service("test", &config);
        service.database(&crate::MIGRATOR).await.unwrap();
        service.nats().await.unwrap();
        service
            .declare(&[Declared::Events, Declared::DeadLetters])
            .await
            .unwrap();
        replicas.push(service);
    }
    let [first, second] = &replicas[..] else {
        unreachable!()
    };
    eventually("both are told of", async || {
        told(first).await.replicas.len() == 2
    })
    .await;
    let of_first = told(first).await;
    let of_second = told(second).await;
    assert_eq!(
        of_first.replicas[1].replica_id,
        of_second.replicas[0].replica_id
    );
    assert_eq!(of_first.unavailable, []);
    assert_eq!(of_first.dead_letters, Some(0));
    assert_eq!(of_first.outbox, Some(OutboxStatus::default()));
    let streams: Vec<_> = of_first
        .streams
        .iter()
        .map(|one| one.stream.as_str())
        .collect();
    assert!(
        streams.contains(&"EVENTS") && streams.contains(&"DEAD_LETTERS"),
        "{streams:?}"
    );
    let replica = &of_first.replicas[0];
    assert!(!replica.ready, "its wiring is not done");
    let held: Vec<_> = replica.checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(
        (held[0].name.as_str(), held[0].reason.as_str()),
        ("wiring", "starting")
    );
    for service in replicas {
        service.lifecycle.stop();
        service.finish().await.unwrap();
    }
}

#[tokio::test]
async fn o302_while_the_database_is_away_the_status_says_since_when_and_tells_the_rest() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    let service = testing::service("test", &config);
    let pool = service.database(&crate::MIGRATOR).await.unwrap();
    service.nats().await.unwrap();
    service
        .declare(&[Declared::Events, Declared::DeadLetters])
        .await
        .unwrap();
    // A closed pool answers as a database that has gone.
    pool.close().await;
    eventually("the probe sees it", async || {
        service.ready.failing("database").is_some()
    })
    .await;
    let status = told(&service).await;
    let [away] = &status.unavailable[..] else {
        panic!("{:?}", status.unavailable)
    };
    assert_eq!(away.part, "database");
    let since = service.ready.failing("database").unwrap().since;
    assert_eq!(away.since_time, Some(crate::grpc::timestamp(since)));
    assert_eq!(status.outbox, None);
    assert_eq!(
        status.dead_letters,
        Some(0),
        "the broker is asked all the same"
    );
    assert!(!status.streams.is_empty());
    service.lifecycle.stop();
}

#[tokio::test]
async fn o106_a_diagnosis_tells_what_is_missing_and_what_to_do() {
    let (database, nats) = (
        testing::database(&crate::MIGRATOR).await,
        testing::nats().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let config = configured(&database.url, &nats.url, folder.path());
    let service = testing::service("test", &config);
    let pool = service.database(&crate::MIGRATOR).await.unwrap();
    service.nats().await.unwrap();
    service
        .declare(&[Declared::Events, Declared::Inbound, Declared::DeadLetters])
        .await
        .unwrap();
    let operator = service.operator(service.broker().unwrap());
    let found = async || {
        let asked = tonic::Request::new(DiagnoseRequest {});
        let told = operator.diagnose(asked).await.unwrap().into_inner();
        let found = told.findings.into_iter();
        found
            .map(|one| (one.subject.clone(), one))
            .collect::<BTreeMap<_, _>>()
    };
    let all = found().await;
    for subject in [
        "nats",
        "streams",
        "permissions",
        "postgres",
        "migrations",
        "jwks",
    ] {
        assert_eq!(all[subject].level(), Level::Ok, "{:?}", all[subject]);
    }
    // The template's file of the internal token is not there.
    assert_eq!(all["internal token"].level(), Level::Fail);
    assert!(
        all["internal token"]
            .next_step
            .contains("switchboardctl token --internal")
    );

    sqlx::query("delete from chassis._sqlx_migrations where version = 6")
        .execute(&pool)
        .await
        .unwrap();
    std::fs::remove_file(folder.path().join("jwks.json")).unwrap();
    let all = found().await;
    assert_eq!(
        all["migrations"].level(),
        Level::Fail,
        "{:?}",
        all["migrations"]
    );
    assert!(all["migrations"].next_step.contains("migrate"));
    assert_eq!(all["jwks"].level(), Level::Fail);
    service.lifecycle.stop();
}
