//! The whole service, as its process runs it: packs in, events out.

use std::time::Duration;

use chassis::nats::{self, Declared, Streams};
use chassis::packs::{PackItem, Packer, PackerConfig};
use chassis::testing;
use chassis::trace::TraceContext;
use conversation::config::Config;
use prost::Message as _;

use crate::world::{World, noon};

/// A key set whose key signs nothing here: the example of RFC 8037.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_service_stores_what_packs_bring_publishes_it_and_stops() {
    let world = World::new().await;
    let broker = testing::nats().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut config: Config =
        chassis::config::load_from(Config::EMBEDDED, None, std::collections::HashMap::new())
            .unwrap();
    config.database.url = world.db.url.clone().into();
    config.nats.url = broker.url.as_str().into();
    config.nats.events_max_bytes = 16 << 20;
    config.nats.inbound_max_bytes = 16 << 20;
    config.nats.dead_letters_max_bytes = 1 << 20;
    config.auth.jwks = file("jwks.json", KEYS).display().to_string();
    config.auth.internal_token_file = file("internal.token", "none");
    // The key set is that of an RFC.
    config.auth.demo_secrets = true;
    config.grpc.listen = chassis::config::ANY_PORT;
    config.admin.listen = chassis::config::ANY_PORT;

    let prefix = chassis::id::v7(chassis::clock::now()).simple().to_string();
    let streams = Streams::with_prefix(&prefix, 2);
    let connected = nats::Nats::new(broker.client.clone());
    // INBOUND is the gateway's to declare.
    nats::declare(&connected, &streams, &config.nats, &[Declared::Inbound])
        .await
        .unwrap();
    let mut service = testing::service("conversation", &config);
    service.streams = streams.clone();
    let lifecycle = service.lifecycle.clone();
    let running = tokio::spawn(conversation::serve(config, service));

    let packer = Packer::new(connected, streams.clone(), PackerConfig::default());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let items = (0..20)
        .map(|n| {
            let item = world.message(&(n % 5).to_string(), &n.to_string(), noon(), "hello");
            PackItem {
                account: world.account.clone(),
                key: item.chat_key.clone(),
                payload: item.encode_to_vec().into(),
                trace: TraceContext::parse(trace),
                id: None,
            }
        })
        .collect();
    packer.send_all(items).await.unwrap();

    let expected = 20 + 5 + 5 + 5;
    let waiting = async {
        loop {
            let stream = broker.jetstream.get_stream(streams.events()).await;
            if let Ok(stream) = stream
                && stream.get_info().await.unwrap().state.messages == expected
            {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let events = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let events = events.unwrap();
    let first = events.get_raw_message(1).await.unwrap();
    assert!(
        first
            .subject
            .ends_with(".v1.acme.conversation.chat.created"),
        "{}",
        first.subject
    );
    let traced = first.headers.get("traceparent").unwrap().to_string();
    assert!(
        traced.contains("0af7651916cd43dd8448eb211c80319c"),
        "{traced}"
    );
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'client'")
            .await,
        20
    );
    // What was published is deleted after the broker has said so.
    let emptied = async {
        while world.count("select count(*) from chassis.outbox").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), emptied)
        .await
        .unwrap();

    lifecycle.stop();
    let ended = tokio::time::timeout(Duration::from_secs(15), running).await;
    ended.unwrap().unwrap().unwrap();
    for stream in [
        streams.events(),
        streams.inbound(0),
        streams.inbound(1),
        streams.dead_letters(),
    ] {
        broker.jetstream.delete_stream(stream).await.unwrap();
    }
}
