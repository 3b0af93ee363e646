//! The webhook: what is refused, and what is in INBOUND before it is answered.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use channel_gateway::http::{Webhooks, router};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use serde_json::json;
use sha2::Sha256;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use switchboard_proto::common::v1::{Pack, PackItem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::health::{VIBER_TOKEN, with_viber};
use crate::world::{World, world};

pub struct Gate {
    url: String,
    http: reqwest::Client,
}

impl Gate {
    pub async fn open(world: &World) -> Self {
        let book = world.app.book.clone();
        let webhooks = Webhooks::new(
            book,
            world.intake(),
            world.unclaimed(),
            &world.config.http,
            &world.config.instagram,
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in/telegram", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(Arc::new(webhooks))).await });
        Self {
            url,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Where the gateway is, without a path.
    pub fn root(&self) -> &str {
        self.url.trim_end_matches("/in/telegram")
    }

    pub async fn post(
        &self,
        channel: &str,
        secret: &str,
        body: Vec<u8>,
    ) -> (u16, Option<String>, String) {
        let request = self.http.post(format!("{}/{channel}", self.url)).body(body);
        let request = request.header("x-telegram-bot-api-secret-token", secret);
        let answer = request.header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        let answer = answer.send().await.unwrap();
        let again = answer
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            again,
            answer.text().await.unwrap(),
        )
    }

    /// Posts a body to where Meta calls.
    pub async fn meta(&self, body: &str, signature: &str) -> u16 {
        let request = self.http.post(format!("{}/in/instagram", self.root()));
        let request = request.header("x-hub-signature-256", signature);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        answer.status().as_u16()
    }

    /// Announces a body of so many bytes, sends none of it, and returns the answer's status.
    async fn slow(&self, path: &str, secret: &str, length: usize) -> String {
        let place = self.root().trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(place).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-token: {secret}\r\n\
             content-length: {length}\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1_024];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).into_owned();
        let status = answer.split(' ').nth(1);
        status.unwrap_or_default().to_owned()
    }

    pub async fn status(&self, channel: &str, secret: &str, body: Vec<u8>) -> u16 {
        self.post(channel, secret, body).await.0
    }
}

fn update(number: u64) -> Vec<u8> {
    let person = json!({ "id": 23, "first_name": "Sojan" });
    let chat = json!({ "id": 23, "type": "private" });
    json!({ "update_id": number, "message": { "message_id": number, "from": person, "chat": chat, "date": 1_790_764_802, "text": "hi" } })
        .to_string()
        .into_bytes()
}

/// Everything that stands in INBOUND.
pub async fn items(world: &World) -> Vec<PackItem> {
    let mut items = Vec::new();
    for shard in 0..world.streams.shards() {
        let stream = world
            .nats
            .jetstream
            .get_stream(world.streams.inbound(shard))
            .await
            .unwrap();
        let last = stream.get_info().await.unwrap().state.last_sequence;
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.unwrap();
            items.extend(Pack::decode(message.payload).unwrap().items);
        }
    }
    items
}

fn event(item: &PackItem) -> InboundEvent {
    InboundEvent::decode(item.payload.clone()).unwrap()
}

// pitfall 03: queued first, known by its update id
#[tokio::test(flavor = "multi_thread")]
async fn x01_an_update_is_in_inbound_when_it_is_answered_and_a_repeat_has_the_same_id() {
    let world = world().await;
    let (gate, channel, secret) = (
        Gate::open(&world).await,
        world.channel.to_string(),
        world.secret(),
    );
    for _ in 0..5 {
        let (status, _, body) = gate.post(&channel, &secret, update(1)).await;
        assert_eq!(
            (status, body.as_str()),
            (200, ""),
            "a body would be taken for a call"
        );
    }
    let items = items(&world).await;
    assert_eq!(items.len(), 5);
    assert!(
        items
            .iter()
            .all(|item| item.id == items[0].id && !item.id.is_empty())
    );
    assert_eq!(
        (items[0].account.as_str(), items[0].key.as_str()),
        (world.account.as_str(), format!("{channel}:23").as_str())
    );
    let event = event(&items[0]);
    assert!(matches!(event.kind, Some(Kind::Message(_))) && event.raw == update(1));
}

// pitfall 02: what is authentic gets 200, or the provider slows the bot
#[tokio::test(flavor = "multi_thread")]
async fn x04_what_is_authentic_and_not_understood_is_accepted_and_kept_raw() {
    let world = world().await;
    let (gate, channel, secret) = (
        Gate::open(&world).await,
        world.channel.to_string(),
        world.secret(),
    );
    let group = json!({ "update_id": 2, "message": { "message_id": 1, "chat": { "id": -5, "type": "group" }, "text": "a" } });
    let bodies = [
        b"{not json".to_vec(),
        b"{\"update_id\":3,\"hologram\":{}}".to_vec(),
        group.to_string().into_bytes(),
    ];
    for body in &bodies {
        assert_eq!(gate.status(&channel, &secret, body.clone()).await, 200);
    }
    let mut kinds: Vec<(String, Vec<u8>)> = items(&world)
        .await
        .iter()
        .map(event)
        .map(|event| match event.kind {
            Some(Kind::Unsupported(unsupported)) => (unsupported.kind, event.raw.to_vec()),
            other => panic!("{other:?}"),
        })
        .collect();
    kinds.sort();
    let [malformed, hologram, group] = bodies;
    let expected = [
        ("hologram", hologram),
        ("malformed", malformed),
        ("message/group", group),
    ];
    assert_eq!(kinds, expected.map(|(kind, raw)| (kind.to_owned(), raw)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_refused_before_anything_of_it_is_read() {
    let mut world = world().await;
    world.config.http.body_limit = 1_000;
    let (gate, channel, secret) = (
        Gate::open(&world).await,
        world.channel.to_string(),
        world.secret(),
    );
    let unknown = chassis::id::v7(chassis::clock::now()).to_string();
    for (name, channel, secret, body, expected) in [
        (
            "no such channel",
            unknown.as_str(),
            secret.as_str(),
            update(1),
            404,
        ),
        ("no channel at all", "x", &secret, update(1), 404),
        ("wrong secret", &channel, "wrong", update(1), 401),
        (
            "a longer secret",
            &channel,
            &format!("{secret}0"),
            update(1),
            401,
        ),
        ("no secret", &channel, "", update(1), 401),
        (
            "wrong secret, not JSON",
            &channel,
            "wrong",
            b"{".to_vec(),
            401,
        ),
        ("too large", &channel, &secret, vec![b' '; 1_001], 413),
    ] {
        assert_eq!(gate.status(channel, secret, body).await, expected, "{name}");
    }
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter([
        Ok::<_, std::io::Error>(vec![b' '; 600]),
        Ok(vec![b' '; 600]),
    ]));
    let answer = gate
        .http
        .post(format!("{}/{channel}", gate.url))
        .header("x-telegram-bot-api-secret-token", &secret);
    assert_eq!(
        answer.body(chunked).send().await.unwrap().status().as_u16(),
        413,
        "too large without saying so"
    );
    assert!(items(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_of_an_account_are_told_to_come_again() {
    let mut world = world().await;
    world.config.http.burst = NonZeroU32::new(2).unwrap();
    world.config.http.requests_per_second_per_account = NonZeroU32::new(1).unwrap();
    let (gate, channel, secret) = (
        Gate::open(&world).await,
        world.channel.to_string(),
        world.secret(),
    );
    assert_eq!(
        gate.status(&channel, "wrong", update(0)).await,
        401,
        "a wrong secret costs the account nothing"
    );
    assert_eq!(gate.status(&channel, &secret, update(1)).await, 200);
    assert_eq!(gate.status(&channel, &secret, update(2)).await, 200);
    let (status, again, _) = gate.post(&channel, &secret, update(3)).await;
    assert_eq!((status, again.as_deref()), (429, Some("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_vibers_signature_cost_the_account_nothing() {
    let (mut world, _viber, channel) = Box::pin(with_viber()).await;
    world.config.http.burst = NonZeroU32::new(2).unwrap();
    world.config.http.requests_per_second_per_account = NonZeroU32::new(1).unwrap();
    let gate = Gate::open(&world).await;
    let body = br#"{"event":"webhook","timestamp":1,"message_token":5}"#;
    let post = async |signature: &str| {
        let url = format!("{}/in/viber/{channel}", gate.root());
        let request = gate.http.post(url).body(body.to_vec());
        let request = request.header("x-viber-content-signature", signature);
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(post("00").await, 401);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(VIBER_TOKEN.as_bytes()).unwrap();
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    for expected in [200, 200, 429] {
        assert_eq!(post(&signature).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_switched_off_keeps_what_arrives_raw() {
    let world = world().await;
    let secret = world.secret();
    channel_gateway::app::connection::disable(
        &world.app,
        &world.caller,
        world.channel,
        chassis::clock::now(),
    )
    .await
    .unwrap();
    let gate = Gate::open(&world).await;
    assert_eq!(
        gate.status(&world.channel.to_string(), &secret, update(1))
            .await,
        200
    );
    let event = event(&items(&world).await[0]);
    assert_eq!(
        event.kind,
        Some(Kind::Unsupported(
            switchboard_proto::channel_gateway::v1::InboundUnsupported {
                kind: "channel-disabled".into()
            }
        ))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_without_a_stream_to_accept_it_a_call_is_answered_503_at_once() {
    let world = world().await;
    for shard in 0..world.streams.shards() {
        world
            .nats
            .jetstream
            .delete_stream(world.streams.inbound(shard))
            .await
            .unwrap();
    }
    let (gate, began) = (Gate::open(&world).await, Instant::now());
    let (status, again, _) = gate
        .post(&world.channel.to_string(), &world.secret(), update(1))
        .await;
    assert_eq!((status, again.as_deref()), (503, Some("1")));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_without_the_database_known_channels_accept_and_unknown_ones_are_503() {
    let world = world().await;
    let (gate, secret) = (Gate::open(&world).await, world.secret());
    world.app.pool.close().await;
    assert_eq!(
        gate.status(&world.channel.to_string(), &secret, update(1))
            .await,
        200
    );
    assert_eq!(
        gate.status(
            &chassis::id::v7(chassis::clock::now()).to_string(),
            &secret,
            update(1)
        )
        .await,
        503
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_call_goes_on_with_its_item() {
    let world = world().await;
    let gate = Gate::open(&world).await;
    gate.status(&world.channel.to_string(), &world.secret(), update(1))
        .await;
    let item = &items(&world).await[0];
    assert!(
        item.traceparent
            .contains("0af7651916cd43dd8448eb211c80319c"),
        "{}",
        item.traceparent
    );
}

// A provider repeats what is answered 503, and this would be in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_too_large_is_refused_as_such_however_slowly_it_comes() {
    let mut world = world().await;
    world.config.http.deadline = Duration::from_millis(500);
    let (limit, meta) = (
        usize::try_from(world.config.http.body_limit).unwrap(),
        usize::try_from(world.config.instagram.body_limit).unwrap(),
    );
    let gate = Gate::open(&world).await;
    let telegram = format!("/in/telegram/{}", world.channel);
    let secret = world.secret();
    for (path, secret, length, expected) in [
        (telegram.as_str(), secret.as_str(), limit + 1, "413"),
        (&telegram, &secret, limit, "503"),
        (&telegram, "another", limit + 1, "401"),
        ("/in/instagram", "", meta + 1, "413"),
        ("/in/instagram", "", meta, "503"),
    ] {
        assert_eq!(
            gate.slow(path, secret, length).await,
            expected,
            "{path} {length}"
        );
    }
}
