//! How much an account's uploads may take (channels share one store).

use channel_gateway::app::file_sweep;
use channel_gateway::store::uploads;
use chassis::auth::Caller;
use chassis::clock;
use chassis::testing;
use futures::future::join_all;
use switchboard_proto::channel_gateway::v1::CreateUploadRequest;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::common::v1::{Attachment, ContentPart, attachment, content_part::Content};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::fetches::PNG;
use crate::uploads::{Port, agent, announce, state};
use crate::world::{World, world};

async fn announced(world: &World, caller: &Caller, size: i64) -> Result<String, Status> {
    let request = CreateUploadRequest {
        file_name: "prices.pdf".to_owned(),
        size,
        media_type: "application/pdf".to_owned(),
    };
    let request = testing::request(caller, request);
    let answer = world.api().create_upload(request).await?;
    Ok(answer.into_inner().attachment_id)
}

async fn used(world: &World) -> i64 {
    sqlx::query_scalar("select bytes from upload_usage where account = $1")
        .bind(world.account.as_str())
        .fetch_one(&world.app.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_the_same_time_do_not_exceed_the_quota_together() {
    let mut world = world().await;
    world.app.files.upload_quota = 350;
    let owner = agent(&world, &[]);
    let tries = (0..8).map(|_| announced(&world, &owner, 100));
    let tries = join_all(tries).await;
    let (taken, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (3, 5));
    for status in refused.into_iter().filter_map(Result::err) {
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "UPLOAD_QUOTA_REACHED");
        let fact = |name: &str| info.metadata[name].clone();
        assert_eq!(
            [fact("used_bytes"), fact("limit_bytes"), fact("file_bytes")],
            ["300", "350", "100"]
        );
        assert!(status.message().contains("files.upload_quota"), "{status}");
    }
    assert_eq!(used(&world).await, 300, "what was refused takes nothing");
    assert!(
        announced(&world, &owner, 50).await.is_ok(),
        "it fits exactly"
    );
    // Another tenant has its own.
    let other = testing::service_caller(
        Some(&testing::fresh_account()),
        "tests",
        &["chats:write"],
        None,
    );
    assert!(announced(&world, &other, 300).await.is_ok());
    world.app.files.upload_quota = 0;
    assert!(announced(&world, &owner, 1_000).await.is_ok(), "no limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_uploads_took_is_given_back_when_they_are_dropped() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let size = PNG.len();
    world.app.files.upload_quota = u64::try_from(2 * size).unwrap();
    let owner = agent(&world, &[]);
    let (put, url) = announce(&world, &owner, size).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    let (never_put, url) = announce(&world, &owner, size).await;
    let full = announced(&world, &owner, 1).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);

    // A message that names it does not make it sent: it would never be dropped.
    let named = [(
        never_put.parse().unwrap(),
        world.account.to_string(),
        Uuid::nil(),
    )];
    let mut connection = world.app.pool.acquire().await.unwrap();
    let sent = uploads::used(&mut connection, &named, clock::now());
    assert_eq!(sent.await.unwrap(), Vec::<Uuid>::new());
    drop(connection);

    // While its address is good, what was announced has its place.
    let now = clock::now();
    file_sweep::step(&world.app, now + time::Duration::minutes(55))
        .await
        .unwrap();
    assert!(announced(&world, &owner, 1).await.is_err());
    file_sweep::step(&world.app, now + time::Duration::minutes(70))
        .await
        .unwrap();
    assert_eq!(state(&world, &owner, &never_put).await, Err(Code::NotFound));
    assert_eq!(port.put(&url, PNG).await, 404);
    assert!(state(&world, &owner, &put).await.is_ok());
    assert_eq!(used(&world).await, i64::try_from(size).unwrap());
    assert!(announced(&world, &owner, 1).await.is_ok());

    file_sweep::step(&world.app, now + time::Duration::hours(25))
        .await
        .unwrap();
    assert_eq!(used(&world).await, 0);
    // Nothing is given back twice.
    file_sweep::step(&world.app, now + time::Duration::hours(26))
        .await
        .unwrap();
    assert_eq!(used(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sent_files_took_is_given_back_when_their_time_is_over() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[world.channel]);
    let size = i64::try_from(PNG.len()).unwrap();
    let (sent, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    let mut command = world.command(1, 1, "x");
    command.agent_id = owner.agent().unwrap().uuid().to_string();
    command.parts = vec![ContentPart {
        content: Some(Content::Attachment(Attachment {
            attachment_id: sent.clone(),
            ..Attachment::default()
        })),
    }];
    world.queue([command]).await;
    let now = clock::now();
    let years = now + time::Duration::days(4_000);
    file_sweep::step(&world.app, years).await.unwrap();
    assert_eq!(used(&world).await, size, "it is kept for good");

    world.app.files.sent_kept = std::time::Duration::from_hours(40 * 24);
    let step = async |days| {
        let now = now + time::Duration::days(days);
        file_sweep::step(&world.app, now).await.unwrap();
    };
    step(39).await;
    assert_eq!(used(&world).await, size);
    assert_eq!(world.count("attachment.failed").await, 0);
    let key: String = sqlx::query_scalar("select object_key from attachment")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert!(world.app.files.store.get(&key).await.is_ok());
    step(41).await;
    assert_eq!(used(&world).await, 0);
    assert!(world.app.files.store.get(&key).await.is_err());
    assert_eq!(world.count("attachment.failed").await, 1);
    let known = state(&world, &owner, &sent).await.unwrap();
    assert_eq!(
        (known.state(), known.reason.as_str()),
        (attachment::State::Failed, "FILE_EXPIRED")
    );
    // Nothing is given back twice.
    let (_, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    step(42).await;
    assert_eq!(world.count("attachment.failed").await, 1);
}
