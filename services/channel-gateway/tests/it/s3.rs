//! Files in S3, at a real server that checks signatures.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use channel_gateway::config::{Config, Files, ObjectStore};
use channel_gateway::files::store::{Broken, Bytestream, Pace, ReceiveError, Store, StoreError};
use futures::{StreamExt as _, stream};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchboard_proto::common::v1::attachment;
use switchboard_tests::servers::{S3Server, ports};
use tokio::io::AsyncWriteExt as _;

use crate::uploads::{Port, agent, announce, link, state};
use crate::world::{World, eventually, world};

const MIB: usize = 1 << 20;

const PACE: Pace = Pace {
    idle: Duration::from_millis(500),
    total: Duration::from_mins(1),
};

/// A server, and what leads to its bucket.
struct Bucket {
    server: S3Server,
    config: Files,
}

impl Bucket {
    /// None where this machine can have no such server.
    async fn start() -> Option<Self> {
        let server = tokio::task::spawn_blocking(|| S3Server::start().unwrap());
        let server = server.await.unwrap()?;
        // It installs the TLS provider that the HTTP client asks for.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config: Config =
            chassis::config::load_from(Config::EMBEDDED, None, HashMap::new()).unwrap();
        let config = Files {
            store: ObjectStore::S3,
            bucket: server.bucket().to_owned(),
            region: server.region().to_owned(),
            endpoint: server.url(),
            ..config.files
        };
        Some(Self { server, config })
    }

    fn open(&self) -> Store {
        Store::open_with(&self.config, self.server.keys()).unwrap()
    }

    async fn objects(&self) -> Vec<String> {
        let stored = self.server.stored().await.unwrap();
        stored.objects.into_keys().collect()
    }

    async fn uploads(&self) -> Vec<String> {
        self.server.stored().await.unwrap().uploads
    }

    async fn until_nothing_is_left(&self) {
        eventually("parts are taken back", async || {
            self.uploads().await.is_empty()
        })
        .await;
        assert_eq!(self.objects().await, Vec::<String>::new());
    }
}

/// Bytes that differ from place to place.
fn content(size: usize) -> Bytes {
    let bytes = (0..size).map(|at| u8::try_from(at * 31 % 251).unwrap_or(0));
    bytes.collect::<Vec<u8>>().into()
}

fn pieces(whole: &Bytes) -> Bytestream {
    let whole = whole.clone();
    let pieces = (0..whole.len()).step_by(MIB / 2);
    stream::iter(pieces.map(move |at| Ok(whole.slice(at..whole.len().min(at + MIB / 2))))).boxed()
}

async fn read(mut bytes: Bytestream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_s3_keeps_a_file_gives_it_by_ranges_and_forgets_it() {
    let Some(bucket) = Bucket::start().await else {
        return;
    };
    let store = bucket.open();
    store.prove(&bucket.config).await.unwrap();
    assert_eq!(
        bucket.objects().await,
        Vec::<String>::new(),
        "a proof leaves nothing"
    );
    for size in [0, 10, 5 * MIB - 1, 5 * MIB, 13 * MIB + 7] {
        let (key, whole) = (format!("acme/2026/11/{size}"), content(size));
        let received = store.receive(&key, pieces(&whole), 1 << 30, PACE).await;
        let received = received.unwrap();
        assert_eq!(received.size, size as u64);
        assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest(&whole)));
        assert_eq!(read(store.stream(&key, None).await.unwrap()).await, whole);
        assert_eq!(store.get(&key).await.unwrap(), whole);
    }
    assert_eq!(bucket.uploads().await, Vec::<String>::new());
    let large = format!("acme/2026/11/{}", 13 * MIB + 7);
    let whole = content(13 * MIB + 7);
    for range in [
        0..1,
        10..5_000,
        5 * MIB - 3..5 * MIB + 3,
        13 * MIB..13 * MIB + 7,
    ] {
        let asked = range.start as u64..range.end as u64;
        let part = store.stream(&large, Some(asked)).await.unwrap();
        assert_eq!(read(part).await, whole[range]);
    }
    // What stood there is replaced, by a small one as by a large one.
    store.put(&large, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.get(&large).await.unwrap(), "x");
    for _ in 0..2 {
        store.delete(&large).await.unwrap();
    }
    assert!(matches!(store.get(&large).await, Err(StoreError::Missing)));
    assert_eq!(bucket.objects().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_no_parts_of_what_did_not_come_whole() {
    let Some(bucket) = Bucket::start().await else {
        return;
    };
    let store = bucket.open();
    let take = async |bytes: Bytestream| store.receive("a/b", bytes, 12 << 20, PACE).await;
    let half = content(11 * MIB);
    let large = take(pieces(&content(13 * MIB))).await;
    assert!(matches!(large, Err(ReceiveError::TooLarge(_))), "{large:?}");
    bucket.until_nothing_is_left().await;
    let slow = take(pieces(&half).chain(stream::pending()).boxed()).await;
    assert!(matches!(slow, Err(ReceiveError::Slow)), "{slow:?}");
    bucket.until_nothing_is_left().await;
    let end = stream::iter([Err(Broken("gone".into()))]);
    let broken = take(pieces(&half).chain(end).boxed()).await;
    assert!(matches!(broken, Err(ReceiveError::Broken(_))), "{broken:?}");
    bucket.until_nothing_is_left().await;

    // Whoever wrote it is dropped.
    {
        let patient = Pace {
            idle: PACE.total,
            ..PACE
        };
        let bytes = pieces(&half).chain(stream::pending()).boxed();
        let mut work = Box::pin(store.receive("a/b", bytes, 12 << 20, patient));
        eventually("parts are there", async || {
            let step = tokio::time::timeout(Duration::from_millis(20), &mut work);
            assert!(step.await.is_err(), "it ended");
            !bucket.uploads().await.is_empty()
        })
        .await;
    }
    // The store was told of it; a part that was on its way meanwhile may still be listed for a moment, as S3 says of itself.
    store.settled().await;
    bucket.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_that_is_away_is_told_from_a_file_that_is_gone() {
    let Some(bucket) = Bucket::start().await else {
        return;
    };
    let store = bucket.open();
    store.put("a/b", Bytes::from_static(b"x")).await.unwrap();
    for method in ["GET", "PUT", "POST"] {
        let away = json!({ "away": { method: true } });
        bucket.server.behave(&away).unwrap();
        let failed = match method {
            "GET" => store.get("a/b").await.map(drop),
            "PUT" => store.put("a/c", Bytes::from_static(b"x")).await,
            _ => store.delete("a/b").await,
        };
        assert!(
            matches!(failed, Err(StoreError::Away(_))),
            "{method}: {failed:?}"
        );
    }
    // Parts are not taken: nothing stays of those before.
    bucket
        .server
        .behave(&json!({ "away": { "PUT": true } }))
        .unwrap();
    let failed = store
        .receive("a/c", pieces(&content(11 * MIB)), 1 << 30, PACE)
        .await;
    assert!(matches!(failed, Err(ReceiveError::Store(_))), "{failed:?}");
    bucket.server.behave(&json!({})).unwrap();
    assert_eq!(bucket.uploads().await, Vec::<String>::new());
    // Without its bucket nothing is known of a file.
    let mut config = bucket.config.clone();
    config.bucket = "another".to_owned();
    let lost = Store::open_with(&config, bucket.server.keys()).unwrap();
    let failed = lost.get("a/b").await;
    assert!(matches!(failed, Err(StoreError::Away(_))), "{failed:?}");
    assert_eq!(store.get("a/b").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_ends_the_start_and_one_that_is_away_does_not() {
    let Some(bucket) = Bucket::start().await else {
        return;
    };
    let [id, secret] = bucket.server.keys();
    let other = |pair: &(String, String)| (pair.0.clone(), "AKIAIOSFODNN7EXAMPLE".to_owned());
    let closed = format!("http://127.0.0.1:{}", ports(1).unwrap()[0]);
    // Loopback, and nobody there: a machine without a role.
    let no_role = ("AWS_METADATA_ENDPOINT".to_owned(), closed.clone());
    let mut elsewhere = bucket.config.clone();
    elsewhere.bucket = "another".to_owned();
    let cases = [
        (
            "another bucket",
            &elsewhere,
            vec![id.clone(), secret.clone()],
            "files.bucket",
        ),
        (
            "another key",
            &bucket.config,
            vec![other(&id), secret.clone()],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "another secret",
            &bucket.config,
            vec![id.clone(), other(&secret)],
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            "no keys",
            &bucket.config,
            vec![no_role],
            "there are no keys",
        ),
    ];
    for (name, config, keys, expected) in cases {
        let hidden: Vec<String> = keys.iter().map(|(_, value)| value.clone()).collect();
        let store = Store::open_with(config, keys).unwrap();
        let error = format!("{:#}", store.prove(config).await.unwrap_err());
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!error.contains('<'), "{name}: in words: {error}");
        assert!(
            !hidden.iter().any(|value| error.contains(value)),
            "{name}: {error}"
        );
    }
    bucket
        .server
        .behave(&json!({ "away": { "PUT": true } }))
        .unwrap();
    bucket.open().prove(&bucket.config).await.unwrap();
    let mut nobody = bucket.config.clone();
    nobody.endpoint = closed;
    let store = Store::open_with(&nobody, [id, secret]).unwrap();
    store.prove(&nobody).await.unwrap();
}

/// A gateway whose files are in a bucket.
async fn world_on(bucket: &Bucket) -> (World, Port) {
    let mut world = world().await;
    world.app.files.store = bucket.open();
    let port = Port::open(&mut world).await;
    (world, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_an_upload_into_s3_that_breaks_off_leaves_no_parts_and_is_put_again() {
    let Some(bucket) = Bucket::start().await else {
        return;
    };
    let (world, port) = world_on(&bucket).await;
    let owner = agent(&world, &[]);
    let whole = content(12 * MIB);
    let (id, url) = announce(&world, &owner, whole.len()).await;

    let url_of = reqwest::Url::parse(&url).unwrap();
    let place = (
        url_of.host_str().unwrap().to_owned(),
        url_of.port().unwrap(),
    );
    let mut caller = tokio::net::TcpStream::connect(place).await.unwrap();
    let head = format!(
        "PUT {}?{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        url_of.path(),
        url_of.query().unwrap(),
        whole.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    caller.write_all(&whole[..11 * MIB]).await.unwrap();
    eventually("parts are there", async || {
        !bucket.uploads().await.is_empty()
    })
    .await;
    assert_eq!(
        state(&world, &owner, &id).await.unwrap().state(),
        attachment::State::Pending
    );
    drop(caller);
    bucket.until_nothing_is_left().await;

    eventually("it can be put again", async || {
        port.put(&url, &whole).await == 201
    })
    .await;
    assert_eq!(bucket.objects().await.len(), 1);
    assert_eq!(bucket.uploads().await, Vec::<String>::new());
    let url = link(&world, &owner, &id).await.unwrap();
    let answer = port.get(&url).await;
    assert_eq!(
        answer.headers()["content-length"],
        whole.len().to_string().as_str()
    );
    assert_eq!(answer.bytes().await.unwrap(), whole);
    let end = port.range(&url, "bytes=-9").await;
    assert_eq!(end.status().as_u16(), 206);
    assert_eq!(end.bytes().await.unwrap(), whole[whole.len() - 9..]);
}
