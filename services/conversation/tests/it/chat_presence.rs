//! Who is in a chat at this moment (B19), over a real broker: two replicas, told by one and watched on the other.

use std::sync::Arc;
use std::time::Duration;

use chassis::access::AccessCopy;
use chassis::lifecycle::Lifecycle;
use chassis::testing::{self, Records, request};
use conversation::app::chat_presence::ChatPresence;
use conversation::grpc::chat_presence::Api;
use futures::StreamExt as _;
use switchboard_proto::conversation::v1::chat_presence::Activity;
use switchboard_proto::conversation::v1::chat_presence_service_server::ChatPresenceService as _;
use switchboard_proto::conversation::v1::{self as pb};
use tonic::Code;

use crate::world::{World, agent, noon, reason};

/// One replica over the world's database, which listens.
async fn replica(world: &World, lifecycle: &Lifecycle) -> Api {
    let broker = testing::nats().await;
    let client = async_nats::connect(broker.url).await.unwrap();
    let records = Records::default();
    for name in ["ann", "bob"] {
        records.put(&world.account, testing::full_access(agent(name)));
    }
    let access = AccessCopy::new(world.db.pool.clone(), Arc::new(records));
    let presence = ChatPresence::new(world.db.pool.clone(), access, client);
    presence.listen(lifecycle);
    Api(presence, lifecycle.clone())
}

fn report(world: &World, activity: Activity) -> pb::ReportChatPresenceRequest {
    pb::ReportChatPresenceRequest {
        chat_id: world.chat("7").to_string(),
        activity: activity.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_what_one_replica_is_told_another_shows_until_they_leave() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let lifecycle = Lifecycle::new();
    let (one, other) = (
        replica(&world, &lifecycle).await,
        replica(&world, &lifecycle).await,
    );
    let (ann, bob) = (world.as_agent("ann"), world.as_agent("bob"));
    let watch = pb::WatchChatPresenceRequest {
        chat_id: world.chat("7").to_string(),
    };
    let stream = other
        .watch_chat_presence(request(&bob, watch.clone()))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    let mut next = async || {
        let told = tokio::time::timeout(Duration::from_secs(20), stream.next())
            .await
            .unwrap();
        let told = told.unwrap().unwrap().present.into_iter();
        told.map(|one| (one.agent_id.clone(), one.activity()))
            .collect::<Vec<_>>()
    };
    assert!(next().await.is_empty(), "nobody yet");
    let id = agent("ann").to_string();
    let mut expected = vec![];
    for activity in [Activity::Viewing, Activity::Typing, Activity::Left] {
        let told = one
            .report_chat_presence(request(&ann, report(&world, activity)))
            .await;
        assert_eq!(told.unwrap().into_inner().presence.unwrap().agent_id, id);
        expected.clear();
        if activity != Activity::Left {
            expected.push((id.clone(), activity));
        }
        assert_eq!(next().await, expected);
    }

    // Who comes later is told at once who is there.
    let typing = report(&world, Activity::Typing);
    one.report_chat_presence(request(&ann, typing))
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        let late = other
            .watch_chat_presence(request(&bob, watch.clone()))
            .await
            .unwrap();
        seen = late.into_inner().next().await.unwrap().unwrap().present;
    }
    assert_eq!(seen.len(), 1);
    lifecycle.stop_token().cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_who_does_not_see_a_chat_learns_nothing_and_says_nothing_there() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let lifecycle = Lifecycle::new();
    let api = replica(&world, &lifecycle).await;
    let mut record = testing::full_access(agent("eve"));
    record.channels = chassis::access::ChannelGrant::Some(std::collections::BTreeSet::new());
    let eve = testing::caller(&world.account, agent("eve"), &["chats:*"], record);
    let watch = pb::WatchChatPresenceRequest {
        chat_id: world.chat("7").to_string(),
    };
    let refused = api
        .watch_chat_presence(request(&eve, watch))
        .await
        .err()
        .unwrap();
    assert_eq!(reason(&refused), "CHAT_NOT_FOUND");
    let viewing = report(&world, Activity::Viewing);
    let refused = api
        .report_chat_presence(request(&eve, viewing.clone()))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CHAT_NOT_FOUND");
    let refused = api
        .report_chat_presence(request(&world.as_service(), viewing))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "AGENT_REQUIRED");
    let nothing = report(&world, Activity::Unspecified);
    let refused = api
        .report_chat_presence(request(&world.as_agent("ann"), nothing))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    lifecycle.stop_token().cancel();
}
