//! What Meta signed and is for no account that is connected here: kept for the operator, and taken in by a replay.

use std::num::NonZeroU32;
use std::sync::Arc;

use channel_gateway::app::unclaimed::Replay;
use chassis::auth::Caller;
use chassis::consumer::HandlerRegistry;
use chassis::operator::Operator;
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, InboundEvent, InstagramCredentials, create_channel_request,
    inbound_event::Kind, instagram_credentials::Login,
};
use switchboard_proto::operator::v1::operator_service_server::OperatorService as _;
use switchboard_proto::operator::v1::{
    DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
    ReplayOutcome,
};
use switchboard_tests::meta::StandIn as Meta;
use tonic::Request;

use crate::health::with_instagram;
use crate::webhooks::{Gate, items};
use crate::world::World;

/// The account that is connected, and one that is not.
const CONNECTED: &str = crate::health::IG_ACCOUNT;
const UNKNOWN: &str = "17841400000000099";

/// A gateway that knows one Instagram account, with what its operator sees.
struct Scene {
    world: World,
    meta: Meta,
    gate: Gate,
    operator: Operator,
}

impl Scene {
    async fn set(change: impl FnOnce(&mut World)) -> Self {
        let (mut world, meta, _) = Box::pin(with_instagram("IGAA-first")).await;
        world.config.instagram.app_secret = "app-secret".into();
        change(&mut world);
        let registry = HandlerRegistry::new();
        registry.add(Arc::new(Replay {
            book: world.app.book.clone(),
            intake: world.intake(),
        }));
        let (nats, streams) = (world.nats.clone(), world.streams.clone());
        let operator = Operator::new("channel-gateway", nats, streams, Arc::new(registry));
        let gate = Gate::open(&world).await;
        Self {
            world,
            meta,
            gate,
            operator,
        }
    }

    /// Posts a body as Meta signs it.
    async fn post(&self, body: &str) -> u16 {
        self.gate.meta(body, &self.meta.sign(body.as_bytes())).await
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let request = ListDeadLettersRequest::default();
        let listed = self.operator.list_dead_letters(Request::new(request)).await;
        let mut letters = Vec::new();
        for letter in listed.unwrap().into_inner().dead_letters {
            let request = GetDeadLetterRequest {
                sequence: letter.sequence,
            };
            let got = self.operator.get_dead_letter(Request::new(request)).await;
            letters.extend(got.unwrap().into_inner().dead_letter);
        }
        letters
    }

    async fn replay(&self, letter: &DeadLetter) -> ReplayOutcome {
        let request = ReplayDeadLettersRequest {
            sequences: vec![letter.sequence],
        };
        let replayed = self.operator.replay_dead_letters(Request::new(request));
        replayed.await.unwrap().into_inner().outcomes.remove(0)
    }

    /// What the customers of the account said.
    async fn heard(&self) -> Vec<String> {
        let items = items(&self.world).await;
        let events = items
            .iter()
            .map(|item| InboundEvent::decode(item.payload.clone()).unwrap());
        let messages = events.filter(|event| matches!(event.kind, Some(Kind::Message(_))));
        let mut keys: Vec<String> = messages.map(|event| event.event_key).collect();
        keys.sort();
        keys
    }

    async fn connect(&self, account: &str) {
        self.connect_for(&self.world.caller, account).await;
    }

    async fn connect_for(&self, caller: &Caller, account: &str) {
        self.meta.account("IGAA-second", account, "other.ua");
        let credentials = InstagramCredentials {
            login: Login::Instagram.into(),
            account_id: account.to_owned(),
            access_token: "IGAA-second".to_owned(),
            ..InstagramCredentials::default()
        };
        let request = CreateChannelRequest {
            name: "Second".to_owned(),
            credentials: Some(create_channel_request::Credentials::Instagram(credentials)),
            ..CreateChannelRequest::default()
        };
        let request = chassis::testing::request(caller, request);
        let created = self.world.api().create_channel(request).await.unwrap();
        let id = created.into_inner().channel.unwrap().channel_id;
        let now = chassis::clock::now();
        channel_gateway::app::connection::enable(&self.world.app, caller, id.parse().unwrap(), now)
            .await
            .unwrap();
    }
}

fn said(account: &str, mid: &str, text: &str) -> Value {
    json!({ "id": account, "time": 1_790_764_802_000_u64, "messaging": [{
        "sender": { "id": "77" }, "recipient": { "id": account }, "timestamp": 1_790_764_802_000_u64,
        "message": { "mid": mid, "text": text } }] })
}

fn body(entries: &[Value]) -> String {
    json!({ "object": "instagram", "entry": entries }).to_string()
}

fn item(letter: &DeadLetter) -> InboundEvent {
    InboundEvent::decode(letter.payload.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_a_signed_body_that_is_nobodys_is_kept_raw_under_no_account_before_it_is_answered() {
    let scene = Box::pin(Scene::set(|_| {})).await;
    let unknown = body(&[said(UNKNOWN, "m1", "hello")]);
    let forged = scene.gate.meta(&unknown, "sha256=00").await;
    assert_eq!((forged, scene.letters().await.len()), (401, 0));
    for body in ["{no json", unknown.as_str(), unknown.as_str()] {
        assert_eq!(scene.post(body).await, 200);
    }
    let letters = scene.letters().await;
    let kept: Vec<(&str, &str, Vec<u8>)> = letters
        .iter()
        .map(|letter| {
            let raw = item(letter).raw.to_vec();
            (letter.error.as_str(), letter.account.as_str(), raw)
        })
        .collect();
    let expected = [
        ("unparsable", "", b"{no json".to_vec()),
        ("no connected account", "", unknown.into_bytes()),
    ];
    assert_eq!(kept, expected, "and the repeat is kept once");
    assert!(scene.heard().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_of_a_batch_for_several_the_known_are_taken_in_and_the_rest_is_kept() {
    let scene = Box::pin(Scene::set(|_| {})).await;
    let (mine, foreign) = (said(CONNECTED, "m1", "mine"), said(UNKNOWN, "m2", "theirs"));
    assert_eq!(scene.post(&body(&[mine, foreign.clone()])).await, 200);
    assert_eq!(scene.heard().await, ["msg:m1"]);
    let letters = scene.letters().await;
    let kept: Vec<Value> = letters
        .iter()
        .map(|letter| serde_json::from_slice(&item(letter).raw).unwrap())
        .collect();
    // What is another account's is not shown with it.
    assert_eq!(kept, [json!({ "object": "instagram", "entry": [foreign] })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_what_was_nobodys_is_taken_in_by_a_replay_once_its_account_is_connected() {
    let scene = Box::pin(Scene::set(|_| {})).await;
    let large = said(UNKNOWN, "m2", &"x".repeat(300 * 1024));
    assert_eq!(
        scene.post(&body(&[said(UNKNOWN, "m1", "hello")])).await,
        200
    );
    assert_eq!(scene.post(&body(&[large])).await, 200);
    let letters = scene.letters().await;
    let second = item(&letters[1]);
    assert!(second.raw.is_empty() && second.raw_ref.starts_with("_unclaimed/"));
    let noted: i64 = sqlx::query_scalar("select count(*) from raw_item where object_key = $1")
        .bind(&second.raw_ref)
        .fetch_one(&scene.world.app.pool)
        .await
        .unwrap();
    assert_eq!(noted, 1, "it is removed in time");

    let early = scene.replay(&letters[0]).await;
    let told = (early.handled, early.error.as_str());
    assert_eq!(told, (false, "no connected account"));
    assert_eq!(scene.letters().await.len(), 2, "it stays");

    scene.connect(UNKNOWN).await;
    for letter in &letters {
        let replayed = scene.replay(letter).await;
        assert!(replayed.handled, "{}", replayed.error);
    }
    assert_eq!(scene.heard().await, ["msg:m1", "msg:m2"]);
    assert!(scene.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_while_a_letter_stays_its_replays_make_no_others() {
    let scene = Box::pin(Scene::set(|_| {})).await;
    let odd = json!({ "id": UNKNOWN, "time": 5, "hologram": {} });
    let entries = [said(UNKNOWN, "m1", "a"), odd, said("5", "m2", "b")];
    assert_eq!(scene.post(&body(&entries)).await, 200);
    let letters = scene.letters().await;
    assert_eq!(letters.len(), 1);
    scene.connect(UNKNOWN).await;
    for _ in 0..2 {
        assert!(!scene.replay(&letters[0]).await.handled);
    }
    let all = items(&scene.world).await;
    let events = all
        .iter()
        .map(|item| InboundEvent::decode(item.payload.clone()).unwrap());
    let kept = events.filter(|event| matches!(event.kind, Some(Kind::Unsupported(_))));
    assert_eq!(kept.count(), 0, "the letter holds it");
    assert_eq!(
        scene.heard().await,
        ["msg:m1", "msg:m1"],
        "a repeat is known by its id"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_what_cannot_be_kept_for_the_operator_is_answered_503() {
    let scene = Box::pin(Scene::set(|_| {})).await;
    let dead = scene.world.streams.dead_letters();
    let jetstream = &scene.world.nats.jetstream;
    jetstream.delete_stream(dead).await.unwrap();
    assert_eq!(scene.post("{no json").await, 503);
    assert_eq!(scene.post(&body(&[said(UNKNOWN, "m1", "a")])).await, 503);
    assert_eq!(scene.post(&body(&[said(CONNECTED, "m2", "b")])).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_what_is_nobodys_is_put_off_and_holds_nobody_up() {
    let scene = Box::pin(Scene::set(|world| {
        world.config.instagram.body_limit = 4 * 1024;
        world.config.instagram.unclaimed_burst = 4 * 1024;
    }))
    .await;
    let foreign = |mid: &str| said(UNKNOWN, mid, &"x".repeat(1_600));
    for (mid, expected) in [("m1", 200), ("m2", 200), ("m3", 429)] {
        assert_eq!(scene.post(&body(&[foreign(mid)])).await, expected, "{mid}");
    }
    let mixed = body(&[said(CONNECTED, "m4", "mine"), foreign("m5")]);
    assert_eq!(scene.post(&mixed).await, 429, "Meta repeats it");
    assert_eq!(scene.heard().await, ["msg:m4"], "taken in all the same");
    assert_eq!(scene.letters().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_rate_does_not_put_off_what_meta_sends_for_others_with_it() {
    let scene = Box::pin(Scene::set(|world| {
        world.config.http.burst = NonZeroU32::MIN;
        world.config.http.requests_per_second_per_account = NonZeroU32::MIN;
    }))
    .await;
    let account = chassis::testing::fresh_account();
    let other =
        chassis::testing::service_caller(Some(&account), "tests", &["channels:admin"], None);
    scene.connect_for(&other, UNKNOWN).await;
    let alone = |mid: &str| body(&[said(CONNECTED, mid, "a")]);
    assert_eq!(scene.post(&alone("m1")).await, 200);
    assert_eq!(scene.post(&alone("m2")).await, 429, "beyond its rate");
    let mixed = body(&[said(CONNECTED, "m3", "a"), said(UNKNOWN, "m4", "b")]);
    assert_eq!(scene.post(&mixed).await, 200);
    assert_eq!(
        scene.heard().await,
        ["msg:m1", "msg:m3", "msg:m4"],
        "nothing is lost"
    );
    let mixed = body(&[said(CONNECTED, "m5", "a"), said(UNKNOWN, "m6", "b")]);
    assert_eq!(scene.post(&mixed).await, 429, "both are beyond it");
    assert_eq!(scene.heard().await.len(), 3);
}
