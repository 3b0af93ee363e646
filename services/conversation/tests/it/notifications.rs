//! Notifications of agents (F207): chats of their own and of nobody whose clients wait, with marks of each agent's own.

use std::time::Duration;

use chassis::auth::Caller;
use chassis::testing::{self, request};
use conversation::grpc::notifications::Api;
use futures::StreamExt as _;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::chat_service_server::ChatService as _;
use switchboard_proto::conversation::v1::notification_service_server::NotificationService as _;
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, agent, at, reason};

fn api(world: &World) -> Api {
    Api {
        pool: world.db.pool.clone(),
        watch: world.watch.clone(),
    }
}

async fn own(world: &World, chat_key: &str, name: &str) {
    sqlx::query("update chat set responsible = $1, assignment_number = number, state = 'active' where chat_id = $2")
        .bind(agent(name).uuid())
        .bind(world.chat(chat_key))
        .execute(&world.db.pool)
        .await
        .unwrap();
}

/// Chat keys of what is listed, with whether each is read; and the count of the unread.
async fn listed(world: &World, caller: &Caller) -> (Vec<(String, bool)>, i32) {
    let list = pb::ListNotificationsRequest::default();
    let page = api(world)
        .list_notifications(request(caller, list))
        .await
        .unwrap()
        .into_inner();
    let keys = ["1", "2", "3", "4"].map(|key| (world.chat(key).to_string(), key.to_owned()));
    let key = |id: &str| {
        keys.iter()
            .find(|(known, _)| known == id)
            .unwrap()
            .1
            .clone()
    };
    let listed = page.notifications.iter();
    let listed = listed.map(|one| (key(&one.chat.as_ref().unwrap().chat_id), one.read));
    (listed.collect(), page.unread.unwrap().count)
}

async fn mark(world: &World, caller: &Caller, keys: &[&str]) -> i32 {
    let mark = pb::MarkNotificationsRequest {
        chat_ids: keys.iter().map(|key| world.chat(key).to_string()).collect(),
        all: keys.is_empty(),
    };
    let marked = api(world)
        .mark_notifications(request(caller, mark))
        .await
        .unwrap();
    marked.into_inner().unread.unwrap().count
}

/// Chats 1 (Ann's), 2 (Bob's), 3 and 4 (nobody's), in this order.
async fn filled() -> World {
    let world = World::new().await;
    for (key, second) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
        world
            .receive(&[world.message(key, "1", at(second), "hello")])
            .await;
    }
    own(&world, "1", "ann").await;
    own(&world, "2", "bob").await;
    world
}

fn all(of: &[(&str, bool)]) -> Vec<(String, bool)> {
    of.iter()
        .map(|(key, read)| ((*key).to_owned(), *read))
        .collect()
}

#[tokio::test]
async fn f207_an_agent_is_notified_of_own_chats_and_of_nobodys() {
    let world = filled().await;
    let (ann, bob) = (world.as_agent("ann"), world.as_agent("bob"));
    let unread = |keys: &[&str]| all(&keys.iter().map(|key| (*key, false)).collect::<Vec<_>>());
    assert_eq!(listed(&world, &ann).await, (unread(&["4", "3", "1"]), 3));
    assert_eq!(listed(&world, &bob).await, (unread(&["4", "3", "2"]), 3));

    // A mark is the agent's own, holds for what stood there, and not for what comes.
    assert_eq!(mark(&world, &ann, &["3", "2"]).await, 2);
    assert_eq!(
        listed(&world, &ann).await,
        (all(&[("4", false), ("3", true), ("1", false)]), 2)
    );
    assert_eq!(listed(&world, &bob).await.1, 3);
    world
        .receive(&[world.message("3", "2", at(9), "hello?")])
        .await;
    assert_eq!(
        listed(&world, &ann).await,
        (unread(&["3", "4", "1"]), 3),
        "the newest first"
    );
    assert_eq!(mark(&world, &ann, &[]).await, 0);
    assert_eq!(listed(&world, &ann).await.1, 0);

    // What needs no reply, what is closed, and what becomes another's has none.
    let waive = pb::WaiveReplyRequest {
        chat_id: world.chat("4").to_string(),
        ..Default::default()
    };
    world.api.waive_reply(request(&bob, waive)).await.unwrap();
    world.close(&bob, "3").await.unwrap();
    own(&world, "1", "bob").await;
    assert_eq!(listed(&world, &ann).await.0, []);
    let read = pb::MarkReadRequest {
        chat_id: world.chat("2").to_string(),
        ..Default::default()
    };
    world.api.mark_read(request(&bob, read)).await.unwrap();
    assert_eq!(
        listed(&world, &bob).await,
        (all(&[("2", true), ("1", false)]), 1),
        "who reads it has read of it"
    );
}

#[tokio::test]
async fn f207_notifications_are_paged_and_those_of_others_are_not_touched() {
    let world = filled().await;
    let ann = world.as_agent("ann");
    let mut token = String::new();
    let mut seen = Vec::new();
    loop {
        let list = pb::ListNotificationsRequest {
            page_size: 2,
            page_token: token,
            unread_only: true,
        };
        let page = api(&world)
            .list_notifications(request(&ann, list))
            .await
            .unwrap()
            .into_inner();
        seen.extend(
            page.notifications
                .into_iter()
                .map(|one| one.chat.unwrap().chat_id),
        );
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["4", "3", "1"].map(|key| world.chat(key).to_string()));

    // Of what is beyond the agent's channels nothing is told, nor kept.
    let mut record = testing::full_access(agent("eve"));
    record.channels = chassis::access::ChannelGrant::Some(std::collections::BTreeSet::new());
    let eve = testing::caller(&world.account, agent("eve"), &["chats:*"], record);
    assert_eq!(listed(&world, &eve).await, (vec![], 0));
    assert_eq!(mark(&world, &eve, &["3"]).await, 0);
    assert_eq!(
        world.count("select count(*) from notification_mark").await,
        0
    );
    let service = api(&world)
        .list_notifications(request(
            &world.as_service(),
            pb::ListNotificationsRequest::default(),
        ))
        .await
        .unwrap_err();
    assert_eq!(
        (service.code(), &*reason(&service)),
        (Code::PermissionDenied, "AGENT_REQUIRED")
    );
    let both = pb::MarkNotificationsRequest {
        chat_ids: vec![Uuid::nil().to_string()],
        all: true,
    };
    let refused = api(&world)
        .mark_notifications(request(&ann, both))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn f207_a_stream_tells_what_comes_and_what_goes() {
    let world = filled().await;
    let ann = world.as_agent("ann");
    world
        .records
        .put(&world.account, testing::full_access(agent("ann")));
    let stream = api(&world)
        .watch_notifications(request(&ann, pb::WatchNotificationsRequest {}))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    let mut next = async || {
        let told = tokio::time::timeout(Duration::from_secs(20), stream.next())
            .await
            .unwrap();
        told.unwrap().unwrap()
    };
    assert_eq!(next().await.unread.unwrap().count, 3);
    world
        .receive(&[
            world.message("2", "2", at(8), "Bob?"),
            world.message("1", "2", at(9), "Ann?"),
        ])
        .await;
    // What was there already may be told of once more: nothing is missed, however transactions overlap.
    loop {
        let told = next().await;
        let unanswered = |one: &pb::Notification| one.chat.clone().unwrap().unanswered;
        let bobs = |one: &pb::Notification| {
            one.chat.clone().unwrap().chat_id == world.chat("2").to_string()
        };
        assert!(
            !told.changed.iter().any(bobs),
            "what is Bob's is not told to Ann"
        );
        assert!(told.gone_chat_ids.is_empty());
        if told.changed.iter().any(|one| unanswered(one) == 2) {
            break;
        }
    }
    world.close(&ann, "1").await.unwrap();
    let told = loop {
        let told = next().await;
        if told.gone_chat_ids.contains(&world.chat("1").to_string()) {
            break told;
        }
    };
    assert_eq!(told.unread.unwrap().count, 2);
}

#[tokio::test]
async fn f207_lists_of_notifications_use_their_index() {
    let world = filled().await;
    sqlx::query("insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, last_client_message_at, state, created_at)
                 select gen_random_uuid(), 'acme', $1, 'telegram-bot', 'k' || i, (select client_id from chat limit 1), now(), 'inactive', now()
                 from generate_series(1, 20000) i")
        .bind(world.channel)
        .execute(&world.db.pool)
        .await
        .unwrap();
    sqlx::query("analyze chat")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select chat_id from chat where account = 'acme' and responsible is null and waiting and not spam
           and state <> 'inactive' and (last_client_message_at, chat_id) < (now(), gen_random_uuid())
         order by last_client_message_at desc, chat_id desc limit 51",
    )
    .fetch_all(&world.db.pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("chat_notified_of_nobody") && !plan.contains("Sort"),
        "{plan}"
    );
}
