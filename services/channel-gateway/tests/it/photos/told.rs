//! Photos whose address a message or a person's profile tells: Viber and Instagram.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use channel_gateway::app::photos;
use channel_gateway::domain::viber;
use channel_gateway::store::photos as store;
use chassis::consumer::Handler as _;
use chassis::{clock, id};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{age, delivery, due, hear, ids, line, look, objects, sources, sweep, waiting};
use crate::fetches::PNG;
use crate::graph::{Answer, Graph};
use crate::health::with_viber;
use crate::learnt::{comment, direct, instagram};
use crate::uploads::link;
use crate::world::{World, world};

/// A provider's pictures.
struct Pictures {
    base: String,
    asked: Arc<AtomicUsize>,
}

impl Pictures {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/one", get(one))
            .route("/two", get(async || [PNG, b"2"].concat()))
            .route(
                "/words",
                get(async || Html("<html><body>no picture</body>")),
            )
            .route("/large", get(async || [PNG, &vec![0; 3 << 20]].concat()))
            .route("/gone", get(async || StatusCode::NOT_FOUND))
            .route("/broken", get(broken))
            .with_state(Arc::clone(&asked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, asked }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn one(State(asked): State<Arc<AtomicUsize>>) -> Response {
    asked.fetch_add(1, Ordering::Relaxed);
    PNG.into_response()
}

async fn broken(State(asked): State<Arc<AtomicUsize>>) -> StatusCode {
    asked.fetch_add(1, Ordering::Relaxed);
    StatusCode::BAD_GATEWAY
}

/// A message of the client to Viber's bot.
async fn wrote_to_viber(world: &World, channel: Uuid, token: u64, avatar: Option<&str>) {
    let callback = json!({ "event": "message", "message_token": token, "timestamp": 1_790_764_802_450_i64,
        "sender": { "id": "a==", "name": "O", "avatar": avatar }, "message": { "type": "text", "text": "A?" } });
    let raw = callback.to_string().into_bytes().into();
    let event = viber::normalise(line(world, channel), &raw, clock::now()).remove(0);
    hear(world, delivery(world, &event)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_viber_tells_of_a_photo_and_of_another_and_of_none() {
    let (mut world, _viber, channel) = Box::pin(with_viber()).await;
    let (pictures, source) = (Pictures::start().await, sources(&world, true));
    let (one, again, two) = (
        pictures.at("one"),
        pictures.at("one?dlid=2"),
        pictures.at("two"),
    );
    for (token, avatar, photos) in [
        (1, Some(&one), 1),
        // Not looked at within the hour, whatever is told.
        (2, Some(&two), 1),
    ] {
        wrote_to_viber(&world, channel, token, avatar.map(String::as_str)).await;
        look(&world, &source).await;
        assert_eq!(ids(&world).await.len(), photos, "message {token}");
    }
    for (token, avatar, photos) in [
        (3, Some(&two), 2),
        (4, Some(&two), 2),
        (5, Some(&one), 3),
        // Another address of the same bytes.
        (6, Some(&again), 3),
        (7, None, 4),
    ] {
        age(&mut world, 2).await;
        wrote_to_viber(&world, channel, token, avatar.map(String::as_str)).await;
        look(&world, &source).await;
        assert_eq!(ids(&world).await.len(), photos, "message {token}");
        assert_eq!(waiting(&world).await, 0, "message {token}");
    }
    assert_eq!(ids(&world).await[3], "");
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select reference from client_photo where reference is not null")
            .fetch_all(&world.app.pool)
            .await
            .unwrap();
    assert!(
        kept.is_empty(),
        "no address is kept longer than it is needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_the_address_of_a_photo_stands_nowhere_in_the_clear_and_leads_to_no_private_place() {
    let (world, _viber, channel) = Box::pin(with_viber()).await;
    let pictures = Pictures::start().await;
    wrote_to_viber(&world, channel, 1, Some(&pictures.at("one"))).await;
    let row: String = sqlx::query_scalar("select row_to_json(p)::text from client_photo p")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    let shown = hex::encode(pictures.base.as_bytes());
    assert!(
        !row.contains(&pictures.base) && !row.contains(&shown),
        "{row}"
    );
    look(&world, &sources(&world, false)).await;
    assert_eq!(pictures.asked(), 0);
    assert_eq!((waiting(&world).await, ids(&world).await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_instagram_is_asked_about_who_wrote_in_direct_and_a_signature_makes_no_other_photo() {
    let mut world = world().await;
    let (graph, channel) = Graph::connect(&mut world).await;
    let (pictures, source) = (Pictures::start().await, sources(&world, true));
    let person = |signature: u32| {
        Answer::Json(
            200,
            json!({ "name": "O", "profile_pic": pictures.at(&format!("one?oh={signature}")) }),
        )
    };
    graph.answer(
        "77",
        [
            person(1),
            person(2),
            Answer::Json(200, json!({ "name": "O" })),
        ],
    );
    hear(
        &world,
        instagram(&world, channel, &comment("17", "77", "181", None)),
    )
    .await;
    look(&world, &source).await;
    assert!(graph.calls("77").is_empty(), "a comment is no consent");
    hear(&world, instagram(&world, channel, &direct("m1", "A?"))).await;
    look(&world, &source).await;
    let [photo] = ids(&world).await.try_into().unwrap();
    age(&mut world, 25).await;
    hear(&world, instagram(&world, channel, &direct("m2", "A?"))).await;
    look(&world, &source).await;
    assert_eq!(ids(&world).await, std::slice::from_ref(&photo));
    assert_eq!(pictures.asked(), 2);
    assert!(link(&world, &world.caller, &photo).await.is_ok());
    age(&mut world, 25).await;
    hear(&world, instagram(&world, channel, &direct("m3", "A?"))).await;
    look(&world, &source).await;
    assert_eq!(ids(&world).await, [photo, String::new()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_what_is_no_picture_or_cannot_be_had_is_no_photo_and_is_given_up() {
    let (mut world, _viber, channel) = Box::pin(with_viber()).await;
    let (pictures, source) = (Pictures::start().await, sources(&world, true));
    for (token, path) in [(1, "words"), (2, "large"), (3, "gone")] {
        age(&mut world, 25).await;
        wrote_to_viber(&world, channel, token, Some(&pictures.at(path))).await;
        look(&world, &source).await;
        assert_eq!(waiting(&world).await, 0, "{path}");
    }
    age(&mut world, 25).await;
    wrote_to_viber(&world, channel, 4, Some(&pictures.at("broken"))).await;
    for _ in 0..10 {
        look(&world, &source).await;
        due(&world).await;
    }
    assert_eq!((waiting(&world).await, pictures.asked()), (0, 5));
    assert!(ids(&world).await.is_empty());
    sweep(&world, 2).await;
    assert_eq!(objects(&world.config.files.folder), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_a_photo_that_is_told_in_the_midst_of_a_look_is_another_one_later() {
    let (mut world, _viber, channel) = Box::pin(with_viber()).await;
    let (pictures, source) = (Pictures::start().await, sources(&world, true));
    wrote_to_viber(&world, channel, 1, Some(&pictures.at("one"))).await;
    let mut connection = world.app.pool.acquire().await.unwrap();
    let (now, until) = (clock::now(), clock::now() + Duration::from_mins(1));
    let claimed = store::claim(&mut connection, now, until, 2, 8).await;
    let [look_under_way] = claimed.unwrap().try_into().unwrap();
    wrote_to_viber(&world, channel, 2, Some(&pictures.at("two"))).await;
    let version = [1; 32];
    assert!(
        store::settle(&mut connection, &look_under_way, Some(&version), None)
            .await
            .unwrap()
    );
    look(&world, &source).await;
    assert!(ids(&world).await.is_empty());
    age(&mut world, 2).await;
    wrote_to_viber(&world, channel, 3, Some(&pictures.at("two"))).await;
    look(&world, &source).await;
    assert_eq!(ids(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_a_batch_of_one_clients_messages_is_noted_once() {
    let (world, _viber, channel) = Box::pin(with_viber()).await;
    let message = |token: u64, avatar: &Value| {
        let callback = json!({ "event": "message", "message_token": token, "sender": { "id": "a==", "avatar": avatar },
            "message": { "type": "text", "text": "A?" } });
        let raw = callback.to_string().into_bytes().into();
        let event = viber::normalise(line(&world, channel), &raw, clock::now()).remove(0);
        delivery(&world, &event)
    };
    let batch = [
        message(1, &json!("https://a.example/1")),
        message(2, &json!("https://a.example/2")),
    ];
    let inbound = world.inbound();
    for _ in 0..2 {
        inbound.handle(&batch, clock::now()).await.unwrap();
    }
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as("select chat_id, reference from client_photo")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    let [(chat, reference)] = rows.try_into().unwrap();
    assert_eq!(chat, id::v5("chat", &[&channel.to_string(), "a=="]));
    let aad = photos::asked::aad(chat);
    let opened = world.app.sealer.open(&reference, &aad).unwrap();
    assert_eq!(opened, br#"{"url":"https://a.example/2"}"#);
}
