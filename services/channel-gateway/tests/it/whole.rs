//! The whole service, as its process runs it.

use std::time::{Duration, Instant};

use chassis::testing;
use serde_json::{Value, json};
use switchboard_proto::conversation::v1::MessageQueued;

use crate::world::{World, eventually, world};

/// A key set whose key signs nothing here: the example of RFC 8037.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// A running service.
struct Running {
    http: String,
    lifecycle: chassis::lifecycle::Lifecycle,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    _folder: tempfile::TempDir,
}

async fn run(world: &World) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut config = (*world.config).clone();
    config.database.url = world.database.url.clone().into();
    config.nats.url = testing::nats().await.url.into();
    config.auth.jwks = file("jwks.json", KEYS).display().to_string();
    config.auth.internal_token_file = file("internal.token", "none");
    // The key set is that of an RFC.
    config.auth.demo_secrets = true;
    // The key that the world sealed with: 32 times 7.
    config.seal.key_file = file("seal.key", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    config.grpc.listen = chassis::config::ANY_PORT;
    config.admin.listen = chassis::config::ANY_PORT;
    config.http.listen = chassis::config::ANY_PORT;
    config.delivery.channel_burst = 1_000;
    let mut service = testing::service("channel-gateway", &config);
    service.streams = world.streams.clone();
    let addresses = folder.path().join("addresses.json");
    service.address_file = Some(addresses.clone());
    let lifecycle = service.lifecycle.clone();
    let mut task = tokio::spawn(channel_gateway::serve(config, service));
    tokio::select! {
        ended = &mut task => ended.unwrap().expect("the service runs"),
        () = eventually("the service is ready", async || addresses.is_file()) => {}
    }
    let addresses: Value = serde_json::from_slice(&std::fs::read(addresses).unwrap()).unwrap();
    let http = format!("http://{}/in/telegram", addresses["http"].as_str().unwrap());
    Running {
        http,
        lifecycle,
        task,
        _folder: folder,
    }
}

impl Running {
    async fn stop(self) {
        self.lifecycle.stop();
        let ended = tokio::time::timeout(Duration::from_secs(15), self.task).await;
        ended.expect("it drains").unwrap().unwrap();
    }
}

/// Publishes a command as conversation's relay does.
async fn publish(world: &World, command: switchboard_proto::conversation::v1::OutboundCommand) {
    let delivery = world.delivery(&MessageQueued {
        command: Some(command),
    });
    let subject =
        world
            .streams
            .event_subject(world.account.as_str(), "conversation", "message", "queued");
    let published = world.nats.jetstream.publish_with_headers(
        subject,
        delivery.envelope.to_headers(),
        delivery.payload,
    );
    published.await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_accepts_sends_sorts_out_and_stops() {
    let world = world().await;
    let running = run(&world).await;
    let post = async |body: Value| {
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}/{}", running.http, world.channel));
        let request = request.header("x-telegram-bot-api-secret-token", world.secret());
        request
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(post(json!({ "update_id": 1, "hologram": {} })).await, 200);
    eventually("the dead letter", async || {
        let stream = world
            .nats
            .jetstream
            .get_stream(world.streams.dead_letters())
            .await
            .unwrap();
        stream.get_info().await.unwrap().state.messages == 1
    })
    .await;

    let began = Instant::now();
    publish(&world, world.command(5, 1, "hello")).await;
    world.bot.until(1).await;
    println!("from event to provider's call: {:?}", began.elapsed());
    world.until_states(5, &["sent"]).await;
    eventually("delivery.sent is published", async || {
        world.count("delivery.sent").await == 0
    })
    .await;
    running.stop().await;
}

/// Run by hand: `cargo test --release -p channel-gateway --test it -- --ignored --nocapture pace`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; run it by hand on a quiet machine"]
async fn the_pace_of_webhooks_and_deliveries() {
    let world = world().await;
    let running = run(&world).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let secret = world.secret();
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    let mut calls = Vec::new();
    for number in 0..5_000_u32 {
        pace.tick().await;
        let person = json!({ "id": number % 500, "first_name": "A", "type": "private" });
        let update = json!({ "update_id": number, "message": {
            "message_id": number, "from": person, "chat": person, "date": 1_790_764_802, "text": "hi" } });
        let request = client
            .post(format!("{}/{}", running.http, world.channel))
            .body(update.to_string());
        let request = request.header("x-telegram-bot-api-secret-token", &secret);
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            let status = request.send().await.unwrap().status().as_u16();
            assert_eq!(status, 200);
            began.elapsed()
        }));
    }
    let mut taken = Vec::new();
    for call in calls {
        taken.push(call.await.unwrap());
    }
    report("webhook answered", taken);

    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut sent = Vec::new();
    for number in 1..=1_000_i64 {
        pace.tick().await;
        sent.push(Instant::now());
        publish(
            &world,
            world.command(
                1_000 + u128::from(number.unsigned_abs()),
                1,
                &(number - 1).to_string(),
            ),
        )
        .await;
    }
    world.bot.until(1_000).await;
    let called = world.bot.calls("sendMessage").into_iter().map(|call| {
        let number: usize = call.body["text"].as_str().unwrap().parse().unwrap();
        call.at - sent[number]
    });
    report("event to provider's call", called.collect());
    running.stop().await;
}

fn report(what: &str, mut taken: Vec<Duration>) {
    taken.sort();
    let at = |share: usize| taken[taken.len() * share / 1_000];
    println!(
        "{what}: p50 {:?}, p99 {:?}, most {:?}",
        at(500),
        at(990),
        taken[taken.len() - 1]
    );
}
