//! What clients write.

use std::collections::BTreeSet;

use chassis::consumer::HandlerError;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;

use crate::world::{World, at, client, noon, text_of};

#[tokio::test]
async fn x01_one_delivery_five_times_makes_one_of_everything() {
    let world = World::new().await;
    let item = world.message("7", "1", noon(), "hello");
    world.receive(&[item.clone(), item.clone()]).await;
    let after_first = world.everything().await;
    for _ in 0..3 {
        world.receive(std::slice::from_ref(&item)).await;
    }
    assert_eq!(
        world.everything().await,
        after_first,
        "a repeat changes nothing"
    );

    let published = world.published().await;
    assert_eq!(published["chat.created"], 1);
    assert_eq!(published["conversation.opened"], 1);
    assert_eq!(
        published["message.stored"], 2,
        "the client's and the system's"
    );
    assert_eq!(published.len(), 3);
    let messages = world.history("7").await;
    let kinds: Vec<_> = messages.iter().map(pb::Message::kind).collect();
    assert_eq!(
        kinds,
        [pb::message::Kind::System, pb::message::Kind::Client]
    );
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(
        (chat.unanswered, chat.state()),
        (1, pb::chat::State::Unassigned)
    );
    assert_eq!(chat.last_message.unwrap().text, "hello");
    let open = chat.open_conversation.unwrap();
    assert_eq!((open.number, open.revision), (1, 1));
}

#[tokio::test]
async fn x02_two_first_messages_at_once_make_one_chat() {
    for round in 0..5 {
        let world = World::new().await;
        let first = [world.message("7", "1", noon(), "one")];
        let second = [world.message("7", "2", noon(), "two")];
        let (one, other) = tokio::join!(
            world.try_receive(&first, noon()),
            world.try_receive(&second, noon()),
        );
        one.and(other).unwrap();
        assert_eq!(
            world.count("select count(*) from client").await,
            1,
            "round {round}"
        );
        assert_eq!(world.count("select count(*) from chat").await, 1);
        assert_eq!(world.count("select count(*) from conversation").await, 1);
        assert_eq!(
            world
                .count("select count(*) from message where kind = 'client'")
                .await,
            2
        );
        assert_eq!(
            world.count("select last from account_number").await,
            1,
            "no number is lost"
        );
        let published = world.published().await;
        assert_eq!(
            (published["chat.created"], published["conversation.opened"]),
            (1, 1)
        );
        let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
        assert_eq!(chat.unanswered, 2);
    }
}

#[tokio::test]
async fn x01_the_same_message_on_two_replicas_at_once_is_stored_once() {
    let world = World::new().await;
    let item = [world.message("7", "1", noon(), "one")];
    let (one, other) = tokio::join!(
        world.try_receive(&item, noon()),
        world.try_receive(&item, noon()),
    );
    one.and(other).unwrap();
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'client'")
            .await,
        1
    );
    assert_eq!(world.published().await["message.stored"], 2);
}

#[tokio::test]
async fn x07_numbers_have_no_gaps_under_sixty_four_openers() {
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = Vec::new();
    for task in 0..64 {
        let world = std::sync::Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            for round in 0..2 {
                // Some chats are each task's own, one is everybody's.
                let own = format!("{task}-{round}");
                let items = [
                    world.message(&own, "1", noon(), "a"),
                    world.message("shared", &format!("{task}{round}"), noon(), "b"),
                ];
                // Sorted locks: nobody is a deadlock's victim.
                world.receive(&items).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let numbers: Vec<i64> = sqlx::query_scalar("select number from conversation order by number")
        .fetch_all(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=129).collect::<Vec<i64>>());
    assert_eq!(world.count("select last from account_number").await, 129);
    let opened: BTreeSet<i64> = world
        .events_of::<pb::ConversationOpened>()
        .await
        .iter()
        .map(|event| event.number)
        .collect();
    assert_eq!(opened.len(), 129);
}

#[tokio::test]
async fn messages_of_one_batch_open_one_conversation_in_the_order_of_time() {
    let world = World::new().await;
    let batch = [
        world.message("7", "3", at(2), "third"),
        world.message("8", "1", at(1), "other"),
        world.message("7", "1", at(0), "first"),
        world.message("7", "2", at(2), "second by number"),
    ];
    world.receive(&batch).await;
    let texts: Vec<_> = world
        .client_messages("7")
        .await
        .iter()
        .map(text_of)
        .collect();
    assert_eq!(texts, ["first", "second by number", "third"]);
    let opened = world.events_of::<pb::ConversationOpened>().await;
    assert_eq!(opened.len(), 2);
    let first = &opened[0];
    assert_eq!(
        first.chat_id,
        world.chat("7").to_string(),
        "who came first has the lower number"
    );
    assert_eq!((first.number, first.chat_is_new), (1, true));
    assert_eq!(first.reason(), common::OpenReason::ClientMessage);
    assert_eq!(first.client.as_ref().unwrap().name, "Ada");
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.last_message.unwrap().text, "third");
    let sequences: Vec<i64> = world
        .history("7")
        .await
        .iter()
        .map(|m| m.sequence)
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
}

#[tokio::test]
async fn after_the_end_the_next_message_opens_the_next_conversation() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(0), "one")])
        .await;
    world
        .receive(&[world.message("8", "1", at(1), "other")])
        .await;
    let closed = world.close(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!((closed.number, closed.revision), (1, 2));
    world
        .receive(&[world.message("7", "2", at(2), "again")])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.state(), pb::chat::State::Unassigned);
    assert_eq!(chat.open_conversation.unwrap().number, 3);
    let opened = world.events_of::<pb::ConversationOpened>().await;
    assert!(!opened.last().unwrap().chat_is_new);
    // The message that was stored before stays with its conversation when it is repeated.
    let before = world.everything().await;
    world
        .receive(&[world.message("7", "1", at(0), "one")])
        .await;
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_channel_may_continue_what_was_closed_shortly_before() {
    let world = World::new().await;
    sqlx::query("insert into channel_rule values ($1, 'acme', 60)")
        .bind(world.channel)
        .execute(&world.db.pool)
        .await
        .unwrap();
    world
        .receive(&[world.message("7", "1", at(0), "one")])
        .await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    let soon = chassis::clock::now();
    let again = [
        world.message("7", "2", at(1), "two"),
        world.message("7", "3", at(2), "three"),
    ];
    world.try_receive(&again, soon).await.unwrap();
    let continued = world.events_of::<pb::ConversationContinued>().await;
    assert_eq!(continued.len(), 1);
    assert_eq!((continued[0].number, continued[0].revision), (1, 3));
    assert_eq!(world.count("select count(*) from conversation").await, 1);
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    let late = soon + time::Duration::hours(2);
    world
        .try_receive(&[world.message("7", "4", at(3), "four")], late)
        .await
        .unwrap();
    assert_eq!(world.count("select count(*) from conversation").await, 2);
}

#[tokio::test]
async fn the_newest_profile_stands_and_only_a_change_is_told() {
    let world = World::new().await;
    let named = |key: &str, time, name: &str| gateway::InboundEvent {
        client: Some(client("7", name)),
        ..world.message("7", key, time, "x")
    };
    world.receive(&[named("1", at(0), "Ada")]).await;
    world.receive(&[named("2", at(10), "Ada")]).await;
    assert!(world.events_of::<pb::ClientUpdated>().await.is_empty());
    world.receive(&[named("3", at(20), "Ada L")]).await;
    world
        .receive(&[
            named("4", at(15), "Late"),
            named("5", at(20), "Same second"),
        ])
        .await;
    let updated = world.events_of::<pb::ClientUpdated>().await;
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0].client.as_ref().unwrap().name, "Ada L");
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.client.unwrap().name, "Ada L");
}

#[tokio::test]
async fn replies_point_to_messages_of_the_same_chat() {
    let world = World::new().await;
    let reply = |chat: &str, key: &str, to: &str| {
        let mut item = world.message(chat, key, at(5), "re");
        if let Some(Kind::Message(message)) = item.kind.as_mut() {
            message.reply = Some(common::ReplyReference {
                provider_key: to.into(),
                ..Default::default()
            });
        }
        item
    };
    world
        .receive(&[world.message("7", "1", at(0), "one")])
        .await;
    world
        .receive(&[
            world.message("7", "2", at(1), "two"),
            reply("7", "3", "7/2"),
            reply("7", "4", "7/1"),
        ])
        .await;
    world
        .receive(&[reply("7", "5", "unknown"), reply("8", "6", "7/1")])
        .await;
    let messages = world.client_messages("7").await;
    let target = |index: usize| messages[index].reply.as_ref().unwrap().message_id.clone();
    assert_eq!(target(2), messages[1].message_id, "within the batch");
    assert_eq!(target(3), messages[0].message_id, "stored before");
    assert_eq!(target(4), "");
    let other = world.client_messages("8").await;
    assert_eq!(
        other[0].reply.as_ref().unwrap().message_id,
        "",
        "another chat's"
    );
}

#[tokio::test]
async fn what_is_not_ours_is_ignored_and_what_is_broken_is_refused() {
    let world = World::new().await;
    let block = world.item(
        "b",
        "7",
        noon(),
        Kind::Block(gateway::InboundBlock { blocked: true }),
    );
    world.receive(&[block]).await;
    assert_eq!(world.count("select count(*) from chat").await, 0);
    let nameless = gateway::InboundEvent {
        client: None,
        ..world.message("7", "1", noon(), "x")
    };
    let error = world.try_receive(&[nameless], noon()).await.unwrap_err();
    assert!(matches!(error, HandlerError::Poison(_)), "{error}");
    // A NUL is valid UTF-8 that Postgres cannot store in a text.
    let odd = gateway::InboundEvent {
        client: Some(client("7", "A\0da")),
        ..world.message("7", "2", noon(), "a\0b")
    };
    world.receive(&[odd]).await;
    assert_eq!(text_of(&world.client_messages("7").await[0]), "a\0b");
}

#[tokio::test]
async fn a_channel_of_another_account_is_not_written_into() {
    let world = World::new().await;
    world.receive(&[world.message("7", "1", noon(), "x")]).await;
    let foreign = gateway::InboundEvent {
        account: "other".into(),
        ..world.message("7", "2", noon(), "y")
    };
    let error = world.try_receive(&[foreign], noon()).await.unwrap_err();
    assert!(matches!(error, HandlerError::Poison(_)), "{error}");
    assert_eq!(world.client_messages("7").await.len(), 1);
}

#[tokio::test]
async fn a_full_batch_takes_as_many_statements_as_a_small_one() {
    let world = World::new().await;
    let batch: Vec<_> = (0..512)
        .map(|n| world.message(&format!("c{}", n % 50), &n.to_string(), at(n), "text"))
        .collect();
    world.receive(&batch).await;
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'client'")
            .await,
        512
    );
    assert_eq!(world.count("select count(*) from conversation").await, 50);
    assert_eq!(world.count("select sum(unanswered) from chat").await, 512);
}

/// Prints how fast full batches are stored: `cargo test -p conversation --test it -- --ignored --nocapture speed`.
#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn speed_of_full_batches() {
    let world = World::new().await;
    let batches: Vec<Vec<_>> = (0..20_i64)
        .map(|batch| {
            let message = |n: i64| {
                // One new chat in ten messages.
                let chat = if n % 10 == 0 {
                    format!("{batch}-{n}")
                } else {
                    format!("c{}", n % 200)
                };
                world.message(
                    &chat,
                    &format!("{batch}{n:03}"),
                    at(batch * 512 + n),
                    "a few words of text",
                )
            };
            (0..512).map(message).collect()
        })
        .collect();
    let began = chassis::clock::now();
    for batch in &batches {
        world.receive(batch).await;
    }
    let took = (chassis::clock::now() - began).as_seconds_f64();
    println!("{:.0} messages/s", 20.0 * 512.0 / took);
}
