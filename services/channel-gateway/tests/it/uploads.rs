//! Agents' uploads and the links to files, over HTTP as callers see them.

use std::sync::Arc;

use bytes::Bytes;
use channel_gateway::app::file_sweep;
use channel_gateway::app::uploads::{self, Put};
use channel_gateway::files::links::Links;
use channel_gateway::http::files::{Door, router};
use chassis::access::ChannelGrant;
use chassis::auth::Caller;
use chassis::clock;
use chassis::id::AgentId;
use chassis::seal::Sealer;
use chassis::testing;
use futures::{StreamExt as _, stream};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateAttachmentLinkRequest, CreateUploadRequest, GetAttachmentRequest,
};
use switchboard_proto::common::v1::{Attachment, ContentPart, attachment, content_part::Content};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::fetches::PNG;
use crate::world::{World, eventually, world};

/// The gateway's port for files.
pub struct Port {
    http: reqwest::Client,
}

impl Port {
    /// Opens it; links lead to it from now on.
    pub async fn open(world: &mut World) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        world.app.files.links = Links::new(Sealer::from_key(&[7; 32]), &base);
        let door = Arc::new(Door::new(world.app.clone(), 8));
        tokio::spawn(async move { axum::serve(listener, router(door)).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http }
    }

    pub async fn put(&self, url: &str, bytes: &[u8]) -> u16 {
        let request = self.http.put(url).body(bytes.to_vec());
        request.send().await.unwrap().status().as_u16()
    }

    pub async fn get(&self, url: &str) -> reqwest::Response {
        self.http.get(url).send().await.unwrap()
    }

    pub async fn range(&self, url: &str, range: &str) -> reqwest::Response {
        let request = self.http.get(url).header("range", range);
        request.send().await.unwrap()
    }
}

/// An agent who is granted these channels.
pub fn agent(world: &World, channels: &[Uuid]) -> Caller {
    let id = AgentId::from(Uuid::from_u128(rand_id()));
    let mut access = testing::full_access(id);
    access.channels = ChannelGrant::Some(channels.iter().copied().collect());
    testing::caller(&world.account, id, &["chats:read", "chats:write"], access)
}

fn rand_id() -> u128 {
    chassis::id::v7(clock::now()).as_u128()
}

pub async fn announce(world: &World, caller: &Caller, size: usize) -> (String, String) {
    let request = CreateUploadRequest {
        file_name: "../чек №1.jpg".to_owned(),
        size: i64::try_from(size).unwrap(),
        media_type: "image/jpeg".to_owned(),
    };
    let request = testing::request(caller, request);
    let answer = world.api().create_upload(request).await.unwrap();
    let answer = answer.into_inner();
    (answer.attachment_id, answer.put_url)
}

pub async fn state(world: &World, caller: &Caller, id: &str) -> Result<Attachment, Code> {
    let request = GetAttachmentRequest {
        attachment_id: id.to_owned(),
    };
    let request = testing::request(caller, request);
    let answer = world.api().get_attachment(request).await;
    let answer = answer.map_err(|status: Status| status.code())?;
    Ok(answer.into_inner().attachment.unwrap())
}

pub async fn link(world: &World, caller: &Caller, id: &str) -> Result<String, Code> {
    let request = CreateAttachmentLinkRequest {
        attachment_id: id.to_owned(),
    };
    let request = testing::request(caller, request);
    let answer = world.api().create_attachment_link(request).await;
    let answer = answer.map_err(|status: Status| status.code())?;
    Ok(answer.into_inner().url)
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_an_upload_is_put_once_as_announced_and_belongs_to_its_agent_until_it_is_sent() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let (owner, colleague, stranger) = (
        agent(&world, &[world.channel]),
        agent(&world, &[world.channel]),
        agent(&world, &[]),
    );
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(
        link(&world, &owner, &id).await,
        Err(Code::FailedPrecondition)
    );
    for (name, url, bytes, expected) in [
        ("another size", url.as_str(), &PNG[1..], 413),
        ("unsigned", url.split('?').next().unwrap(), PNG, 403),
        (
            "signed for another file",
            &url.replace(&id, &Uuid::nil().to_string()),
            PNG,
            403,
        ),
        ("as announced", &url, PNG, 201),
        ("once more", &url, PNG, 409),
        // The answer is told, and no broken connection.
        ("much once more", &url, &vec![0; 32 << 20], 409),
    ] {
        assert_eq!(port.put(url, bytes).await, expected, "{name}");
    }
    let known = state(&world, &owner, &id).await.unwrap();
    assert_eq!(
        (
            known.state(),
            known.media_type.as_str(),
            known.file_name.as_str()
        ),
        (attachment::State::Stored, "image/png", "чек №1.jpg")
    );
    for other in [&colleague, &stranger] {
        assert_eq!(state(&world, other, &id).await, Err(Code::NotFound));
        assert_eq!(link(&world, other, &id).await, Err(Code::NotFound));
    }
    let mut command = world.command(1, 1, "x");
    command.agent_id = owner.agent().unwrap().uuid().to_string();
    command.parts.push(ContentPart {
        content: Some(Content::Attachment(Attachment {
            attachment_id: id.clone(),
            ..Attachment::default()
        })),
    });
    world.queue([command]).await;
    assert!(
        state(&world, &colleague, &id).await.is_ok(),
        "now it is the chat's"
    );
    assert_eq!(state(&world, &stranger, &id).await, Err(Code::NotFound));
    let elsewhere = testing::service_caller(
        Some(&testing::fresh_account()),
        "tests",
        &["chats:read"],
        None,
    );
    assert_eq!(state(&world, &elsewhere, &id).await, Err(Code::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_link_gives_the_file_and_no_more() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    let url = link(&world, &owner, &id).await.unwrap();
    let answer = port.get(&url).await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-length"), "16");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(header("content-disposition").starts_with("attachment; filename*=UTF-8''"));
    assert!(header("content-disposition").ends_with("1.png"));
    assert_eq!(answer.bytes().await.unwrap(), PNG);

    let piece = port.range(&url, "bytes=1-3").await;
    assert_eq!(piece.status().as_u16(), 206);
    assert_eq!(piece.headers()["content-range"], "bytes 1-3/16");
    assert_eq!(piece.bytes().await.unwrap(), &PNG[1..4]);
    let beyond = port.range(&url, "bytes=16-").await;
    assert_eq!(beyond.status().as_u16(), 416);
    let head = port.http.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "16");
    for wrong in [
        url.replace("e=", "e=1"),
        url.replace("s=", "s=A"),
        url.split('?').next().unwrap().to_owned(),
        url.replace(&id, &Uuid::nil().to_string()),
    ] {
        assert_eq!(port.get(&wrong).await.status().as_u16(), 403, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_link_needs_nothing_but_itself_and_ends_after_a_month() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    let (account, pool) = (world.account.to_string(), world.app.pool.clone());
    let file = id.parse().unwrap();
    let made = |now| world.app.files.provider_link(&pool, &account, file, now);
    let now = clock::now();
    assert!(made(now).await.is_err(), "it is not stored yet");
    assert_eq!(port.put(&url, PNG).await, 201);
    let url = made(now).await.unwrap();
    assert!(url.ends_with("1.png"), "{url}");
    assert_eq!(made(now).await.unwrap(), url, "one link serves all who ask");
    let later = made(now + time::Duration::days(20)).await.unwrap();
    assert_ne!(later, url, "unless too little of its time is left");
    let answer = port.get(&url).await;
    assert_eq!(answer.headers()["content-length"], "16");
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap(), PNG);
    let guessed = url.replace("/f/", "/f/x");
    assert_eq!(port.get(&guessed).await.status().as_u16(), 404);

    sqlx::query(
        "update provider_link set expires_at = now() where expires_at < now() + interval '31 days'",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(port.get(&url).await.status().as_u16(), 404);
    file_sweep::step(&world.app, clock::now()).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from provider_link")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_a_file_that_is_unknown_or_anothers_fails_as_missing() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let (owner, other) = (agent(&world, &[]), agent(&world, &[]));
    let (foreign, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    let unknown = Uuid::from_u128(rand_id()).to_string();
    for (out_seq, attachment_id) in [(1, foreign), (2, unknown)] {
        let mut command = world.command(1, out_seq, "x");
        command.agent_id = other.agent().unwrap().uuid().to_string();
        let file = Attachment {
            attachment_id,
            ..Attachment::default()
        };
        command.parts.push(ContentPart {
            content: Some(Content::Attachment(file)),
        });
        world.queue([command]).await;
    }
    for (_, _, state, reason) in world.states(1).await {
        assert_eq!(
            (state.as_str(), reason.as_str()),
            ("failed", "FILE_MISSING")
        );
    }
    assert_eq!(world.states(1).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_no_database_can_be_asked_for_is_no_code() {
    let mut world = world().await;
    let _port = Port::open(&mut world).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let door = Arc::new(Door::new(world.app.clone(), 8));
    let visitors = channel_gateway::http::links::Door::new(world.app.clone(), "");
    let links = channel_gateway::http::links::router(Arc::new(visitors));
    let routes = router(door).merge(links);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in [
        "/f/%00/x",
        "/f/a%00/x",
        "/l/%00",
        "/l/a%00b",
        "/l/%ff",
        "/f/%ff/x",
    ] {
        let answer = http.get(format!("{base}{path}")).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(matches!(status, 404 | 400), "{path}: {status}");
        assert_eq!(status == 404, path.contains("%00"), "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_sent_is_dropped_after_a_day_and_one_that_was_sent_stays() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[world.channel]);
    let (unsent, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
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
    file_sweep::step(&world.app, now).await.unwrap();
    assert!(state(&world, &owner, &unsent).await.is_ok());
    let tomorrow = now + time::Duration::hours(25);
    file_sweep::step(&world.app, tomorrow).await.unwrap();
    assert_eq!(state(&world, &owner, &unsent).await, Err(Code::NotFound));
    assert!(state(&world, &owner, &sent).await.is_ok());
    let account = world.account.as_str();
    let open = world
        .app
        .files
        .open(&world.app.pool, account, sent.parse().unwrap());
    assert!(open.await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_an_upload_that_a_dead_process_was_taking_can_be_put_again_after_a_minute() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    let file: Uuid = id.parse().unwrap();
    let length = u64::try_from(PNG.len()).unwrap();
    let begun = clock::now() - time::Duration::seconds(50);
    let mut half = stream::iter([Ok(Bytes::from_static(&PNG[..8]))])
        .chain(stream::pending())
        .boxed();
    {
        // As a kill: nothing gives the lease back.
        let put = uploads::put(&world.app, file, length, &mut half, begun);
        let mut put = std::pin::pin!(put);
        while leased_until(&world, file).await.is_none() {
            assert!(futures::poll!(&mut put).is_pending());
        }
    }
    assert_eq!(port.put(&url, PNG).await, 409, "it may still be coming");
    sqlx::query("update attachment set lease_until = lease_until - interval '11 seconds'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(port.put(&url, PNG).await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_an_upload_is_its_senders_as_long_as_bytes_come_and_nobodys_who_lost_it() {
    let mut world = world().await;
    world.app.files.upload_lease = std::time::Duration::from_secs(3);
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    let file: Uuid = id.parse().unwrap();
    let length = u64::try_from(PNG.len()).unwrap();
    let (more, rest) = tokio::sync::mpsc::unbounded_channel();
    let mut rest: tokio::sync::mpsc::UnboundedReceiver<_> = rest;
    let mut bytes = stream::poll_fn(move |context| rest.poll_recv(context)).boxed();
    let app = world.app.clone();
    let slow =
        tokio::spawn(
            async move { uploads::put(&app, file, length, &mut bytes, clock::now()).await },
        );
    // Beyond what one lease lasts: it is renewed.
    eventually("it is claimed", async || {
        leased_until(&world, file).await.is_some()
    })
    .await;
    let ends = leased_until(&world, file).await.unwrap() + world.app.files.upload_lease;
    eventually("it is renewed", async || {
        leased_until(&world, file).await > Some(ends)
    })
    .await;
    assert_eq!(port.put(&url, PNG).await, 409);

    // Somebody else took it over, as it were: whoever comes late does not put its bytes over theirs.
    sqlx::query("update attachment set fence = fence + 1, lease_until = null")
        .execute(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(port.put(&url, PNG).await, 201);
    more.send(Ok(Bytes::from(vec![0; PNG.len()]))).ok();
    drop(more);
    assert!(matches!(slow.await.unwrap(), Ok(Put::Taken)));
    let key: String = sqlx::query_scalar("select object_key from attachment")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(world.app.files.store.get(&key).await.unwrap(), PNG);
}

// An upload that can never be taken is not to come again, however busy we are.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_larger_than_any_file_may_be_is_refused_as_such_where_there_is_no_room() {
    let mut world = world().await;
    let _port = Port::open(&mut world).await;
    let owner = agent(&world, &[]);
    let (_, url) = announce(&world, &owner, PNG.len()).await;
    world.app.files.max_size = 64;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let full = Arc::new(Door::new(world.app.clone(), 0));
    tokio::spawn(async move { axum::serve(listener, router(full)).await });
    let path = url.split_once("/files/").unwrap().1;
    let url = format!("http://{address}/files/{path}");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (size, expected) in [(65, 413), (64, 503)] {
        let put = http.put(&url).body(vec![0; size]).send().await.unwrap();
        assert_eq!(put.status().as_u16(), expected, "{size}");
    }
}

async fn leased_until(world: &World, file: Uuid) -> Option<time::OffsetDateTime> {
    sqlx::query_scalar("select lease_until from attachment where id = $1")
        .bind(file)
        .fetch_one(&world.app.pool)
        .await
        .unwrap()
}
