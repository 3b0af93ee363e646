//! Uploads that are held for quick replies (B14).

use channel_gateway::app::file_sweep;
use chassis::auth::Caller;
use chassis::clock;
use chassis::testing;
use switchboard_proto::channel_gateway::v1::HoldUploadsRequest;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::common::v1::{Attachment, ContentPart, content_part::Content};
use time::Duration;
use tonic::Code;

use crate::fetches::PNG;
use crate::uploads::{Port, agent, announce, link, state};
use crate::world::{World, world};

/// Has files held; returns which are.
async fn hold(world: &World, caller: &Caller, ids: &[&String]) -> Vec<String> {
    let request = HoldUploadsRequest {
        attachment_ids: ids.iter().map(|id| (*id).clone()).collect(),
    };
    let answer = world
        .api()
        .hold_uploads(testing::request(caller, request))
        .await;
    answer.unwrap().into_inner().attachment_ids
}

/// Sends a file in the chat 1 by an agent; the number is that of the command.
async fn send(world: &World, caller: &Caller, number: i64, id: &str) {
    let mut command = world.command(1, number, "x");
    command.agent_id = caller.agent().unwrap().to_string();
    command.parts = vec![ContentPart {
        content: Some(Content::Attachment(Attachment {
            attachment_id: id.to_owned(),
            ..Attachment::default()
        })),
    }];
    world.queue([command]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_a_held_file_stays_and_may_be_read_and_sent_by_every_agent() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let (owner, other) = (agent(&world, &[world.channel]), agent(&world, &[]));
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    assert!(
        hold(&world, &owner, &[&id]).await.is_empty(),
        "it is not there yet"
    );
    assert_eq!(port.put(&url, PNG).await, 201);
    let (left, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    assert!(
        hold(&world, &other, &[&id]).await.is_empty(),
        "it is another's"
    );
    assert_eq!(state(&world, &other, &id).await, Err(Code::NotFound));
    let elsewhere =
        testing::service_caller(Some(&testing::fresh_account()), "x", &["internal"], None);
    assert!(
        hold(&world, &elsewhere, &[&id]).await.is_empty(),
        "of another account"
    );

    assert_eq!(hold(&world, &owner, &[&id]).await, [&*id]);
    assert!(state(&world, &other, &id).await.is_ok());
    assert!(link(&world, &other, &id).await.is_ok());
    assert_eq!(
        hold(&world, &other, &[&id, &left]).await,
        [&*id],
        "a copy of the reply"
    );

    let now = clock::now();
    for hours in [25, 24 * 29] {
        file_sweep::step(&world.app, now + Duration::hours(hours))
            .await
            .unwrap();
    }
    assert_eq!(state(&world, &owner, &left).await, Err(Code::NotFound));
    assert!(state(&world, &other, &id).await.is_ok());

    // Another's file fails, a held one goes.
    let (foreign, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    send(&world, &other, 1, &foreign).await;
    send(&world, &other, 2, &id).await;
    let states = world.states(1).await;
    assert_eq!(
        (states[0].2.as_str(), states[0].3.as_str()),
        ("failed", "FILE_MISSING")
    );
    assert_ne!(states[1].3, "FILE_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_a_file_that_is_held_no_more_goes_as_others_do() {
    let mut world = world().await;
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[world.channel]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    let service = testing::service_caller(Some(&world.account), "x", &["internal"], None);
    assert_eq!(hold(&world, &service, &[&id]).await, [&*id]);
    let later = clock::now() + Duration::days(31);
    file_sweep::step(&world.app, later).await.unwrap();
    assert_eq!(state(&world, &owner, &id).await, Err(Code::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_what_was_sent_and_is_held_outlives_the_time_of_sent_files() {
    let mut world = world().await;
    world.app.files.sent_kept = std::time::Duration::from_hours(24 * 7);
    let port = Port::open(&mut world).await;
    let owner = agent(&world, &[world.channel]);
    let (id, url) = announce(&world, &owner, PNG.len()).await;
    assert_eq!(port.put(&url, PNG).await, 201);
    send(&world, &owner, 1, &id).await;
    let colleague = agent(&world, &[world.channel]);
    assert_eq!(
        hold(&world, &colleague, &[&id]).await,
        [&*id],
        "it was sent where they are"
    );
    let now = clock::now();
    file_sweep::step(&world.app, now + Duration::days(8))
        .await
        .unwrap();
    assert!(link(&world, &owner, &id).await.is_ok());
    file_sweep::step(&world.app, now + Duration::days(31))
        .await
        .unwrap();
    assert_eq!(
        link(&world, &owner, &id).await,
        Err(Code::FailedPrecondition)
    );
}
