//! Clients' files: kept with their messages, fetched beside them, announced once they are there or cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use channel_gateway::app::fetch::{Fetcher, Terms};
use channel_gateway::domain::telegram::file as telegram;
use channel_gateway::files::source::{self, Sources};
use channel_gateway::files::telegram::FromTelegram;
use channel_gateway::files::web::Web;
use channel_gateway::provider::telegram::BotApi;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _};
use prost::Message as _;
use serde_json::{Value, json};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    AttachmentFailed, AttachmentStored, InboundEvent, InboundMessage, RefetchAttachmentRequest,
    inbound_event::Kind,
};
use switchboard_proto::common::v1::{
    Attachment, ContentPart, Sticker, attachment, content_part::Content,
};
use switchboard_proto::conversation::v1::MessageQueued;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{World, eventually, world};

/// The beginning of a PNG, which is enough to be known as one.
pub const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R',
];

/// A provider's file server.
struct Provider {
    base: String,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/photo", get(async || PNG))
            .route("/elsewhere", get(async || Redirect::temporary("/photo")))
            .route("/round", get(async || Redirect::temporary("/round")))
            .route("/large", get(async || vec![0; 4_000]))
            .route("/gone", get(async || StatusCode::NOT_FOUND))
            .route("/hangs", get(hangs))
            .route("/second", get(second))
            .route("/{token}/getFile", post(get_file))
            .route("/file/{token}/{*path}", get(async || PNG))
            .with_state(Arc::clone(&asked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// What a parser leaves of a file here.
    fn reference(&self, path: &str) -> Vec<u8> {
        json!({ "url": format!("{}/{path}", self.base) })
            .to_string()
            .into_bytes()
    }

    fn sources(&self, world: &World) -> Sources {
        let idle = Duration::from_secs(30);
        let mut telegram = world.config.telegram.clone();
        telegram.api_url.clone_from(&self.base);
        let bots = BotApi::new(&telegram).unwrap();
        Sources {
            web: Web::new(true, idle).unwrap(),
            telegram: FromTelegram::new(bots, world.app.files.max_size),
        }
    }

    fn worker(&self, world: &World, terms: Terms) -> CancellationToken {
        let fetcher = Fetcher::new(world.app.clone(), Arc::new(self.sources(world)), terms);
        let stop = CancellationToken::new();
        tokio::spawn(fetcher.run(stop.clone()));
        stop
    }
}

/// Sends a piece and then nothing.
async fn hangs(State(asked): State<Arc<AtomicUsize>>) -> Response {
    asked.fetch_add(1, Ordering::Relaxed);
    let first = futures::stream::iter([Ok::<_, std::io::Error>(vec![1])]);
    let never = futures::stream::pending();
    Body::from_stream(futures::StreamExt::chain(first, never)).into_response()
}

/// Is out of order at first.
async fn second(State(asked): State<Arc<AtomicUsize>>) -> Response {
    if asked.fetch_add(1, Ordering::Relaxed) == 0 {
        StatusCode::BAD_GATEWAY.into_response()
    } else {
        PNG.into_response()
    }
}

async fn get_file(Path(_): Path<String>, body: axum::Json<Value>) -> Response {
    let too_big =
        json!({ "ok": false, "error_code": 400, "description": "Bad Request: file is too big" });
    if body["file_id"] == "BIG" {
        return (StatusCode::BAD_REQUEST, axum::Json(too_big)).into_response();
    }
    let file = json!({ "file_id": body["file_id"], "file_path": "photos/file_1.jpg" });
    axum::Json(json!({ "ok": true, "result": file })).into_response()
}

fn terms() -> Terms {
    Terms {
        concurrency: 4,
        per_channel: 2,
        tries: 3,
        poll: Duration::from_millis(50),
    }
}

pub fn file(number: u128, reference: Vec<u8>) -> Attachment {
    Attachment {
        attachment_id: Uuid::from_u128(number).to_string(),
        kind: attachment::Kind::Photo.into(),
        state: attachment::State::Pending.into(),
        file_name: "чек.jpg".to_owned(),
        media_type: "image/jpeg".to_owned(),
        width: 10,
        extension: reference.into(),
        ..Attachment::default()
    }
}

/// A message that holds files, as `gateway-inbound` has it.
pub fn message(world: &World, channel: Uuid, key: &str, files: Vec<Attachment>) -> Delivery {
    let parts = files.into_iter().map(|file| ContentPart {
        content: Some(Content::Attachment(file)),
    });
    holding(world, channel, key, parts.collect())
}

fn holding(world: &World, channel: Uuid, key: &str, parts: Vec<ContentPart>) -> Delivery {
    let event = InboundEvent {
        account: world.account.to_string(),
        channel_id: channel.to_string(),
        event_key: format!("upd:{key}"),
        received_at: Some(chassis::grpc::timestamp(clock::now())),
        kind: Some(Kind::Message(InboundMessage {
            provider_key: key.to_owned(),
            parts,
            ..InboundMessage::default()
        })),
        ..InboundEvent::default()
    };
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    delivery
}

pub async fn hear(world: &World, batch: &[Delivery]) {
    world.inbound().handle(batch, clock::now()).await.unwrap();
}

async fn stored(world: &World) -> Vec<AttachmentStored> {
    let events = world.events().await.into_iter();
    let stored = events.filter(|(name, _)| name == "attachment.stored");
    stored
        .map(|(_, payload)| AttachmentStored::decode(payload).unwrap())
        .collect()
}

async fn failed(world: &World) -> Vec<(String, String)> {
    let events = world.events().await.into_iter();
    let failed = events.filter(|(name, _)| name == "attachment.failed");
    let mut reasons: Vec<_> = failed
        .map(|(_, payload)| AttachmentFailed::decode(payload).unwrap())
        .map(|event| {
            (
                event.provider_keys.join(","),
                event.attachment.unwrap().reason,
            )
        })
        .collect();
    reasons.sort();
    reasons
}

/// Makes waits pass.
async fn hurry(world: &World) {
    sqlx::query(
        "update attachment set due_at = now() where due_at > now() and lease_until is null",
    )
    .execute(&world.app.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_file_is_kept_whatever_the_uploads_of_its_account_take() {
    let mut world = world().await;
    world.app.files.upload_quota = 1;
    sqlx::query("insert into upload_usage (account, bytes) values ($1, 1)")
        .bind(world.account.as_str())
        .execute(&world.app.pool)
        .await
        .unwrap();
    let provider = Provider::start().await;
    let photo = file(1, provider.reference("photo"));
    hear(
        &world,
        &[message(&world, world.channel, "7:1", vec![photo])],
    )
    .await;
    let _worker = provider.worker(&world, terms()).drop_guard();
    eventually("the file", async || stored(&world).await.len() == 1).await;
    let used: i64 = sqlx::query_scalar("select bytes from upload_usage")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(used, 1, "it is not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_beside_its_message_and_announced_with_what_it_is() {
    let world = world().await;
    let provider = Provider::start().await;
    let sticker = Content::Sticker(Sticker {
        attachment: Some(file(2, b"{\"file_id\":\"CAAC-x_1\"}".to_vec())),
        ..Sticker::default()
    });
    let plain = Content::Attachment(file(3, b"AgAC-x".to_vec()));
    let photo = Content::Attachment(file(1, provider.reference("elsewhere")));
    let parts = [photo, sticker, plain].map(|content| ContentPart {
        content: Some(content),
    });
    let item = holding(&world, world.channel, "7:1", parts.to_vec());
    hear(&world, &[item.clone(), item.clone()]).await;
    let _worker = provider.worker(&world, terms()).drop_guard();
    eventually("three files", async || stored(&world).await.len() == 3).await;
    for event in stored(&world).await {
        let known = event.attachment.unwrap();
        assert_eq!(event.provider_keys, ["7:1"]);
        assert_eq!(
            (
                known.state(),
                known.size,
                known.media_type.as_str(),
                known.width
            ),
            (attachment::State::Stored, 16, "image/png", 10)
        );
        assert!(known.extension.is_empty());
        let id = known.attachment_id.parse().unwrap();
        let opened = world
            .app
            .files
            .open(&world.app.pool, world.account.as_str(), id);
        let (row, mut bytes) = opened.await.unwrap();
        assert_eq!(row.file_name, "чек.jpg");
        let first = futures::StreamExt::next(&mut bytes).await.unwrap().unwrap();
        assert_eq!(first, PNG);
        let foreign = world.app.files.open(&world.app.pool, "other", id).await;
        assert!(foreign.is_err());
    }
    // What leads to the file at the provider is nowhere to be read.
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select reference from attachment")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    assert!(
        rows.iter()
            .all(|row| !row.windows(4).any(|part| part == b"http"))
    );
    // The same files in another message: it has not heard of them yet. A repeat of the first has.
    let again = message(
        &world,
        world.channel,
        "7:2",
        vec![file(1, provider.reference("x"))],
    );
    hear(&world, std::slice::from_ref(&again)).await;
    hear(&world, &[again, item]).await;
    let told = stored(&world).await;
    assert_eq!(told.len(), 4);
    assert_eq!(told[3].provider_keys, ["7:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_had_fails_with_its_reason_and_can_be_asked_for_again() {
    let mut world = world().await;
    world.app.files.max_size = 1_000;
    world.app.files.pace.idle = Duration::from_millis(200);
    let provider = Provider::start().await;
    let mut huge = file(9, provider.reference("photo"));
    huge.size = 30_000_000;
    let files = [
        ("big", file(1, b"{\"file_id\":\"BIG\"}".to_vec())),
        ("ftp", file(2, b"{\"url\":\"ftp://x/y\"}".to_vec())),
        ("gone", file(3, provider.reference("gone"))),
        ("hangs", file(4, provider.reference("hangs"))),
        ("huge", huge),
        ("large", file(5, provider.reference("large"))),
        ("odd", file(6, b"{}".to_vec())),
        ("round", file(7, provider.reference("round"))),
    ];
    let items: Vec<Delivery> = files
        .into_iter()
        .map(|(key, file)| message(&world, world.channel, key, vec![file]))
        .collect();
    hear(&world, &items).await;
    let _worker = provider.worker(&world, terms()).drop_guard();
    eventually("all have failed", async || {
        hurry(&world).await;
        failed(&world).await.len() == 8
    })
    .await;
    let expected = [
        ("big", telegram::TOO_LARGE),
        ("ftp", source::ADDRESS),
        ("gone", source::GONE),
        ("hangs", source::NOT_HAD),
        ("huge", source::TOO_LARGE),
        ("large", source::TOO_LARGE),
        ("odd", source::REFERENCE),
        ("round", source::REFUSED),
    ];
    let expected = expected.map(|(key, reason)| (key.to_owned(), reason.to_owned()));
    assert_eq!(failed(&world).await, expected);
    assert_eq!(provider.asked(), 3, "tries have an end");

    let request = RefetchAttachmentRequest {
        attachment_id: Uuid::from_u128(3).to_string(),
    };
    let request = chassis::testing::request(&world.caller, request);
    let answer = world.api().refetch_attachment(request).await.unwrap();
    let known = answer.into_inner().attachment.unwrap();
    assert_eq!(known.state(), attachment::State::Pending);
    eventually("it is asked for again", async || {
        failed(&world).await.len() == 9
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_out_of_order_is_asked_again() {
    let world = world().await;
    let provider = Provider::start().await;
    let item = message(
        &world,
        world.channel,
        "7:1",
        vec![file(1, provider.reference("second"))],
    );
    hear(&world, &[item]).await;
    let _worker = provider.worker(&world, terms()).drop_guard();
    eventually("the second try", async || {
        hurry(&world).await;
        stored(&world).await.len() == 1
    })
    .await;
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_files_hang_holds_up_no_other() {
    let world = world().await;
    let other = world.create("8999:AAE_other-token", "").await.unwrap();
    let provider = Provider::start().await;
    let hanging: Vec<Attachment> = (1..=20)
        .map(|number| file(number, provider.reference("hangs")))
        .collect();
    hear(&world, &[message(&world, world.channel, "slow", hanging)]).await;
    let _worker = provider.worker(&world, terms()).drop_guard();
    eventually("the channel's share hangs", async || provider.asked() == 2).await;
    let quick = vec![file(100, provider.reference("photo"))];
    hear(&world, &[message(&world, other, "quick", quick)]).await;
    eventually("the other's file", async || stored(&world).await.len() == 1).await;
    assert_eq!(provider.asked(), 2, "no more than its share");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_left_behind_is_fetched_by_another_and_a_late_one_writes_nothing() {
    let world = world().await;
    let provider = Provider::start().await;
    let item = message(
        &world,
        world.channel,
        "7:1",
        vec![file(1, provider.reference("hangs"))],
    );
    hear(&world, &[item]).await;
    let first = provider.worker(&world, terms());
    eventually("the first hangs", async || provider.asked() == 1).await;
    // Its lease ends as if it were dead, and the file can be had by now.
    let again = message(
        &world,
        world.channel,
        "7:2",
        vec![file(1, provider.reference("photo"))],
    );
    hear(&world, &[again]).await;
    sqlx::query("update attachment set lease_until = now(), due_at = now()")
        .execute(&world.app.pool)
        .await
        .unwrap();
    eventually("another try", async || stored(&world).await.len() == 1).await;
    first.cancel();
    let states: Vec<(String, i64)> = sqlx::query_as("select state, fence from attachment")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(states, [("stored".to_owned(), 2)]);
    let told = stored(&world).await;
    assert_eq!(told[0].provider_keys, ["7:1", "7:2"]);
}
